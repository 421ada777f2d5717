"""Damaged outputs are found wherever DVC believes them, removed, and made anew by the next `dvc repro`."""

import os
import subprocess
import sys

import pytest

from lung_attention.paths import Paths
from lung_attention.workflow.verify import remove_damaged

PIPELINE = """
stages:
  file:
    cmd: mkdir -p artifacts/sample && printf features > artifacts/sample/file
    outs: [artifacts/sample/file]
  folder:
    cmd: mkdir -p artifacts/sample/folder && printf model > artifacts/sample/folder/model
    outs: [artifacts/sample/folder]
"""


def dvc(folder, *arguments):
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=["hardlink", "copy"])
def project(request, tmp_path):
    dvc(tmp_path, "init", "-q", "--no-scm")
    dvc(tmp_path, "config", "cache.type", request.param)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    dvc(tmp_path, "repro", "-q")
    return tmp_path


def damage(path):
    """Other bytes under the same size and time, as a bad disk leaves them."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"F" + path.read_bytes()[1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_nothing_is_removed_where_nothing_is_damaged(project):
    assert remove_damaged(project, Paths("sample")) == []


@pytest.mark.parametrize("output", ["artifacts/sample/file", "artifacts/sample/folder/model"])
def test_a_damaged_object_is_removed_and_made_anew(project, output):
    good = (project / output).read_bytes()
    objects = [path for path in (project / ".dvc/cache/files/md5").glob("*/*") if path.read_bytes() == good]
    for path in objects:
        damage(path)
    found = remove_damaged(project, Paths("sample"))
    assert set(objects) <= set(found)
    assert not any(path.exists() for path in objects)
    dvc(project, "repro", "-q")
    assert (project / output).read_bytes() == good  # which may have been a link to the same damaged bytes
    assert [path.read_bytes() for path in objects] == [good] * len(objects)


def test_a_damaged_output_that_dvc_believes_is_removed(project):
    path = project / "artifacts/sample/file"
    damage(path)
    assert "up to date" in dvc(project, "status")  # its size and time are what they were
    assert path in remove_damaged(project, Paths("sample"))
    dvc(project, "repro", "-q")
    assert path.read_bytes() == b"features"
