"""What experiments say about a figure that is off, on planted outcomes."""

import pandas as pd
import pytest

from lung_attention.data.published import load_published
from lung_attention.evaluation.explanations import MEETS, NEARER, NO_NEARER, experiments_on

PUBLISHED = next(
    result
    for result in load_published().results
    if (result.dataset, result.backbone) == ("lc25000", "densenet121")
)
OFF = {"dataset": "lc25000", "backbone": "densenet121", "head": "plain"}
ABOVE = OFF | {"verdict": "above", "difference": 0.025}


def experiment(accuracy, **other):
    row = OFF | {
        "experiment": "coarse pixels", "settings": "preprocess.interpolation=nearest", "split": "published",
        "n_test": 1500, "accuracy": accuracy, "accuracy_low": accuracy - 0.006,
        "accuracy_high": accuracy + 0.006,
    }  # fmt: skip
    return pd.DataFrame([row | other])


@pytest.mark.parametrize(
    ("accuracy", "finding"),
    [
        (0.968, MEETS),  # published .9673
        (0.985, NEARER),  # still above, but nearer than .9923
        (0.996, NO_NEARER),
        (0.900, NO_NEARER),  # off on the other side: too much of it
    ],
)
def test_findings(accuracy, finding):
    (found,) = experiments_on(ABOVE, PUBLISHED, experiment(accuracy), confidence=0.95)
    assert found["finding"] == finding
    assert found["difference"] == pytest.approx(accuracy - 1451 / 1500)
    assert (found["low"], found["high"]) == (accuracy - 0.006, accuracy + 0.006)


def test_a_figure_that_is_not_off_needs_no_reason():
    for verdict in ("within sampling error", "open", "stand-in"):
        entry = ABOVE | {"verdict": verdict}
        assert experiments_on(entry, PUBLISHED, experiment(0.968), confidence=0.95) == []


@pytest.mark.parametrize("other", [{"head": "attention"}, {"split": "grouped"}, {"backbone": "mobilenetv2"}])
def test_experiments_on_other_cells_say_nothing(other):
    assert experiments_on(ABOVE, PUBLISHED, experiment(0.968, **other), confidence=0.95) == []
