"""Whether dvc.lock belongs to the code: on a small pipeline of its own, with DVC itself."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lung_attention.cells import Cell
from lung_attention.errors import UserError
from lung_attention.files import write_json
from lung_attention.models.heads import HEADS
from lung_attention.paths import Paths, code_digest, head_digest
from lung_attention.training.recipes import RECIPES
from lung_attention.workflow.code import code_digests
from lung_attention.workflow.status import (
    LOCK,
    check_lock,
    lock_entry,
    stale_results,
    stale_stages,
)

PIPELINE = """
stages:
  code:
    cmd: python stages/code.py
    deps: [src, stages]
    outs: [artifacts/code]
  first:
    cmd: cp data.txt first.txt
    deps: [data.txt, artifacts/code/first.json]
    outs: [first.txt]
  second:
    cmd: cp first.txt second.txt
    deps: [first.txt, other.txt, artifacts/code/second.json, artifacts/code/heads/plain.json]
    outs: [second.txt]
"""
CODE = """
import sys
sys.path[:] = {path!r}
from pathlib import Path
from lung_attention.files import write_json
from lung_attention.workflow.code import code_digests
for path, files in code_digests(Path()).items():
    write_json(path, files)
"""
MODULE = Path("src/lung_attention/numbers.py")
HEAD = Path("src/lung_attention/models/heads/plain.py")
CELL = Cell("iqoth", "densenet121", "plain", "published", "grouped")
SEARCHED = replace(CELL, recipe="searched")
PATHS = Paths("local")


def dvc(*arguments):
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True)


def write_code(root, *stages):
    """Scripts that import one module, and the heads and recipes that the package knows."""
    files = {
        "src/lung_attention/__init__.py": "",
        MODULE: "RATE = 1\n",
        **{f"src/{module.replace('.', '/')}.py": "WIDTH = 1\n" for module in HEADS.values()},
        **{f"src/{recipe.module.replace('.', '/')}.py": "EPOCHS = 1\n" for recipe in RECIPES.values()},
        **{f"stages/{name}.py": "from lung_attention import numbers\nprint(1)\n" for name in stages},
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A pipeline that was run, as a fresh clone sees it: a lock, and no data."""
    folder = tmp_path_factory.mktemp("locked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        dvc("init", "-q", "--no-scm")
        write_code(folder, "first", "second")
        (folder / "stages" / "second.py").write_text("print(2)\n")
        (folder / "stages" / "code.py").write_text(CODE.format(path=sys.path))
        Path("dvc.yaml").write_text(PIPELINE.replace("python", sys.executable))
        for name in ("data.txt", "other.txt"):
            Path(name).write_text("1")
        dvc("repro", "-q")
        made = [path for path in Path("artifacts").rglob("*") if path.is_file()]
        assert {code_digest("first"), code_digest("second"), head_digest("plain")} <= set(made)
        for path in (Path("first.txt"), Path("second.txt"), *made):
            path.unlink()
        for folder_of_hashes in ("artifacts/code/heads", "artifacts/code/recipes", "artifacts/code"):
            Path(folder_of_hashes).rmdir()
    return folder


@pytest.fixture
def edited(locked, monkeypatch):
    """Changes files of the pipeline for the length of a test."""
    monkeypatch.chdir(locked)
    before = {}

    def edit(name, text):
        before.setdefault(name, Path(name).read_text())
        Path(name).write_text(text)

    yield edit
    for name, text in before.items():
        Path(name).write_text(text)


def test_a_lock_of_this_code_passes_without_data(edited):
    assert check_lock(Path()) == 3


@pytest.mark.parametrize(
    ("changed", "text", "stale"),
    [
        ("data.txt", "2", "first"),
        ("other.txt", "2", "second"),
        (MODULE, "RATE = 2\n", "first"),
        ("stages/second.py", "print(3)\n", "second"),
        (HEAD, "WIDTH = 2\n", "second"),
    ],
)
def test_the_stale_stage_is_named_with_the_command_that_mends_it(edited, changed, text, stale):
    edited(changed, text)
    with pytest.raises(UserError, match=f"these parameters: {stale}, and what follows") as caught:
        check_lock(Path())
    assert caught.value.remedy.startswith("make repro")


def test_code_and_data_that_changed_together_are_named_once(edited):
    edited("data.txt", "2")
    edited(MODULE, "RATE = 2\n")
    edited("stages/second.py", "print(3)\n")
    with pytest.raises(UserError, match="these parameters: first, second, and what follows"):
        check_lock(Path())


@pytest.mark.parametrize("text", ["RATE = 1  # of learning\n", '"""Numbers."""\n\nRATE = (\n    1\n)\n'])
def test_comments_and_layout_leave_the_lock_as_it_stands(edited, text):
    """The stage that writes the hashes would run, but it would write the same ones."""
    edited(MODULE, text)
    assert check_lock(Path()) == 2


def test_a_broken_pipeline_is_no_stale_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dvc("init", "-q", "--no-scm")
    Path("dvc.yaml").write_text("stages: 3")
    with pytest.raises(UserError, match="--dry failed"):
        check_lock(Path())


def test_names_are_read_from_every_kind_of_line():
    said = (
        "Stage 'a' didn't change, skipping\nRunning stage 'b@x-y':\n> python b.py\n"
        "ERROR: failed to reproduce stages: 'c@1', 'c@2' and 'd'\n"
    )
    assert stale_stages(said) == ["b@x-y", "c@1", "c@2", "d"]
    assert stale_stages("ERROR: failed to reproduce 'e@1': [Errno 2] No such file: 'data/f'\n") == ["e@1"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A work tree with the code of two stages, whose hashes DVC itself would write as here."""
    monkeypatch.chdir(tmp_path)
    write_code(tmp_path, "train", "report")
    return tmp_path


def dependency(path):
    """A file of hashes as a lock names it."""
    write_json(path, code_digests(Path())[path])
    return {"path": path.as_posix(), "hash": "md5", "md5": hashlib.md5(path.read_bytes()).hexdigest()}


def stage_of(*hashes, cell=CELL):
    return {
        "cmd": "python stages/train.py",
        "deps": [{"path": "artifacts/local/x.csv", "md5": "0" * 32}, *map(dependency, hashes)],
        "params": {"params.yaml": {"train.recipe.epochs": 3}},
        "outs": [{"path": PATHS.trained(cell).as_posix(), "md5": "1" * 32}],
    }


def write_lock(path, **stages):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False))


def with_results(*cells):
    for cell in cells:
        write_json(PATHS.metrics(cell), {})


def test_results_without_a_lock_cannot_be_judged(project):
    with_results(CELL)
    assert stale_results(PATHS, [CELL], Path()) is None


def test_results_are_stale_once_their_code_is_another(project):
    of_train, of_report = code_digest("train"), code_digest("report")
    write_lock(
        PATHS.results / LOCK,
        **{
            f"train@{CELL.name}": stage_of(of_train, head_digest("plain")),
            f"train_searched@{SEARCHED.name}": stage_of(of_train, head_digest("attention")),
            "report": stage_of(of_report),
            "frozen": {"cmd": "true"},
        },
    )
    with_results(CELL, SEARCHED)

    def stale():
        return stale_results(PATHS, [CELL, SEARCHED], Path())

    assert stale() == []
    MODULE.write_text("RATE = 1  # as before\n")
    assert stale() == []
    HEAD.write_text("WIDTH = 2\n")
    assert stale() == [f"train@{CELL.name}"]
    HEAD.write_text("WIDTH = 1\n")
    Path("stages/report.py").write_text("print(2)\n")
    assert stale() == ["report"]
    MODULE.write_text("RATE = 2\n")
    assert stale() == [f"train@{CELL.name}", f"train_searched@{SEARCHED.name}", "report"]


def test_results_that_their_lock_does_not_know_are_of_earlier_code(project):
    write_lock(PATHS.results / LOCK, **{f"train@{CELL.name}": stage_of(code_digest("train"))})
    with_results(CELL, SEARCHED)
    no_result = replace(CELL, recipe="cropped")
    assert stale_results(PATHS, [CELL, SEARCHED, no_result], Path()) == [SEARCHED.stage]


def test_a_lock_of_stages_that_named_modules_knows_none_of_the_cells(project):
    old = "train@iqoth-densenet121-plain-grouped"
    deps = [{"path": "src/lung_attention/numbers.py", "md5": "0" * 32}]
    write_lock(PATHS.results / LOCK, **{old: {"cmd": "python stages/train.py", "deps": deps}})
    with_results(CELL)
    assert stale_results(PATHS, [CELL], Path()) == [f"train@{CELL.name}"]


def test_the_entry_of_a_training_is_found(project):
    name = CELL.stage
    assert (name, SEARCHED.stage) == (f"train@{CELL.name}", f"train_searched@{SEARCHED.name}")
    assert lock_entry(CELL, PATHS) is None
    entry = stage_of(code_digest("train"))
    write_lock(LOCK, **{"a": stage_of(), name: entry, f"{name}-more": stage_of()})
    found = lock_entry(CELL, PATHS)
    assert found is not None and len(found) == 64
    # The lock that came with the results says the same; what it says of other stages does not matter.
    LOCK.unlink()
    write_lock(PATHS.results / LOCK, **{name: entry})
    assert lock_entry(CELL, PATHS) == found
    write_lock(PATHS.results / LOCK, **{name: entry | {"params": {"params.yaml": {"x": 2}}}})
    assert lock_entry(CELL, PATHS) not in (None, found)
    assert lock_entry(SEARCHED, PATHS) is None


def test_an_entry_of_another_profile_or_without_hashes_is_none(project):
    name = CELL.stage
    other, unfinished = stage_of(), stage_of()
    other["outs"][0]["path"] = Paths("sample").trained(CELL).as_posix()
    del unfinished["outs"][0]["md5"]
    for entry in (other, unfinished):
        write_lock(LOCK, **{name: entry})
        assert lock_entry(CELL, PATHS) is None
    # The work tree's lock is another profile's, so that of the results counts.
    write_lock(PATHS.results / LOCK, **{name: stage_of()})
    write_lock(LOCK, **{name: other})
    assert lock_entry(CELL, PATHS) is not None


def test_hashes_are_written_as_dvc_sees_them(project):
    """`stale_results` hashes in memory what the stage `code` writes into files."""
    path = code_digest("train")
    dependency(path)
    assert json.loads(path.read_text()) == code_digests(Path())[path]
    assert set(code_digests(Path())[path]) == {
        "stages/train.py", "src/lung_attention/__init__.py", MODULE.as_posix(),
    }  # fmt: skip
