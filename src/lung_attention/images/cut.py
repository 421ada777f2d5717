"""Cutting a square of known size out of an image, around a point of it."""

from __future__ import annotations

import io

from PIL import Image


def cut_square(content: bytes, centre: tuple[float, float], side: float) -> bytes:
    """Cuts a square out of an image, pixel by pixel, without changing its resolution.

    Args:
        content: The bytes of an image file.
        centre: Column and row of the square's centre, as fractions of width and height.
        side: Of the square, in pixels of the image; rounded.

    Returns:
        The bytes of a PNG file of the image's mode; what lies outside the image is black.
    """
    with Image.open(io.BytesIO(content)) as image:
        pixels = max(round(side), 1)
        left, top = (
            round(fraction * length - pixels / 2)
            for fraction, length in zip(centre, image.size, strict=True)
        )  # fmt: skip
        written = io.BytesIO()
        image.crop((left, top, left + pixels, top + pixels)).save(written, "png")
    return written.getvalue()
