import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from lung_attention.data.published import load_published
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
    change_verdict,
    headline,
    leakage_verdict,
    points,
    published_interval,
    reproduction,
)

RESULTS = {(result.dataset, result.backbone): result for result in load_published().results}
TITLES = {"densenet121": "DenseNet121", "mobilenetv2": "MobileNetV2"}
PAIRS = [(dataset, backbone) for dataset in ("iqoth", "lc25000", "lidc") for backbone in TITLES]


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
            "baseline": name,
            "accuracy": {"published": published, "grouped": grouped, "difference": published - grouped},
            "verdict": DROP,
        }
        for name, published, grouped in (("majority", 0.5, 0.51), ("nearest_neighbour", 1.0, 0.7))
    ]
    return networks + trivial if baseline else networks


def attended(verdicts, split="grouped"):
    change = {HELPS: 0.03, HURTS: -0.04, UNDECIDED: 0.001}
    return [
        {
            "dataset": dataset,
            "backbone": backbone,
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


def answers(attention=(), leakage=(), reproductions=(), *, stand_in=False):
    told = headline(list(attention), list(leakage), list(reproductions), stand_in=stand_in, titles=TITLES)
    assert [entry["question"] for entry in told] == [
        "Are the published figures reproduced?",
        "What remains without leakage?",
        "Does attention help?",
    ]
    return [entry["answer"] for entry in told]


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
    answer = answers(reproductions=reproduced(verdicts))[0]
    assert answer.startswith(begins)
    assert all(text in answer for text in says), answer
    assert not any(text in answer for text in says_not), answer


def test_the_method_with_attention_is_told_apart():
    both = reproduced([WITHIN] * 6) + reproduced([BELOW] * 5 + [WITHIN], head="attention")
    answer = answers(reproductions=both)[0]
    assert answer.startswith("Yes: without attention") and "lower" not in answer
    assert "With attention connected, as the paper describes it, 1 of 6 accuracies lies within" in answer


def test_stand_ins_reproduce_nothing():
    told = answers(
        attended([HELPS] * 6), leaked([(DROP, 0.2)] * 6), reproduced([STAND_IN] * 6), stand_in=True
    )
    assert told[0].startswith("Not assessed") and "within" not in told[0]
    assert all(answer.startswith("(On stand-ins") for answer in told[1:])


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
    answer = answers(leakage=leaked(verdicts))[1]
    assert answer.startswith(begins), answer
    assert all(text in answer for text in says), answer


def test_the_best_baseline_stands_beside_the_networks():
    answer = answers(leakage=leaked([(DROP, 0.25), (DROP, 0.2)], baseline=True))[1]
    assert "IQ-OTH/NCCD: 98.0 % becomes 73.0 to 78.0 % (the best trivial baseline without leakage, " in answer
    assert "nearest neighbour: 100.0 % becomes 70.0 %)." in answer
    assert answers(leakage=leaked([], baseline=True))[1].startswith("Open: ")


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
    answer = answers(attention=attended(verdicts))[2]
    assert answer.startswith(begins), answer
    assert all(text in answer for text in says), answer


def test_a_search_is_answered_where_there_is_one():
    gains = [
        entry
        | {
            "head": head,
            "differences": entry["differences"]
            | {"log_loss": {"low": -0.2, "high": high}, "auroc_ovr": {"low": None, "high": None}},
        }
        for entry, head, high in zip(
            attended([HELPS, UNDECIDED]), ["plain", "attention"], [-0.1, 0.1], strict=True
        )
    ]
    *three, fourth = headline(
        [], [], [], tuned=gains, tuned_attention=attended([HURTS]), stand_in=False, titles=TITLES
    )
    assert len(three) == 3
    assert fourth["question"] == "Do settings found by a search help?"
    assert fourth["answer"].startswith(
        "Without leakage, in part: of 2 comparisons (Holm-adjusted) 1 better ("
    )
    assert ", plain head, +3.0 points)" in fourth["answer"]
    assert (
        "The cross-entropy, by which a search chooses, falls beyond sampling error in 1 of 2, the AUROC in 0."
        in (fourth["answer"])
    )
    assert "Attention against plain, both with found settings, no, it hurts: of 1" in fourth["answer"]


def test_attention_is_answered_without_leakage_first():
    both = attended([HELPS] * 2, "published") + attended([UNDECIDED] * 2)
    answer = answers(attention=both)[2]
    assert answer.startswith("Without leakage, not shown")
    assert "On the published split, yes: of 2" in answer
    assert answers(attention=attended([HELPS], "published"))[2].startswith("On the published split, yes")
