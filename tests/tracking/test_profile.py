"""`lung-attention track`, and the champions, on a profile's files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import pytest
import yaml
from cell_files import copy_configuration

from lung_attention import tracking
from lung_attention.cells import Cell
from lung_attention.errors import UserError
from lung_attention.files import read_json, read_table, write_table
from lung_attention.paths import Paths
from lung_attention.tracking import cells as profile_cells
from lung_attention.tracking import live_run
from lung_attention.tracking.cells import cells_with_results, identity_of, promote
from lung_attention.tracking.publish import publish_cell
from lung_attention.workflow.status import lock_entry

ROOT = Path(__file__).parents[2]
SOURCE = Path(tracking.__file__).parents[2]
CELL = Cell("iqoth", "densenet121", "attention", "published", "published")
OTHER = Cell("iqoth", "mobilenetv2", "plain", "published", "grouped")


@pytest.fixture
def project(store):
    """Two cells of the committed sample, in the folder of the connected store, under two profiles."""
    copy_configuration(store)
    shutil.copy(ROOT / "dvc.lock", store)
    for profile in ("sample", "local"):
        for cell in (CELL, OTHER):
            shutil.copytree(ROOT / Paths("sample").cell(cell), Paths(profile).cell(cell))
    return store


@pytest.fixture
def model(project):
    """Puts a file, which nobody opens, where the training of `CELL` in the profile `local` leaves a model."""
    path = Paths("local").model(CELL)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not opened")
    return path


def state(client):
    """Runs and models, with all that changes when something is logged."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = {run.info.run_id: run.to_dictionary() for run in client.search_runs(experiments)}
    versions = [(v.name, v.version, v.tags) for v in client.search_model_versions()]
    aliases = {
        model.name: client.get_registered_model(model.name).aliases
        for model in client.search_registered_models()
    }
    return runs, versions, aliases


def test_a_profile_is_tracked_once_however_often_it_is_asked_for(client, project):
    for cell in cells_with_results(Paths("sample")):
        publish_cell(cell, Paths("sample"), root=project)
    before = state(client)
    found = [run for run in before[0].values() if run["data"]["tags"]["kind"] == "cell"]
    assert sorted(run["data"]["tags"]["mlflow.runName"] for run in found) == [CELL.name, OTHER.name]
    for run in found:
        assert run["data"]["tags"]["complete"] == "true"
        assert run["data"]["tags"]["dvc_lock"] == lock_entry(
            CELL if run["data"]["tags"]["head"] == "attention" else OTHER, Paths("sample")
        )
        assert "test_balanced_accuracy" in run["data"]["metrics"]
    for cell in cells_with_results(Paths("sample")):
        publish_cell(cell, Paths("sample"), root=project)
    assert state(client) == before


@pytest.mark.parametrize("same", [True, False])
def test_a_training_that_gives_the_known_predictions_is_complete_at_once(client, project, same):
    """DVC skips the evaluation then; other predictions are left to it."""
    paths = Paths("sample")
    table = read_table(paths.predictions(CELL))
    raw = table.drop(columns=["group", "prediction"]).sample(frac=1, random_state=0)
    if not same:
        raw["probability_normal"] += 1e-6
    write_table(paths.raw_predictions(CELL), raw)
    metrics = read_json(paths.metrics(CELL))
    with live_run(identity_of(CELL, paths, metrics["inputs"]), metrics["params"], device="cpu") as run:
        run_id = run.run_id
    found = client.get_run(run_id).data
    assert found.tags.get("complete") == str(same).lower()
    assert ("test_accuracy" in found.metrics) == same


def test_the_lock_entry_is_that_of_the_profile_and_changes_with_it(project):
    committed = lock_entry(CELL, Paths("sample"))
    assert committed is not None
    # Stages have the same names in all profiles: the entry at hand is of another one.
    assert lock_entry(CELL, Paths("local")) is None
    whole = Path("dvc.lock").read_text()
    lock = yaml.safe_load(whole)
    entry = lock["stages"][CELL.stage]
    # DVC writes in place: another process's file may be read while it grows.
    begins, ends = whole.index(f"  {CELL.stage}:"), whole.index(entry["outs"][0]["md5"])
    for end in range(begins, ends - len("md5: "), 7):
        Path("dvc.lock").write_text(whole[:end])
        assert lock_entry(CELL, Paths("sample")) is None
    Path("dvc.lock").write_text(whole)
    text = json.dumps({"stages": {CELL.stage: entry}}).replace("artifacts/sample", "artifacts/local")
    (Paths("local").results / "dvc.lock").write_text(yaml.safe_dump(json.loads(text)))
    local = lock_entry(CELL, Paths("local"))
    assert local not in (None, committed)
    Path("dvc.lock").write_text(Path("dvc.lock").read_text().replace(entry["outs"][0]["md5"], "0" * 32))
    assert lock_entry(CELL, Paths("sample")) not in (None, committed)
    unknown = Cell("lidc_nodules", "densenet121", "plain", "published", "grouped")
    assert lock_entry(unknown, Paths("sample")) is None


def test_the_champion_is_moved_by_promotion_alone_and_is_had_by_its_alias(client, project, model, tmp_path):
    name = "lung-attention.local.iqoth-densenet121-attention-published-published"
    with pytest.raises(UserError, match="not registered"):
        promote([CELL], Paths("local"), root=project)
    run_id = publish_cell(CELL, Paths("local"), root=project)
    (version,) = client.search_model_versions(f"name = '{name}'")
    assert (str(version.version), version.run_id) == ("1", run_id)
    assert client.get_registered_model(name).aliases == {}
    assert promote([CELL], Paths("local"), root=project) == {name: "1"}
    before = state(client)
    assert {alias: str(version) for alias, version in before[2][name].items()} == {"champion": "1"}
    assert promote([CELL], Paths("local"), root=project) == {name: "1"}
    assert publish_cell(CELL, Paths("local"), root=project) == run_id
    assert state(client) == before

    # Another model: registered, and not the champion before the gate says so.
    with model.open("ab") as stream:
        stream.write(b"\0")
    publish_cell(CELL, Paths("local"), root=project)
    assert str(client.get_model_version_by_alias(name, "champion").version) == "1"
    assert promote([CELL], Paths("local"), root=project) == {name: "2"}
    assert str(client.get_model_version_by_alias(name, "champion").version) == "2"
    client.set_registered_model_alias(name, "champion", "1")

    (had := tmp_path / "had").mkdir()
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{name}@champion", dst_path=had))
    assert [file.read_bytes() for file in folder.rglob("*.keras")] == [b"not opened"]
    described = client.get_model_version(name, "1").description
    assert described.startswith("DenseNet121 with the head attention")


def test_no_alias_moves_unless_all_can(client, project, model):
    publish_cell(CELL, Paths("local"), root=project)
    publish_cell(OTHER, Paths("local"), root=project)  # its model is not at hand
    with pytest.raises(UserError, match="mobilenetv2-plain-published-grouped"):
        promote([CELL, OTHER], Paths("local"), root=project)
    (registered,) = client.search_registered_models()
    assert client.get_registered_model(registered.name).aliases == {}


def test_models_of_stand_ins_are_not_registered(client, project, model):
    target = Paths("sample").model(CELL)
    target.parent.mkdir(parents=True)
    shutil.copy(model, target)
    run_id = publish_cell(CELL, Paths("sample"), root=project)
    assert "model" in client.get_run(run_id).data.tags
    assert list(client.search_model_versions()) == []
    assert promote([CELL], Paths("sample"), root=project) == {}


def test_cells_are_chosen_by_patterns(project):
    assert cells_with_results(Paths("sample"), ["*-grouped"]) == [OTHER]
    with pytest.raises(UserError, match="no cell matches nothing"):
        cells_with_results(Paths("sample"), ["nothing"])
    with pytest.raises(UserError, match="no metrics"):
        cells_with_results(Paths("public"))


def test_a_server_that_is_away_costs_nobody_their_results(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.warns(UserWarning, match="lung-attention track"):
        profile_cells.try_publish_cell(CELL, Paths("sample"), root=project)
    mlflow.set_tracking_uri(None)


def test_training_and_evaluation_mean_the_same_run(project):
    inputs = json.loads(Paths("sample").metrics(CELL).read_text())["inputs"]
    identity = identity_of(CELL, Paths("sample"), inputs)
    assert (identity.cell.stage, identity.inputs) == (f"train@{CELL.name}", inputs)
