"""Who is near whom: nearest neighbours, exact or in cells, and all that is read off the graph they make."""
