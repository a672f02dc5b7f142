"""Beyond the paper: labels weighed against neighbours, the last word, and how sure one may be."""
