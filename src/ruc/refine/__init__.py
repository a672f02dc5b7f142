"""RUC: choose the labels to trust, retrain two networks on them, and say how sure they are."""
