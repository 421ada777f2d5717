"""Many images: every one stands in one shard once, after interruptions, kills and on Ray, too."""

import json
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from predict.models import CLASSES, about, exported

from lung_attention.errors import UserError
from lung_attention.predict import corpus
from lung_attention.predict.command import SOME_UNREADABLE, Options, run_predict
from lung_attention.predict.corpus import MANIFEST, predict_corpus, shards_of
from lung_attention.predict.exported import ExportedModel
from lung_attention.predict.pixels import read_pixels


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of seven images in two folders, and one file that is none."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(7):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(path)
    (folder / "a" / "broken.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image, by its name")
    return folder


def rows_of(folder):
    parts = sorted(folder.glob("part-*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def predict(file, paths, folder, *, size=3, workers=None):
    return predict_corpus(ExportedModel(file), paths, folder, size=size, workers=workers, window=None)


def test_every_image_has_its_row_with_what_the_model_says(file, images, tmp_path):
    assert predict(file, [images, images / "a" / "0.png"], tmp_path / "out") == (9, 1)
    rows = rows_of(tmp_path / "out")
    names = [f"{images}/{name}" for name in ("a/0.png", "a/2.png", "a/4.png", "a/6.png", "a/broken.png",
                                             "b/1.png", "b/3.png", "b/5.png", "a/0.png")]  # fmt: skip
    assert [row["file"] for row in rows] == names
    assert [row["file"] for row in rows if row["reason"]] == [f"{images}/a/broken.png"]
    assert rows[4]["class"] is None
    model = ExportedModel(file)
    content = (images / "b" / "3.png").read_bytes()
    said = model.said(model.predict(read_pixels(content, None)))
    found = rows[6]
    assert {name: found[name] for name in said} == said
    assert [part.name for part in sorted((tmp_path / "out").glob("part*"))] == [
        f"part-000000{number}.parquet" for number in range(4)
    ]


def test_an_archive_gives_the_same_answers_as_its_folder(file, images, tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in sorted(images.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(images).as_posix())
    predict(file, [images], tmp_path / "folder")
    predict(file, [tmp_path / "images.zip"], tmp_path / "archive")
    of_folder, of_archive = ([{**row, "file": None} for row in rows_of(tmp_path / name)]
                             for name in ("folder", "archive"))  # fmt: skip
    assert of_folder == of_archive


def test_archives_that_cannot_be_read_are_rows_among_the_others(file, images, tmp_path):
    hostile, cut, empty = (tmp_path / f"{name}.zip" for name in ("hostile", "cut", "empty"))
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("../x.png", (images / "a" / "0.png").read_bytes())
    cut.write_bytes(hostile.read_bytes()[:-30])
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("notes.txt", "x")
    paths = [hostile, cut, images / "a" / "0.png", empty]
    assert predict(file, paths, tmp_path / "out") == (4, 3)
    rows = rows_of(tmp_path / "out")
    assert [row["file"] for row in rows] == [str(path) for path in paths]
    for row, said in zip(rows, ("leaves its folder", "no complete zip", None, "no file of"), strict=True):
        assert row["reason"] is None if said is None else said in row["reason"]
        assert (row["class"] is None) == (said is not None)
    assert predict(file, paths, tmp_path / "out") == (4, 3), "again, of what is there"


def test_what_is_finished_is_not_made_again(file, images, tmp_path, monkeypatch):
    predict(file, [images], tmp_path)
    before = rows_of(tmp_path)
    times = {part.name: part.stat().st_mtime_ns for part in tmp_path.glob("part*")}
    (tmp_path / "part-0000001.parquet").unlink()
    made = []
    whole = corpus.ShardWorker.__call__
    monkeypatch.setattr(
        corpus.ShardWorker, "__call__", lambda self, shard: made.append(shard["number"]) or whole(self, shard)
    )
    assert predict(file, [images], tmp_path) == (8, 1)
    assert made == [1]
    assert rows_of(tmp_path) == before
    after = {part.name: part.stat().st_mtime_ns for part in tmp_path.glob("part*")}
    assert {name for name in times if times[name] != after[name]} == {"part-0000001.parquet"}


def test_answers_of_another_model_or_on_other_images_are_not_mixed(file, images, tmp_path):
    predict(file, [images], tmp_path / "out")
    said = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert said["model"]["name"] == about().name
    with pytest.raises(UserError, match="differ in inputs"):
        predict(file, [images / "a"], tmp_path / "out")
    with pytest.raises(UserError, match="differ in images_per_shard"):
        predict(file, [images], tmp_path / "out", size=4)
    other = exported(tmp_path / "other.onnx", name="other-small-attention-published-grouped")
    with pytest.raises(UserError, match="differ in model"):
        predict(other, [images], tmp_path / "out")


def test_the_command_tells_and_takes_no_other_table(file, images, tmp_path, capsys):
    options = Options(shards=tmp_path / "out", shard_size=5)
    assert run_predict(ExportedModel(file), [images], options) == SOME_UNREADABLE
    said = capsys.readouterr().out
    assert "8 images, of which 1 could not be read" in said
    assert "Not for diagnosis." in said
    with pytest.raises(UserError, match="--shards takes the place of --csv"):
        run_predict(ExportedModel(file), [images], Options(shards=tmp_path / "out", csv=tmp_path / "a.csv"))


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(0, 20), max_size=5), size=st.integers(1, 9))
def test_shards_part_each_source_without_gap_or_overlap(counts, size):
    with pytest.MonkeyPatch.context() as patch:
        names = {f"{number}": [f"{n}" for n in range(count)] for number, count in enumerate(counts)}
        patch.setattr(corpus, "names_of", names.__getitem__)
        shards = list(shards_of(map(corpus.Path, names), size))
    assert [shard.number for shard in shards] == list(range(len(shards)))
    covered = [(shard.source, row) for shard in shards for row in range(shard.start, shard.stop)]
    assert covered == [(name, row) for name, rows in names.items() for row in range(len(rows))]
    assert all(0 < shard.stop - shard.start <= size for shard in shards)


def test_a_killed_worker_of_ray_loses_and_doubles_nothing(file, tmp_path):
    pytest.importorskip("ray")
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(1)
    for number in range(240):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(images / f"{number:03}.png")
    out = tmp_path / "out"
    command = [str(Path(sys.executable).parent / "lung-attention"), "predict", str(file), str(images)]
    command += ["--shards", str(out), "--shard-size", "2", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killed = None
    deadline = time.monotonic() + 240
    while killed is None and process.poll() is None and time.monotonic() < deadline:
        if len(list(out.glob("part-*"))) >= 4:
            for child in psutil.Process(process.pid).children(recursive=True):
                if "ShardWorker" in " ".join(child.cmdline()):
                    child.send_signal(signal.SIGKILL)
                    killed = child.pid
                    break
        time.sleep(0.02)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert killed is not None, said
    rows = rows_of(out)
    assert [row["file"] for row in rows] == [f"{images}/{number:03}.png" for number in range(240)]
    assert all(row["class"] in CLASSES for row in rows)
