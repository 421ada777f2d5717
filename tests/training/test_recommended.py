"""The recommended recipe: what it chooses, from which rows, and what its models compute."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss
from small_recipe import small_recipe

from lung_attention.evaluation.recalibration import inverse_temperature
from lung_attention.models.heads.dense import divide_logits
from lung_attention.models.logistic import LogisticPath, pooled
from lung_attention.splits.grouped import grouped_split
from lung_attention.splits.protocol import folds
from lung_attention.training.fits import Material
from lung_attention.training.fitting import predict
from lung_attention.training.recipe import EVERY, Choices, Settings
from lung_attention.training.recommended import fit
from lung_attention.training.regressions import Regressions

CLASSES = ("a", "b", "c")
RECIPE = small_recipe(
    epochs=0, pooling="average_max", hidden_units=(), start="logistic", optimizer="adamw", learning_rate=1e-3,
    class_weights="balanced",
)  # fmt: skip
CHOICES = Choices(inner_folds=2, l2=[1.0, 0.03, 0.001], epochs=[1, 3])
COLUMNS = [f"probability_{name}" for name in CLASSES]


def nothing(*_):
    pass


@pytest.fixture(scope="module")
def features():
    random = np.random.default_rng(0)
    array = random.normal(size=(90, 2, 2, 6))
    array[..., :3] += np.eye(3)[np.arange(90) % 3][:, None, None]
    return array.astype(np.float16)


@pytest.fixture(scope="module")
def table():
    manifest = pd.DataFrame(
        {"image": [f"{i:02}.png" for i in range(90)], "label": [CLASSES[i % 3] for i in range(90)]}
    )
    return grouped_split(manifest, pd.Series([f"g{i // 3}" for i in range(90)]), folds=3, seed=5)


def fitted(features, table, head="plain", seeds=(0,), partitions=(5,)):
    settings = Settings({EVERY: RECIPE}, None, CHOICES)
    return fit(Material(features, table, CLASSES, settings, head, list(seeds), list(partitions)), nothing)


@pytest.fixture(scope="module")
def plain(features, table):
    return fitted(features, table)


def test_a_plain_cell_is_a_logistic_regression_with_a_temperature(features, table, plain):
    x, labels = pooled(features), np.arange(90) % 3
    for fold, chosen in zip(folds(table), plain.chosen, strict=False):
        assert (chosen["seed"], chosen["fold"], chosen["epochs"]) == (0, fold.number, 0)
        path = LogisticPath(x[fold.train], labels[fold.train], n_classes=3, class_weights="balanced")
        expected = softmax(path.fit(chosen["l2"]).logits(x[fold.test]) / chosen["temperature"], axis=1)
        rows = plain.predictions[plain.predictions["fold"] == fold.number]
        assert rows["image"].tolist() == table.iloc[fold.test]["image"].tolist()
        np.testing.assert_allclose(rows[COLUMNS], expected, atol=2e-3)
    assert [one["fold"] for one in plain.chosen] == [0, 1, 2, -1]
    assert plain.history["epoch"].tolist() == [1] * 4
    assert plain.history["loss"].notna().all()


def one_fold(table):
    """The first fold of a table as a split of its own, which is fitted once."""
    (first, *_) = folds(table)
    return table.assign(subset=np.where(table["fold"] == first.number, "test", "train"), fold=0), first.test


@pytest.mark.parametrize("head", ["plain", "attention"])
def test_what_is_chosen_for_a_fold_does_not_hang_on_its_test_part(features, table, plain, head):
    """Neither penalty, epochs, temperature nor any weight."""
    alone, tested = one_fold(table)
    spoilt = features.copy()
    spoilt[tested] = np.nan
    with np.errstate(invalid="ignore"):
        clean, blind = (fitted(array, alone, head) for array in (features, spoilt))
    assert clean.chosen == blind.chosen
    assert np.isfinite([one["temperature"] for one in clean.chosen]).all()
    if head == "plain":
        assert clean.chosen[0] == plain.chosen[0]
    for one, other in zip(clean.head.get_weights(), blind.head.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_groups_inner_folds_are_drawn_by_image(features, table):
    """As the published protocol has it."""
    alone, _ = one_fold(table)
    by_group, by_image = (fitted(features, split) for split in (alone, alone.assign(group="")))
    assert len(by_image.chosen) == 1
    assert by_image.chosen[0]["temperature"] != by_group.chosen[0]["temperature"]


def test_each_seed_has_a_partition_of_its_own_and_the_first_is_that_of_the_table(features, table, plain):
    cell = fitted(features, table, seeds=(0, 1), partitions=(5, 6))
    first, second = (cell.predictions[cell.predictions["seed"] == seed] for seed in (0, 1))
    pd.testing.assert_frame_equal(first.reset_index(drop=True), plain.predictions)
    assert sorted(first["image"]) == sorted(second["image"])
    both = first.set_index("image")["fold"].to_frame("first").join(second.set_index("image")["fold"])
    assert (both["first"] != both["fold"]).any()
    groups = dict(zip(table["image"], table["group"], strict=True))
    of_group = second.assign(group=second["image"].map(groups)).groupby("group")["fold"].nunique()
    assert (of_group == 1).all()


def test_attention_starts_from_the_regression_and_moves(features, table):
    alone, _ = one_fold(table)
    cell = fitted(features, alone, "attention")
    assert {one["epochs"] for one in cell.chosen} <= {1, 3}
    assert cell.head.get_layer("soft_attention").gamma.numpy() != pytest.approx(RECIPE.attention_gamma)
    again = fitted(features, alone, "attention")
    pd.testing.assert_frame_equal(cell.predictions, again.predictions)


def test_the_kept_model_gives_tempered_probabilities(features, table, plain):
    refit = plain.chosen[-1]
    x, labels = pooled(features), np.arange(90) % 3
    path = LogisticPath(x, labels, n_classes=3, class_weights="balanced")
    expected = softmax(path.fit(refit["l2"]).logits(x) / refit["temperature"], axis=1)
    found = predict(plain.head, features, np.arange(90), batch_size=16)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    # A temperature that was divided by once leaves nothing to mend on the rows that it was found on.
    hot = predict(plain.head, features, np.arange(90), batch_size=16).astype(np.float64)
    inverse = float(inverse_temperature(hot, labels, np.ones((90, 1)))[0])
    divide_logits(plain.head, 1 / inverse)
    mended = predict(plain.head, features, np.arange(90), batch_size=16).astype(np.float64)
    assert float(inverse_temperature(mended, labels, np.ones((90, 1)))[0]) == pytest.approx(1, abs=1e-3)
    divide_logits(plain.head, inverse)


def test_settings_are_judged_as_they_will_be_after_their_temperature(features):
    """Overconfidence costs nothing, since one number mends it; worse ranks do."""
    labels = np.arange(90) % 3
    regressions = Regressions(pooled(features), labels, np.arange(90).astype(str), n_classes=3)
    logits = np.random.default_rng(1).normal(size=(90, 3)) + 1.5 * np.eye(3)[labels]
    rows = np.arange(90)
    right, confident, worse = (softmax(factor * logits, axis=1) for factor in (1.0, 4.0, 1.0))
    worse[:20] = worse[:20, ::-1]
    assert regressions.loss(confident, rows) == pytest.approx(regressions.loss(right, rows), rel=1e-4)
    assert regressions.loss(worse, rows) > regressions.loss(right, rows) + 0.05
    best = minimize_scalar(
        lambda t: log_loss(labels, softmax(logits / t, axis=1)), bounds=(0.1, 10), method="bounded"
    )
    assert regressions.loss(right, rows) == pytest.approx(best.fun, rel=1e-5)
