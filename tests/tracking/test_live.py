"""Runs that are open while a training goes on, and how they end."""

from __future__ import annotations

import logging
import re
import signal
import subprocess
import time
from dataclasses import asdict, replace

import pytest
from known import DATASETS

from lung_attention.cells import design
from lung_attention.tracking import live_run
from lung_attention.tracking.processes import code_tags

PARAMS = {"epochs": 3, "learning_rate": 0.0001}


def steps(client, run_id, name):
    return {point.step: point.value for point in client.get_metric_history(run_id, name)}


def cells(client, identity):
    experiment = client.get_experiment_by_name(identity.experiment)
    return client.search_runs([experiment.experiment_id], "tags.kind = 'cell'")


def fits(client, run_id):
    run = client.get_run(run_id)
    children = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
    return {child.info.run_name: child for child in children}


def test_a_finished_training_has_its_parameters_tags_and_curves(client, identity):
    with live_run(identity, PARAMS, device="cpu") as logger:
        for epoch in (1, 2, 3):
            logger.epoch(0, 0, epoch, {"loss": 1 / epoch, "val_loss": float("nan"), "accuracy": None})
    run = client.get_run(logger.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == identity.cell.name
    assert run.data.params == asdict(identity.cell) | {"epochs": "3", "learning_rate": "0.0001"}
    assert steps(client, logger.run_id, "loss") == {1: 1.0, 2: 0.5, 3: pytest.approx(1 / 3)}
    assert not {"val_loss", "accuracy"} & run.data.metrics.keys()
    assert "system/cpu_utilization_percentage" in run.data.metrics
    tags = run.data.tags
    assert asdict(identity.cell).items() <= tags.items()
    assert (tags["stage"], tags["inputs"], tags["device"]) == (identity.cell.stage, identity.inputs, "cpu")
    assert tags["complete"] == "false"
    assert {"git_commit", "version.mlflow", "version.python"} <= tags.keys()
    assert not fits(client, logger.run_id)


def test_a_run_of_an_experiment_of_dvc_is_told_apart(client, identity, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "more-epochs")
    with live_run(identity, PARAMS, device="cpu") as logger:
        logger.epoch(0, 0, 1, {"loss": 1.0})
    run = client.get_run(logger.run_id)
    assert run.info.run_name == f"{identity.cell.name} [more-epochs]"
    assert run.data.tags["dvc_experiment"] == "more-epochs"
    assert run.data.tags["mlflow.runColor"] != identity.colour
    # What `make repro PROFILE=…` runs is an experiment for DVC, too, and gives results.
    monkeypatch.setenv("LUNG_ATTENTION_RUN", "1")
    with live_run(identity, PARAMS, device="cpu") as logger:
        logger.epoch(0, 0, 1, {"loss": 1.0})
    run = client.get_run(logger.run_id)
    assert run.info.run_name == identity.cell.name
    assert "dvc_experiment" not in run.data.tags


def test_the_obvious_filter_lists_the_cell_once(client, identity):
    with live_run(identity, PARAMS, device="cpu") as logger:
        logger.epoch(0, 0, 1, {"loss": 1.0})
        logger.epoch(0, 1, 1, {"loss": 2.0})
    experiment = client.get_experiment_by_name(identity.experiment).experiment_id
    found = client.search_runs([experiment], "tags.dataset = 'iqoth' and tags.head = 'plain'")
    assert [run.info.run_id for run in found] == [logger.run_id]


def test_curves_can_be_seen_while_it_trains(client, identity):
    with live_run(identity, PARAMS, device="cpu") as logger:
        logger.epoch(0, 0, 1, {"loss": 1.0})
        assert client.get_run(logger.run_id).info.status == "RUNNING"
        assert steps(client, logger.run_id, "loss") == {1: 1.0}


def test_several_fits_are_nested_and_the_first_is_the_cells_own(client, identity):
    with live_run(identity, PARAMS, device="cpu") as logger:
        for number, (seed, fold) in enumerate([(0, 0), (0, 1), (0, -1), (1, 0)]):
            for epoch in (1, 2):
                logger.epoch(seed, fold, epoch, {"loss": 10.0 * number + epoch})
    nested = fits(client, logger.run_id)
    assert set(nested) == {"seed-0 fold-0", "seed-0 fold-1", "seed-0 refit", "seed-1 fold-0"}
    assert {run.info.status for run in nested.values()} == {"FINISHED"}
    assert steps(client, logger.run_id, "loss") == {1: 1.0, 2: 2.0}
    assert steps(client, nested["seed-0 fold-0"].info.run_id, "loss") == {1: 1.0, 2: 2.0}
    assert steps(client, nested["seed-1 fold-0"].info.run_id, "loss") == {1: 31.0, 2: 32.0}


def test_an_exception_fails_the_run_and_its_fits(client, identity):
    with pytest.raises(ZeroDivisionError), live_run(identity, PARAMS, device="cpu") as logger:
        logger.epoch(0, 0, 1, {"loss": 1.0})
        logger.epoch(0, 1, 1, {"loss": 1.0})
        _ = 1 / 0
    assert client.get_run(logger.run_id).info.status == "FAILED"
    assert fits(client, logger.run_id)["seed-0 fold-1"].info.status == "FAILED"
    # The first fit had come to its end.
    assert fits(client, logger.run_id)["seed-0 fold-0"].info.status in {"FINISHED", "FAILED"}


def test_ctrl_c_kills_the_run(client, identity):
    with pytest.raises(KeyboardInterrupt), live_run(identity, PARAMS, device="cpu") as logger:
        raise KeyboardInterrupt
    assert client.get_run(logger.run_id).info.status == "KILLED"


def test_processes_that_are_ended_from_outside(client, identity, start_training):
    """SIGTERM closes the run; after SIGKILL the next training of the same identity marks it FAILED."""
    ended, murdered = start_training(identity), start_training(identity)
    for process in (ended, murdered):
        assert process.stdout.readline() == "open\n"
    assert [run.info.status for run in cells(client, identity)] == ["RUNNING"] * 2
    ended.send_signal(signal.SIGTERM)
    assert ended.wait(20) == 128 + signal.SIGTERM
    assert sorted(run.info.status for run in cells(client, identity)) == ["KILLED", "RUNNING"]

    # A training that is alive is left alone.
    with live_run(identity, PARAMS, device="cpu"):
        assert sorted(run.info.status for run in cells(client, identity)) == ["KILLED", "RUNNING", "RUNNING"]
    assert sorted(run.info.status for run in cells(client, identity)) == ["FINISHED", "KILLED", "RUNNING"]

    murdered.kill()
    murdered.wait()
    with live_run(identity, PARAMS, device="cpu"):
        left = [run for run in cells(client, identity) if run.info.status == "FAILED"]
        assert len(left) == 1
        assert {run.info.status for run in fits(client, left[0].info.run_id).values()} <= {
            "FINISHED",
            "FAILED",
        }
    assert sorted(run.info.status for run in cells(client, identity)) == [
        "FAILED", "FINISHED", "FINISHED", "KILLED",
    ]  # fmt: skip


def test_an_exported_run_id_does_not_swallow_the_fits(client, identity, monkeypatch):
    with live_run(identity, PARAMS, device="cpu") as outer:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", outer.run_id)
    with live_run(identity, PARAMS, device="cpu") as logger:
        logger.epoch(0, 0, 1, {"loss": 1.0})
        logger.epoch(0, 1, 1, {"loss": 1.0})
    assert (
        len({outer.run_id, logger.run_id} | {r.info.run_id for r in fits(client, logger.run_id).values()})
        == 4
    )


def test_an_epoch_costs_less_than_ten_milliseconds(client, identity):
    with live_run(identity, PARAMS, device="cpu") as logger:
        logger.epoch(0, 0, 1, {"loss": 1.0})
        started = time.perf_counter()
        for epoch in range(2, 202):
            logger.epoch(0, 0, epoch, {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5})
        spent = (time.perf_counter() - started) / 200
    assert spent < 0.010, f"{1000 * spent:.1f} ms an epoch"
    assert len(steps(client, logger.run_id, "accuracy")) == 200


def test_the_split_is_logged_as_datasets(client, identity):
    import pandas as pd

    table = pd.DataFrame(
        {
            "image": ["a", "b", "c"],
            "label": ["normal", "benign", "normal"],
            "group": "",
            "fold": 0,
            "subset": ["train", "train", "test"],
        }
    )
    with live_run(identity, PARAMS, device="cpu", split=table) as logger:
        pass
    inputs = client.get_run(logger.run_id).inputs.dataset_inputs
    found = {(i.dataset.name, i.tags[0].value) for i in inputs}
    assert found == {("iqoth-published-train", "train"), ("iqoth-published-test", "test")}
    assert len({i.dataset.digest for i in inputs}) == 2


def test_a_failing_server_is_told_once_and_training_goes_on(client, identity, monkeypatch, caplog):
    caplog.set_level(logging.WARNING, logger="lung_attention")
    with live_run(identity, PARAMS, device="cpu") as logger:
        logger.epoch(0, 0, 1, {"loss": 1.0})
        with monkeypatch.context() as patch:
            patch.setattr(
                logger._curves._client, "log_batch", lambda *a, **k: (_ for _ in ()).throw(OSError("gone"))
            )
            for epoch in (2, 3):
                logger._next_flush = 0.0
                logger.epoch(0, 0, epoch, {"loss": 1.0})
    told = [record for record in caplog.records if "lung-attention track" in record.getMessage()]
    assert len(told) == 1
    # It came back before the end: nothing is missing.
    assert set(steps(client, logger.run_id, "loss")) == {1, 2, 3}


def test_a_training_whose_curves_have_gaps_has_not_finished(client, identity, monkeypatch):
    """Nobody is to take it for the record of the training: its files are."""
    with live_run(identity, PARAMS, device="cpu") as logger:
        monkeypatch.setattr(logger._curves, "send", lambda: (_ for _ in ()).throw(OSError("gone")))
        logger.epoch(0, 0, 1, {"loss": 1.0})
    assert client.get_run(logger.run_id).info.status == "RUNNING"
    with live_run(identity, PARAMS, device="cpu"):
        assert client.get_run(logger.run_id).info.status == "FAILED"


def test_no_two_cells_have_the_same_colour(identity):
    factors = (
        DATASETS, ("mobilenetv2", "densenet121", "another"), ("plain", "attention", "another"),
        ("published", "searched"), ("published", "grouped"),
    )  # fmt: skip
    cells = list(design(*map(tuple, factors)))
    colours = {replace(identity, cell=cell).colour for cell in cells}
    assert len(colours) == len(cells) == len(DATASETS) * 36
    assert all(re.fullmatch("#[0-9a-f]{6}", name) for name in colours)


def test_the_commit_is_that_of_the_folder_at_work(tmp_path, monkeypatch):
    """DVC's isolated copy is a repository of its own; without one the run says so."""
    monkeypatch.chdir(tmp_path)
    assert code_tags() == {"git_commit": "unknown"}

    def git(*arguments):
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        return subprocess.run(
            ["git", *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout

    git("init")
    (tmp_path / "params.yaml").write_text("epochs: 1\n")
    git("add", "params.yaml")
    git("commit", "-m", "Start")
    tags = code_tags()
    assert tags["git_commit"] == git("rev-parse", "HEAD").strip()
    assert tags["mlflow.source.git.commit"] == tags["git_commit"]
    assert tags["git_dirty"] == "false"
    (tmp_path / "results.csv").write_text("changes while a pipeline runs")
    assert code_tags()["git_dirty"] == "false"
    (tmp_path / "params.yaml").write_text("epochs: 2\n")
    assert code_tags()["git_dirty"] == "true"
