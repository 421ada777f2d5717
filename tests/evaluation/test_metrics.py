import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_tables import random_case, table_of
from sklearn import metrics as sk

from lung_attention.errors import UserError
from lung_attention.evaluation.metrics import confusion_matrix, per_class, scores
from lung_attention.evaluation.predictions import predictions_to_arrays, with_groups
from lung_attention.evaluation.weighted import SCORES

CLASSES = ("normal", "malignant", "benign")


def expected_scores(labels, p, bins):
    predicted = p.argmax(axis=1)
    c = p.shape[1]
    onehot = np.eye(c)[labels]
    confidence = p.max(axis=1)
    ece = 0.0
    for k in range(bins):
        inside = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        if inside.any():
            ece += inside.mean() * abs((predicted == labels)[inside].mean() - confidence[inside].mean())
    area = {
        kind: sk.roc_auc_score(labels, p if c > 2 else p[:, 1], multi_class=kind, average="macro")
        for kind in ("ovr", "ovo")
    }
    return {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "mcc": sk.matthews_corrcoef(labels, predicted),
        "macro_f1": sk.f1_score(labels, predicted, average="macro"),
        "log_loss": sk.log_loss(labels, p),
        "brier": ((p - onehot) ** 2).sum(axis=1).mean(),
        "ece": ece,
        "auroc_ovr": area["ovr"],
        "auroc_ovo": area["ovo"],
        "average_precision": sk.average_precision_score(onehot, p, average="macro"),
    }


@pytest.mark.parametrize("c", [2, 3, 5])
@pytest.mark.parametrize("ties", [False, True])
def test_scores_equal_scikit_learns(c, ties):
    labels, p = random_case(np.random.default_rng(c), n=80, c=c, ties=ties)
    got = scores(labels, p, bins=10)
    assert set(got) == set(SCORES)
    assert got == pytest.approx(expected_scores(labels, p, 10), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), c=st.integers(2, 4), n=st.integers(12, 60))
def test_scores_equal_scikit_learns_on_any_case(seed, c, n):
    labels, p = random_case(np.random.default_rng(seed), n=n, c=c)
    assert scores(labels, p, bins=7) == pytest.approx(expected_scores(labels, p, 7), abs=1e-12)


def test_a_case_by_hand():
    labels = np.array([0, 0, 1, 1])
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
    got = scores(labels, p, bins=1)
    assert got["accuracy"] == 0.75
    assert got["mcc"] == pytest.approx((2 * 1 - 1 * 0) / np.sqrt(3 * 2 * 1 * 2))
    assert got["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.8]).mean())
    assert got["brier"] == pytest.approx(2 * (0.1**2 + 0.6**2 + 0.3**2 + 0.2**2) / 4)
    assert got["ece"] == pytest.approx(abs(0.75 - (0.9 + 0.6 + 0.7 + 0.8) / 4))
    assert got["auroc_ovr"] == got["auroc_ovo"] == 1.0


def test_an_absent_class_is_undefined_not_a_warning():
    labels = np.array([0, 0, 1, 1])
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = scores(labels, p, bins=5)
        numbers = per_class(confusion_matrix(labels, p.argmax(axis=1), classes=3))
    undefined = {name for name, value in got.items() if np.isnan(value)}
    assert undefined == {"balanced_accuracy", "macro_f1", "auroc_ovr", "auroc_ovo", "average_precision"}
    assert np.isnan(numbers["sensitivity"][2]) and np.isnan(numbers["f1"][2])
    assert numbers["ppv"][2] == 0


def test_one_class_or_one_prediction():
    one_class = scores(np.zeros(4, int), np.array([[0.7, 0.3], [0.4, 0.6]] * 2), bins=5)
    assert one_class["accuracy"] == 0.5 and np.isnan(one_class["mcc"])
    constant = scores(np.array([0, 1, 1]), np.tile([0.4, 0.6], (3, 1)), bins=5)
    assert constant["mcc"] == 0 and constant["auroc_ovr"] == 0.5 and constant["balanced_accuracy"] == 0.5


def test_impossible_probability_costs_a_finite_loss():
    got = scores(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]), bins=5)
    assert got["log_loss"] == pytest.approx(sk.log_loss([0, 1], [[0.0, 1.0], [0.0, 1.0]]))


def test_per_class_by_hand():
    # The published IQ-OTH/NCCD matrix of MobileNetV2.
    numbers = per_class(np.array([[91, 0, 1], [0, 110, 0], [2, 0, 16]]))
    assert numbers["sensitivity"] == pytest.approx([91 / 92, 1, 16 / 18])
    assert numbers["specificity"] == pytest.approx([126 / 128, 1, 201 / 202])
    assert numbers["ppv"] == pytest.approx([91 / 93, 1, 16 / 17])
    assert numbers["f1"] == pytest.approx([2 * 91 / (92 + 93), 1, 32 / 35])
    assert list(numbers["support"]) == [92, 110, 18]


def test_confusion_matrix_has_true_classes_as_rows():
    labels, predicted = np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 0])
    assert (confusion_matrix(labels, predicted, classes=3) == sk.confusion_matrix(labels, predicted)).all()


def valid_table():
    labels, p = random_case(np.random.default_rng(0), n=9, ties=False)
    return pd.concat([table_of(labels, p, CLASSES, seed=seed) for seed in (1, 2)], ignore_index=True)


def test_predictions_come_in_one_order():
    table = valid_table()
    plain = predictions_to_arrays(table, CLASSES)
    shuffled = predictions_to_arrays(table.sample(frac=1, random_state=3), CLASSES)
    assert plain.seeds == (1, 2) and plain.probabilities.shape == (2, 9, 3)
    assert (plain.probabilities == shuffled.probabilities).all()
    assert (plain.labels == shuffled.labels).all() and list(plain.images) == sorted(plain.images)
    assert not plain.grouped and plain.clusters()[1] == 9


def test_units_are_groups_where_known():
    table = valid_table()
    table["group"] = table["image"].map(
        dict(zip(table["image"][:9], ["a"] * 4 + ["b"] * 3 + ["", ""], strict=True))
    )
    predictions = predictions_to_arrays(table, CLASSES)
    codes, count = predictions.clusters()
    assert predictions.grouped and count == 4
    assert len(set(codes[:4])) == 1 and len(set(codes[-2:])) == 2


def broken(table, **changes):
    table = table.copy()
    for column, value in changes.items():
        table.loc[table.index[3], column] = value
    return table


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (broken(valid_table(), label="Bengin"), "label that is none"),
        (broken(valid_table(), prediction="cancer"), "prediction that is none"),
        (broken(valid_table(), probability_normal=0.5), "sum to 1"),
        (broken(valid_table(), probability_normal=-0.2), "outside 0..1"),
        (broken(valid_table(), probability_normal=np.nan), "no number"),
        (broken(valid_table(), image="image-00000"), "two rows"),
        (broken(valid_table(), image="image-99999"), "same images"),
        (broken(valid_table(), seed=2), "two rows"),
        (broken(valid_table(), seed=3), "same images"),
        (broken(valid_table(), group="g7"), "different groups"),
        (valid_table().drop(columns="fold"), "fold"),
        (valid_table().drop(columns="probability_benign"), "probability_benign"),
        (valid_table().assign(probability_other=0.0), "unknown classes"),
        (valid_table().iloc[:0], "no image"),
        (valid_table().iloc[:-1], "same images"),
    ],
)
def test_predictions_of_another_schema_are_refused(table, said):
    with pytest.raises(UserError, match=said) as refused:
        predictions_to_arrays(table, CLASSES)
    assert refused.value.remedy


def test_a_prediction_has_to_be_the_most_probable_class():
    table = valid_table()
    row = table.index[3]
    least = min(CLASSES, key=lambda name: table.loc[row, f"probability_{name}"])
    with pytest.raises(UserError, match="most probable"):
        predictions_to_arrays(broken(table, prediction=least), CLASSES)


def test_different_labels_for_one_image_are_refused():
    table = valid_table()
    old = table.loc[table.index[3], "label"]
    other = next(name for name in CLASSES if name != old)
    with pytest.raises(UserError, match="different labels"):
        predictions_to_arrays(broken(table, label=other), CLASSES)


def test_groups_come_from_the_groups_table():
    table = valid_table()
    groups = pd.DataFrame({"image": table["image"][:9], "group": list("aabbccddd")})
    joined = with_groups(table, groups)
    assert predictions_to_arrays(joined, CLASSES).clusters()[1] == 4
    with pytest.raises(UserError, match="No group is recorded"):
        with_groups(table, groups.iloc[1:])
