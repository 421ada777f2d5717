"""Pairs of images that look alike: none is lost by the short way, and memory hardly grows with them."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lung_attention.groups.linking import components
from lung_attention.images import similarity
from lung_attention.images.similarity import cosines, near_pairs, unit_vectors

SIDE = 8


def pictures(random, images, side=64):
    """Pictures of a few originals, some blurred, some noisy, some equal."""
    originals = random.integers(0, 256, (5, side, side, 1))
    chosen = originals[random.integers(0, 5, images)]
    noise = random.normal(0, 1, chosen.shape) * random.choice([0, 1, 20, 80], (images, 1, 1, 1))
    return np.clip(chosen + noise, 0, 255).astype(np.uint8).repeat(3, axis=-1)


def found(vectors, cosine):
    return [
        pair
        for first, second in near_pairs(vectors, cosine=cosine)
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    ]


@settings(deadline=None, max_examples=150)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 40),
    st.sampled_from([1.0, 0.999, 0.98, 0.9, 0.5, 0.05]),
    st.sampled_from([1, 3, 7, 64]),
    st.sampled_from([2, 4, 16]),
    arrays.arrays(np.uint8, (3, SIDE, SIDE, 3)),
)
def test_the_pairs_are_those_of_the_whole_matrix(seed, images, cosine, block, waves, given_images):
    thumbnails = np.concatenate([pictures(np.random.default_rng(seed), images, SIDE), given_images])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"_ROWS": block, "_BLOCK": block, "_COLUMNS": 2 * block, "_WAVES": waves}.items():
            patch.setattr(similarity, name, value)
        vectors = unit_vectors(thumbnails)
        pairs = found(vectors, cosine)
    exact = np.triu(vectors.astype(np.float64) @ vectors.T.astype(np.float64), k=1)
    surely = set(zip(*map(np.ndarray.tolist, np.nonzero(exact >= cosine)), strict=True))
    perhaps = set(zip(*map(np.ndarray.tolist, np.nonzero(exact >= cosine - 2e-6)), strict=True))
    assert len(pairs) == len(set(pairs))
    assert surely <= set(pairs) <= perhaps


def test_most_pairs_need_only_the_short_vectors(monkeypatch):
    random = np.random.default_rng(5)
    smooth = random.normal(128, 40, (1500, 8, 8, 1)).clip(0, 255).astype(np.uint8)
    thumbnails = smooth.repeat(8, axis=1).repeat(8, axis=2).repeat(3, axis=3)
    thumbnails[1400] = thumbnails[3]
    vectors = unit_vectors(thumbnails)
    short = similarity._shortened(vectors)
    assert np.count_nonzero(np.triu(short @ short.T >= 0.98, k=1)) < 20
    assert found(vectors, 0.98) == [(3, 1400)]


def test_cosines_of_pairs_are_those_of_the_matrix():
    vectors = unit_vectors(pictures(np.random.default_rng(1), 400, SIDE))
    first, second = np.arange(399), np.arange(1, 400)
    expected = (vectors @ vectors.T)[first, second]
    assert cosines(vectors, first, second) == pytest.approx(expected, abs=1e-6)


def test_links_beyond_what_is_held_give_the_same_groups(monkeypatch):
    random = np.random.default_rng(2)
    links = [tuple(random.integers(0, 300, (2, 20))) for _ in range(8)]
    whole = components(300, links)
    monkeypatch.setattr("lung_attention.groups.linking._HELD", 30)
    np.testing.assert_array_equal(components(300, iter(links)), whole)
    assert 1 < len(set(whole)) < 300


def test_memory_does_not_grow_with_the_images():
    peaks = []
    for images in (600, 4800):
        thumbnails = pictures(np.random.default_rng(3), 600).repeat(images // 600, axis=0)[:, ::2, ::2]
        tracemalloc.start()
        vectors = unit_vectors(thumbnails)
        assert sum(len(first) for first, _ in near_pairs(vectors, cosine=0.9999)) > 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The short vectors, 1 kB an image, are what grows.
    assert peaks[1] - peaks[0] < 4200 * 1100 + 2**22
