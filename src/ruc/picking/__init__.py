"""A few images that stand for many: for labelling budgets, thumbnails, test sets."""
