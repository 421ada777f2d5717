"""From an image of any size to a backbone's input: crop, size, scaling."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_attention.images.view import View
from lung_attention.models.classifier import BlueFirst, CentreCrop, build_preprocessing


def numbered(height, width):
    """An image whose first two channels say row and column."""
    rows, cols = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return np.stack([rows, cols, rows * 0], axis=-1)[None].astype("float32")


@pytest.mark.parametrize(
    ("shape", "size_px", "rows", "cols"),
    [
        ((9, 9), 5, (2, 6), (2, 6)),
        ((10, 7), 5, (2, 6), (1, 5)),  # an odd margin: the smaller part above and left
        ((8, 8), 5, (1, 5), (1, 5)),
        ((5, 5), 5, (0, 4), (0, 4)),
        ((3, 9), 5, (0, 2), (2, 6)),  # lower than the square: kept as far as it goes
        ((3, 4), 5, (0, 2), (0, 3)),
        ((9, 9), 1, (4, 4), (4, 4)),
    ],
)
def test_the_square_around_the_centre(shape, size_px, rows, cols):
    found = np.asarray(CentreCrop(size_px)(numbered(*shape)))[0]
    assert (found[0, 0, 0], found[-1, -1, 0]) == rows
    assert (found[0, 0, 1], found[-1, -1, 1]) == cols
    assert found.shape == (rows[1] - rows[0] + 1, cols[1] - cols[0] + 1, 3)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 20), width=st.integers(1, 20), size_px=st.integers(1, 20))
def test_margins_differ_by_one_pixel_at_most(height, width, size_px):
    found = np.asarray(CentreCrop(size_px)(numbered(height, width)))[0]
    assert found.shape == (min(height, size_px), min(width, size_px), 3)
    below = height - 1 - found[-1, -1, 0]
    right = width - 1 - found[-1, -1, 1]
    assert 0 <= below - found[0, 0, 0] <= 1
    assert 0 <= right - found[0, 0, 1] <= 1
    # Nothing between is left out.
    assert (np.diff(found[:, 0, 0]) == 1).all()
    assert (np.diff(found[0, :, 1]) == 1).all()


def test_the_shape_of_the_crop_is_known_where_the_images_is():
    crop = CentreCrop(5)
    assert crop.compute_output_shape((None, 9, 3, 3)) == (None, 5, 3, 3)
    assert crop.compute_output_shape((2, None, None, 3)) == (2, None, None, 3)


def test_config_round_trip():
    crop = CentreCrop(5, name="crop")
    again = CentreCrop.from_config(crop.get_config())
    assert again.get_config() == crop.get_config()
    assert (again.size_px, again.name) == (5, "crop")


def test_no_pixels_are_refused():
    with pytest.raises(ValueError, match="size_px=0"):
        CentreCrop(0)


@pytest.mark.parametrize("name", ["densenet121", "vgg16"])
def test_save_and_load(tmp_path, name):
    model = build_preprocessing(name, View(20, "bicubic", antialias=True, standardise=False), 16)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_layer("crop").size_px == 20
    for shape in ((30, 41, 3), (17, 25, 3)):
        image = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)
        np.testing.assert_array_equal(np.asarray(loaded(image)), np.asarray(model(image)))


def test_the_margin_of_a_cropped_view_is_not_seen():
    image = np.random.default_rng(0).integers(0, 256, (1, 40, 50, 3), dtype=np.uint8)
    framed = np.zeros_like(image)
    framed[:, 10:30, 15:35] = image[:, 10:30, 15:35]
    cropped = build_preprocessing("densenet121", View(20, "bilinear", antialias=False, standardise=False), 16)
    whole = build_preprocessing("densenet121", View(None, "bilinear", antialias=False, standardise=False), 16)
    np.testing.assert_array_equal(np.asarray(cropped(image)), np.asarray(cropped(framed)))
    np.testing.assert_array_equal(np.asarray(cropped(image)), np.asarray(whole(image[:, 10:30, 15:35])))
    assert np.abs(np.asarray(whole(image)) - np.asarray(whole(framed))).max() > 0.1


@pytest.mark.parametrize("standardise", [False, True])
def test_an_eager_call_gives_what_a_graph_gives(standardise):
    """Features are made in a graph; a served model is called eagerly, on integers."""
    view = View(20, "bilinear", antialias=True, standardise=standardise)
    model = build_preprocessing("densenet169", view, 16)
    image = np.random.default_rng(0).integers(0, 256, (1, 30, 41, 3), dtype=np.uint8)
    np.testing.assert_allclose(np.asarray(model(image)), model.predict_on_batch(image), atol=1e-5)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"])
def test_every_filter_of_a_view_is_known_to_keras(interpolation):
    model = build_preprocessing(
        "densenet121", View(None, interpolation, antialias=True, standardise=False), 8
    )
    white = np.full((1, 20, 30, 3), 255, np.uint8)
    np.testing.assert_allclose(np.asarray(model(white)), np.ones((1, 8, 8, 3)), atol=1e-5)


def test_antialiasing_takes_all_pixels_into_account():
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::8] = 255
    plain, smooth = (
        np.asarray(
            build_preprocessing(
                "densenet121", View(None, "bilinear", antialias=antialias, standardise=False), 8
            )(stripes)
        )
        for antialias in (False, True)
    )
    assert plain.mean() < 0.01  # the pixels between which it looks are all black
    assert smooth.mean() == pytest.approx(1 / 8, abs=0.02)


def test_blue_first():
    pixels = np.arange(12, dtype="float32").reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(np.asarray(BlueFirst()(pixels)), pixels[..., ::-1])


def test_standardised_images_have_the_mean_and_spread_of_photographs_whatever_their_scaling():
    """Grey values are scaled crop by crop in some archives, which says nothing of what they show."""
    random = np.random.default_rng(0)
    image = random.integers(60, 190, size=(1, 24, 24, 3), dtype=np.uint8)
    darker = (image // 2 + 10).astype(np.uint8)
    view = View(None, "bilinear", antialias=False, standardise=True)
    model = build_preprocessing("densenet121", view, 24)
    first, second = (np.asarray(model(one)) * 255 for one in (image, darker))
    assert first.mean() == pytest.approx(115, abs=2)
    assert first.std() == pytest.approx(57, abs=2)
    np.testing.assert_allclose(first, second, atol=4)
    flat = np.asarray(model(np.full((1, 24, 24, 3), 9, np.uint8))) * 255
    np.testing.assert_allclose(flat, 115, atol=1e-3)
