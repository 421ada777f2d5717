"""A file is written whole or not at all, and a table comes back as it was."""

import hashlib
import json
import stat

import numpy as np
import pandas as pd
import pytest

from lung_attention.files import read_json, read_table, replacing, sha256, write_json, write_table, write_text


def test_after_an_exception_the_old_file_stands_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


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
