"""Backbones, the soft attention, heads, and the whole classifier.

Importing this package registers the layers that a saved model needs.
"""

from lung_attention.models.attention import SoftAttention

__all__ = ["SoftAttention"]
