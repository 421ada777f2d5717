"""The answers that open a report, on planted comparisons."""

import pytest
from known import DATASETS

from lung_attention.evaluation.verdicts import (
    ABOVE,
    BELOW,
    DROP,
    HELPS,
    HURTS,
    OPEN,
    RISE,
    STAND_IN,
    UNCLEAR,
    UNDECIDED,
    WITHIN,
)
from lung_attention.models.backbone_table import title
from lung_attention.report.answers import answers, points

BACKBONES = {name: title(name) for name in ("densenet121", "mobilenetv2")}
TITLES = {name: dataset.title for name, dataset in DATASETS.items()}
PAIRS = [(dataset, backbone) for dataset in ("iqoth", "lc25000", "lidc") for backbone in BACKBONES]


def test_points_are_signed_and_never_a_false_zero():
    assert [points(value) for value in (1.23, -0.5, 0.0, -0.012)] == ["+1.2", "−0.5", "0.0", "−0.012"]


def reproduced(verdicts, head="plain"):
    """Entries of `reproduction` for the six results."""
    return [
        {
            "dataset": dataset,
            "backbone": backbone,
            "head": head,
            "verdict": verdict,
            "published": {"accuracy": 0.96},
            "ours": None if verdict == OPEN else {"accuracy": 0.98},
            "difference": 0.02,
            "low": 0.01,
            "high": 0.03,
        }
        for (dataset, backbone), verdict in zip(PAIRS, verdicts, strict=True)
    ]


def leaked(verdicts, *, baseline=False):
    networks = [
        {
            "dataset": dataset,
            "kind": "network",
            "backbone": backbone,
            "head": "plain",
            "recipe": "published",
            "baseline": None,
            "accuracy": {"published": 0.98, "grouped": 0.98 - change, "difference": change},
            "verdict": verdict,
        }
        for (dataset, backbone), (verdict, change) in zip(PAIRS, verdicts, strict=False)
    ]
    trivial = [
        {
            "dataset": "iqoth",
            "kind": "baseline",
            "backbone": None,
            "head": None,
            "recipe": None,
            "baseline": name,
            "accuracy": {"published": published, "grouped": grouped, "difference": published - grouped},
            "verdict": DROP,
        }
        for name, published, grouped in (("majority", 0.5, 0.51), ("nearest_neighbour", 1.0, 0.7))
    ]
    return networks + trivial if baseline else networks


def attended(verdicts, split="grouped", recipe="published"):
    change = {HELPS: 0.03, HURTS: -0.04, UNDECIDED: 0.001}
    return [
        {
            "dataset": dataset,
            "backbone": backbone,
            "recipe": recipe,
            "split": split,
            "verdict": verdict,
            "differences": {
                "accuracy": {
                    "difference": change[verdict],
                    "low": change[verdict] - 0.02,
                    "high": change[verdict] + 0.02,
                }
            },
        }
        for (dataset, backbone), verdict in zip(PAIRS, verdicts, strict=False)
    ]


def gained(verdicts, *, recipe="searched", log_loss=(-0.1, 0.1)):
    """Entries of `recipe_vs_published`; the bounds are those of the change of the cross-entropy."""
    return [
        entry
        | {
            "head": head,
            "differences": entry["differences"]
            | {"log_loss": {"low": -0.2, "high": high}, "auroc_ovr": {"low": None, "high": None}},
        }
        for entry, head, high in zip(
            attended(verdicts, recipe=recipe), ["plain", "attention"], log_loss, strict=True
        )
    ]


def told(attention=(), leakage=(), reproductions=(), gains=(), *, stand_in=False):
    comparisons = {
        "stand_in": stand_in,
        "attention_vs_plain": list(attention),
        "leakage": list(leakage),
        "reproduction": list(reproductions),
        "recipe_vs_published": list(gains),
    }
    return answers(comparisons, datasets=TITLES, backbones=BACKBONES)


def answers_of(attention=(), leakage=(), reproductions=None, *, stand_in=False):
    found = told(attention, leakage, reproductions or reproduced([OPEN] * 6), stand_in=stand_in)
    assert [entry["question"] for entry in found] == [
        "Are the published figures reproduced?",
        "What remains without leakage?",
        "Does attention help?",
    ]
    return [entry["answer"] for entry in found]


@pytest.mark.parametrize(
    ("verdicts", "begins", "says", "says_not"),
    [
        ([WITHIN] * 6, "Yes: ", ["6 of 6 accuracies lie within"], ["lower", "higher", "Not run"]),
        ([ABOVE] * 6, "No: ", ["0 of 6 accuracies lie", "higher for DenseNet121 on IQ"], ["lower"]),
        ([BELOW] * 6, "No: ", ["0 of 6", "Ours is lower for"], ["higher"]),
        (
            [WITHIN, BELOW, ABOVE, ABOVE, OPEN, OPEN],
            "In part: ",
            [
                "1 of 4 accuracies lies within",
                "lower for MobileNetV2 on IQ-OTH/NCCD (98.0 % against 96.0 %, +2.0 points,",
                "interval +1.0 to +3.0).",
                "higher for DenseNet121 on LC25000 (lung) (",
                "Not run here: DenseNet121 on LIDC-IDRI, the paper's slices; MobileNetV2 on LIDC",
            ],
            [],
        ),
        ([WITHIN] * 4 + [OPEN] * 2, "Yes, as far as checked: ", ["4 of 4", "Not run here"], []),
        ([WITHIN] + [OPEN] * 5, "Yes, as far as checked: ", ["1 of 1 accuracies lies"], []),
        ([OPEN] * 6, "Open: ", ["no published accuracy was checked"], ["Yes", "within"]),
    ],
)  # fmt: skip
def test_whether_figures_are_reproduced(verdicts, begins, says, says_not):
    answer = answers_of(reproductions=reproduced(verdicts))[0]
    assert answer.startswith(begins)
    assert all(text in answer for text in says), answer
    assert not any(text in answer for text in says_not), answer


def test_the_method_with_attention_is_told_apart():
    both = reproduced([WITHIN] * 6) + reproduced([BELOW] * 5 + [WITHIN], head="attention")
    answer = answers_of(reproductions=both)[0]
    assert answer.startswith("Yes: without attention") and "lower" not in answer
    assert "With attention connected, as the paper describes it, 1 of 6 accuracies lies within" in answer


def test_stand_ins_reproduce_nothing():
    found = answers_of(
        attended([HELPS] * 6), leaked([(DROP, 0.2)] * 6), reproduced([STAND_IN] * 6), stand_in=True
    )
    assert found[0].startswith("Not assessed") and "within" not in found[0]
    assert all(answer.startswith("(On stand-ins") for answer in found[1:])


@pytest.mark.parametrize(
    ("verdicts", "begins", "says"),
    [
        ([(DROP, 0.25), (DROP, 0.1)], "Less: 2 of 2 accuracies fall", ["by 10.0 to 25.0 points"]),
        ([(DROP, 0.25), (UNCLEAR, 0.01), (RISE, -0.01)], "Less: 1 of 3 accuracies falls", ["rises"]),
        ([(UNCLEAR, 0.01)] * 4, "No loss shown: 0 of 4", []),
        ([(RISE, -0.01), (UNCLEAR, 0.0)], "More: 1 of 2 accuracies rises", []),
        ([], "Open: ", []),
    ],
)  # fmt: skip
def test_what_remains_without_leakage(verdicts, begins, says):
    answer = answers_of(leakage=leaked(verdicts))[1]
    assert answer.startswith(begins), answer
    assert all(text in answer for text in says), answer


def test_the_best_baseline_stands_beside_the_networks():
    answer = answers_of(leakage=leaked([(DROP, 0.25), (DROP, 0.2)], baseline=True))[1]
    assert "IQ-OTH/NCCD: 98.0 % becomes 73.0 to 78.0 % (the best trivial baseline without leakage, " in answer
    assert "nearest neighbour: 100.0 % becomes 70.0 %)." in answer
    assert answers_of(leakage=leaked([], baseline=True))[1].startswith("Open: ")


@pytest.mark.parametrize(
    ("verdicts", "begins", "says"),
    [
        ([HELPS] * 6, "Without leakage, yes: of 6", ["6 better (DenseNet121 on IQ-OTH/NCCD +3.0 points"]),
        ([HURTS] * 6, "Without leakage, no, it hurts: of 6", ["6 worse"]),
        ([HELPS, UNDECIDED], "Without leakage, in part: ", ["1 better", "1 undecided"]),
        ([HURTS, UNDECIDED], "Without leakage, no, in part it hurts: ", ["1 worse", "1 undecided"]),
        ([HELPS, HURTS, UNDECIDED], "Without leakage, mixed: ", ["1 better", "1 worse", "−4.0 points"]),
        ([UNDECIDED] * 6, "Without leakage, not shown: 0 of 6", ["from −1.9 to +2.1 points"]),
        ([], "Open: ", []),
    ],
)
def test_whether_attention_helps(verdicts, begins, says):
    answer = answers_of(attention=attended(verdicts))[2]
    assert answer.startswith(begins), answer
    assert all(text in answer for text in says), answer


def test_a_search_is_answered_where_there_is_one():
    attention = attended([HELPS]) + attended([HURTS], recipe="searched")
    _, third, fourth = told(attention, gains=gained([HELPS, UNDECIDED]))
    assert third["question"] == "Does attention help?"
    assert third["answer"].startswith("Without leakage, yes: of 1")  # the published recipe alone
    assert fourth["question"] == "Do settings found by a search help?"
    assert fourth["answer"].startswith(
        "Without leakage, in part: of 2 comparisons (Holm-adjusted) 1 better ("
    )
    assert ", plain head, +3.0 points)" in fourth["answer"]
    assert (
        "The cross-entropy, by which a search chooses, falls beyond sampling error in 1 of 2, the AUROC in 0."
        in fourth["answer"]
    )
    assert "Attention against plain, both with found settings, no, it hurts: of 1" in fourth["answer"]


def test_any_other_recipe_is_asked_about_by_its_name():
    *_, last = told(attended([HELPS], recipe="wider"), gains=gained([HURTS, HURTS], recipe="wider"))
    assert last["question"] == "Does the recipe wider help?"
    assert last["answer"].startswith("Without leakage, no, it hurts: of 2")
    assert "by which a search chooses" not in last["answer"]
    assert "Attention against plain, both by the recipe wider, yes: of 1" in last["answer"]


def test_each_recipe_has_an_answer_of_its_own():
    gains = gained([HELPS, HELPS]) + gained([HURTS, HURTS], recipe="wider")
    *_, searched, wider = told(gains=gains)
    assert searched["answer"].startswith("Without leakage, yes: of 2")
    assert wider["answer"].startswith("Without leakage, no, it hurts: of 2")


def test_leakage_is_told_of_the_published_recipe():
    other = [entry | {"recipe": "searched"} for entry in leaked([(DROP, 0.4)] * 2)]
    answer = answers_of(leakage=leaked([(UNCLEAR, 0.01)] * 2, baseline=True) + other)[1]
    assert answer.startswith("No loss shown: 0 of 2")
    assert "nearest neighbour" in answer


def test_without_a_published_figure_nobody_asks_for_it():
    questions = [entry["question"] for entry in told(attended([HELPS]))]
    assert questions == ["What remains without leakage?", "Does attention help?"]


def test_attention_is_answered_without_leakage_first():
    both = attended([HELPS] * 2, "published") + attended([UNDECIDED] * 2)
    answer = answers_of(attention=both)[2]
    assert answer.startswith("Without leakage, not shown")
    assert "On the published split, yes: of 2" in answer
    assert answers_of(attention=attended([HELPS], "published"))[2].startswith("On the published split, yes")
