"""The recipe `finetuned`: what it fits and on what, that it goes on after a kill, and what it keeps."""

import importlib.util
import io
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy_cell import BACKBONE, CLASSES, SIZE, SMALL_TUNING, VIEW, make_toy, raw_images

from lung_attention.cells import Cell
from lung_attention.errors import UserError
from lung_attention.files import read_json, sha256
from lung_attention.models.backbones import build_backbone
from lung_attention.models.saving import save_model
from lung_attention.paths import Paths
from lung_attention.splits.protocol import folds
from lung_attention.training import network, trainer
from lung_attention.training.checkpoints import Checkpoints
from lung_attention.training.finetuned import fit
from lung_attention.training.fitting import device_name
from lung_attention.training.keep import keep_cell
from lung_attention.training.network import Network, cosine
from lung_attention.training.regressions import temperature
from lung_attention.training.stream import Stream

COLUMNS = [f"probability_{name}" for name in CLASSES]
HERE = Path(__file__).parent


def nothing(*_):
    pass


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    before = keras.applications.MobileNetV2
    yield make_toy(tmp_path_factory.mktemp("toy"))
    keras.applications.MobileNetV2 = before


@pytest.fixture(scope="module")
def published(toy, tmp_path_factory):
    """A fit on a published split, whose model is kept, with the rows that it was fitted on."""
    seen = set()
    epoch = Stream.epoch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Stream, "epoch", lambda self, rows, **other: seen.update(rows) or epoch(self, rows, **other)
        )
        folder = tmp_path_factory.mktemp("checkpoints") / "one"
        cell = fit(toy.material(folder, table=toy.published), nothing)
    return cell, np.array(sorted(seen))


def same(one, other):
    """Whether two cells are the same to the last bit."""
    pd.testing.assert_frame_equal(one.predictions, other.predictions, check_exact=True)
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    assert one.chosen == other.chosen
    for left, right in zip(one.classifier.get_weights(), other.classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


# ----- What is fitted, and on what -----


def test_the_last_layers_move_and_the_rest_stays(toy, published):
    cell, _ = published
    fitted = cell.classifier.get_layer(BACKBONE)
    before = build_backbone(BACKBONE, SIZE, weights=toy.folder / "toy.weights.h5")
    for layer in before.layers[1:]:  # the input has a name of its own in each model
        both = zip(layer.get_weights(), fitted.get_layer(layer.name).get_weights(), strict=True)
        moved = [not np.array_equal(one, other) for one, other in both]
        assert all(moved) if layer.name in ("conv_2", "conv_3") else not any(moved), layer.name


def test_test_rows_and_those_of_the_temperature_are_not_fitted_on(toy, published):
    cell, seen = published
    (fold,) = folds(toy.published)
    groups = toy.table["group"].to_numpy()
    held_out = np.setdiff1d(fold.train, seen)
    assert not np.isin(seen, fold.test).any()
    assert 0.2 < len(held_out) / len(fold.train) < 0.5, "one part of three"
    assert not set(groups[seen]) & set(groups[held_out])
    # The temperature is that of the rows held out: with it, nothing is left to mend on them.
    images = list(raw_images())
    found = np.concatenate([np.asarray(cell.classifier(images[row][None])) for row in held_out])
    labels = np.arange(len(images))[held_out] % 2
    assert temperature(found.astype(np.float64), labels) == pytest.approx(1, abs=0.02)
    assert cell.chosen[0]["temperature"] != 1


@pytest.mark.parametrize("head", ["plain", "attention"])
def test_nothing_hangs_on_the_outer_test_part(toy, published, tmp_path, head):
    """Neither penalty, temperature nor any weight: images are noise there, and features NaN."""
    (fold,) = folds(toy.published)
    clean = published[0]
    if head != "plain":
        clean = fit(toy.material(tmp_path / "a", table=toy.published, head=head), nothing)
    blind = fit(toy.material(tmp_path / "b", table=toy.published, head=head, spoilt=fold.test), nothing)
    assert blind.chosen == clean.chosen
    assert set(clean.chosen[0]) == {"seed", "fold", "l2", "epochs", "temperature"}
    for one, other in zip(clean.classifier.get_weights(), blind.classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (clean.predictions[COLUMNS] != blind.predictions[COLUMNS]).any(axis=None), "what is seen counts"
    if head == "attention":
        gamma = clean.head.get_layer("soft_attention").gamma.numpy()
        assert gamma != pytest.approx(0.1), "attention is fitted with the rest"


def test_weights_are_averaged_over_the_last_epochs(toy, tmp_path, monkeypatch):
    after, put = [], []
    trained, set_trained = Network.trained, Network.set_trained
    monkeypatch.setattr(Network, "trained", lambda self: after.append(trained(self)) or after[-1])
    monkeypatch.setattr(
        Network, "set_trained", lambda self, weights: put.append(weights) or set_trained(self, weights)
    )
    tuning = replace(SMALL_TUNING, epochs=3, averaged_epochs=2)
    fit(toy.material(tmp_path / "a", table=toy.published, tuning=tuning), nothing)
    assert (len(after), len(put)) == (2, 1)
    for first, second, mean in zip(*after, *put, strict=True):
        np.testing.assert_allclose(mean, (first + second) / 2, rtol=1e-5, atol=1e-7)
        assert (first != second).any()


def test_the_rate_falls_along_half_a_cosine():
    assert [cosine(step, 4) for step in range(5)] == pytest.approx([1, 0.853553, 0.5, 0.146447, 0], abs=1e-5)


# ----- Kills -----


class KilledError(Exception):
    """In place of a signal."""


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    """A grouped cell that nobody disturbs, with its folder of checkpoints."""
    folder = tmp_path_factory.mktemp("checkpoints") / "whole"
    return fit(toy.material(folder), nothing), folder


@pytest.mark.parametrize("last", [(0, 0, 1), (0, 1, 1), (0, -1, 2)], ids=["epoch", "fit", "refit"])
def test_a_killed_training_goes_on_and_ends_as_one_that_was_not(toy, whole, tmp_path, monkeypatch, last):
    def kill(seed, fold, epoch, _):
        if (seed, fold, epoch) == last:
            raise KilledError

    with pytest.raises(KilledError):
        fit(toy.material(tmp_path / "a"), kill)
    made, told = [], []
    fit_epoch = Network.fit_epoch
    monkeypatch.setattr(
        Network, "fit_epoch", lambda self, *args, **other: made.append(1) or fit_epoch(self, *args, **other)
    )
    cell = fit(toy.material(tmp_path / "a"), lambda *epoch: told.append(epoch[:3]))
    same(cell, whole[0])
    epochs = [(0, fold, epoch) for fold in (0, 1, -1) for epoch in (1, 2)]
    assert told == epochs, "all epochs are told, once"
    assert len(made) == len(epochs) - epochs.index(last) - 1, "no epoch is fitted twice"


def test_a_finished_training_is_not_fitted_again(toy, whole, monkeypatch):
    """As where the files of its model could not be written; the images are not even decoded."""
    monkeypatch.setattr(trainer, "Network", None)
    same(fit(toy.material(whole[1]), nothing), whole[0])


def test_the_predictions_of_a_grouped_cell(toy, whole):
    cell, _ = whole
    assert sorted(cell.predictions["image"]) == toy.table["image"].tolist()
    np.testing.assert_allclose(cell.predictions[COLUMNS].sum(axis=1), 1, atol=1e-6)
    assert [(one["seed"], one["fold"]) for one in cell.chosen] == [(0, 0), (0, 1), (0, -1)]
    assert cell.history.groupby("fold")["epoch"].apply(list).to_dict() == {-1: [1, 2], 0: [1, 2], 1: [1, 2]}
    assert cell.history[["loss", "accuracy"]].notna().all(axis=None)


def test_checkpoints_keep_every_bit_and_drop_those_of_other_inputs(tmp_path):
    other = tmp_path / "of-other-inputs"
    other.mkdir()
    kept = Checkpoints(tmp_path / "ours")
    assert not other.exists()
    arrays = [np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32), np.array(7, np.int64)]
    kept.save("a.b", arrays, {"loss": 0.1 + 0.2})
    again, values = Checkpoints(tmp_path / "ours").load("a.b")
    assert values == {"loss": 0.1 + 0.2}
    for one, same_one in zip(arrays, again, strict=True):
        np.testing.assert_array_equal(one, same_one)
        assert one.dtype == same_one.dtype
    kept.remove("a.b")
    assert kept.load("a.b") is None


# ----- The same again, elsewhere -----


def test_same_inputs_give_the_same_cell(toy, published, tmp_path):
    same(fit(toy.material(tmp_path / "a", table=toy.published), nothing), published[0])


_TWO_DEVICES = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
import tensorflow as tf
from toy_cell import SMALL_TUNING, make_toy
from lung_attention.training.finetuned import fit
from lung_attention.training.network import strategy_of
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
folder = Path(sys.argv[1])
toy = make_toy(folder)
# Devices draw what they drop each for itself, so nothing is dropped here.
tuning = replace(SMALL_TUNING, dropout=0.0)
two = ["CPU:0", "CPU:1"]
assert strategy_of(two).num_replicas_in_sync == 2
one, both = (
    fit(toy.material(folder / name, table=toy.published, tuning=tuning), lambda *_: None, devices=devices)
    for name, devices in (("one", None), ("both", two))
)
columns = [column for column in one.predictions if column.startswith("probability_")]
print(np.abs(one.predictions[columns] - both.predictions[columns]).to_numpy().max())
print(max(np.abs(a - b).max() for a, b in zip(one.classifier.get_weights(), both.classifier.get_weights())))
"""


def test_two_devices_give_what_one_gives(tmp_path):
    environment = {"PYTHONPATH": ":".join([*sys.path, str(HERE), str(HERE.parent)]), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", _TWO_DEVICES, str(tmp_path)],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    predictions, weights = map(float, done.stdout.split()[-2:])
    assert predictions < 1e-4 and weights < 1e-4


def test_half_precision_is_for_gpus_and_leaves_heads_alone():
    backbone = build_backbone(BACKBONE, SIZE, policy="mixed_float16")
    assert backbone.layers[1].compute_dtype == "float16"
    assert {weights.dtype for weights in backbone.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32", "put back"
    assert network.strategy_of().num_replicas_in_sync == 1


# ----- What is kept -----


def test_the_saved_model_says_of_raw_pixels_what_the_fit_predicted(toy, published, tmp_path):
    cell, _ = published
    save_model(cell.classifier, tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    (fold,) = folds(toy.published)
    images = list(raw_images())
    assert len({images[row].shape for row in fold.test}) > 3
    # Without a word on training, too, nothing is dropped.
    found = np.concatenate([np.asarray(model(images[row][None])) for row in fold.test])
    np.testing.assert_allclose(found, cell.predictions[COLUMNS], atol=2e-6)
    again = tmp_path / "again.keras"
    save_model(cell.classifier, again)
    assert again.read_bytes() == (tmp_path / "model.keras").read_bytes()
    # Averaged over quarter turns, an image and its quarter turn are the same to the model. The crop of a
    # square image has no odd margin.
    square = images[fold.test[0]][:40, :40]
    np.testing.assert_allclose(model(np.rot90(square)[None].copy()), model(square[None]), atol=1e-5)
    assert cell.head is cell.classifier.get_layer("head")


def test_the_registered_model_serves_encoded_images(toy, published, tmp_path):
    from lung_attention.tracking.pyfunc_model import ImageClassifier

    save_model(published[0].classifier, tmp_path / "model.keras")
    served = ImageClassifier()
    served.load_context(
        SimpleNamespace(
            artifacts={"keras": str(tmp_path / "model.keras")},
            model_config={"classes": list(CLASSES), "window": None},
        )
    )
    (fold,) = folds(toy.published)
    content = io.BytesIO()
    Image.fromarray(list(raw_images())[fold.test[0]]).save(content, "png")
    found = served.predict(None, pd.DataFrame({"image": [content.getvalue()]}))
    np.testing.assert_allclose(found.to_numpy()[0], published[0].predictions[COLUMNS].iloc[0], atol=2e-6)
    assert VIEW.standardise, "else a part of the preprocessing would not be tried here"


def test_what_a_training_leaves(toy, published, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell, paths = Cell("mine", BACKBONE, "plain", "finetuned", "published"), Paths("sample")
    fitted = published[0]
    keep_cell(fitted, cell, paths, info={}, record={"inputs": "ab"})
    info = read_json(paths.training_info(cell))
    of_head, of_backbone = 16 * 2 + 2, 2 * (3 * 3 * 8 * 8 + 8)
    assert info["trainable_parameters"] == of_head + of_backbone
    assert info["parameters"] == fitted.classifier.count_params()
    assert info["chosen"] == fitted.chosen and info["device"] == device_name()
    model = keras.saving.load_model(paths.model(cell))
    for one, other in zip(model.get_weights(), fitted.classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_archive_than_the_settings_name_is_refused(toy, tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("train_stage", HERE.parents[1] / "stages" / "train.py")
    stage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stage)
    monkeypatch.chdir(tmp_path)
    cell, paths = Cell("mine", BACKBONE, "plain", "finetuned", "grouped"), Paths("sample")
    archive = paths.archive(cell.dataset)
    archive.parent.mkdir(parents=True)
    archive.write_bytes((toy.folder / "images.zip").read_bytes())
    features = {"view": asdict(VIEW), "image_size_px": SIZE}
    content = {"archive_sha256": sha256(archive), "features": features}
    source = stage.source_of(cell, paths, content, "0123456789abcdef" * 4)
    assert (source.view, source.image_size_px, source.archive) == (VIEW, SIZE, archive)
    assert source.checkpoints == paths.checkpoints(cell) / "0123456789abcdef"
    archive.write_bytes(b"another")
    with pytest.raises(UserError, match="is damaged or another file") as caught:
        stage.source_of(cell, paths, content, "0" * 64)
    assert caught.value.remedy.endswith("dvc repro")
