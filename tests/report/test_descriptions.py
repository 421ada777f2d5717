import hashlib
import json
import zipfile
from pathlib import Path

import mlcroissant as mlc
import pytest
from rocrate.rocrate import ROCrate

from lung_attention.config import load_config
from lung_attention.errors import UserError
from lung_attention.paths import CRATE, PARAMS
from lung_attention.report.croissant import croissant
from lung_attention.report.descriptions import write_descriptions

ROOT = Path(__file__).parents[2]
CONFIG = load_config(ROOT / PARAMS)
COMMITTED = ROOT / CRATE


def graph_of(path):
    return {one["@id"]: one for one in json.loads(path.read_text())["@graph"]}


@pytest.mark.parametrize("name", CONFIG.catalog)
def test_each_dataset_is_a_valid_croissant_file(name):
    described = croissant(CONFIG.dataset(name), sha256="0" * 64, copy=None, published="2026-01-02")
    read = mlc.Dataset(jsonld=described)
    assert not read.metadata.issues.errors and not read.metadata.issues.warnings
    assert read.metadata.name == name
    assert {one.id for one in read.metadata.distribution} == {"archive", "images"}


def test_croissant_finds_the_images_of_the_sample_with_their_folders(tmp_path, monkeypatch):
    """By the reference reader, from the archive itself."""
    archive = ROOT / "sample" / "iqoth.zip"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    described = croissant(CONFIG.dataset("iqoth"), sha256=digest, copy=None, published="2026-01-02")
    (tmp_path / "iqoth.json").write_text(json.dumps(described))
    (tmp_path / "iqoth.zip").write_bytes(archive.read_bytes())
    monkeypatch.setenv("CROISSANT_CACHE", str(tmp_path / "cache"))
    records = list(mlc.Dataset(jsonld=str(tmp_path / "iqoth.json")).records("records"))
    with zipfile.ZipFile(archive) as opened:
        names = [one for one in opened.namelist() if one.endswith(".jpg")]
    assert len(records) == len(names)
    folders = {record["records/folder"].decode() for record in records}
    assert folders == {"Normal cases", "Malignant cases", "Bengin cases"}
    images = {record["records/name"].decode() for record in records}
    assert images == {name.split("dataset/", 1)[1] for name in names}


def test_a_run_is_a_crate_that_its_own_library_reads(complete, monkeypatch, tmp_path):
    (complete.root / "sample").mkdir(exist_ok=True)
    for name in complete.config.datasets:
        (complete.root / "sample" / f"{name}.zip").write_bytes(name.encode())
    (complete.root / "dvc.yaml").write_text("stages: {}\n")
    (complete.root / "dvc.lock").write_text("stages: {}\n")
    (complete.root / complete.paths.summary).write_text("dataset\n")
    list(write_descriptions(complete.config, complete.root))
    crate = ROCrate(str(complete.root))
    graph = graph_of(complete.root / CRATE)
    assert crate.mainEntity.id == "dvc.yaml"
    run = graph["#run"]
    assert run["@type"] == "CreateAction" and run["instrument"] == {"@id": "dvc.yaml"}
    read, gave = ({one["@id"] for one in run[key]} for key in ("object", "result"))
    assert {"params.yaml", "dvc.lock", "#iqoth.zip"} <= read
    assert complete.paths.comparisons.as_posix() in gave
    assert not any("croissant" in one or "ro-crate" in one for one in gave)
    for name in gave:
        content = (complete.root / name).read_bytes()
        assert graph[name]["sha256"] == hashlib.sha256(content).hexdigest()


def test_results_that_are_not_there_are_told(tmp_path, complete):
    with pytest.raises(UserError, match=r"summary\.csv"):
        list(write_descriptions(complete.config, tmp_path))


@pytest.mark.skipif(not COMMITTED.exists(), reason="no crate of real results is committed")
def test_the_committed_crate_is_of_the_committed_results():
    graph = graph_of(COMMITTED)
    gave = [one["@id"] for one in graph["#run"]["result"]]
    assert len(gave) > 50
    for name in gave:
        assert graph[name]["sha256"] == hashlib.sha256((ROOT / name).read_bytes()).hexdigest(), (
            f"{name} is another one now: make readme"
        )
