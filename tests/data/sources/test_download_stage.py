"""What was fetched is what the stages read, in the profile `public` and, on another machine, in `local`."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lung_attention.data.sources.checksums import Record, write_record

ROOT = Path(__file__).parents[3]
SAMPLE = (ROOT / "sample" / "iqoth.zip").read_bytes()  # the release's layout, with fewer images


@pytest.fixture
def stage(tmp_path):
    """Runs the stage `download` of a profile on a folder of downloads."""
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (downloads / "iqoth.zip").write_bytes(SAMPLE)
    digest = hashlib.sha256(SAMPLE).hexdigest()
    record = Record(digest, len(SAMPLE), "mendeley", "https://data.example/zip", "2026-01-01", {})
    write_record(downloads / "iqoth.zip", record)
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in ("public", "local"):
        values["profiles"][name]["download"]["check_counts"] = False
    # One dataset and the published recipe alone.
    for part in (*values["further"].values(), values["explained"]):
        part.update({factor: [] for factor in part})

    def run(profile):
        (tmp_path / "params.yaml").write_text(
            yaml.safe_dump({**values, "profile": profile, "datasets": ["iqoth"]})
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        variable = {"public": "LUNG_ATTENTION_DOWNLOADS", "local": "LUNG_ATTENTION_ARCHIVES"}[profile]
        environment[variable] = str(downloads)
        command = [sys.executable, str(ROOT / "stages" / "download.py"), "--dataset", "iqoth"]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    run.root, run.archive, run.digest = tmp_path, downloads / "iqoth.zip", digest
    return run


def test_the_stage_says_which_source_served(stage):
    for profile in ("public", "local"):
        done = stage(profile)
        assert done.returncode == 0, done.stderr
        manifests = stage.root / "artifacts" / profile / "manifests"
        assert json.loads((manifests / "iqoth.json").read_text()) == {
            "source": {"public": "public", "local": "folder"}[profile],
            "sha256": stage.digest,
            "served_by": "mendeley",
            "address": "https://data.example/zip",
            "fetched": "2026-01-01",
        }
    public, local = (
        stage.root / "artifacts" / name / "manifests" / "iqoth.csv" for name in ("public", "local")
    )
    assert public.read_bytes() == local.read_bytes()


def test_a_file_that_was_changed_after_it_was_fetched_ends_the_stage_before_it_writes(stage):
    stage.archive.write_bytes(SAMPLE[:-1] + b"x")
    done = stage("public")
    assert done.returncode == 2
    assert "sources.json" in done.stderr
    assert stage.digest in done.stderr
    assert not (stage.root / "artifacts").exists()


def test_what_has_not_been_fetched_is_told_with_the_command(stage):
    stage.archive.unlink()
    done = stage("public")
    assert done.returncode == 2
    assert "lung-attention fetch iqoth" in done.stderr


def imported_by(program, *arguments):
    """The top packages that a program has imported when it ends."""
    program += "; import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


CLIENTS = {
    "boto3",
    "botocore",
    "huggingface_hub",
    "idc_index_data",
    "kagglehub",
    "keras",
    "pooch",
    "requests",
}


def test_neither_the_stage_nor_what_fetches_waits_for_a_client_before_it_is_asked():
    program = "import runpy, sys; runpy.run_path(sys.argv[1]); import lung_attention.data.sources.fetch"
    assert not CLIENTS & imported_by(program, str(ROOT / "stages" / "download.py"))


def test_the_configuration_knows_sources_without_what_asks_them():
    found = imported_by("import lung_attention.config")
    assert not (CLIENTS | {"pydicom", "scipy", "sklearn", "tensorflow"}) & found
