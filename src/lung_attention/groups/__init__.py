"""Groups: which images must stand on the same side of a split."""
