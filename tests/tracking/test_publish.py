"""Runs made complete from the files of a cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from cell_files import METRICS, PARAMS, PATHS, copy_configuration, curve, publish
from known import ROOT

from lung_attention import tracking
from lung_attention.cells import FACTORS
from lung_attention.files import write_table
from lung_attention.tracking import live_run, runs
from lung_attention.tracking import publish as publishing

SOURCE = Path(tracking.__file__).parents[2]
# What of a cell's metrics names it and its training.
ABOUT = (*FACTORS, "inputs", "params", "device")
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
    assert scores["test_calibration_slope"] == 0.5
    # Undefined scores and sizes are no scores, and the spread over one seed is always 0.
    undefined = {"test_auroc_ovr", "test_n_test", "test_seeds", "test_accuracy_seed_sd"}
    assert not undefined & scores.keys()
    logged = {f.path for folder in ("", "plots", "results") for f in client.list_artifacts(run_id, folder)}
    assert {"plots/roc.png", "results/predictions.csv", "confusion_matrix.json"} <= logged
    matrix = json.loads(Path(client.download_artifacts(run_id, "confusion_matrix.json")).read_text())
    assert matrix == METRICS["confusion_matrix"]


def test_a_run_has_few_enough_metrics_to_be_looked_at(client, identity):
    """Of a committed cell of the sample with several seeds, if there is one; its file has all of them."""
    committed = (ROOT / "results/sample/cells").glob("iqoth-*/metrics.json")
    values = max(map(json.loads, map(Path.read_text, committed)), key=lambda one: len(one["seeds"]))
    run = client.get_run(publish(identity, curve(3), **{k: v for k, v in values.items() if k not in ABOUT}))
    assert 15 <= len(run.data.metrics) <= 25
    several = len(values["seeds"]) > 1
    assert ("test_accuracy_seed_sd" in run.data.metrics) == several
    kept = json.loads(Path(client.download_artifacts(run.info.run_id, "results/metrics.json")).read_text())
    assert kept["brier_low"] == values["brier_low"]


def test_a_run_has_the_card_of_its_results_and_of_no_others(client, identity):
    card = PATHS.card(identity.cell)
    card.parent.mkdir(parents=True)
    header = "model-index:\n- results:\n  - metrics:\n    - {type: accuracy, value: 0.7}\n"
    card.write_text(f"---\n{header}---\n\n# Card\n\n{identity.inputs}\n")
    run_id = publish(identity, curve(1))
    assert "card" not in client.get_run(run_id).data.tags
    card.write_text(card.read_text().replace("0.7", "0.8"))
    assert publish(identity, curve(1)) == run_id
    assert client.get_run(run_id).data.tags["mlflow.note.content"].startswith("# Card")
    assert Path(client.download_artifacts(run_id, "model_card.md")).read_text().startswith("# Card")
    before = everything(client)
    assert publish(identity, curve(1)) == run_id
    assert everything(client) == before


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


def test_files_of_locks_are_few_however_many_checkouts_there_are(monkeypatch, identity):
    def file_of(root):
        monkeypatch.setattr(publishing, "address", lambda: f"sqlite:////home/{root}/mlflow.db")
        return publishing._alone(identity).lock_file

    files = [file_of(root) for root in range(300)]
    assert files[0] == file_of(0)
    assert 1 < len(set(files)) <= publishing._LOCKS < 100
