import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform, gaussian_filter

from lung_attention.errors import UserError
from lung_attention.groups.discs import cropped_rotation, disc_of, looks, rotation
from lung_attention.groups.source_tiles import (
    SourceTileGroups,
    colour_candidates,
    colour_signatures,
    source_tiles,
)

SIDE = 64
FIELD = 256
SETTINGS = SourceTileGroups(
    "source_tiles", "tile", candidates=40, correlation=0.96, overlap_correlation=0.42, least_overlap=0.3
)


def field(seed, size=FIELD):
    """A stained field: nuclei-like blots of one colour on another, much alike from field to field."""
    rng = np.random.default_rng(seed)
    dark = sum(
        weight * gaussian_filter(rng.standard_normal((size, size)), width) * width
        for width, weight in ((4, 1.0), (8, 1.0), (20, 0.6))
    )
    share = 1 / (1 + np.exp(-6 * dark))[..., None]
    return 230 - share * np.array([110.0, 150.0, 70.0]) + rng.uniform(-12, 12, 3)


def view(original, pose, shift=(0.0, 0.0)):
    """A 64 px tile as a pose shows an original of 128 px around the middle of its field."""
    scale = 128 / SIDE
    centre = (np.array(original.shape[:2]) - 1) / 2 + np.array(shift) * 128
    matrix = pose * scale
    offset = centre - matrix @ np.full(2, (SIDE - 1) / 2)
    planes = [
        affine_transform(gaussian_filter(original[..., k], 0.8), matrix, offset, (SIDE, SIDE), order=1)
        for k in range(3)
    ]
    return np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)


def mirrored(rng, tile):
    return tile[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


def cropped_copies(seed, originals, copies):
    rng = np.random.default_rng(seed)
    tiles, truth = [], []
    for number in range(originals):
        original = field(100 * seed + number)
        for _ in range(copies):
            pose = cropped_rotation(float(rng.integers(-25, 26)))
            tiles.append(mirrored(rng, view(original, pose)))
            truth.append(number)
    return np.stack(tiles), np.array(truth)


def digests(n):
    return np.array([f"digest {k}" for k in range(n)], dtype=object)


def partition(groups):
    """Which rows share a group, whatever the groups are called."""
    groups = np.asarray(groups)
    return {frozenset(np.flatnonzero(groups == name).tolist()) for name in set(groups.tolist())}


def find(tiles, sha256=None, **changes):
    chosen = SourceTileGroups(**{**vars(SETTINGS), **changes})
    return source_tiles(tiles, digests(len(tiles)) if sha256 is None else sha256, settings=chosen)


def test_copies_made_by_rotation_crop_and_mirror_are_found():
    tiles, truth = cropped_copies(1, originals=8, copies=6)
    assert partition(find(tiles)) == partition(truth)


def test_copies_made_by_quarter_turns_small_rotations_and_shifts_are_found():
    rng = np.random.default_rng(2)
    tiles, truth = [], []
    for number in range(5):
        for _ in range(4):
            pose = rotation(90 * rng.integers(4) + rng.uniform(-12, 12))
            tiles.append(mirrored(rng, view(field(50 + number), pose, rng.uniform(-0.04, 0.04, 2))))
            truth.append(number)
    assert partition(find(np.stack(tiles))) == partition(truth)


@pytest.mark.parametrize(("shift", "together"), [(0.45, True), (0.85, False)])
def test_originals_that_share_enough_tissue_are_linked(shift, together):
    wide = field(7)
    tiles = [
        view(wide, cropped_rotation(angle), (0, place))
        for place in (-shift / 2, shift / 2)
        for angle in (1, 9)
    ]
    groups = find(np.stack(tiles))
    assert (len(set(groups)) == 1) is together
    assert groups[0] == groups[1] and groups[2] == groups[3]


def test_no_overlap_is_sought_below_the_least():
    wide = field(7)
    tiles = np.stack([view(wide, np.eye(2), (0, place)) for place in (-0.225, 0.225)])
    assert len(set(find(tiles, least_overlap=0.6))) == 2
    assert len(set(find(tiles, least_overlap=0.5))) == 1


def test_identical_files_share_a_group_even_where_nothing_can_be_compared():
    blank = np.full((3, SIDE, SIDE, 3), 240, dtype=np.uint8)
    assert find(blank, np.array(["a", "b", "a"], dtype=object)).tolist() == [
        "tile-0001",
        "tile-0002",
        "tile-0001",
    ]


def test_a_repeated_file_among_turned_copies_changes_no_other_group():
    tiles, truth = cropped_copies(3, originals=4, copies=4)
    again = np.concatenate([tiles, tiles[:3]])
    sha256 = np.concatenate([digests(len(tiles)), digests(3)])
    assert partition(find(again, sha256)) == partition(np.concatenate([truth, truth[:3]]))


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**16))
def test_the_order_of_rows_does_not_matter(seed):
    tiles, truth = cropped_copies(4, originals=4, copies=3)
    order = np.random.default_rng(seed).permutation(len(tiles))
    assert partition(find(tiles[order])) == partition(truth[order])


def test_groups_are_numbered_by_first_appearance():
    tiles, _ = cropped_copies(5, originals=3, copies=2)
    assert find(tiles[[4, 0, 5, 1, 2]]).tolist() == [f"tile-000{k}" for k in (1, 2, 1, 2, 3)]


@pytest.mark.parametrize("n", [0, 1])
def test_few_tiles(n):
    tiles, _ = cropped_copies(6, originals=1, copies=1)
    assert find(tiles[:n]).tolist() == ["tile-0001"][:n]


def test_thumbnails_have_to_be_square():
    with pytest.raises(UserError, match=r"\(2, 64, 32, 3\)"):
        find(np.zeros((2, 64, 32, 3), dtype=np.uint8))


@pytest.mark.parametrize("degrees", range(-25, 26, 5))
def test_the_crop_leaves_no_empty_corner(degrees):
    corners = cropped_rotation(degrees) @ (np.array([[1, 1, -1, -1], [1, -1, 1, -1]]) / 2)
    assert np.abs(corners).max() <= 0.5 + 1e-12


def test_the_crop_at_25_degrees():
    # tan 25° = .46631, X = 1.32893; E = .33073 aside, A = .46547 above: .66747 wide, .39799 high.
    high, wide = np.linalg.norm(cropped_rotation(25), axis=0)
    assert (wide, high) == (pytest.approx(0.66747, abs=1e-4), pytest.approx(0.39799, abs=1e-4))


def test_colour_signatures_are_those_of_the_colours_and_ignore_mirroring():
    tiles, _ = cropped_copies(7, originals=2, copies=1)
    found = colour_signatures(np.concatenate([tiles, tiles[:, :, ::-1]]))
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-5)
    assert found[2:] == pytest.approx(found[:2], abs=1e-6)
    assert found[0] @ found[1] < 0.999


def test_of_equally_near_candidates_the_first_rows_are_taken():
    first, second = colour_candidates(np.tile([0.6, 0.8], (6, 1)), neighbours=2)
    pairs = [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 2), (1, 3), (1, 4), (1, 5)]
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == pairs


ON_A_PROCESSOR = """
import json, sys
import numpy as np
from threadpoolctl import threadpool_info
from lung_attention.groups.discs import cropped_rotation, disc_of, looks
from lung_attention.groups.registration import cropped_scores, shifted_scores
from lung_attention.groups.source_tiles import colour_candidates, colour_signatures

tiles = np.load(sys.argv[1])
pairs = colour_candidates(colour_signatures(tiles), neighbours=8)
seen = looks(tiles, disc_of(0.19), [cropped_rotation(float(angle)) for angle in range(-25, 26, 5)])
cropped, *degrees = cropped_scores(tiles, *pairs)
found = {
    "kernels": sorted({str(pool.get("architecture")) for pool in threadpool_info()}),
    "pairs": [rows.tolist() for rows in pairs],
    "strengths": np.abs(seen.astype(np.float64)).sum(axis=0).round(2).tolist(),
    "cropped": cropped.round(6).tolist(),
    "degrees": [turns.tolist() for turns in degrees],
    "shifted": shifted_scores(tiles, *pairs).round(6).tolist(),
}
print(json.dumps(found))
"""


def test_scores_and_poses_hang_on_no_processor(tmp_path):
    # OpenBLAS multiplies by kernels of its own on each processor; the oldest ones run on all.
    tiles, _ = cropped_copies(8, originals=3, copies=5)
    np.save(tmp_path / "tiles.npy", tiles)
    command = [sys.executable, "-c", ON_A_PROCESSOR, str(tmp_path / "tiles.npy")]
    here, older = (
        json.loads(
            subprocess.run(command, env={**os.environ, **kernels}, capture_output=True, check=True).stdout
        )
        for kernels in ({}, {"OPENBLAS_CORETYPE": "Nehalem"})
    )
    if here.pop("kernels") == older.pop("kernels"):
        pytest.skip("this machine has one kind of kernels")
    assert here == older


def test_candidates_are_pairs_in_order_each_once():
    angles = np.deg2rad([0, 1, 40, 42, 90])
    first, second = colour_candidates(
        np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32), neighbours=1
    )
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (2, 3), (3, 4)]


def test_what_grows_with_the_tiles_lies_in_mapped_files():
    tiles, _ = cropped_copies(3, originals=1, copies=3)
    seen = looks(tiles, disc_of(0.19), [rotation(0.0)])
    candidates = colour_candidates(colour_signatures(tiles), neighbours=2)
    for array in (seen, colour_signatures(tiles), *candidates):
        while not isinstance(array, np.memmap):
            assert array.base is not None
            array = array.base
