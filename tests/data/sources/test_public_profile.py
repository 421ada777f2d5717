"""The profile `public` from its servers to its report, with small stand-ins of all four datasets."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ct_phantom import BUCKET, Bucket, listing, slice_file
from known import DATASETS, PROFILES, ROOT
from public_server import Served
from releases import hugging_face_has

from lung_attention.cells import Cell
from lung_attention.data.sources.collection import series_of_identifiers
from lung_attention.data.sources.lidc import listed_slices, series_of_slices
from lung_attention.data.sources.nodules import choose_nodules
from lung_attention.paths import Paths

pytestmark = pytest.mark.pipeline

PATIENTS = 12
RUN = ("iqoth", "lidc_nodules")
SETTINGS = [
    f"datasets=[{','.join(RUN)}]",
    "backbones=[mobilenetv2]",
    "heads=[plain]",
    "splits=[published]",
    "further.recommended.datasets=[]",
    "further.finetuned.datasets=[]",
    "audit.shortcuts.permutations=19",
    "sensitivity.partitions=1",
    "baseline.C=[0.01]",
    f"rebuild.nodules.max_patients={PATIENTS}",
    "rebuild.nodules.slices=1",
    "rebuild.nodules.size_px=32",
    "stand_ins=['The backbone is a random one.']",
    "backbone.source=random",  # the published weights cannot be drawn
    "backbone.calibration_images=4",
    "preprocess.image_size_px=32",
    "train.recipe.epochs=1",
    "train.recipe.hidden_units=[8]",
    "train.recipe.jit_compile=false",
    "train.seeds.published=[0]",
    "evaluate.resamples=100",
    "baseline.trees=5",
]


def serve_series(server, series, heights):
    """Serves a series of small noisy slices, as many as the index says."""
    missing = series.instances - len(heights)
    lowest = min(heights, default=0.0)
    heights = sorted([*heights, *(lowest - 2.0 * (n + 1) for n in range(missing))])
    noise = np.random.default_rng(int(series.patient[-4:]))
    bucket = Bucket()
    for number, z in enumerate(heights, 1):
        values = noise.normal(-600, 300, (16, 16)).round()
        bucket.put(series.folder, {f"{number}.dcm": slice_file(values, z=z, number=number)})
    for key, content in bucket.files.items():
        server.files[f"/{BUCKET}/{key}"] = Served(content)
    page = listing(bucket, {"list-type": ["2"], "prefix": [f"{series.folder}/"]})
    query = f"list-type=2&prefix={series.folder}%2F&encoding-type=url"
    server.files[f"/{BUCKET}?{query}"] = Served(page, content_type="application/xml")


@pytest.fixture
def copy(tmp_path):
    """The tracked files in a new git repository."""
    copy = tmp_path / "copy"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for command in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "start"),
    ):
        subprocess.run(["git", *command], cwd=copy, check=True)
    return copy


def test_one_command_fetches_everything_and_reports(server, other_server, copy, tmp_path):
    server.files["/data.mendeley.com/public-api/zip/bhmdr45bh2/download/4"] = Served(
        (ROOT / "sample" / "iqoth.zip").read_bytes(), faults=[("status", 503, {}), ("cut", 20_000)]
    )
    with zipfile.ZipFile(ROOT / "sample" / "lc25000.zip") as sample:
        tiles = {name: sample.read(name) for name in sample.namelist()}
    hugging_face_has(server, tiles, storage=other_server)
    for series in series_of_slices(listed_slices(DATASETS["lidc"])):
        assert series.bucket == BUCKET
        serve_series(server, series, [])
    rebuild = PROFILES["public"].rebuild
    nodules = rebuild.nodules.model_copy(update={"max_patients": PATIENTS})
    chosen = choose_nodules(rebuild.model_copy(update={"nodules": nodules}))
    heights = {}
    for nodule in (each for nodules in chosen.values() for each in nodules):
        heights.setdefault(nodule.series, set()).update(nodule.planes_mm)
    for series in series_of_identifiers(heights):
        serve_series(server, series, heights[series.uid])
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_", "LUNG_"))
    }
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "PYTHONPATH": "src",
        "LUNG_ATTENTION_MIRROR": server.address,
        "HF_ENDPOINT": server.address,
        "AWS_ENDPOINT_URL_S3": server.address,
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",  # where nobody listens: the next source is asked
        "LUNG_ATTENTION_DOWNLOADS": str(tmp_path / "downloads"),
    }
    program = "from lung_attention.cli import main; main()"

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"

    params = (copy / "params.yaml").read_text(encoding="utf-8")
    # The sample's archives have the releases' layout, but fewer images; a fetch knows no overrides.
    (copy / "params.yaml").write_text(params.replace("check_counts: true", "check_counts: false"))
    identity = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    subprocess.run(["git", *identity, "commit", "-qam", "fewer images"], cwd=copy, check=True)
    # What is not run is fetched by its own command, from the same servers.
    run("fetch", "lc25000", "lidc")
    run("repro", "--profile", "public", *(word for one in SETTINGS for word in ("--set", one)))
    results = copy / "results" / "public"
    report = (results / "report.md").read_text(encoding="utf-8")
    for dataset in RUN:
        cell = Cell(dataset, "mobilenetv2", "plain", "published", "published")
        metrics = json.loads((copy / Paths("public").metrics(cell)).read_text())
        assert 0 <= metrics["accuracy"] <= 1
        archive = tmp_path / "downloads" / f"{dataset}.zip"
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert digest in (results / "params.yaml").read_text()  # DVC knows what it was
    assert "IQ-OTH/NCCD" in report
    records = json.loads((tmp_path / "downloads" / "sources.json").read_text())
    assert {name: record["source"] for name, record in records.items()} == {
        "iqoth.zip": "mendeley", "lc25000.zip": "huggingface", "lidc.zip": "idc", "lidc_nodules.zip": "idc",
    }  # fmt: skip
