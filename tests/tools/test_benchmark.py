"""The benchmark measures what it says; how fast that is no test knows."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark import estimates, floor, pages
from benchmark.growth import growth_of
from benchmark.machine import memory_speed
from benchmark.overheads import stage_seconds
from benchmark.pictures import write_archive, write_folder
from benchmark.published_way import load
from benchmark.store import Store
from benchmark.watch import child, watch
from benchmark.workspace import Workspace
from lung_attention.errors import UserError
from lung_attention.files import read_table
from lung_attention.images.decode import decode, read_members

BUSY = (
    "import time\nheld = bytearray(b'x') * 200_000_000\nend = time.time() + 0.8\n"
    "while time.time() < end: pass\n"
)


def test_a_command_is_watched(tmp_path):
    seen = watch([sys.executable, "-c", f"print('begin')\n{BUSY}print('{{\"a\": 3}}')"], cwd=tmp_path)
    assert seen.wall_s > 0.8 and seen.cpu_s > 0
    assert 190 < seen.own_mb < 400 and seen.rss_mb >= seen.own_mb
    assert 0 < seen.busy_cores < 1.5, "one thread works"
    assert seen.at("begin") < seen.wall_s - 0.7
    assert seen.said() == {"a": 3}


def test_memory_of_children_counts(tmp_path):
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
    assert watch([sys.executable, "-c", inner], cwd=tmp_path).own_mb > 190


def test_a_mapped_file_is_not_the_commands_own_memory(tmp_path):
    np.save(tmp_path / "large.npy", np.ones(25_000_000))
    code = "import numpy, time; a = numpy.load('large.npy', mmap_mode='r'); a.sum(); time.sleep(.5)"
    seen = watch([sys.executable, "-c", code], cwd=tmp_path)
    assert seen.rss_mb > 200 > seen.own_mb


def test_a_command_that_fails_is_told(tmp_path):
    with pytest.raises(UserError, match=r"ended with 3: nothing works"):
        watch(
            [sys.executable, "-c", "import sys; print('nothing works', file=sys.stderr); sys.exit(3)"],
            cwd=tmp_path,
        )


def test_a_run_that_was_stopped_goes_on(tmp_path):
    path, told = tmp_path / "results.json", []
    first = Store(path, ["growth"], quick=True, tell=told.append)
    first.once("growth/1/0", lambda: {"images": 5})
    again = Store(path, ["growth"], quick=True, tell=told.append)
    assert again.once("growth/1/0", lambda: pytest.fail("measured twice")) == {"images": 5}
    again.once("growth/2/0", lambda images: {"images": images}, 10)
    done = again.finish()
    assert told == ["growth/1/0", "growth/2/0"]
    assert set(done["parts"]) == {"growth"} and done["parts"]["growth"]["versions"]["tensorflow"]
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_other_parts_are_kept_and_the_same_measured_anew(tmp_path):
    path = tmp_path / "results.json"
    stopped = Store(path, ["ways"], quick=True, tell=str)
    stopped.once("ways/one", dict, {"value": 0})
    for value in (1, 2):
        for part in ("growth", "steps") if value == 1 else ("steps",):
            store = Store(path, [part], quick=True, tell=str)
            store.once(f"{part}/one", dict, {"value": value})
            store.finish()
    assert Store(path, ["ways"], quick=True).finish()["measured"] == {
        "growth/one": {"value": 1},
        "steps/one": {"value": 2},
        "ways/one": {"value": 0},
    }


def test_an_unfinished_run_of_another_kind_is_left_alone(tmp_path):
    Store(tmp_path / "r.json", ["steps"], quick=True, tell=str).once("steps/one", dict, {"value": 1})
    assert not Store(tmp_path / "r.json", ["steps"], quick=False).values["measured"]


@pytest.mark.parametrize("exponent", [0.8, 1.0, 2.0])
def test_the_exponent_of_growth_is_found(exponent):
    images = [500, 1000, 2000, 4000]
    grown = growth_of(images, [4 + 20 * (n / 4000) ** exponent for n in images])
    assert grown.exponent == pytest.approx(exponent, abs=0.03)
    assert grown.start_s == pytest.approx(4, rel=0.15)


def test_a_stage_that_is_all_start_has_no_exponent():
    assert growth_of([1, 2, 4, 8], [3.0, 3.1, 3.0, 3.3]).exponent is None


def test_bytes_of_a_step():
    flat = 7 * 7 * 1024
    weights = flat * 256 + 256 + 256 * 32 + 32 + 32 * 3 + 3
    settings = {"batch_size": 32, "attention_maps": 16}
    plain = floor.step_bytes("plain", "densenet121", 224, 3, **settings)
    assert plain == 36 * weights + 2 * 2 * 32 * flat
    more = floor.step_bytes("attention", "densenet121", 224, 3, **settings) - plain
    assert more == 36 * (9 * 1024 * 16 + 17) + 4 * flat * 256


def test_memory_has_a_speed():
    assert memory_speed(mb=8, repeats=2) > 1e8


def test_the_published_way_holds_doubles(tmp_path):
    write_archive(tmp_path / "a.zip", 3, 48, copies=1)
    names = [f"lung_colon_image_set/lung_image_sets/{name}" for name in ("lung_n/lung_n2.jpeg",)]
    found = load(tmp_path / "a.zip", names, 32)
    assert found.shape == (1, 32, 32, 3) and found.dtype == np.float64
    own = decode(next(iter(read_members(tmp_path / "a.zip", names))))
    assert found.mean() == pytest.approx(own.mean() / 255, abs=0.02)


def test_a_stage_runs_in_a_workspace(tmp_path):
    write_archive(tmp_path / "archives" / "lc25000.zip", 45, 48, copies=3)
    work = Workspace(tmp_path / "work", archives=tmp_path / "archives", weights=None)
    work.set("lc25000", ["mobilenetv2"], ["plain"])
    assert work.stage("download", "--dataset", "lc25000").own_mb > 20
    manifest = read_table(work.folder / work.paths.manifest("lc25000"))
    assert manifest["label"].value_counts().to_dict() == {
        "adenocarcinoma": 15,
        "benign": 15,
        "squamous_cell_carcinoma": 15,
    }


def test_many_files_are_links_to_few(tmp_path):
    write_folder(tmp_path / "many", 25, 32, distinct=4, each=10)
    files = list((tmp_path / "many").rglob("*.jpeg"))
    assert len(files) == 25 and len({file.stat().st_ino for file in files}) == 4
    assert len(list((tmp_path / "many").iterdir())) == 3


@pytest.mark.parametrize("module", ["published_way", "floor", "steps", "answers", "models"])
def test_children_start_wherever_they_run(module, tmp_path):
    command, environment = child(module, "--help")
    assert watch(command, cwd=tmp_path, environment=environment).lines[0][1].startswith("usage")


# ----- What is made of the figures: numbers that can be checked by hand.

SEEN = {"wall_s": 10.0, "cpu_s": 15.0, "rss_mb": 500.0, "own_mb": 400.0, "busy_cores": 1.9}


@pytest.fixture
def measured():
    key = "ways/iqoth-densenet121"
    facts = {"images": 1000, "train": 800, "test": 200, "size_px": 224, "classes": 3, "epochs": 100,
             "attention_maps": 16}  # fmt: skip
    ours = dict.fromkeys(("download", "split", "backbone", "preprocess", "settings"), SEEN)
    for head in ("plain", "attention"):
        ours[f"train {head}"] = {**SEEN, "epochs": 6, "s_an_epoch": 0.5}
        ours[f"evaluate {head}"] = SEEN
    theirs = {"wall_s": 40.0, "load": 2.0, "epochs": [14.0, 10.0, 10.0], "test": 1.0, "images_used": 500}
    return {
        "ways/memory": {"bytes_a_second": 10e9},
        f"{key}/facts": facts,
        f"{key}/published/0": theirs,
        f"{key}/ours/0": ours,
        f"{key}/floor/0": {"s_an_image": 0.04},
        f"{key}/memory/250": {**SEEN, "rss_mb": 1500.0, "images_used": 250},
        f"{key}/memory/500": {**SEEN, "rss_mb": 2000.0, "images_used": 500},
        f"{key}/whole": {**ours, "train plain": {**SEEN, "wall_s": 60.0, "epochs": 100, "s_an_epoch": 0.5}},
    }


def test_the_published_way_is_scaled_to_all_images_and_epochs(measured):
    way = estimates.published(measured, "iqoth-densenet121")
    assert way.parts == {"start": 3, "graphs": 4, "load": 4, "fit": 2000, "test": 2}
    assert way.seconds == [2013] and way.mb == 3000


def test_ours_is_scaled_to_all_epochs(measured):
    way = estimates.ours(measured, "iqoth-densenet121", "plain", scored=True)
    assert way.seconds == [5 * 10 + 10 + 94 * 0.5 + 10] and way.mb == 500
    assert estimates.ours(measured, "iqoth-densenet121", "plain", scored=False).seconds == [107]
    assert estimates.whole(measured, "iqoth-densenet121") == 120


def test_the_least_is_passes_and_steps(measured):
    way = estimates.least(measured, "iqoth-densenet121", "plain")
    assert way.parts["backbone"] == 40
    assert way.parts["fit"] == pytest.approx(2500 * 0.0469, rel=0.01)


def test_what_stages_took_is_read_from_what_a_run_says():
    said = ["Running stage 'train@a-b'", "group@a took 2.0 s", "train@a-b took 7.5 s", "group@b took 4.25 s"]
    said += ["report took 1.0 s", "data.dvc took 9 s more"]
    assert list(stage_seconds(said).items()) == [("train", [7.5]), ("group", [2.0, 4.25]), ("report", [1.0])]


def test_pages_hold_the_tables(measured, tmp_path, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    growth = dict.fromkeys(("download", "predict"), SEEN)
    for times in (1, 2, 4, 8):
        measured[f"growth/{times}/0"] = {"images": 500 * times, **growth}
    measured |= {
        "overheads/idle/0": SEEN,
        "overheads/start/dvc --version/0": {**SEEN, "wall_s": 1.0},
        "overheads/lock/0": {"s": 1.25},
        "overheads/sample": {**SEEN, "wall_s": 300.0, "stages": {"train": [8.0, 10.0], "report": [4.0]}},
        "overheads/import/split/0": SEEN,
        "installation/pip": {**SEEN, "disk_mb": 3100},
        "prediction/many": {**SEEN, "images": 100_000, "own_mb_at": {"10": 200.0, "95": 201.0}},
        "prediction/first/ONNX Runtime/0": {"s": 1.5},
        "prediction/speed/densenet121/ONNX Runtime/1/0": {**SEEN, "s_an_image": 0.05},
        "prediction/speed/densenet121/ONNX Runtime/2/0": {**SEEN, "s_an_image": 0.025},
        "steps/fit 7 7 1024 1000 plain": {**SEEN, "ms": 30.0},
        "steps/extraction densenet121 224 192": {**SEEN, "ms": 40.0},
        "steps/products 7 7 1024": {**SEEN, "ms": 9.0},
    }
    about = {"processor": "P", "cores": 2, "memory_gb": 24, "load_before": 0.1, "system": "Linux"}
    about |= {"python": "3.12", "versions": {"keras": "3.15"}, "code": "abc", "date": "2030-01-01"}
    parts = dict.fromkeys(("ways", "growth", "overheads", "installation", "prediction", "steps"), about)
    (tmp_path / "docs").mkdir()
    for page in ("docs/speed.md", "docs/predict.md"):
        (tmp_path / page).write_text(Path(page).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "README.md").write_text("<!-- generated:speed -->\n<!-- /generated:speed -->\n")
    assert len(pages.write_pages({"parts": parts, "measured": measured}, tmp_path)) == 3
    speed = (tmp_path / "docs/speed.md").read_text(encoding="utf-8")
    for row in (
        "| IQ-OTH/NCCD, DenseNet121 | 34 min | 117 s | 17.2 × | 3.0 GB | 0.5 GB | 6.0 × |",
        "IQ-OTH/NCCD, DenseNet121 was also run with all epochs: 2.0 min, where 117 s had been extrapolated.",
        "| `make repro` of the sample, in a fresh clone, installed | 5.0 min | 15 s |",
        "| of which `dvc --version` | 1.0 s | 15 s |",
        "DVC reads and writes the sample's `dvc.lock` in 1.25 s, after each stage.",
        "| `train` | 2 | 18 s | 9.0 s |",
        "| DenseNet121 | ONNX Runtime | 2 | 40.0 | 500 MB |",
        "From command to first answer (MobileNetV2): 1.5 s with ONNX Runtime.",
        "| fit, plain head, 1,000 images | 7 × 7 × 1024 | 30.0 ms a step | 400 MB |",
        "| products of matrices in its first layer, alone | 7 × 7 × 1024 | 9.0 ms a step |  |",
        "P, 2 cores, 24 GB, load 0.1 before; Linux, Python 3.12, keras 3.15; code abc, 2030-01-01.",
    ):
        assert row in speed
    rates = (tmp_path / "docs/predict.md").read_text(encoding="utf-8")
    assert "| 10⁸ | 29 days | 58 |" in rates
    assert "(**17 times** as fast" in (tmp_path / "README.md").read_text(encoding="utf-8")
