"""Runs made complete from the files of a cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from cell_files import METRICS, PARAMS, PATHS, copy_configuration, curve, publish
from known import LABELS
from PIL import Image

from lung_attention import tracking
from lung_attention.files import write_table
from lung_attention.tracking import live_run, runs

SOURCE = Path(tracking.__file__).parents[2]
TWO_FITS = pd.concat([curve(3, fold=0), curve(3, fold=1)])

pytestmark = pytest.mark.usefixtures("drawn")


@pytest.fixture(autouse=True)
def project(store):
    copy_configuration(store)


def put(content, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


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


def nested(client, run_id):
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run_id}'")
    return {run.info.run_name: run for run in found}


def train(identity, history):
    """Logs a history live, as a training does."""
    with live_run(identity, PARAMS, device="cpu") as logger:
        for row in history.to_dict("records"):
            values = {k: v for k, v in row.items() if k not in ("seed", "fold", "epoch")}
            logger.epoch(row["seed"], row["fold"], row["epoch"], values)
    return logger.run_id


def counting(client):
    """The runs that the filter for complete ones lists."""
    experiment = client.get_experiment_by_name("lung-attention/sample").experiment_id
    return [run.info.run_id for run in client.search_runs([experiment], "tags.complete = 'true'")]


def is_superseded(client, run_id):
    return client.get_run(run_id).data.tags["superseded"] == "true"


def test_a_trained_run_is_completed(client, identity):
    trained = train(identity, curve(3))
    run_id = publish(identity, curve(3))
    assert run_id == trained
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["complete"]) == ("FINISHED", "true")
    assert run.data.tags["logged_from"] == "training"
    scores = {name: value for name, value in run.data.metrics.items() if name.startswith("test_")}
    assert scores["test_accuracy"] == 0.8
    assert (scores["test_accuracy_low"], scores["test_accuracy_high"]) == (0.7, 0.9)
    assert scores["test_malignant_sensitivity"] == 0.5
    assert (scores["test_calibration_slope"], scores["test_temperature_scaled_log_loss"]) == (0.5, 0.6)
    assert scores["test_malignant_at_specificity_0.9_sensitivity"] == 0.4
    # Undefined scores and sizes are no scores.
    undefined = {"test_auroc_ovr", "test_n_test", "test_seeds", "test_calibration_slope_high"}
    assert not undefined & scores.keys()
    logged = {f.path for folder in ("", "plots", "results") for f in client.list_artifacts(run_id, folder)}
    assert {"plots/roc.png", "results/predictions.csv", "confusion_matrix.json"} <= logged
    matrix = json.loads(Path(client.download_artifacts(run_id, "confusion_matrix.json")).read_text())
    assert matrix == METRICS["confusion_matrix"]


def test_artifacts_of_a_local_store_lie_in_the_project(client, store, identity):
    run_id = publish(identity, curve(1))
    experiment = client.get_experiment_by_name(identity.experiment)
    assert experiment.artifact_location == (store / "mlartifacts" / "lung-attention" / "sample").as_uri()
    assert list(store.glob(f"mlartifacts/lung-attention/sample/{run_id}/artifacts/results/predictions.csv"))


def test_what_an_experiment_of_dvc_gave_is_no_result_and_is_not_filled_twice(client, identity, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "more-epochs")
    run_id = publish(identity, curve(1))
    run = client.get_run(run_id)
    assert (run.data.tags["complete"], run.data.tags["dvc_experiment"]) == ("experiment", "more-epochs")
    assert not runs.is_complete(run)
    before = everything(client)
    assert publish(identity, curve(1)) == run_id
    assert everything(client) == before


def test_results_from_a_cache_become_a_run(client, identity):
    history = pd.concat([TWO_FITS, curve(3, fold=-1)])
    run_id = publish(identity, history, mistakes=[1])
    run = client.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", identity.cell.name)
    assert run.data.params == asdict(identity.cell) | {"epochs": "3", "learning_rate": "0.0001"}
    assert run.data.tags["logged_from"] == "files"
    assert run.data.tags["inputs"] == identity.inputs
    assert points(client, run_id, "loss") == pytest.approx(dict(zip([1, 2, 3], curve(3).loss, strict=True)))
    fits = nested(client, run_id)
    assert set(fits) == {"seed-0 fold-0", "seed-0 fold-1", "seed-0 refit"}
    assert {fit.info.status for fit in fits.values()} == {"FINISHED"}
    refit = fits["seed-0 refit"]
    assert len(points(client, refit.info.run_id, "loss")) == 3
    assert "val_loss" not in refit.data.metrics
    # Each fit is scored on its own test part. Fold 1 calls everything normal, one class of three.
    accuracy = {name: fit.data.metrics.get("test_accuracy") for name, fit in fits.items()}
    third = pytest.approx(1 / 3)
    assert accuracy == {"seed-0 fold-0": 1.0, "seed-0 fold-1": third, "seed-0 refit": None}
    assert fits["seed-0 fold-1"].data.metrics["test_mcc"] == 0.0
    assert "test_ece" not in fits["seed-0 fold-0"].data.metrics


def test_twice_in_a_row_changes_nothing(client, identity):
    first = publish(identity, TWO_FITS)
    before = everything(client)
    assert publish(identity, TWO_FITS) == first
    assert everything(client) == before


def test_live_and_published_runs_have_the_same_names(client, cells):
    def names(run_id):
        runs = [client.get_run(run_id), *nested(client, run_id).values()]
        found = [{name for name in run.data.metrics if not name.startswith("system/")} for run in runs]
        return {run.info.run_name.replace(own, ""): of for run, of in zip(runs, found, strict=True)}

    own = cells[0].cell.name
    trained = train(cells[0], TWO_FITS)
    assert publish(cells[0], TWO_FITS) == trained
    live = names(trained)
    assert set(live) == {"", "seed-0 fold-0", "seed-0 fold-1"}
    own = cells[1].cell.name
    assert names(publish(cells[1], TWO_FITS)) == live


def test_an_incomplete_record_gives_way_to_a_run_made_from_the_files(client, identity):
    """Its process has ended well, but could not say so; the next training marks its run FAILED."""
    left = runs.create(client, identity, PARAMS, {"device": "cpu"}).info.run_id
    client.log_metric(left, "loss", curve(3).loss[0], step=1)
    with live_run(replace(identity, inputs="ab" * 32), {}, device="cpu"):
        assert client.get_run(left).info.status == "FAILED"
    run_id = publish(identity, curve(3))
    assert counting(client) == [run_id] != [left]
    assert set(points(client, run_id, "loss")) == {1, 2, 3}
    assert is_superseded(client, left)


def test_a_failed_training_is_not_taken_for_the_one_that_succeeded(client, identity):
    with pytest.raises(ZeroDivisionError), live_run(identity, PARAMS, device="cpu") as failed:
        _ = 1 / 0
    run_id = publish(identity, curve(3))
    assert counting(client) == [run_id] != [failed.run_id]
    assert client.get_run(failed.run_id).info.status == "FAILED"


def test_a_training_under_way_is_left_alone(client, identity):
    with live_run(identity, PARAMS, device="cpu") as other:
        run_id = publish(identity, curve(3))
        assert counting(client) == [run_id] != [other.run_id]
        assert client.get_run(other.run_id).info.status == "RUNNING"
        assert not is_superseded(client, other.run_id)


def test_a_forced_rerun_supersedes_the_old_run(client, identity):
    old = train(identity, curve(3))
    assert publish(identity, curve(3)) == old
    new = train(identity, curve(3))
    assert counting(client) == [old]
    assert publish(identity, curve(3)) == new
    assert counting(client) == [new]
    assert is_superseded(client, old)
    assert client.get_run(old).info.status == "FINISHED"
    before = everything(client)
    assert publish(identity, curve(3)) == new
    assert everything(client) == before


def test_other_results_of_the_same_inputs_are_another_run(client, identity):
    """As from a machine that rounds differently. When the first come back, their run counts again."""
    other = curve(3)
    other["loss"] *= 1.01
    first = train(identity, curve(3))
    assert publish(identity, curve(3)) == first
    second = publish(identity, other)
    assert counting(client) == [second] != [first]
    assert points(client, second, "loss")[1] == pytest.approx(other.loss[0])
    assert publish(identity, curve(3)) == first
    assert counting(client) == [first]
    assert is_superseded(client, second)


def test_a_run_of_another_device_is_not_taken(client, identity):
    trained = train(identity, curve(3))
    assert publish(identity, curve(3), device="NVIDIA H100") != trained


def test_a_cell_is_drawn_only_when_its_run_has_to_be_filled(identity, drawn):
    for _ in range(2):
        publish(identity, curve(1))
    assert len(drawn) == 1


def test_what_is_not_at_hand_is_left_as_it_is(client, identity):
    """A clone without DVC's data tracks the same results as one with them, and undoes nothing."""
    split = pd.DataFrame({"image": ["a"], "label": ["normal"], "group": "", "fold": 0, "subset": "test"})
    table, model = PATHS.split("iqoth", "published"), PATHS.model(identity.cell)
    write_table(table, split)
    put(b"not opened", model)
    run_id = publish(identity, curve(1))
    before = everything(client)
    assert {"datasets", "model", "model_id"} <= before[run_id][1].keys()
    table.unlink()
    model.unlink()
    assert publish(identity, curve(1)) == run_id
    assert everything(client) == before


def test_new_scores_replace_old_ones(client, identity):
    run_id = publish(identity, curve(3))
    assert publish(identity, curve(3), accuracy=0.85) == run_id
    assert client.get_run(run_id).data.metrics["test_accuracy"] == 0.85
    # A score that is no longer defined cannot be taken back in MLflow: such a run gives way to a new one.
    assert publish(identity, curve(3), accuracy=None) != run_id


def test_an_interrupted_publication_is_taken_up_again(client, identity, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "log_artifacts", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(identity, curve(3))
    (half,) = everything(client)
    run = client.get_run(half)
    assert (run.info.status, run.data.tags["complete"]) == ("FINISHED", "false")
    assert publish(identity, curve(3)) == half
    assert counting(client) == [half]


def encoded(shape, image_format):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format=image_format)
    return buffer.getvalue()


def test_the_model_is_logged_without_pickles_and_loads_anywhere(
    client, store, identity, keras_file, tmp_path
):
    path, model = keras_file
    put(path.read_bytes(), PATHS.model(identity.cell))
    run_id = publish(identity, curve(2))
    before = everything(client)
    publish(identity, curve(2))
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
    assert list(predicted.columns) == list(LABELS["iqoth"])
    assert list(predicted.index) == [5, 7]
    for row, image in enumerate(images):
        pixels = np.asarray(Image.open(BytesIO(image)).convert("RGB"))
        expected = np.asarray(model(pixels[np.newaxis]))[0]
        np.testing.assert_allclose(predicted.to_numpy()[row], expected, atol=1e-6)


def test_nothing_of_tensorflow_is_needed_to_publish(client, identity):
    """Evaluation imports no TensorFlow, and `--help` no MLflow."""
    publish(identity, curve(1))
    put(b"not opened", PATHS.model(identity.cell))
    script = f"""
import sys
import lung_attention.tracking.cells as cells
assert not {{"mlflow", "matplotlib", "sklearn"}} & set(sys.modules)
from pathlib import Path
from lung_attention.cells import Cell
from lung_attention.paths import Paths
cells.publish_cell({identity.cell!r}, Paths("sample"), root=Path.cwd())
assert not {{"tensorflow", "keras"}} & set(sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "MLFLOW_TRACKING_URI" not in done.stderr
