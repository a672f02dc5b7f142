"""Tables and arrays in files as other programs write them, and which row of a table is which image's."""
