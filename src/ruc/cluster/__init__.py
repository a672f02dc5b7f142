"""Initial clusterings: base clusterings from features or images, labels that were given, how many clusters."""
