import numpy as np
import pytest

from lung_attention.images.regions import backgrounds, frame, histograms, value_counts


def test_histograms_by_hand():
    thumbnails = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    thumbnails[0, :32] = (255, 128, 0)
    thumbnails[1] = 127
    np.testing.assert_allclose(
        histograms(value_counts(thumbnails), bins=2), [[0.5, 0.5, 0.5, 0.5, 1, 0], [1, 0, 1, 0, 1, 0]]
    )
    np.testing.assert_allclose(histograms(value_counts(thumbnails[1:]), bins=2), [[1, 0]])


@pytest.mark.parametrize("bins", [1, 7, 16, 100, 256])
def test_histograms_are_those_of_numpy(bins):
    thumbnails = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    found = histograms(value_counts(thumbnails), bins=bins).reshape(3, 3, bins)
    for row in range(3):
        for channel in range(3):
            counts, _ = np.histogram(thumbnails[row, ..., channel], bins=bins, range=(0, 256))
            np.testing.assert_allclose(found[row, channel], counts / 400, atol=1e-7)


def test_counts_are_those_of_the_mask_and_none_gives_zeros():
    thumbnails = np.full((2, 8, 8, 3), 9, dtype=np.uint8)
    masks = np.stack([frame((8, 8)), np.zeros((8, 8), dtype=bool)])
    counts = value_counts(thumbnails, masks)
    assert counts[:, 0, 9].tolist() == [28, 0]
    assert histograms(counts, bins=4).sum(axis=1).tolist() == [1, 0]


def test_the_background_touches_the_frame():
    images = np.full((4, 20, 20), 120, dtype=np.uint8)
    images[0, :4], images[0, -4:], images[0, :, :4], images[0, :, -4:] = 30, 30, 30, 30
    images[0, 8:10, 8:10] = 30  # dark and closed in
    images[1] = 240
    images[1, 5:15, 5:15] = 100
    images[2, 0] = 30  # a quarter of the frame
    expected = np.zeros((4, 20, 20), dtype=bool)
    expected[0] = True
    expected[0, 4:-4, 4:-4] = False
    expected[1] = True
    expected[1, 5:15, 5:15] = False
    found = backgrounds(np.repeat(images[..., None], 3, axis=3))
    np.testing.assert_array_equal(found, expected)
