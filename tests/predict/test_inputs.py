import io
import zipfile

import numpy as np
import pytest
from data.dicom.ct_phantom import slice_file
from PIL import Image

from lung_attention.predict.inputs import UnreadableError, find_inputs, read_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
LUNG = (-600.0, 1500.0)


def encoded(array, kind="png", mode=None, **options):
    image = Image.fromarray(array)
    stream = io.BytesIO()
    (image.convert(mode) if mode else image).save(stream, kind, **options)
    return stream.getvalue()


def rotated():
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: a quarter clockwise
    return encoded(PIXELS, "tiff", exif=exif)


READ = {
    "png": (encoded(PIXELS), PIXELS),
    "tiff": (encoded(PIXELS, "tiff"), PIXELS),
    "grey": (encoded(PIXELS[..., 0]), np.repeat(PIXELS[..., :1], 3, axis=2)),
    "opaque": (encoded(np.dstack([PIXELS, np.full((20, 30), 255, np.uint8)])), PIXELS),
    "turned": (rotated(), np.rot90(PIXELS, -1)),
    "black and white": (
        encoded(PIXELS[..., 0] > 127),
        np.repeat((PIXELS[..., :1] > 127).astype(np.uint8) * 255, 3, axis=2),
    ),
}


@pytest.mark.parametrize("name", READ)
def test_images_of_eight_bits_are_read_as_people_see_them(name):
    content, expected = READ[name]
    found = read_pixels(content, None)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_palettes_and_cmyk_keep_their_colours():
    few = (PIXELS // 128 * 255).astype(np.uint8)
    assert np.array_equal(read_pixels(encoded(few, mode="P"), None), few)
    flat = np.full((16, 16, 3), (200, 40, 90), dtype=np.uint8)
    cmyk = read_pixels(encoded(flat, "jpeg", mode="CMYK", quality=100), None).astype(int)
    assert np.abs(cmyk - flat).max() <= 4


def colours_of_sixteen_bits():
    """A PNG in colour with 16 bits, of which Pillow gives the upper eight without a word."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(range(6)) for _ in range(2))
    header = struct.pack(">IIBBBBB", 1, 2, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


REFUSED = {
    "16 bits": (encoded(PIXELS[..., 0].astype(np.uint16) * 200), "16 bits"),
    "16 bits in colour": (colours_of_sixteen_bits(), "16 bits"),
    "floats": (encoded(PIXELS[..., 0].astype(np.float32), "tiff"), "32 bits"),
    "transparent": (encoded(np.dstack([PIXELS, PIXELS[..., 0]])), "transparent"),
    "frames": (
        encoded(PIXELS, "tiff", save_all=True, append_images=[Image.fromarray(PIXELS)]), "2 frames",
    ),
    "cut": (encoded(PIXELS)[:900], "damaged"),
    "empty": (b"", "no JPEG, PNG, TIFF or DICOM"),
    "text": (b"hello", "no JPEG, PNG, TIFF or DICOM"),
    "gif": (encoded(PIXELS, "gif"), "no JPEG, PNG, TIFF or DICOM"),
    "large": (encoded(np.zeros((5000, 5000), np.uint8)), "pixels, more than"),
    "bomb": (encoded(np.zeros((20_000, 10_000), bool)), "pixels"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_rightly_is_refused_with_the_reason(name):
    content, said = REFUSED[name]
    with pytest.raises(UnreadableError, match=said):
        read_pixels(content, None)


def test_dicom_is_seen_through_the_window():
    content = slice_file(np.array([[-1350, -600], [150, 3000]]))
    found = read_pixels(content, LUNG)
    assert found.shape == (2, 2, 3)
    # The middle of the window is the middle grey (PS3.3 C.11.2.1.2.1).
    assert found[..., 0].tolist() == [[0, 128], [255, 255]]
    with pytest.raises(UnreadableError, match="--window"):
        read_pixels(content, None)
    with pytest.raises(UnreadableError, match="pixels"):
        read_pixels(content[:400], LUNG)


def names(*paths):
    return [one.name for one in find_inputs(paths)]


def test_folders_are_read_in_the_order_in_which_people_count(tmp_path):
    for name in ("a10.png", "a2.png", "b/c.JPG", "notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(PIXELS))
    assert names(tmp_path) == [f"{tmp_path}/{name}" for name in ("a2.png", "a10.png", "b/c.JPG")]
    # What is named itself is tried whatever it is called.
    assert names(tmp_path / "notes.txt") == [str(tmp_path / "notes.txt")]


def test_slices_of_a_series_come_in_the_order_of_their_positions(tmp_path):
    archive = tmp_path / "series.zip"
    heights = {"1.dcm": 20.0, "2.dcm": 0.0, "3": 10.0}
    with zipfile.ZipFile(archive, "w") as opened:
        for name, height in heights.items():
            opened.writestr(name, slice_file(np.zeros((2, 2)), z=height))
        opened.writestr("broken.dcm", b"no slice")
    assert names(archive) == [f"{archive}/{name}" for name in ("2.dcm", "3", "1.dcm", "broken.dcm")]


def test_hostile_and_broken_archives_are_inputs_that_cannot_be_read(tmp_path):
    hostile, broken, empty = (tmp_path / f"{name}.zip" for name in ("hostile", "broken", "empty"))
    with zipfile.ZipFile(hostile, "w") as opened:
        opened.writestr("../x.png", encoded(PIXELS))
    broken.write_bytes(b"PK nothing")
    with zipfile.ZipFile(empty, "w") as opened:
        opened.writestr("notes.txt", "x")
    for path, said in ((hostile, "leaves its folder"), (broken, "no complete zip"), (empty, "no file of")):
        (one,) = find_inputs([path])
        assert one.name == str(path)
        with pytest.raises(UnreadableError, match=said):
            one.read()
