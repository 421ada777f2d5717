"""Decoding, the fixed thumbnail, and reading members in the order asked for."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from lung_attention.errors import UserError
from lung_attention.images.decode import decode, read_members, thumbnail


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def test_grey_becomes_three_equal_channels():
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    pixels = decode(png(grey))
    assert pixels.shape == (4, 5, 3)
    assert pixels.dtype == np.uint8
    for channel in range(3):
        np.testing.assert_array_equal(pixels[..., channel], grey)


def test_colours_stay_in_rgb_order_and_alpha_is_dropped():
    colour = np.zeros((2, 2, 4), np.uint8)
    colour[...] = (200, 100, 50, 7)
    assert decode(png(colour))[0, 0].tolist() == [200, 100, 50]


def test_a_thumbnail_is_the_mean_of_each_box():
    image = np.random.default_rng(0).integers(0, 256, (128, 192), dtype=np.uint8)
    means = image.reshape(64, 2, 64, 3).mean(axis=(1, 3))
    found = thumbnail(png(image))
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
