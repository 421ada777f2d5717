import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar

from lung_attention.evaluation.reproductions import interval_p_value, overlap_bounds


def test_the_p_value_of_a_symmetric_interval_is_that_of_its_normal_deviation():
    deviation = 0.01
    reach = 1.959964 * deviation
    found = interval_p_value(0.03, 0.03 - reach, 0.03 + reach, confidence=0.95)
    assert found == pytest.approx(2 * norm.sf(3.0), rel=1e-5)


def test_of_a_lopsided_interval_the_side_towards_zero_counts():
    below = interval_p_value(-0.02, -0.10, 0.0, confidence=0.95)
    assert below == pytest.approx(0.05)
    assert interval_p_value(0.02, 0.0, 0.10, confidence=0.95) == pytest.approx(0.05)
    assert interval_p_value(0.0, -0.1, 0.1, confidence=0.95) == 1.0
    assert interval_p_value(0.02, 0.02, 0.03, confidence=0.95) == 0.0


@given(
    st.floats(-0.5, 0.5).filter(lambda value: abs(value) > 1e-6),
    st.floats(1e-6, 0.5),
    st.floats(1e-6, 0.5),
    st.sampled_from([0.9, 0.95, 0.99]),
)
def test_it_is_small_just_where_the_interval_leaves_zero_out(difference, below, above, confidence):
    low, high = difference - below, difference + above
    p = interval_p_value(difference, low, high, confidence=confidence)
    if low > 1e-9 or high < -1e-9:
        assert p < 1 - confidence
    elif low < -1e-9 and high > 1e-9:
        assert p > 1 - confidence


def test_every_overlap_of_errors_is_looked_at():
    # One wrong and three wrong of ten: both may be wrong on none or one of them.
    p = {both: mcnemar([[7, 3 - both], [1 - both, both]], exact=True).pvalue for both in (0, 1)}
    assert overlap_bounds(1, 3, 10) == pytest.approx((min(p.values()), max(p.values())))


def test_errors_that_have_to_meet_are_not_taken_apart():
    # 8 and 9 wrong of 10: at least 7 are common, so at most 1 and 2 are discordant.
    assert overlap_bounds(8, 9, 10) == pytest.approx((1.0, 1.0))


@given(st.integers(0, 12), st.integers(0, 12), st.integers(12, 30))
def test_bounds_are_ordered_and_equal_errors_may_be_the_same_ones(wrong, their_wrong, images):
    smallest, largest = overlap_bounds(wrong, their_wrong, images)
    assert 0 < smallest <= largest <= 1
    assert math.isclose(largest, overlap_bounds(their_wrong, wrong, images)[1])
    if wrong == their_wrong:
        assert largest == 1.0
