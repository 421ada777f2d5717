import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from lung_attention.data.published import load_published
from lung_attention.evaluation.verdicts import (
    ABOVE,
    BELOW,
    DROP,
    HELPS,
    HURTS,
    RISE,
    UNCLEAR,
    UNDECIDED,
    WITHIN,
    change_verdict,
    leakage_verdict,
    published_interval,
    reproduction,
)

RESULTS = {(result.dataset, result.backbone): result for result in load_published().results}


def test_the_difference_is_newcombes_when_ours_is_a_binomial():
    published = RESULTS["lc25000", "densenet121"]
    low, high = proportion_confint(1470, 1500, method="wilson")
    got = reproduction(published, 0.98, low, high, confidence=0.95)
    want = confint_proportions_2indep(1470, 1500, 1451, 1500, compare="diff", method="newcomb")
    assert (got["low"], got["high"]) == pytest.approx(want, abs=1e-9)
    assert got["difference"] == pytest.approx(0.98 - 1451 / 1500)


@pytest.mark.parametrize(("right", "verdict"), [(1451, WITHIN), (1460, WITHIN), (1490, ABOVE), (1380, BELOW)])
def test_verdict_of_a_published_figure(right, verdict):
    low, high = proportion_confint(right, 1500, method="beta")
    published = RESULTS["lc25000", "densenet121"]
    assert reproduction(published, right / 1500, low, high, confidence=0.95)["verdict"] == verdict


def test_published_interval_is_wilsons():
    want = proportion_confint(219, 220, method="wilson")
    assert published_interval(RESULTS["iqoth", "densenet121"], confidence=0.95) == pytest.approx(want)


def test_verdicts_at_their_limits():
    assert leakage_verdict(0.01, 0.2) == DROP and leakage_verdict(-0.2, -0.01) == RISE
    assert leakage_verdict(-0.01, 0.2) == leakage_verdict(None, None) == leakage_verdict(0, 0.1) == UNCLEAR
    assert change_verdict(0.02, 0.04, confidence=0.95) == HELPS
    assert change_verdict(-0.02, 0.04, confidence=0.95) == HURTS
    assert change_verdict(0.02, 0.06, confidence=0.95) == UNDECIDED
    assert change_verdict(0.0, 0.01, confidence=0.95) == UNDECIDED
