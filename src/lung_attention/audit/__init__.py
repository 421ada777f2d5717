"""Leaks between the subsets of a split, in our datasets and in anyone's own."""
