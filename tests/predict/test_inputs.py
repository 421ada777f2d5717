import io
import zipfile

import numpy as np
import pytest
from data.dicom.ct_phantom import slice_file
from PIL import Image

from lung_attention.images.decode import UnreadableError
from lung_attention.predict.inputs import find_inputs
from lung_attention.predict.pixels import read_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
LUNG = (-600.0, 1500.0)


def encoded(array, kind="png"):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    return stream.getvalue()


def test_pictures_are_read_by_the_one_rule():
    assert np.array_equal(read_pixels(encoded(PIXELS, "tiff"), None), PIXELS)
    with pytest.raises(UnreadableError, match="16 bits a channel"):
        read_pixels(encoded(PIXELS[..., 0].astype(np.uint16) * 200), None)
    with pytest.raises(UnreadableError, match="no JPEG, PNG, TIFF or BMP file, nor DICOM"):
        read_pixels(b"hello", None)


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


def test_images_of_a_kind_that_is_not_read_are_refused_and_not_left_out(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(PIXELS))
    (tmp_path / "b.gif").write_bytes(encoded(PIXELS, "gif"))
    assert names(tmp_path) == [f"{tmp_path}/a.png", f"{tmp_path}/b.gif"]
    with pytest.raises(UnreadableError, match="no JPEG, PNG, TIFF or BMP file"):
        read_pixels((tmp_path / "b.gif").read_bytes(), None)


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
