"""How an image file is encoded: what tells the program that wrote it, and nothing of the picture."""

from __future__ import annotations

import hashlib
import io

from PIL import Image


def encoding(content: bytes) -> str:
    """Format, mode, JPEG quantisation tables and the presence of EXIF data, from the header of a file.

    The number of bytes is left out on purpose: at equal settings it grows with the detail of the picture, so
    it may well tell tissue from air.

    Args:
        content: The bytes of an image file.

    Returns:
        Such as "JPEG, L, tables 3f0c2a91, no EXIF"; equal for files that are encoded alike.
    """
    with Image.open(io.BytesIO(content)) as image:
        said = [str(image.format), image.mode]
        tables = getattr(image, "quantization", None)
        if tables:
            text = repr(sorted((key, list(values)) for key, values in tables.items()))
            said.append(f"tables {hashlib.sha256(text.encode()).hexdigest()[:8]}")
        said.append("EXIF" if "exif" in image.info else "no EXIF")
    return ", ".join(said)
