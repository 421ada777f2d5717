"""Recipes, the fit of a head, and all fits of a classifier."""
