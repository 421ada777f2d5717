"""Fitting heads: one seed gives the same bytes, the batches follow it, watched rows have no influence."""

import numpy as np
import pandas as pd
import pytest

from lung_attention.config import Recipe
from lung_attention.models.heads import build_head
from lung_attention.splits.grouped import grouped_split
from lung_attention.splits.protocol import folds
from lung_attention.training.fits import fit_cell, fit_seed, fits_of
from lung_attention.training.fitting import compile_head, fit_head, predict, restart
from lung_attention.training.settings import Settings

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


def fitted(features, labels, *, seed=1, validation=(), epochs=3):
    head = build_head(
        (2, 2, 8), 2, attention=True, hidden_units=[8], attention_maps=2, attention_gamma=0.01,
        attention_activation="relu", pooling="flatten", dropout=0.0, l2=0.0, seed=seed,
    )  # fmt: skip
    compile_head(head, learning_rate=1e-2, jit_compile=True)
    seen = []
    fit_head(
        head, features, labels, train=np.arange(40), validation=np.array(watched, dtype=int), epochs=epochs,
        batch_size=16, seed=seed,
        on_epoch=lambda epoch, values: seen.append((epoch, values)),
    )  # fmt: skip
    return predict(head, features, np.arange(40, 60), batch_size=16), seen


def test_learns(features, labels):
    probabilities, _ = fitted(features, labels, epochs=20)
    assert (probabilities.argmax(axis=1) == labels[40:]).mean() > 0.8
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(features, labels):
    first, _ = fitted(features, labels)
    np.testing.assert_array_equal(first, fitted(features, labels)[0])
    assert np.abs(first - fitted(features, labels, seed=2)[0]).max() > 0


def test_watching_rows_changes_nothing(features, labels):
    alone, seen_alone = fitted(features, labels)
    watched, seen = fitted(features, labels, validation=range(40, 60))
    np.testing.assert_array_equal(alone, watched)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert set(seen[0][1]) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert set(seen_alone[0][1]) == {"loss", "accuracy"}


RECIPE = Recipe(
    epochs=2, batch_size=16, jit_compile=True, pooling="flatten", hidden_units=[4], dropout=0.0, l2=0.0,
    attention_maps=2, attention_gamma=0.01, attention_activation="relu",
)  # fmt: skip
SETTINGS = Settings(RECIPE, learning_rate=1e-2)


def run_cell(features, table, seeds):
    settings = {fold.number: SETTINGS for fold in fits_of(table)}
    return fit_cell(
        features, table, CLASSES, settings, attention=False, seeds=seeds, watch=True, on_epoch=lambda *_: None
    )


def test_grouped_cell_predicts_every_image_once_a_seed_and_refits_on_all(features, labels):
    manifest = pd.DataFrame(
        {"image": [f"{i}.png" for i in range(60)], "label": [CLASSES[label] for label in labels]}
    )
    table = grouped_split(manifest, pd.Series([f"g{i // 4}" for i in range(60)]), folds=3, seed=0)
    cell = run_cell(features, table, seeds=[4, 5])
    for seed in (4, 5):
        part = cell.predictions[cell.predictions["seed"] == seed]
        assert sorted(part["image"]) == sorted(manifest["image"])
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


def test_a_restarted_head_fits_like_a_new_one(features, labels):
    def new(seed):
        return build_head(
            (2, 2, 8), 2, attention=True, hidden_units=[8], attention_maps=2, attention_gamma=0.01,
            attention_activation="relu", pooling="flatten", dropout=0.5, l2=0.0, seed=seed,
        )  # fmt: skip

    def fit(head, seed):
        fit_head(
            head, features, labels, train=np.arange(40), validation=np.arange(0), epochs=2, batch_size=16,
            seed=seed, on_epoch=lambda *_: None,
        )  # fmt: skip
        return predict(head, features, np.arange(40, 60), batch_size=16)

    used, fresh = new(1), new(2)
    for head in (used, fresh):
        compile_head(head, learning_rate=1e-2, jit_compile=True)
    fit(used, 1)
    restart(used, new(2), learning_rate=1e-2)
    np.testing.assert_array_equal(fit(used, 2), fit(fresh, 2))
