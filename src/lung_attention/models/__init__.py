"""Backbones, the soft attention, heads, features, and the whole classifier."""
