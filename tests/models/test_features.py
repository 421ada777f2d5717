"""Features: rows follow names, files are whole or absent, arrays are opened and not read."""

import time

import keras
import numpy as np
import pytest

from lung_attention.errors import UserError
from lung_attention.files import read_json, sha256
from lung_attention.models.feature_file import DTYPE, load_features
from lung_attention.models.features import extract_features
from lung_attention.models.parts import passed

IMAGES = [f"{number}.png" for number in range(7)]


@pytest.fixture(scope="module")
def models():
    """A preprocessing that halves, a backbone that adds 1 and squares."""
    pixels = keras.Input((None, None, 3), dtype="uint8")
    preprocessing = keras.Model(pixels, keras.layers.Rescaling(0.5)(keras.layers.Resizing(2, 2)(pixels)))
    scaled = keras.Input((2, 2, 3))
    return preprocessing, keras.Model(scaled, keras.ops.square(scaled + 1))


def pixels(values):
    """Plain images of odd and different sizes."""
    for number, value in enumerate(values):
        yield np.full((3 + number % 2, 5, 3), value, np.uint8)


def extract(models, folder, values, *, batch_size=3):
    extract_features(
        pixels(values),
        IMAGES,
        preprocessing=models[0],
        backbone=models[1],
        batch_size=batch_size,
        path=folder / "features.npy",
        info_path=folder / "features.json",
        info={"backbone": "square"},
    )
    return folder / "features.npy", folder / "features.json"


@pytest.mark.parametrize("batch_size", [3, 7, 100])  # a last batch that is not full, and batches that are
def test_row_is_image(models, tmp_path, batch_size):
    path, info_path = extract(models, tmp_path, range(7), batch_size=batch_size)
    info = read_json(info_path)
    features = load_features(path, info, IMAGES)
    assert isinstance(features, np.memmap)
    assert features.mode == "r"
    assert features.dtype == DTYPE
    np.testing.assert_array_equal(features, np.broadcast_to(
        ((np.arange(7) / 2 + 1) ** 2)[:, None, None, None], (7, 2, 2, 3)
    ))  # fmt: skip
    assert info["backbone"] == "square"
    assert info["shape"] == [7, 2, 2, 3]
    assert info["sha256"] == sha256(path)
    assert sorted(tmp_path.iterdir()) == [info_path, path]


@pytest.mark.parametrize("images", [IMAGES[::-1], IMAGES[:-1], [*IMAGES[:-1], "other.png"]])
def test_features_of_other_images_or_another_order_are_refused(models, tmp_path, images):
    path, info_path = extract(models, tmp_path, range(7))
    with pytest.raises(UserError, match=r"features\.npy was made of other images"):
        load_features(path, read_json(info_path), images)


@pytest.mark.parametrize("damage", ["flipped", "zeros", "of another dataset"])
def test_damaged_features_are_refused_with_what_mends_them(models, tmp_path, damage):
    path, info_path = extract(models, tmp_path, range(7))
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-3] ^= 1
    elif damage == "zeros":
        content[-7 * 2 * 2 * 3 * 2 :] = bytes(7 * 2 * 2 * 3 * 2)
    else:
        content = (extract(models, tmp_path / "other", range(7, 0, -1))[0]).read_bytes()
    path.write_bytes(bytes(content))
    with pytest.raises(UserError, match="damaged or another file") as caught:
        load_features(path, read_json(info_path), IMAGES)
    assert "lung-attention verify" in caught.value.remedy


def test_images_are_read_while_others_are_passed(models, tmp_path):
    """The second batch is read before the first one has left the backbone."""
    read = []

    def watched():
        for number, image in enumerate(pixels(range(7))):
            read.append(number)
            yield image

    batches = passed(watched(), preprocessing=models[0], backbone=models[1], batch_size=2)
    first = next(batches)
    assert first.shape == (2, 2, 2, 3)
    deadline = time.monotonic() + 10
    while len(read) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read == [0, 1, 2, 3]  # one batch ahead, and no more: memory stays flat
    assert [len(batch) for batch in batches] == [2, 2, 1]


def test_a_picture_that_cannot_be_read_ends_the_pass(models):
    def broken():
        yield from pixels(range(3))
        raise UserError("the fourth", remedy="none")

    with pytest.raises(UserError, match="the fourth"):
        list(passed(broken(), preprocessing=models[0], backbone=models[1], batch_size=2))


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_what_half_precision_cannot_hold_is_refused_and_the_old_files_stand(models, tmp_path):
    path, info_path = extract(models, tmp_path, range(7))
    before = path.read_bytes(), info_path.read_bytes()
    huge = keras.Input((2, 2, 3))
    with pytest.raises(UserError, match=r"images 3\.\.5 are not finite"):
        extract((models[0], keras.Model(huge, huge * 1000)), tmp_path, [0, 0, 0, 0, 255, 0, 0])
    assert (path.read_bytes(), info_path.read_bytes()) == before
    assert sorted(tmp_path.iterdir()) == [info_path, path]
    not_a_number = keras.Input((2, 2, 3))
    with pytest.raises(UserError, match="not finite"):
        extract((models[0], keras.Model(not_a_number, not_a_number / 0)), tmp_path / "new", range(7))
    assert list((tmp_path / "new").iterdir()) == []
