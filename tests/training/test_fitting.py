"""Fitting heads: one seed gives the same bytes, the batches follow it, validation rows have no influence."""

import numpy as np
import pandas as pd
import pytest
from small_recipe import small_recipe

from lung_attention.errors import UserError
from lung_attention.models.heads import build_head
from lung_attention.splits.grouped import grouped_split
from lung_attention.splits.protocol import folds
from lung_attention.training.fits import Material, fit, fit_seed, require_finite
from lung_attention.training.fitting import balanced_weights, compile_head, fit_head, predict, restart
from lung_attention.training.recipe import EVERY, Settings

CLASSES = ("a", "b")


@pytest.fixture(scope="module")
def features():
    random = np.random.default_rng(0)
    array = random.normal(size=(60, 2, 2, 8)).astype(np.float16)
    array[::2] += 1.0
    return array


@pytest.fixture(scope="module")
def labels():
    return np.arange(60) % 2


def fitted(features, labels, *, seed=1, train=range(40), validation=(), **changes):
    recipe = small_recipe(**{"epochs": 3, **changes})
    head = build_head("attention", (2, 2, 8), 2, recipe, seed=seed)
    compile_head(head, recipe)
    seen = []
    fit_head(
        head, features, labels, train=np.array(train), validation=np.array(validation, dtype=int),
        recipe=recipe, seed=seed, on_epoch=lambda epoch, values: seen.append((epoch, values)),
    )  # fmt: skip
    return predict(head, features, np.arange(40, 60), batch_size=16), seen


def test_learns(features, labels):
    probabilities, _ = fitted(features, labels, epochs=20)
    assert (probabilities.argmax(axis=1) == labels[40:]).mean() > 0.8
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(features, labels):
    first, again, other = (fitted(features, labels, seed=seed, jit_compile=True)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0


def test_validation_rows_change_nothing(features, labels):
    alone, seen_alone = fitted(features, labels)
    validated, seen = fitted(features, labels, validation=range(40, 60))
    np.testing.assert_array_equal(alone, validated)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert set(seen[0][1]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert set(seen_alone[0][1]) == {"loss", "accuracy"}


RECIPE = small_recipe(jit_compile=True, hidden_units=(4,))


def run_cell(features, table, seeds, *, settings=None):
    settings = settings or Settings({EVERY: RECIPE}, None)
    return fit(Material(features, table, CLASSES, settings, "plain", seeds), lambda *_: None)


def grouped_table(labels):
    manifest = pd.DataFrame(
        {"image": [f"{i}.png" for i in range(60)], "label": [CLASSES[label] for label in labels]}
    )
    return grouped_split(manifest, pd.Series([f"g{i // 4}" for i in range(60)]), folds=3, seed=0)


def test_grouped_cell_predicts_every_image_once_a_seed_and_refits_on_all(features, labels):
    table = grouped_table(labels)
    cell = run_cell(features, table, seeds=[4, 5])
    for seed in (4, 5):
        part = cell.predictions[cell.predictions["seed"] == seed]
        assert sorted(part["image"]) == sorted(table["image"])
    fits = cell.history.groupby(["seed", "fold"]).size()
    assert fits.index.tolist() == [(4, -1), (4, 0), (4, 1), (4, 2), (5, 0), (5, 1), (5, 2)]
    assert (fits == RECIPE.epochs).all()
    refit = cell.history[cell.history["fold"] == -1]
    assert refit[["val_loss", "val_accuracy"]].isna().all(axis=None)


def test_kept_model_of_a_published_split_is_the_first_seeds(features, labels):
    table = pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(60)],
            "label": [CLASSES[label] for label in labels],
            "group": "",
            "fold": 0,
            "subset": ["train"] * 40 + ["test"] * 20,
        }
    )
    cell = run_cell(features, table, seeds=[4, 5])
    (fold,) = folds(table)
    kept = predict(cell.head, features, fold.test, batch_size=16)
    columns = [f"probability_{name}" for name in CLASSES]
    first, second = (cell.predictions.loc[cell.predictions["seed"] == seed, columns] for seed in (4, 5))
    np.testing.assert_array_equal(kept, first.to_numpy())
    assert np.abs(kept - second.to_numpy()).max() > 0


def test_fits_of_neighbouring_seeds_and_folds_share_nothing():
    seeds = {fit_seed(seed, fold) for seed in range(20) for fold in range(-1, 20)}
    assert len(seeds) == 20 * 21
    assert max(seeds) < 2**31


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_restarted_head_fits_like_a_new_one(features, labels, optimizer):
    recipe = small_recipe(dropout=0.5, optimizer=optimizer)

    def new(seed):
        return build_head("attention", (2, 2, 8), 2, recipe, seed=seed)

    def fit(head, seed):
        fit_head(
            head, features, labels, train=np.arange(40), validation=np.arange(0), recipe=recipe, seed=seed,
            on_epoch=lambda *_: None,
        )  # fmt: skip
        return predict(head, features, np.arange(40, 60), batch_size=16)

    used, fresh = new(1), new(2)
    for head in (used, fresh):
        compile_head(head, recipe)
    fit(used, 1)
    restart(used, new(2), learning_rate=1e-2)
    np.testing.assert_array_equal(fit(used, 2), fit(fresh, 2))


def test_each_fold_is_fitted_with_its_own_settings(features, labels):
    table = grouped_table(labels)
    chosen = {f"fold-{number}": small_recipe(epochs=number + 1) for number in range(3)}
    settings = Settings({**chosen, "all": small_recipe(epochs=5)}, "of this split")
    history = run_cell(features, table, [0], settings=settings).history
    assert history.groupby("fold")["epoch"].max().to_dict() == {-1: 5, 0: 1, 1: 2, 2: 3}


@pytest.mark.parametrize("change", [{"learning_rate": 1e-3}, {"optimizer": "sgd"}, {"l2": 0.1}])
def test_a_fold_does_not_depend_on_the_settings_of_others(features, labels, change):
    """A compiled head is used again where settings are equal; that must not show."""
    table = grouped_table(labels)
    same, other = small_recipe(), small_recipe(**change)

    def of_last_fold(settings):
        predictions = run_cell(features, table, [0], settings=Settings(settings, None)).predictions
        return predictions.loc[predictions["fold"] == 2, ["probability_a", "probability_b"]].to_numpy()

    expected = of_last_fold({EVERY: same})
    np.testing.assert_array_equal(of_last_fold({EVERY: same, "fold-0": other}), expected)
    np.testing.assert_array_equal(of_last_fold({EVERY: same, "fold-1": other}), expected)
    assert np.abs(of_last_fold({EVERY: same, "fold-2": other}) - expected).max() > 0


def test_what_settings_were_chosen_for_is_not_in_the_learning_curves(features, labels):
    """Rows that a choice must not have seen are looked at once, at the end."""
    table = grouped_table(labels)
    with_, without = (
        run_cell(features, table, [0], settings=Settings({EVERY: RECIPE}, split)) for split in (None, "5f")
    )
    of_folds = with_.history["fold"] >= 0
    assert with_.history.loc[of_folds, "val_loss"].notna().all()
    assert without.history[["val_loss", "val_accuracy"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(with_.predictions, without.predictions)


def test_balanced_weights_by_hand():
    # 6 images of two classes: each class is to weigh 3, so 3/4 for each of four and 3/2 for each of two.
    assert balanced_weights(np.array([0, 0, 1, 0, 1, 0])) == {0: 0.75, 1: 1.5}
    # A class that is absent has no weight and does not count.
    assert balanced_weights(np.array([2, 2, 0])) == {0: 1.5, 2: 0.75}
    weights = balanced_weights(np.repeat([0, 1, 2], [5, 1, 24]))
    assert [n * weights[k] for k, n in enumerate((5, 1, 24))] == pytest.approx([10, 10, 10])


def test_balanced_weights_change_the_fit_where_classes_differ_in_size(features, labels):
    rare = [row for row in range(40) if labels[row] == 0 or row % 8 == 1]  # 20 of one class, 5 of the other
    plain, balanced = (
        fitted(features, labels, train=rare, class_weights=weights)[0] for weights in ("none", "balanced")
    )
    assert balanced[:, 1].mean() > plain[:, 1].mean() + 0.01
    # Where classes are alike every weight is 1.
    for one, other in zip(
        fitted(features, labels), fitted(features, labels, class_weights="balanced"), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_the_recipe_names_optimizer_and_learning_rate(optimizer):
    recipe = small_recipe(optimizer=optimizer, learning_rate=3e-3)
    head = build_head("plain", (2, 2, 8), 2, recipe, seed=0)
    compile_head(head, recipe)
    assert head.optimizer.__class__.__name__.lower() == optimizer
    assert float(head.optimizer.learning_rate) == pytest.approx(3e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_fit_that_lost_its_way_ends_the_training_with_what_mends_it(value):
    require_finite({"loss": 0.5, "accuracy": 0.9}, seed=3, fold=1, epoch=2)
    with pytest.raises(UserError, match=r"seed 3, fold-1 has \{'loss': (nan|inf)\} after epoch 2") as caught:
        require_finite({"loss": value, "accuracy": 0.9}, seed=3, fold=1, epoch=2)
    assert "learning_rate" in caught.value.remedy
