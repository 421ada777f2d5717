"""Where archives and weights come from, and what a user is told when they are not there."""

import os

import pytest

from lung_attention.data.sources.checksums import CHECKSUMS, Record, write_record
from lung_attention.data.sources.resolve import (
    downloads_folder,
    find_archive,
    find_weights,
    fingerprint,
    verify,
)
from lung_attention.errors import UserError
from lung_attention.files import sha256


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LUNG_ATTENTION_ARCHIVES", str(tmp_path))
    monkeypatch.setenv("LUNG_ATTENTION_WEIGHTS", str(tmp_path))
    return tmp_path


def test_an_archive_is_a_zip_or_a_folder(folder):
    (folder / "iqoth").mkdir()
    assert find_archive("iqoth", source="folder") == folder / "iqoth"
    (folder / "iqoth.zip").touch()
    assert find_archive("iqoth", source="folder") == folder / "iqoth.zip"


@pytest.mark.parametrize(("find", "name"), [(find_archive, "iqoth"), (find_weights, "densenet121")])
def test_what_is_missing_is_named_with_what_is_there(folder, find, name):
    (folder / "notes.txt").touch()
    with pytest.raises(UserError, match=r"notes\.txt") as caught:
        find(name, source="folder")
    assert str(folder) in caught.value.problem
    assert name in caught.value.problem


@pytest.mark.parametrize(
    ("find", "name", "variable"),
    [
        (find_archive, "iqoth", "LUNG_ATTENTION_ARCHIVES"),
        (find_weights, "densenet121", "LUNG_ATTENTION_WEIGHTS"),
    ],
)
def test_a_variable_that_is_unset_empty_or_no_folder(monkeypatch, tmp_path, find, name, variable):
    for value in (None, "", str(tmp_path / "nowhere")):
        monkeypatch.delenv(variable, raising=False)
        if value is not None:
            monkeypatch.setenv(variable, value)
        with pytest.raises(UserError, match=variable):
            find(name, source="folder")


@pytest.mark.parametrize(
    ("find", "name", "file"),
    [
        (find_archive, "iqoth", "iqoth.zip"),
        (find_weights, "densenet121", "densenet121_notop.weights.h5"),
    ],
)
def test_what_was_fetched_is_found_and_what_was_not_says_how(monkeypatch, tmp_path, find, name, file):
    monkeypatch.setenv("LUNG_ATTENTION_DOWNLOADS", str(tmp_path / "mine"))
    with pytest.raises(UserError, match="has not been fetched") as caught:
        find(name, source="public")
    assert caught.value.remedy == f"lung-attention fetch {name}"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / file).touch()
    assert find(name, source="public") == tmp_path / "mine" / file


def test_downloads_lie_in_the_users_cache_by_default(monkeypatch):
    monkeypatch.delenv("LUNG_ATTENTION_DOWNLOADS", raising=False)
    assert downloads_folder().name == "lung-attention"
    assert downloads_folder().is_absolute()


def test_weights_have_their_own_names(folder):
    (folder / "densenet121_notop.weights.h5").touch()
    assert find_weights("densenet121", source="folder").name == "densenet121_notop.weights.h5"


def test_a_fingerprint_changes_with_the_source(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(b"1")
    assert fingerprint(file) == sha256(file)
    folder = tmp_path / "f"
    (folder / "x").mkdir(parents=True)
    seen = {fingerprint(folder)}
    (folder / "x" / "a").write_bytes(b"1")
    seen.add(fingerprint(folder))
    (folder / "x" / "a").write_bytes(b"12")
    seen.add(fingerprint(folder))
    (folder / "x" / "a").write_bytes(b"13")  # as long as before
    seen.add(fingerprint(folder))
    (folder / "x" / "a").rename(folder / "x" / "b")
    seen.add(fingerprint(folder))
    assert len(seen) == 5


def test_a_checksum_that_does_not_match_is_named_beside_the_one_found(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(b"1")
    assert verify(file, expected=None) == (sha256(file), None)
    assert verify(file, expected=sha256(file)) == (sha256(file), None)
    with pytest.raises(UserError, match="0" * 64) as caught:
        verify(file, expected="0" * 64)
    assert sha256(file) in caught.value.problem
    assert str(file) in caught.value.problem
    assert "params.yaml" in caught.value.problem


def test_the_record_beside_a_file_is_enforced_wherever_the_folder_is_taken(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(b"1")
    record = Record(sha256(file), 1, "mendeley", "https://data.example", "2026-01-01", {})
    write_record(file, record)
    assert verify(file, expected=None) == (sha256(file), record)
    file.write_bytes(b"2")
    with pytest.raises(UserError, match=record.sha256) as caught:
        verify(file, expected=None)
    assert CHECKSUMS in caught.value.problem


@pytest.mark.parametrize("text", ["", "[]", '{"a.zip": {"sha256": "x"}}', '{"a.zip": 1}'])
def test_a_damaged_record_is_no_traceback(tmp_path, text):
    file = tmp_path / "a.zip"
    file.write_bytes(b"1")
    (tmp_path / CHECKSUMS).write_text(text)
    with pytest.raises(UserError, match=r"sources\.json is damaged"):
        verify(file, expected=None)


def test_times_of_files_decide_nothing(tmp_path):
    """A clock that is set back makes what was changed look older than what was there."""
    folder = tmp_path / "source"
    folder.mkdir()
    file = folder / "a.png"
    file.write_bytes(b"first")
    of_file, of_folder = fingerprint(file), fingerprint(folder)
    os.utime(file, (0, 0))
    assert (fingerprint(file), fingerprint(folder)) == (of_file, of_folder)
    file.write_bytes(b"other")  # as long as before
    os.utime(file, (0, 0))
    assert fingerprint(file) != of_file and fingerprint(folder) != of_folder
