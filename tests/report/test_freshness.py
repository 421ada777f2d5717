"""Whether a report still belongs to the code: hashes as DVC computes them, and the notice."""

import os
import subprocess
import sys

import pytest
import yaml

from lung_attention.errors import UserError
from lung_attention.report.staleness import dvc_md5, stale_stages, stamp
from lung_attention.report.regions import region, replace_region

PIPELINE = """
stages:
  train:
    matrix:
      cell: [a, b]
    cmd: echo ${item.cell} > ${item.cell}.txt
    deps:
      - src/package
      - stages/train.py
      - data.csv
    outs:
      - ${item.cell}.txt
  report:
    cmd: echo report > report.txt
    deps:
      - stages/report.py
    outs:
      - report.txt
"""


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A small project whose dvc.lock DVC itself wrote."""
    root = tmp_path_factory.mktemp("locked")
    files = {
        "dvc.yaml": PIPELINE,
        ".dvcignore": "__pycache__\n*.pyc\n",
        "data.csv": "1\n",
        "src/package/b.py": "B = 1\n",
        "src/package/__init__.py": "",
        "src/package/sub/a.py": "A = 'ä'\n",
        "src/package/sub-x.py": "",
        "src/package/__pycache__/a.pyc": "byte code",
        "stages/train.py": "print()\n",
        "stages/report.py": "print()\r\n",
    }
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="")
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    for command in (["init", "--no-scm", "--quiet"], ["repro", "--quiet"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=root, check=True, env=environment)
    return root, yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))


def test_code_that_dvc_has_just_locked_is_fresh(locked):
    root, lock = locked
    assert set(lock["stages"]) == {"train@a", "train@b", "report"}
    assert stale_stages(lock, root) == []


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("src/package/sub/a.py", ["train@a", "train@b"]),
        ("src/package/new.py", ["train@a", "train@b"]),
        ("stages/report.py", ["report"]),
        ("data.csv", []),
        ("src/package/__pycache__/a.pyc", []),
    ],
)
def test_other_code_makes_its_stages_stale(locked, name, stale):
    root, lock = locked
    path = root / name
    before = path.read_bytes() if path.exists() else None
    try:
        path.write_text("OTHER = 2\n", encoding="utf-8")
        assert sorted(stale_stages(lock, root)) == stale
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def test_code_that_is_gone_makes_its_stages_stale(locked, tmp_path):
    _, lock = locked
    assert sorted(stale_stages(lock, tmp_path)) == ["report", "train@a", "train@b"]
    assert dvc_md5(tmp_path / "nothing") is None


@pytest.mark.parametrize("top", ["<!DOCTYPE html>\n<p>", "# Title\n"])
def test_a_stamp_names_the_stages_comes_and_goes(top):
    fresh = f"{top}\n{region('freshness', '')}\nfigures\n"
    stamped = stamp(fresh, ["train@a", "train@b", "report"])
    assert "train (2) and report" in stamped
    assert ("<p class=" in stamped) == top.startswith("<!")
    assert stamp(stamped, ["train@a", "train@b", "report"]) == stamped
    assert stamp(stamped, []) == fresh == stamp(fresh, [])


def test_a_text_without_the_region_is_refused():
    with pytest.raises(UserError, match="generated:freshness"):
        stamp("# Title\n", [])


def test_regions_are_replaced_one_by_one():
    text = f"a\n{region('one', 'x')}\nb\n{region('two', 'y')}\nc\n"
    assert replace_region(text, "two", "\nz\n") == f"a\n{region('one', 'x')}\nb\n{region('two', 'z')}\nc\n"


@pytest.mark.parametrize("text", ["", "<!-- /generated:x --><!-- generated:x -->", region("x", "") * 2])
def test_marks_have_to_be_there_once_and_in_order(text):
    with pytest.raises(UserError, match="once each"):
        replace_region(text, "x", "content")
