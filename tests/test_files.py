"""A file is written whole or not at all, and a table comes back as it was."""

import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from lung_attention.errors import UserError
from lung_attention.files import (
    read_json,
    read_table,
    require_sha256,
    sha256,
    write_json,
    write_table,
    write_text,
)
from lung_attention.writing import replacing, reserve


def test_after_an_exception_the_old_file_stands_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


WRITER = """
import os, sys, time
from pathlib import Path
from lung_attention.writing import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_kill_leaves_is_swept_by_the_next_writer_and_what_is_being_written_is_not(tmp_path):
    def start(name):
        command = [sys.executable, "-c", WRITER, str(tmp_path / name)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "writing\n"
        return process

    with start("killed") as killed, start("alive") as alive:
        assert len(list(tmp_path.iterdir())) == 2
        killed.kill()
        killed.wait()
        write_text(tmp_path / "next", "whole")
        left = sorted(path.name for path in tmp_path.iterdir())
        assert len(left) == 2  # the one being written is left alone
        assert left[1] == "next"
        alive.kill()
        alive.wait()
    write_text(tmp_path / "next", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["next"]


def test_a_full_disk_is_told_before_a_memory_map_is_written(tmp_path, monkeypatch):
    path = tmp_path / "map"
    with path.open("wb") as stream:
        stream.truncate(1 << 20)
    reserve(path)
    assert path.stat().st_blocks * 512 >= 1 << 20  # no hole is left in it

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        reserve(path)
    monkeypatch.delattr(os, "posix_fallocate")  # as on macOS
    reserve(path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="1,048,576 bytes are needed, 1,000 are free"):
        reserve(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[NaN", b"\xff\x00", b"[" * 100_000])
def test_a_file_that_is_no_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json is no JSON file"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00a"])
def test_a_file_that_is_no_table_is_named(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.csv cannot be read as a table"):
        read_table(tmp_path / "a.csv")


def test_another_file_than_was_written_is_refused(tmp_path):
    write_text(tmp_path / "a", "text")
    require_sha256(tmp_path / "a", hashlib.sha256(b"text").hexdigest())
    with pytest.raises(UserError, match="damaged or another file"):
        require_sha256(tmp_path / "a", hashlib.sha256(b"other").hexdigest())


def test_until_it_is_complete_a_reader_sees_the_old_file(tmp_path):
    path = tmp_path / "new" / "file.weights.h5"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename over file systems would be a copy
        assert temporary.name.endswith(".weights.h5")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_results_are_readable_by_others(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    write_text(tmp_path / "written", "")
    assert stat.S_IMODE((tmp_path / "written").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_json_is_sorted_and_has_no_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": [1.5, None], "a": "ä"})
    assert path.read_text(encoding="utf-8").index('"a"') < path.read_text(encoding="utf-8").index('"b"')
    assert read_json(path) == {"a": "ä", "b": [1.5, None]}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8"))["a"] == "ä"
    assert list(tmp_path.iterdir()) == [path]


def test_text_that_looks_like_numbers_or_missing_values_stays_text(tmp_path):
    table = pd.DataFrame(
        {
            "image": ["NA", 'a "b", c.png', "007"],
            "label": ["null", "None", "nan"],
            "group": ["", "0174", "1e5"],
            "subset": ["train", "test", "validation"],
            "fold": [0, 1, 2],
            "val_loss": [0.5, np.nan, 2.0],
        }
    )
    write_table(tmp_path / "t.csv", table)
    found = read_table(tmp_path / "t.csv")
    assert found.astype(object).where(found.notna(), None).to_dict("list") == table.astype(object).where(
        table.notna(), None
    ).to_dict("list")
    assert found["fold"].dtype == np.int64
    assert found["val_loss"].dtype == np.float64


def test_float32_survives(tmp_path):
    values = np.random.default_rng(0).random(1000).astype(np.float32)
    write_table(tmp_path / "t.csv", pd.DataFrame({"p": values}))
    np.testing.assert_array_equal(read_table(tmp_path / "t.csv")["p"].to_numpy(np.float32), values)


def test_sha256_of_more_than_one_chunk(tmp_path):
    content = b"0123456789abcdef" * 150_000
    (tmp_path / "big").write_bytes(content)
    assert sha256(tmp_path / "big") == hashlib.sha256(content).hexdigest()
