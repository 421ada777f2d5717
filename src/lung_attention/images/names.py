"""Which files are images, by their names."""

from __future__ import annotations

_READ = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
_REFUSED = (".gif", ".webp", ".jp2", ".j2k", ".heic", ".heif", ".avif")

IMAGE_SUFFIXES = (*_READ, *_REFUSED)
"""Of images that are read, and of kinds that are refused file by file, so that none is left out unnoticed."""

READ_SUFFIXES = ", ".join(_READ)
"""The former, for people."""
