"""Images for the fit of a backbone: what is shown, how it is changed, and that each run changes it alike."""

from dataclasses import replace

import numpy as np
import pytest
from toy_cell import BACKBONE, SIZE, VIEW, N, raw_images, write_archive

from lung_attention.images.view import View
from lung_attention.models.classifier import build_preprocessing, pixel_model, shape_layers
from lung_attention.training.finetuning import Augmentation
from lung_attention.training.fits import Source
from lung_attention.training.stream import Stream, Surroundings, keep_pixels, margin_of

SOME = Augmentation(shift=0.1, turns=8, brightness=0.1, contrast=0.2)
NONE = Augmentation(shift=0.0, turns=1, brightness=0.0, contrast=0.0)
IMAGES = list(raw_images())
NAMES = [f"{number:02}.png" for number in range(N)]
ROWS = np.arange(10)


def source(folder, backbone=BACKBONE):
    if not (folder / "images.zip").exists():
        write_archive(folder / "images.zip", IMAGES)
    return Source(folder / "images.zip", backbone, folder / "none", VIEW, SIZE, folder)


def stream(folder, augmentation, *, batch_size=4, images_per_epoch=None, backbone=BACKBONE):
    given = source(folder, backbone)
    margin = margin_of(augmentation, SIZE)
    pixels = keep_pixels(given, NAMES, margin_px=margin, path=folder / f"{margin}.npy")
    labels, weights = np.arange(N) % 2, np.arange(N) / 8
    return Stream(
        pixels, labels, weights, given, augmentation, batch_size=batch_size, images_per_epoch=images_per_epoch
    )


def epoch_of(one, *, seed=1, epoch=1, rows=ROWS):
    """All of an epoch, sorted by its weights, which name the rows."""
    batches = [[np.asarray(part) for part in batch] for batch in one.epoch(rows, seed=seed, epoch=epoch)]
    assert len(batches) == one.steps(rows)
    inputs, labels, weights = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    order = np.argsort(weights)
    return inputs[order], labels[order], weights[order], weights


@pytest.mark.parametrize("backbone", ["mobilenetv2", "vgg16"])
def test_unchanged_images_are_what_the_preprocessing_shows(tmp_path, backbone):
    inputs, labels, weights, _ = epoch_of(stream(tmp_path, NONE, backbone=backbone))
    preprocessing = build_preprocessing(backbone, VIEW, SIZE)
    expected = np.concatenate([preprocessing.predict_on_batch(IMAGES[row][None]) for row in ROWS])
    # Half a grey value of 57, the deviation, at most.
    np.testing.assert_allclose(inputs, expected, atol=0.02 * np.abs(expected).max())
    np.testing.assert_array_equal(labels, ROWS % 2)
    np.testing.assert_array_equal(weights, ROWS / 8)


def test_how_an_image_is_changed_hangs_on_seed_epoch_and_image_alone(tmp_path):
    first = epoch_of(stream(tmp_path, SOME))
    np.testing.assert_array_equal(first[0], epoch_of(stream(tmp_path, SOME, batch_size=3))[0])
    fewer = epoch_of(stream(tmp_path, SOME), rows=ROWS[:5])
    np.testing.assert_array_equal(first[0][:5], fewer[0])
    for other in ({"seed": 2}, {"epoch": 2}):
        changed = epoch_of(stream(tmp_path, SOME), **other)
        assert all((one != two).any() for one, two in zip(first[0], changed[0], strict=True))
        assert (first[3] != changed[3]).any(), "in another order"


def test_fewer_images_an_epoch_are_others_in_each(tmp_path):
    few = stream(tmp_path, NONE, images_per_epoch=3)
    assert few.steps(ROWS) == 1
    seen = [set(epoch_of(few, epoch=epoch)[2].tolist()) for epoch in range(1, 6)]
    assert {len(one) for one in seen} == {3}
    assert len({tuple(sorted(one)) for one in seen}) > 1


def test_shifts_stay_within_the_margin_and_reach_it(tmp_path):
    augmentation = replace(NONE, shift=0.1)
    one = stream(tmp_path, augmentation)
    margin = margin_of(augmentation, SIZE)
    assert margin == 3
    whole = np.load(tmp_path / "3.npy", mmap_mode="r")
    places = {
        (top, left)
        for epoch in range(60)
        for top in range(2 * margin + 1)
        for left in range(2 * margin + 1)
        if np.array_equal(
            one.changed(4, seed=0, epoch=epoch)[0], whole[4][top : top + SIZE, left : left + SIZE]
        )
    }
    assert {top for top, _ in places} == {left for _, left in places} == set(range(2 * margin + 1))


def test_brightness_and_contrast_stay_in_their_ranges(tmp_path):
    one = stream(tmp_path, replace(SOME, shift=0.0))
    values = np.array([one.changed(0, seed=0, epoch=epoch)[1] for epoch in range(200)])
    assert np.abs(values[:, 0]).max() <= 25.5 and np.abs(values[:, 0]).max() > 23
    assert (0.8 <= values[:, 1].min() < 0.82) and (1.18 < values[:, 1].max() <= 1.2)


def test_around_a_crop_lies_what_is_there_in_the_image():
    view = replace(VIEW, crop_px=16)
    image = np.random.default_rng(0).integers(0, 256, (5, 5, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2)
    image = image.astype(np.uint8)
    wide = Surroundings(view, SIZE, 8)(image)
    assert wide.shape == (SIZE + 16, SIZE + 16, 3)
    wider = shape_layers(replace(view, crop_px=24), SIZE + 16)
    shown = pixel_model(wider, name="x").predict_on_batch(image[None])
    np.testing.assert_allclose(wide, shown[0], atol=0.51)


@pytest.mark.parametrize("view", [View(None, "bilinear", True, False), replace(VIEW, crop_px=40)])
def test_where_there_is_no_more_the_image_is_mirrored(view):
    image = IMAGES[0]
    wide = Surroundings(view, SIZE, 4)(image)
    shown = Surroundings(view, SIZE, 0)(image)
    assert wide.shape == (SIZE + 8, SIZE + 8, 3) and shown.shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(wide[4:-4, 4:-4], shown)
    np.testing.assert_array_equal(wide[3, 4:-4], shown[0])
    np.testing.assert_array_equal(wide[4:-4, 0], shown[:, 3])


def test_pixels_that_are_there_are_taken(tmp_path):
    given = source(tmp_path)
    first = keep_pixels(given, NAMES, margin_px=2, path=tmp_path / "p.npy")
    again = keep_pixels(
        replace(given, archive=tmp_path / "gone.zip"), NAMES, margin_px=2, path=tmp_path / "p.npy"
    )
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.uint8 and isinstance(first, np.memmap)
