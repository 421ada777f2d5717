import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from lung_attention.explain.location import (
    Boxes,
    centre_map,
    evenness,
    hits,
    lift,
    likeness,
    mean_map,
    measure_location,
    moved_maps,
)


def box(left, top, right, bottom):
    return Boxes(*(np.array([value]) for value in (left, top, right, bottom)))


CORNER = np.array([[[3.0, 1.0], [0.0, 0.0]]])  # three quarters in the upper left cell


def test_lift_by_hand():
    """The upper left cell has 3/4 of the map and 1/4 of the area; half of its width has as dense a map."""
    assert lift(CORNER, box(0, 0, 0.5, 0.5)) == pytest.approx([3.0])
    assert lift(CORNER, box(0, 0, 0.25, 0.1)) == pytest.approx([3.0])
    # Half of the box in a cell of 3/4, half in one of 1/4.
    assert lift(CORNER, box(0.4, 0.1, 0.6, 0.2)) == pytest.approx([2.0])
    assert lift(CORNER, box(0, 0, 1, 1)) == pytest.approx([1.0])


@given(st.integers(0, 10_000))
def test_a_map_that_is_even_has_a_lift_of_one(seed):
    rng = np.random.default_rng(seed)
    left, top = rng.uniform(0, 0.9, 2)
    where = box(left, top, left + rng.uniform(0.01, 0.1), top + rng.uniform(0.01, 0.1))
    assert lift(np.ones((1, 7, 5)), where) == pytest.approx([1.0])
    assert lift(np.zeros((1, 7, 5)), where) == pytest.approx([1.0])


def test_hits_by_hand():
    maps = np.array([[[1.0, 2.0], [0.0, 2.0]]])
    assert hits(maps, box(0.6, 0.1, 0.7, 0.2)) == pytest.approx([0.5])  # one of two largest cells
    assert hits(maps, box(0.6, 0.4, 0.7, 0.6)) == pytest.approx([1.0])
    assert hits(maps, box(0.1, 0.1, 0.2, 0.2)) == pytest.approx([0.0])


def test_boxes_end_at_the_image():
    found = Boxes.around(np.array([0.05]), np.array([0.5]), np.array([0.2]), np.array([0.1]))
    assert found.of(0) == pytest.approx((0.0, 0.45, 0.15, 0.55))
    assert found.area == pytest.approx([0.015])


def planted(n=60, seed=0, strength=5.0):
    """Maps of 4 x 4 cells, raised in the cell of a small box; two images a patient."""
    rng = np.random.default_rng(seed)
    maps = rng.uniform(0.5, 1.5, (n, 4, 4))
    cells = rng.integers(0, 4, (n, 2))
    maps[np.arange(n), cells[:, 0], cells[:, 1]] *= strength
    centre = (cells + 0.5) / 4
    small = np.full(n, 0.05)
    return maps, Boxes.around(centre[:, 1], centre[:, 0], small, small), np.arange(n) // 2


def measured(maps, boxes, clusters):
    others = {"moved": moved_maps(maps, seed=1), "mean": mean_map(maps), "attention": maps}
    return measure_location(
        {name: (lift(one, boxes), hits(one, boxes)) for name, one in others.items()},
        clusters,
        resamples=500,
        confidence=0.95,
        seed=0,
    )


def test_a_planted_map_is_found_and_lies_nowhere_once_its_cells_are_moved():
    found = measured(*planted())
    assert (found["images"], found["clusters"]) == (60, 30)
    assert found["maps"]["attention"]["lift_low"] > 3
    assert found["maps"]["attention"]["hits"] > 0.9
    assert found["maps"]["moved"]["difference_low"] > 2
    assert found["maps"]["mean"]["difference_low"] > 2


def test_a_map_that_knows_nothing_is_not_called_one_that_does():
    alarms = 0
    for seed in range(40):
        maps, boxes, clusters = planted(seed=seed, strength=1.0)
        alarms += measured(maps, boxes, clusters)["maps"]["attention"]["lift_low"] > 1
    assert alarms <= 4  # one side of 95 %: one of 40 is expected


def test_means_and_differences_are_those_of_the_images():
    maps, boxes, clusters = planted()
    found = measured(maps, boxes, clusters)["maps"]
    ours, moved = lift(maps, boxes), lift(moved_maps(maps, seed=1), boxes)
    assert found["attention"]["lift"] == pytest.approx(ours.mean())
    assert found["moved"]["difference"] == pytest.approx((ours - moved).mean())
    assert found["moved"]["difference_low"] < found["moved"]["difference"] < found["moved"]["difference_high"]


def test_moved_maps_are_as_peaked_as_before():
    maps, _, _ = planted()
    moved = moved_maps(maps, seed=3)
    assert np.array_equal(np.sort(moved.reshape(60, -1)), np.sort(maps.reshape(60, -1)))
    assert not np.array_equal(moved, maps)


def test_the_centre_map_is_largest_in_the_middle_and_symmetric():
    found = centre_map(7, 5)
    assert np.unravel_index(found.argmax(), found.shape) == (3, 2)
    assert found == pytest.approx(found[::-1, ::-1])


def test_likeness_is_the_mean_rank_correlation():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5, (2, 6, 4, 3)).astype(float)  # with ties
    each = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    assert likeness(first, second) == pytest.approx(np.mean(each))


def test_likeness_and_evenness_by_hand():
    rising = np.arange(4.0).reshape(1, 2, 2)
    assert likeness(rising, 2 * rising + 1) == pytest.approx(1.0)
    assert likeness(rising, -rising) == pytest.approx(-1.0)
    assert likeness(rising, np.ones((1, 2, 2))) == 0.0
    assert evenness(np.ones((2, 3, 3))) == pytest.approx(1.0)
    assert evenness(np.eye(3)[None, :1] + 0.0) == pytest.approx(0.0)
    # Half in each of two of four cells: ln 2 / ln 4.
    assert evenness(np.array([[[1.0, 1.0], [0.0, 0.0]]])) == pytest.approx(0.5)


def test_maps_of_one_cell_which_small_images_have_give_numbers():
    maps, where = (
        np.array([[[1.0]], [[0.3]]]),
        Boxes(*(np.array([edge] * 2) for edge in (0.1, 0.2, 0.4, 0.5))),
    )
    assert evenness(maps) == 1.0
    assert likeness(maps, maps) == 0.0  # nothing can be said of it
    assert lift(maps, where) == pytest.approx([1.0, 1.0])
    assert hits(maps, where) == pytest.approx([1.0, 1.0])
    found = measured(maps, where, np.array([0, 1]))
    assert np.isfinite([value for one in found["maps"].values() for value in one.values()]).all()
