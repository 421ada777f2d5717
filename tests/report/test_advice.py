"""Which model to take: what is said follows from what was planted."""

import dataclasses

import pytest

from lung_attention.cells import Cell
from lung_attention.report.advice import advice
from lung_attention.report.collect import load_results

DATASET, SPLIT = "lidc_slices", "grouped"
PLAIN, ATTENTION = (Cell(DATASET, "densenet121", head, "searched", SPLIT) for head in ("plain", "attention"))
PUBLISHED = Cell(DATASET, "densenet121", "plain", "published", SPLIT)


@pytest.fixture
def results(unpublished):
    return load_results(unpublished.config, unpublished.root)


def planted(results, losses, *, verdict="undecided", beaten=("border", "diameter"), shares=0.69):
    """Results with these log losses by cell; two baselines, of which some are beaten."""
    metrics = {
        cell: values
        | {"log_loss": losses.get(cell, 2.0)}
        | {"calibration": values["calibration"] | {"class_share_log_loss": shares, "slope": 0.91}}
        for cell, values in results.metrics.items()
    }
    baselines = {
        "border": {
            "title": "outermost pixels",
            "blind": True,
            "balanced_accuracy": 0.61,
            "auroc_ovr": 0.7,
            "log_loss": 0.1,
        },
        "diameter": {
            "title": "diameter mm alone",
            "blind": False,
            "balanced_accuracy": 0.9,
            "auroc_ovr": 0.95,
            "log_loss": 0.47,
        },
    }
    against = [
        {**dataclasses.asdict(cell), "baseline": name, "blind": one["blind"],
         "verdict": "better" if name in beaten else "undecided"}
        for cell in (PLAIN, ATTENTION) for name, one in baselines.items()
    ]  # fmt: skip
    heads = {
        "dataset": DATASET, "backbone": "densenet121", "recipe": "searched", "split": SPLIT,
        "verdict": verdict, "differences": {"auroc_ovr": {"difference": -0.0123}},
    }  # fmt: skip
    return dataclasses.replace(
        results,
        metrics=metrics,
        baselines={(DATASET, SPLIT): baselines},
        comparisons={"attention_vs_plain": [heads], "network_vs_baseline": against},
    )


@pytest.mark.parametrize("best", [PLAIN, ATTENTION])
def test_the_model_of_the_lowest_log_loss_is_named(results, best):
    (text,) = advice(planted(results, {best: 0.4321, PUBLISHED: 0.1}))
    assert f"is DenseNet121, {best.head}, `searched`" in text, "the published recipe is not what is sought"
    assert "log loss 0.432 where knowing nothing has 0.690" in text
    assert "calibration slope 0.91" in text


def test_cells_of_the_published_split_are_not_taken(results):
    (text,) = advice(planted(results, {dataclasses.replace(PLAIN, split="published"): 0.01, ATTENTION: 0.5}))
    assert "is DenseNet121, attention," in text


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (0.46, "No simpler classifier has a lower log loss: take it."),
        (0.48, "Take diameter mm alone (log loss 0.470) instead."),
    ],
)
def test_what_costs_less_and_doubts_better_is_to_be_taken(results, loss, said):
    """Blind baselines are none to take, whatever their loss."""
    assert said in advice(planted(results, {PLAIN: loss}))[0]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("helps", "Attention helps there (AUROC −1.2 points)."),
        ("hurts", "Attention hurts there (AUROC −1.2 points)."),
        ("undecided", "Whether attention helps there is undecided (AUROC −1.2 points)."),
    ],
)
def test_what_attention_does_is_said(results, verdict, said):
    assert said in advice(planted(results, {PLAIN: 0.5}, verdict=verdict))[0]


def test_a_network_that_does_not_beat_the_border_is_no_diagnosis(results):
    (text,) = advice(planted(results, {PLAIN: 0.5}, beaten=("diameter",)))
    assert "**It is no diagnosis**" in text
    assert "does not beat outermost pixels (61.00 %, AUROC 0.700), which sees nothing of the disease" in text
    assert "It beats all" not in text and "Simpler classifiers" not in text


def test_a_ruler_that_is_not_beaten_is_named(results):
    (text,) = advice(planted(results, {PLAIN: 0.5}, beaten=("border",)))
    assert "It beats all that sees nothing of the disease." in text
    assert "does not beat: diameter mm alone (90.00 %, AUROC 0.950)." in text


def test_probabilities_that_are_worse_than_none_are_named(results):
    (text,) = advice(planted(results, {PLAIN: 0.5, PUBLISHED: 1.9}))
    assert "Not the published recipe" in text and "DenseNet121 plain (log loss 1.900)" in text
    losses = dict.fromkeys(results.metrics, 0.6)
    assert "Not the published recipe" not in advice(planted(results, losses))[0]


def test_nobody_is_to_take_a_model_of_stand_ins_or_of_the_published_recipe(complete, real):
    assert advice(load_results(complete.config, complete.root)) == []
    only_published = load_results(real.config, real.root)
    metrics = {cell: one for cell, one in only_published.metrics.items() if cell.recipe == "published"}
    assert advice(dataclasses.replace(only_published, metrics=metrics)) == []
