"""Decoding, what an image may be, the fixed thumbnail, and reading members in the order asked for."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from lung_attention.errors import UserError
from lung_attention.images.cut import cut_square
from lung_attention.images.decode import (
    UnknownFormatError,
    UnreadableError,
    decode,
    read_image,
    read_members,
    thumbnail,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
GREY = PIXELS[..., 0]
OPAQUE = np.full((20, 30), 255, np.uint8)
ORIENTATION = 274


def encoded(array, kind="png", mode=None, **options):
    image = Image.fromarray(array)
    stream = io.BytesIO()
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def turned(kind):
    """A file whose EXIF data say that the camera was turned, by a quarter clockwise."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return encoded(PIXELS, kind, exif=exif, **{"quality": 100, "subsampling": 0} if kind == "jpeg" else {})


def test_grey_becomes_three_equal_channels():
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    pixels = decode(encoded(grey))
    assert pixels.shape == (4, 5, 3)
    assert pixels.dtype == np.uint8
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], grey)


def three(grey):
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


READ = {
    "png": (encoded(PIXELS), PIXELS),
    "tiff": (encoded(PIXELS, "tiff"), PIXELS),
    "bmp": (encoded(PIXELS, "bmp"), PIXELS),
    "grey tiff": (encoded(GREY, "tiff"), three(GREY)),
    "opaque": (encoded(np.dstack([PIXELS, OPAQUE])), PIXELS),
    "opaque grey": (encoded(np.dstack([GREY, OPAQUE])), three(GREY)),
    "turned png": (turned("png"), np.rot90(PIXELS, -1)),
    "turned tiff": (turned("tiff"), np.rot90(PIXELS, -1)),
    "black and white": (encoded(GREY > 127), three((GREY > 127).astype(np.uint8) * 255)),
    "palette": (encoded(PIXELS // 128 * 255, mode="P"), PIXELS // 128 * 255),
}


@pytest.mark.parametrize("name", READ)
def test_images_of_eight_bits_or_fewer_are_read_as_people_see_them(name):
    content, expected = READ[name]
    found = decode(content)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)
    assert read_image(content).mode in ("L", "RGB")


def test_jpegs_are_turned_upright_and_those_of_inks_keep_their_colours():
    assert np.abs(decode(turned("jpeg")).astype(int) - np.rot90(PIXELS, -1)).max() <= 4
    flat = np.full((16, 16, 3), (200, 40, 90), dtype=np.uint8)
    assert np.abs(decode(encoded(flat, "jpeg", mode="CMYK", quality=100)).astype(int) - flat).max() <= 4


def png_of(bits, colour, row):
    """A PNG of one row, by its header and the bytes of its samples; Pillow writes no such files."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width = 8 * len(row) // (bits * {0: 1, 2: 3, 4: 2, 6: 4}[colour])
    header = struct.pack(">IIBBBBB", width, 1, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_fewer_bits_are_spread_over_the_range():
    assert decode(png_of(2, 0, bytes([0b00011011])))[0, :, 0].tolist() == [0, 85, 170, 255]
    assert decode(png_of(4, 0, bytes([0x0F, 0x80])))[0, :, 0].tolist() == [0, 255, 136, 0]


def signed():
    """A TIFF of signed values, of which Pillow makes unsigned ones without a word."""
    stream = io.BytesIO()
    Image.fromarray(GREY).save(stream, "tiff", tiffinfo={339: 2})
    return stream.getvalue()


def pages(kind):
    return encoded(PIXELS, kind, save_all=True, append_images=[Image.fromarray(255 - PIXELS)])


REFUSED = {
    "16 bits": (encoded(GREY.astype(np.uint16) * 200), "16 bits a channel, expected 8"),
    "16 bits, tiff": (encoded(GREY.astype(np.uint16) * 200, "tiff"), "16 bits"),
    "16 bits in colour": (png_of(16, 2, bytes(range(12))), "16 bits"),
    "16 bits with alpha": (png_of(16, 4, bytes(range(8))), "16 bits"),
    "32 bits": (encoded(GREY.astype(np.int32), "tiff"), "signed"),
    "floats": (encoded(GREY.astype(np.float32), "tiff"), "32 bits"),
    "signed": (signed(), "signed"),
    "lab": (encoded(PIXELS, "tiff", mode="LAB"), "colours are LAB"),
    "transparent": (encoded(np.dstack([PIXELS, GREY])), "transparent"),
    "transparent colour": (encoded(GREY, transparency=int(GREY[0, 0])), "transparent"),
    "transparent palette": (encoded(PIXELS, mode="P", transparency=0), "transparent"),
    "pages": (pages("tiff"), "2 frames"),
    "animated": (pages("png"), "2 frames"),
    "cut": (encoded(PIXELS)[:900], "damaged"),
    "empty": (b"", "no JPEG, PNG, TIFF or BMP"),
    "text": (b"hello", "no JPEG, PNG, TIFF or BMP"),
    "gif": (encoded(PIXELS, "gif"), "no JPEG, PNG, TIFF or BMP"),
    "large": (encoded(np.zeros((5000, 5000), np.uint8)), "5000 x 5000 pixels, more than"),
    "bomb": (encoded(np.zeros((20_000, 10_000), bool)), "pixels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_rightly_is_refused_with_the_reason(name):
    content, said = REFUSED[name]
    for read in (decode, thumbnail, lambda content: cut_square(content, (0.5, 0.5), 8)):
        with pytest.raises(UnreadableError, match=said) as refusal:
            read(content)
    assert isinstance(refusal.value, UnknownFormatError) == said.startswith("no JPEG")


def test_a_square_is_cut_from_the_upright_picture():
    corner = decode(cut_square(turned("png"), (0.25, 1 / 6), 10))
    assert np.array_equal(corner, np.rot90(PIXELS, -1)[:10, :10])


def test_a_thumbnail_is_the_mean_of_each_box():
    image = np.random.default_rng(0).integers(0, 256, (128, 192), dtype=np.uint8)
    means = image.reshape(64, 2, 64, 3).mean(axis=(1, 3))
    found = thumbnail(encoded(image))
    assert found.shape == (64, 64, 3)
    np.testing.assert_allclose(found[..., 0], means, atol=1.01)  # Pillow rounds after each direction


def test_members_come_in_the_order_asked_for(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in "abc":
            archive.writestr(name, name.encode())
    assert list(read_members(tmp_path / "a.zip", ["c", "a"])) == [b"c", b"a"]
    with pytest.raises(UserError, match=r"a\.zip is damaged .*'d'"):
        list(read_members(tmp_path / "a.zip", ["d"]))


def test_a_damaged_archive_is_told_at_the_image_that_is(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in "ab":
            archive.writestr(name, f"content of {name}")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"content of b", b"contEnt of b"))
    members = read_members(path, ["a", "b"])
    assert next(members) == b"content of a"
    with pytest.raises(UserError, match=r"damaged.*'b'"):
        next(members)
