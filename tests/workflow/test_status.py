"""Whether dvc.lock belongs to the code: on a small pipeline of its own, with DVC itself."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lung_attention.cells import Cell
from lung_attention.config import load_config
from lung_attention.errors import UserError
from lung_attention.files import write_json
from lung_attention.models.heads import HEADS
from lung_attention.paths import Paths, code_digest, head_digest
from lung_attention.training.recipes import RECIPES
from lung_attention.workflow.code import code_digests
from lung_attention.workflow.stale import leading_to, staleness
from lung_attention.workflow.status import (
    LOCK,
    check_lock,
    contradicting,
    lock_entry,
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
ROOT = Path(__file__).parents[2]


def dvc(*arguments):
    ended = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


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


def test_hashes_that_contradict_each_other_are_named(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "r.json").write_text("1")
    entries = {
        "first": {"outs": [{"path": "a.csv", "md5": "1"}]},
        "second": {
            "deps": [{"path": "a.csv", "md5": "1"}],
            "outs": [{"path": "results/r.json", "md5": hashlib.md5(b"1").hexdigest()}],
        },
    }
    assert contradicting(entries, tmp_path) == []
    entries["first"]["outs"][0]["md5"] = "2"
    assert contradicting(entries, tmp_path) == ["second"]
    entries["first"]["outs"][0]["md5"] = "1"
    entries["second"]["outs"][0]["md5"] = "2"
    assert contradicting(entries, tmp_path) == ["second"]
    (tmp_path / "results" / "r.json").unlink()
    assert contradicting(entries, tmp_path) == []


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


def stale_code(*cells):
    write_params(train={"recipe": {"epochs": 3}})
    found = staleness(PATHS, cells, Path(), in_use=False)
    return None if found is None else list(found.code)


def write_params(**values):
    Path("params.yaml").write_text(yaml.safe_dump(values))


def test_results_without_a_lock_cannot_be_judged(project):
    with_results(CELL)
    assert stale_code(CELL) is None


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
        return stale_code(CELL, SEARCHED)

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
    assert stale_code(CELL, SEARCHED, no_result) == [SEARCHED.stage]


def test_a_lock_of_stages_that_named_modules_knows_none_of_the_cells(project):
    old = "train@iqoth-densenet121-plain-grouped"
    deps = [{"path": "src/lung_attention/numbers.py", "md5": "0" * 32}]
    write_lock(PATHS.results / LOCK, **{old: {"cmd": "python stages/train.py", "deps": deps}})
    with_results(CELL)
    assert stale_code(CELL) == [f"train@{CELL.name}"]


@pytest.mark.parametrize(
    ("recorded", "now", "is_stale"),
    [
        ({"train.recipe.epochs": 3}, {"train": {"recipe": {"epochs": 3}}}, False),
        ({"train.recipe.epochs": 3}, {"train": {"recipe": {"epochs": 5}}}, True),
        ({"train.recipe": {"epochs": 3}}, {"train": {"recipe": {"epochs": 3, "rate": 1}}}, True),
        ({"train.recipe.epochs": 3}, {}, True),
        ({"train.rate": "1e-05"}, {"train": {"rate": 1e-05}}, False),  # as PyYAML reads it
        ({"train.rate": "often"}, {"train": {"rate": 1e-05}}, True),
        # Found when the run began, and asked for by nobody.
        (
            {"profiles.local.download": {"checksums": {"a": "1"}}},
            {"profiles": {"local": {"download": {}}}},
            False,
        ),
        (
            {"profiles.local.download": {"checksums": {"a": "1"}}},
            {"profiles": {"local": {"download": {"checksums": {"a": "2"}}}}},
            True,
        ),
    ],
)  # fmt: skip
def test_results_are_stale_once_their_parameters_are_others(project, recorded, now, is_stale):
    entry = stage_of(code_digest("train")) | {"params": {"params.yaml": recorded}}
    write_lock(PATHS.results / LOCK, **{f"train@{CELL.name}": entry})
    write_params(**now)
    found = staleness(PATHS, [CELL], Path(), in_use=False)
    assert (found.params, found.code) == ((f"train@{CELL.name}",) if is_stale else (), ())
    assert found.by_reason == ({"other parameters": [f"train@{CELL.name}"]} if is_stale else {})
    assert found.remedy == "make repro PROFILE=local"


@pytest.mark.parametrize(
    ("change", "is_stale"),
    [({}, False), ({"trials": 3}, False), ({"objective": "auroc"}, True), ({"inner_folds": 2}, True)],
)
def test_a_search_of_other_settings_is_stale(project, change, is_stale):
    shutil.copytree(ROOT / "datasets", "datasets")
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    with_results(SEARCHED)
    write_lock(PATHS.results / LOCK, **{SEARCHED.stage: stage_of(code_digest("train"), cell=SEARCHED)})
    search = load_config(Path("params.yaml")).profiles["local"].search.model_copy(update=change)
    write_json(PATHS.search(SEARCHED), {"search": search.model_dump()})
    found = staleness(PATHS, [CELL, SEARCHED], Path(), in_use=False)
    name = f"search@{SEARCHED.searched}"
    assert (name in found.params) == is_stale
    assert found.remedy.startswith("make search") == is_stale


def test_a_dataset_that_is_described_otherwise_makes_results_stale(project):
    entry = stage_of(code_digest("train")) | {
        "params": {"datasets/iqoth.yaml": {"groups.method": "patients"}}
    }
    write_lock(PATHS.results / LOCK, **{f"train@{CELL.name}": entry})
    write_params()
    Path("datasets").mkdir()
    for text, stale in (("groups: {method: patients}", ()), ("groups: {}", (f"train@{CELL.name}",))):
        Path("datasets/iqoth.yaml").write_text(text)
        assert staleness(PATHS, [CELL], Path(), in_use=False).params == stale
    Path("datasets/iqoth.yaml").unlink()
    assert staleness(PATHS, [CELL], Path(), in_use=False).params == (f"train@{CELL.name}",)


def test_a_design_that_was_narrowed_for_a_run_is_none_of_the_profile_in_use(project):
    entry = stage_of(code_digest("train")) | {"params": {"params.yaml": {"splits": ["grouped"]}}}
    write_lock(PATHS.results / LOCK, **{f"train@{CELL.name}": entry})
    write_params(splits=["published", "grouped"])
    assert staleness(PATHS, [CELL], Path(), in_use=False).stages == []
    assert staleness(PATHS, [CELL], Path(), in_use=True).params == (f"train@{CELL.name}",)


def test_the_lock_of_the_profile_in_use_is_that_of_the_work_tree(project):
    stages = {f"train@{CELL.name}": stage_of(code_digest("train")), "code": {"cmd": "true"}}
    write_lock(LOCK, **stages)
    write_params(train={"recipe": {"epochs": 4}})
    assert staleness(PATHS, [CELL], Path(), in_use=False) is None
    found = staleness(PATHS, [CELL], Path(), in_use=True)
    assert (found.stages, found.remedy) == ([f"train@{CELL.name}"], "make repro")


def test_results_that_are_not_those_of_their_lock_are_named_but_not_a_notice_on_the_report(project):
    made = [PATHS.metrics(CELL), PATHS.report_markdown]
    entries = {
        path.stem: {"outs": [{"path": path.as_posix(), "md5": hashlib.md5(b"1").hexdigest()}]}
        for path in made
    }
    write_lock(PATHS.results / LOCK, **entries)
    write_params()
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("2")
    assert staleness(PATHS, [], Path(), in_use=False).files == ("metrics",)


def test_only_what_leads_to_predictions_makes_a_comparison_of_them_stale(project):
    def entry(deps, *outs):
        return {
            "deps": [{"path": str(path)} for path in deps],
            "outs": [{"path": str(path)} for path in outs],
        }

    stages = {
        "download@iqoth": entry([], "artifacts/archives/iqoth.zip"),
        "settings": entry(["artifacts/archives"], "artifacts/settings"),
        CELL.stage: entry([f"artifacts/settings/{CELL.name}.json"], PATHS.trained(CELL)),
        f"evaluate@{CELL.name}": entry([PATHS.trained(CELL)], PATHS.predictions(CELL), PATHS.metrics(CELL)),
        "report": entry([PATHS.metrics(CELL)], PATHS.report_html),
        "audit@iqoth": entry(["artifacts/archives/iqoth.zip"], "audit.json"),
    }
    assert list(leading_to(stages, [PATHS.predictions(CELL)])) == list(stages)[:4]
    assert leading_to(stages, [PATHS.predictions(SEARCHED)]) == {}
    write_lock(PATHS.results / LOCK, report=stage_of() | {"params": {"params.yaml": {"report": 1}}})
    write_params(report=2)
    assert staleness(PATHS, [], Path(), in_use=False).stages == ["report"]
    assert staleness(PATHS, [], Path(), in_use=False, of_predictions=True).stages == []


def test_without_code_nobody_is_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_lock(PATHS.results / LOCK, report={"cmd": "true"})
    write_params()
    assert staleness(PATHS, [], Path(), in_use=False) is None


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
    """`staleness` hashes in memory what the stage `code` writes into files."""
    path = code_digest("train")
    dependency(path)
    assert json.loads(path.read_text()) == code_digests(Path())[path]
    assert set(code_digests(Path())[path]) == {
        "stages/train.py", "src/lung_attention/__init__.py", MODULE.as_posix(),
    }  # fmt: skip
