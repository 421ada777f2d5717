"""Where archives and weights come from, and what a user is told when they are not there."""

import pytest

from lung_attention.data.sources.resolve import check_pin, find_archive, find_weights, fingerprint
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


@pytest.mark.parametrize("find", [find_archive, find_weights])
def test_public_sources_say_what_to_do_instead(find):
    with pytest.raises(UserError, match="cannot be downloaded yet") as caught:
        find("iqoth", source="public")
    assert "PROFILE=local" in caught.value.remedy


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
    (folder / "x" / "a").rename(folder / "x" / "b")
    seen.add(fingerprint(folder))
    assert len(seen) == 4


def test_a_pin_that_does_not_match_names_both_hashes(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(b"1")
    check_pin(file, None)
    check_pin(file, sha256(file))
    with pytest.raises(UserError, match="0" * 64) as caught:
        check_pin(file, "0" * 64)
    assert sha256(file) in caught.value.problem
    assert str(file) in caught.value.problem
