import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from lung_attention.groups.near_duplicates import neighbours, pseudo_groups
from lung_attention.groups.settings import NearDuplicateGroups

WAVES = np.stack([np.cos(2 * np.pi * k * np.arange(64) / 64) for k in range(1, 9)])


def slices(directions):
    """Grey thumbnails whose mean-centred vectors lie in given directions of an orthogonal basis."""
    directions = np.asarray(directions, dtype=float)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    lines = 128 + 90 * directions @ WAVES[: directions.shape[1]]
    picture = np.repeat(np.round(lines)[:, None, :, None], 64, axis=1)
    return np.repeat(picture, 3, axis=3).astype(np.uint8)


def find(
    thumbnails,
    *,
    sha256=None,
    numbers=None,
    labels=None,
    strictness="thumbnails",
    cosine=0.9,
    loose=0.6,
    twin=0.98,
):
    n = len(thumbnails)
    return pseudo_groups(
        thumbnails,
        np.array([f"digest {k}" for k in range(n)] if sha256 is None else sha256, dtype=object),
        np.array([-1] * n if numbers is None else numbers),
        np.array(["normal"] * n if labels is None else labels, dtype=object),
        settings=NearDuplicateGroups("near_duplicates", "alike", strictness, cosine, loose, twin),
    ).tolist()


A, NEAR_A, OTHER = [1, 0, 0], [1, 0.3, 0], [0, 0, 1]  # cosine .96 between the first two


def test_likeness_links_and_chains():
    chain = slices([[1, 0, 0], OTHER, [1, 0.4, 0], [1, 1, 0]])  # .93, .92, but .71 from end to end
    assert find(chain) == ["pseudo-0001", "pseudo-0002", "pseudo-0001", "pseudo-0001"]
    assert find(chain, cosine=0.95) == [f"pseudo-000{k}" for k in (1, 2, 3, 4)]


def test_twins_are_linked_however_strict_the_threshold():
    twins = slices([A, [1, 0.1, 0]])  # .995
    assert len(set(find(twins, cosine=0.999))) == 1
    assert len(set(find(twins, cosine=0.999, twin=0.999))) == 2


def test_identical_files_are_linked_even_when_blank():
    assert len(set(find(np.zeros((2, 64, 64, 3), dtype=np.uint8), sha256=["a", "a"]))) == 1
    assert len(set(find(np.zeros((2, 64, 64, 3), dtype=np.uint8)))) == 2


@pytest.mark.parametrize(
    ("numbers", "labels", "strictness", "groups"),
    [
        ([7, 8], ["normal", "normal"], "thumbnails_and_neighbours", 1),
        ([8, 7], ["normal", "normal"], "thumbnails_and_neighbours", 1),
        ([7, 9], ["normal", "normal"], "thumbnails_and_neighbours", 2),
        ([7, 8], ["normal", "benign"], "thumbnails_and_neighbours", 2),
        ([-1, 0], ["normal", "normal"], "thumbnails_and_neighbours", 2),
        ([7, 8], ["normal", "normal"], "thumbnails", 2),
    ],
)
def test_neighbours_of_one_class_are_linked_at_the_looser_cosine(numbers, labels, strictness, groups):
    pair = slices([A, [1, 1, 0]])  # .71
    assert len(set(find(pair, numbers=numbers, labels=labels, strictness=strictness))) == groups


def test_neighbours_that_look_different_are_not_linked():
    assert len(set(find(slices([A, OTHER]), numbers=[1, 2], strictness="thumbnails_and_neighbours"))) == 2


def test_neighbours_with_a_number_given_twice():
    first, second = neighbours(np.array([3, 4, 4, 6]), np.array(["a", "a", "a", "a"], dtype=object))
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (0, 2)]


@settings(max_examples=30, deadline=None)
@given(order=st.permutations(range(12)))
def test_the_order_of_rows_does_not_matter(order):
    rng = np.random.default_rng(0)
    thumbnails = slices(rng.standard_normal((12, 3)))
    labels = np.array(["normal"] * 6 + ["benign"] * 6, dtype=object)
    numbers = np.array([*range(6), *range(6)])

    def together(order):
        groups = np.array(
            find(
                thumbnails[order],
                numbers=numbers[order],
                labels=labels[order],
                strictness="thumbnails_and_neighbours",
            )
        )
        back = groups[np.argsort(order)]
        return back[:, None] == back

    expected = together(np.arange(12))
    assert 12 < expected.sum() < 144
    assert (together(np.array(order)) == expected).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [("strictness", "strict"), ("cosine", 0.0), ("neighbour_cosine", 1.5), ("near_duplicate_cosine", -1.0)],
)
def test_a_bad_setting_is_refused_where_a_datasets_file_is_read(field, value):
    values = {
        "method": "near_duplicates", "unit": "alike", "strictness": "thumbnails", "cosine": 0.9,
        "neighbour_cosine": 0.8, "near_duplicate_cosine": 0.98,
    }  # fmt: skip
    adapter = TypeAdapter(NearDuplicateGroups)
    assert adapter.validate_python(values) == NearDuplicateGroups(**values)
    with pytest.raises(ValidationError, match=field):
        adapter.validate_python({**values, field: value})
