"""The groups of the real archives."""

import time
from functools import cache

from real_archives import MARKS, load

from lung_attention.groups.infer import groups_with_two_labels, infer_groups
from lung_attention.groups.near_duplicates import NearDuplicateGroups
from lung_attention.groups.source_tiles import SourceTileGroups

pytestmark = MARKS


def find(dataset_id, *, strictness="thumbnails_and_neighbours"):
    manifest, thumbnails = load(dataset_id)
    groups = infer_groups(
        manifest,
        thumbnails,
        dataset_id,
        near_duplicate_cosine=0.98,
        pseudo=NearDuplicateGroups(strictness=strictness, cosine=0.90, neighbour_cosine=0.80),
        source=SourceTileGroups(
            candidates=100, correlation=0.96, overlap_correlation=0.42, least_overlap=0.3
        ),
    )
    assert groups.groupby(manifest["sha256"]).nunique().max() == 1
    return manifest, groups


def test_iqoth_by_thumbnails_alone():
    _, groups = find("iqoth", strictness="thumbnails")
    assert groups.nunique() == 116


def test_iqoth_with_neighbours_does_not_collapse():
    _, loose = find("iqoth", strictness="thumbnails")
    manifest, groups = find("iqoth")
    assert groups.nunique() == 94
    assert groups.value_counts().max() < 0.05 * len(groups)
    assert groups.groupby(loose).nunique().max() == 1  # the stricter only joins
    assert len(groups_with_two_labels(manifest["label"].to_numpy(), groups.to_numpy())) == 2


def test_no_two_patients_of_the_nodules_share_a_picture():
    manifest, groups = find("lidc_nodules")
    assert groups.tolist() == manifest["group"].tolist()
    assert groups.nunique() == 668


@cache
def find_lc25000():
    load("lc25000")
    start = time.process_time()
    return *find("lc25000"), time.process_time() - start


def test_lc25000_has_about_250_source_tiles_a_class():
    manifest, groups, seconds = find_lc25000()
    per_class = groups.groupby(manifest["label"]).nunique()
    assert per_class.between(235, 250).all(), per_class.to_dict()
    assert not groups_with_two_labels(manifest["label"].to_numpy(), groups.to_numpy())
    assert groups.value_counts().between(5, 80).all()
    assert seconds < 300


def test_strongly_turned_copies_of_lc25000_are_found():
    manifest, groups, _ = find_lc25000()
    group_of = dict(zip(manifest["image"], groups, strict=True))
    # One original by eye, from hardly turned to turned by 25 degrees either way and half cropped away.
    copies = (1001, 2962, 4554, 212, 4857, 1832, 2009, 2482, 3263)
    assert len({group_of[f"lung_scc/lungscc{number}.jpeg"] for number in copies}) == 1
