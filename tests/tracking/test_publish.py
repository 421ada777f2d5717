"""Bringing a store in line with the files of a cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from publishing import publish

from lung_attention import tracking
from lung_attention.cells import Cell
from lung_attention.files import write_table
from lung_attention.paths import Paths
from lung_attention.tracking import live_run, runs
from lung_attention.tracking.cells import _fit_scores

CLASSES = ("normal", "malignant", "benign")
SOURCE = Path(tracking.__file__).parents[2]


def everything(client):
    """All that a store holds, for comparison before and after."""
    found = {}
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            run_id = run.info.run_id
            curves = {
                name: sorted((p.step, p.value, p.timestamp) for p in client.get_metric_history(run_id, name))
                for name in run.data.metrics
            }
            info = (run.info.status, run.info.end_time, run.info.run_name)
            models = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
            found[run_id] = (info, run.data.tags, run.data.params, curves, models)
    return found


def points(client, run_id, name):
    return {point.step: point.value for point in client.get_metric_history(run_id, name)}


def train(identity, results, history, *, until=None):
    """Logs a history live, as a training does."""
    with live_run(identity, results["params"], device="cpu") as logger:
        for row in history.to_dict("records"):
            if until is None or row["epoch"] <= until:
                values = {k: v for k, v in row.items() if k not in ("seed", "fold", "epoch")}
                logger.epoch(row["seed"], row["fold"], row["epoch"], values)
    return logger.run_id


def counting(client):
    """The runs that the filter for complete ones lists."""
    experiment = client.get_experiment_by_name("lung-attention/sample").experiment_id
    return [run.info.run_id for run in client.search_runs([experiment], "tags.complete = 'true'")]


def test_a_trained_run_is_completed(client, identity, results, make_curve):
    history = make_curve(3)
    trained = train(identity, results, history)
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    run_id = publish(identity, history=history, **results | {"draw": lambda figure=figure: {"roc": figure}})
    assert run_id == trained
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["complete"]) == ("FINISHED", "true")
    scores = {name: value for name, value in run.data.metrics.items() if name.startswith("test_")}
    assert scores["test_accuracy"] == 0.8
    assert (scores["test_accuracy_low"], scores["test_accuracy_high"]) == (0.7, 0.9)
    assert scores["test_malignant_sensitivity"] == 0.5
    # Undefined scores and sizes are no scores.
    assert not {"test_auroc_ovr", "test_n_test", "test_seeds"} & scores.keys()
    logged = {f.path for folder in ("", "plots", "results") for f in client.list_artifacts(run_id, folder)}
    assert {"plots/roc.png", "results/predictions.csv", "confusion_matrix.json"} <= logged
    matrix = json.loads(Path(client.download_artifacts(run_id, "confusion_matrix.json")).read_text())
    assert matrix == results["metrics"]["confusion_matrix"]


def test_artifacts_of_a_local_store_lie_in_the_project(client, store, identity, results, make_curve):
    run_id = publish(identity, history=make_curve(1), **results)
    experiment = client.get_experiment_by_name(identity.experiment)
    assert experiment.artifact_location == (store / "mlartifacts" / "lung-attention" / "sample").as_uri()
    assert list(store.glob(f"mlartifacts/lung-attention/sample/{run_id}/artifacts/results/predictions.csv"))


def test_results_from_a_cache_become_a_run(client, identity, results, make_curve):
    history = pd.concat([make_curve(3, fold=0), make_curve(3, fold=1), make_curve(3, fold=-1)])
    fit_scores = {(0, 0): {"accuracy": 0.75, "mcc": 0.5}, (0, 1): {"accuracy": 1.0}}
    run_id = publish(identity, history=history, fit_scores=fit_scores, **results)
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", identity.name)
    assert run.data.params == {"epochs": "3", "learning_rate": "0.0001"}
    assert run.data.tags["logged_from"] == "files"
    assert run.data.tags["inputs"] == identity.inputs
    assert points(client, run_id, "loss") == dict(zip([1, 2, 3], make_curve(3).loss, strict=True))
    nested = {
        child.info.run_name: child
        for child in client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
    }
    assert set(nested) == {"seed-0 fold-0", "seed-0 fold-1", "seed-0 refit"}
    assert {child.info.status for child in nested.values()} == {"FINISHED"}
    refit = nested["seed-0 refit"]
    assert len(points(client, refit.info.run_id, "loss")) == 3
    assert "val_loss" not in refit.data.metrics
    of_fits = {
        name: {key: value for key, value in child.data.metrics.items() if key.startswith("test_")}
        for name, child in nested.items()
    }
    assert of_fits == {
        "seed-0 fold-0": {"test_accuracy": 0.75, "test_mcc": 0.5},
        "seed-0 fold-1": {"test_accuracy": 1.0},
        "seed-0 refit": {},
    }


def test_twice_in_a_row_changes_nothing(client, identity, results, make_curve):
    results |= {"history": pd.concat([make_curve(3, fold=0), make_curve(3, fold=1)])}
    results |= {"fit_scores": {(0, 0): {"accuracy": 0.75}, (0, 1): {"accuracy": 1.0}}}
    first = publish(identity, **results)
    before = everything(client)
    assert publish(identity, **results) == first
    assert everything(client) == before


def test_live_and_published_runs_have_the_same_names(client, cells, results, make_curve):
    names = []
    for cell in cells[:2]:
        train(cell, results, make_curve(3))
        run = client.get_run(publish(cell, history=make_curve(3), **results))
        names.append({name for name in run.data.metrics if not name.startswith("system/")})
    cached = client.get_run(publish(cells[2], history=make_curve(3), **results))
    assert names[0] == names[1] == set(cached.data.metrics)


def test_scores_of_fits_come_to_a_run_that_was_trained_here(client, identity, results, make_curve):
    history = pd.concat([make_curve(2, fold=0), make_curve(2, fold=1)], ignore_index=True)
    trained = train(identity, results, history)
    assert publish(identity, history=history, **results) == trained
    fit_scores = {(0, 0): {"accuracy": 0.75}, (0, 1): {"accuracy": 1.0}}
    assert publish(identity, history=history, fit_scores=fit_scores, **results) == trained
    run = client.get_run(trained)
    nested = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{trained}'")
    assert sorted(child.data.metrics["test_accuracy"] for child in nested) == [0.75, 1.0]


def test_a_fit_is_scored_on_its_own_test_part_alone(tmp_path, monkeypatch):
    cell, paths = Cell("lidc_nodules", "densenet121", "plain", "published", "grouped"), Paths("sample")
    right = {0: [True, True, True, True], 1: [True, False, True, False]}
    rows = [
        {"image": f"{fold}-{k}", "label": ("malignant", "benign")[k % 2], "group": "", "fold": fold}
        | dict(zip(("probability_malignant", "probability_benign"), (p, 1 - p), strict=True))
        for fold, of_fold in right.items()
        for k, is_right in enumerate(of_fold)
        for p in [0.9 if is_right == (k % 2 == 0) else 0.1]
    ]  # fmt: skip
    table = pd.DataFrame(rows).assign(seed=7)
    malignant = table["probability_malignant"] > 0.5
    table["prediction"] = malignant.map({True: "malignant", False: "benign"})
    monkeypatch.chdir(tmp_path)
    write_table(paths.predictions(cell), table)
    found = _fit_scores(cell, paths)
    assert set(found) == {(7, 0), (7, 1)}
    assert [found[7, fold]["accuracy"] for fold in (0, 1)] == [1.0, 0.5]
    # Fold 1 calls everything malignant: one class is right, the other wrong, the correlation undefined as 0.
    assert (found[7, 1]["balanced_accuracy"], found[7, 1]["mcc"]) == (0.5, 0.0)
    assert "ece" not in found[7, 0]


def test_missing_epochs_are_filled_in(client, identity, results, make_curve):
    history = pd.concat([make_curve(4, fold=0), make_curve(4, fold=1)], ignore_index=True)
    trained = train(identity, results, history.iloc[:6])  # two epochs of the second fit are missing
    assert publish(identity, history=history, **results) == trained
    run = client.get_run(trained)
    nested = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{trained}'")
    for child in nested:
        fold = int(child.data.tags["fold"])
        expected = history[history.fold == fold]
        found = points(client, child.info.run_id, "val_loss")
        assert found == pytest.approx(dict(zip(expected.epoch, expected.val_loss, strict=True)))


def test_a_run_that_shows_something_else_is_superseded(client, identity, results, make_curve):
    wrong = make_curve(3)
    wrong["loss"] *= 1.01
    trained = train(identity, results, wrong)
    run_id = publish(identity, history=make_curve(3), **results)
    assert run_id != trained
    assert client.get_run(trained).data.tags["superseded"] == "true"
    assert client.get_run(trained).info.status == "FINISHED"
    assert points(client, run_id, "loss")[1] == make_curve(3).loss[0]
    # The other results come back: their run counts again, and no third is made.
    assert publish(identity, history=wrong, **results) == trained
    assert client.get_run(trained).data.tags["superseded"] == "false"
    assert client.get_run(run_id).data.tags["superseded"] == "true"
    assert counting(client) == [trained]


def test_a_forced_rerun_supersedes_the_old_run(client, identity, results, make_curve):
    history = make_curve(3)
    old = train(identity, results, history)
    assert publish(identity, history=history, **results) == old
    new = train(identity, results, history)
    assert counting(client) == [old]
    assert publish(identity, history=history, **results) == new
    assert counting(client) == [new]
    assert client.get_run(old).data.tags["superseded"] == "true"
    before = everything(client)
    assert publish(identity, history=history, **results) == new
    assert everything(client) == before


def test_of_two_machines_that_complete_a_cell_at_once_one_run_counts(client, identity, results, make_curve):
    """Each does not see the other's run before both are made: whatever the order, one is left."""
    history = make_curve(2)
    for first_declared, second_declared in ((1, 2), (2, 1), (1, 1)):
        a, b = (runs.create(client, identity, results["params"], {}).info.run_id for _ in range(2))
        for run_id in (a, b):
            client.set_terminated(run_id, "FINISHED")
        runs.declare_complete(client, identity, a, {}, now_ms=first_declared)
        runs.declare_complete(client, identity, b, {}, now_ms=second_declared)
        assert len(counting(client)) == 1
        # The other order of looking: both had declared before either looked.
        for run_id in (a, b):
            runs.set_tags(client, run_id, {"complete": "true", "superseded": "false"})
        for run_id in (a, b):
            runs.settle(client, runs.find_cells(client, identity), run_id)
        assert len(counting(client)) == 1
    assert publish(identity, history=history, **results)
    assert len(counting(client)) == 1


def test_a_cell_is_drawn_only_when_its_run_has_to_be_filled(client, identity, results, make_curve):
    drawn = []
    content = results | {"draw": lambda: drawn.append(1) or {}}
    for _ in range(2):
        publish(identity, history=make_curve(1), **content)
    assert len(drawn) == 1


def test_what_is_not_at_hand_is_left_as_it_is(client, identity, results, make_curve, tmp_path):
    """A clone without DVC's data tracks the same results as one with them, and undoes nothing."""
    model = tmp_path / "model.keras"
    model.write_bytes(b"not opened")
    split = pd.DataFrame({"image": ["a"], "label": ["normal"], "group": "", "fold": 0, "subset": "test"})
    full = results | {"model_path": model, "split": split, "lock_entry": "ab" * 32, "device": "cpu"}
    run_id = publish(identity, history=make_curve(1), **full)
    before = everything(client)
    tags = before[run_id][1]
    assert tags["dvc_lock"] == "ab" * 32
    assert {"datasets", "model", "model_id"} <= tags.keys()
    assert publish(identity, history=make_curve(1), **results | {"device": "cpu"}) == run_id
    assert everything(client) == before


def test_other_parameters_or_device_are_another_run(client, identity, results, make_curve):
    history = make_curve(3)
    trained = train(identity, results, history)
    other = publish(identity, history=history, **results | {"params": {"epochs": 4}})
    assert other != trained
    assert publish(identity, history=history, device="cpu", **results) == trained
    assert publish(identity, history=history, device="NVIDIA H100", **results) not in {trained, other}


def test_parameters_that_went_through_json_are_the_same(client, identity, results, make_curve):
    live = results | {"params": {"hidden_units": (256, 32), "jit": True, "tuned": None, "rate": 0.00032}}
    trained = train(identity, live, make_curve(3))
    read_back = results | {"params": json.loads(json.dumps(live["params"]))}
    assert publish(identity, history=make_curve(3), **read_back) == trained


def test_new_scores_replace_old_ones(client, identity, results, make_curve):
    history = make_curve(3)
    run_id = publish(identity, history=history, **results)
    changed = results | {"metrics": results["metrics"] | {"accuracy": 0.85}}
    assert publish(identity, history=history, **changed) == run_id
    assert client.get_run(run_id).data.metrics["test_accuracy"] == 0.85
    # A score that is no longer defined cannot be taken back in MLflow: such a run gives way to a new one.
    gone = results | {"metrics": {k: v for k, v in results["metrics"].items() if not k.startswith("acc")}}
    assert publish(identity, history=history, **gone) != run_id


def test_a_failed_training_is_not_taken_for_the_one_that_succeeded(client, identity, results, make_curve):
    with pytest.raises(ZeroDivisionError), live_run(identity, results["params"], device="cpu") as failed:
        _ = 1 / 0
    run_id = publish(identity, history=make_curve(3), **results)
    assert run_id != failed.run_id
    assert client.get_run(failed.run_id).info.status == "FAILED"


def test_a_training_whose_server_went_away_is_completed_after_others_found_it(
    client, identity, results, make_curve
):
    """Its process has ended well, but could not say so; the next training marks its run FAILED."""
    left = runs.create(client, identity, results["params"], {"device": "cpu"}).info.run_id
    client.log_metric(left, "loss", make_curve(3).loss[0], step=1)
    with live_run(replace(identity, inputs="ab" * 32), {}, device="cpu"):
        assert client.get_run(left).info.status == "FAILED"
    assert publish(identity, history=make_curve(3), **results) == left
    run = client.get_run(left)
    assert (run.info.status, run.data.tags["complete"]) == ("FINISHED", "true")
    assert "abandoned" not in run.data.tags
    assert points(client, left, "loss") == pytest.approx(
        dict(zip([1, 2, 3], make_curve(3).loss, strict=True))
    )


def test_an_interrupted_publication_is_taken_up_again(client, identity, results, make_curve, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_artifacts", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(identity, history=make_curve(3), **results)
    (half,) = everything(client)
    run = client.get_run(half)
    assert (run.info.status, run.data.tags["complete"]) == ("FINISHED", "false")
    assert publish(identity, history=make_curve(3), **results) == half
    assert client.get_run(half).data.tags["complete"] == "true"


def encoded(shape, image_format):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format=image_format)
    return buffer.getvalue()


def test_the_model_is_logged_without_pickles_and_loads_anywhere(
    client, store, identity, results, make_curve, keras_file, tmp_path
):
    path, model = keras_file
    run_id = publish(identity, history=make_curve(2), **results | {"model_path": path})
    before = everything(client)
    publish(identity, history=make_curve(2), **results | {"model_path": path})
    assert everything(client) == before

    (output,) = client.get_run(run_id).outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, str(logged.status)) == ("model", "READY")
    experiment = client.get_run(run_id).info.experiment_id
    assert logged.experiment_id == experiment
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{output.model_id}"))
    contents = {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert {"MLmodel", "model.keras", "pyfunc_model.py", "requirements.txt"} <= contents.keys()
    with zipfile.ZipFile(BytesIO(contents["model.keras"])) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    assert "SoftAttention" in inside["config.json"].decode(), "no layer that only the package knows"
    for name, content in {**contents, **inside}.items():
        assert not name.endswith((".pkl", ".pickle", ".cloudpickle", ".joblib")), name
        assert not (content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05"), name
    pins = contents["requirements.txt"].decode().split()
    assert {pin.partition("==")[0] for pin in pins} >= {"keras", "tensorflow", "pillow"}
    assert all("==" in pin for pin in pins)

    images = [encoded((20, 30, 3), "PNG"), encoded((11, 7), "JPEG")]
    for number, image in enumerate(images):
        (tmp_path / f"{number}.bin").write_bytes(image)
    script = f"""
import sys
from pathlib import Path
import mlflow, pandas as pd
mlflow.set_tracking_uri("sqlite:///{store / "mlflow.db"}")
assert not any(name.startswith("lung_attention") for name in sys.modules)
model = mlflow.pyfunc.load_model("models:/{output.model_id}")
images = [Path("{tmp_path}", f"{{n}}.bin").read_bytes() for n in range(2)]
predicted = model.predict(pd.DataFrame({{"image": images}}, index=[5, 7]))
predicted.to_json("{tmp_path}/out.json", double_precision=15)
assert model.metadata.signature.inputs.to_dict()[0]["type"] == "binary"
try:
    model.predict(pd.DataFrame({{"image": [b"no image"]}}))
except Exception as error:
    assert "Row 0" in str(error), error
else:
    raise AssertionError("no error")
"""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    predicted = pd.read_json(tmp_path / "out.json")
    assert list(predicted.columns) == list(CLASSES)
    assert list(predicted.index) == [5, 7]
    for row, image in enumerate(images):
        pixels = np.asarray(Image.open(BytesIO(image)).convert("RGB"))
        expected = np.asarray(model(pixels[np.newaxis]))[0]
        np.testing.assert_allclose(predicted.to_numpy()[row], expected, atol=1e-6)


def test_nothing_of_tensorflow_is_needed_to_publish(store, tmp_path):
    """Evaluation imports no TensorFlow, and `--help` no MLflow."""
    script = f"""
import sys
import lung_attention.tracking as tracking
assert "mlflow" not in sys.modules
from pathlib import Path
import pandas as pd
identity = tracking.RunIdentity("e", "n", "train@n", "00", "iqoth", "b", "plain", "published")
Path("{tmp_path}/model.keras").write_bytes(b"not opened")
tracking.connect(Path("{tmp_path}"))
history = pd.DataFrame({{"seed": [0], "fold": [0], "epoch": [1], "loss": [1.0]}})
content = tracking.Content(params={{}}, history=history, metrics={{}}, draw=dict, files=[],
    model_path=Path("{tmp_path}/model.keras"), classes=["a", "b"])
tracking.publish(identity, content)
heavy = {{"tensorflow", "keras", "matplotlib", "sklearn"}} & set(sys.modules)
assert not heavy, heavy
"""
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "MLFLOW_TRACKING_URI" not in done.stderr
