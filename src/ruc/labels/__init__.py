"""What a clustering is, and labels that somebody gives: tables, matched with the samples, numbered."""
