"""Cutting a square of known size out of an image, around a point of it."""

from __future__ import annotations

import io

from lung_attention.images.decode import read_image


def cut_square(content: bytes, centre: tuple[float, float], side: float) -> bytes:
    """Cuts a square out of an image, pixel by pixel, without changing its resolution.

    Args:
        content: The bytes of an image file, whose upright picture is meant.
        centre: Column and row of the square's centre, as fractions of width and height.
        side: Of the square, in pixels of the image; rounded.

    Returns:
        The bytes of a PNG file, grey or RGB; what lies outside the image is black.

    Raises:
        UnreadableError: See `read_image`.
    """
    image, pixels = read_image(content), max(round(side), 1)
    left, top = (
        round(fraction * length - pixels / 2) for fraction, length in zip(centre, image.size, strict=True)
    )
    written = io.BytesIO()
    image.crop((left, top, left + pixels, top + pixels)).save(written, "png")
    return written.getvalue()
