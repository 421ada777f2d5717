"""Folders among the cells that are none."""

import shutil

import pytest
from gate_tables import CELL, OTHER, commit_all, new_project, table_of, write_table

from lung_attention.errors import UserError
from lung_attention.gate.command import run_gate_command
from lung_attention.gate.rules import Verdict
from lung_attention.paths import Paths

SAMPLE, LOCAL = Paths("sample"), Paths("local")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Cells of the profile in use and of another one, committed."""
    root = new_project(tmp_path / "project")
    for cell in (CELL, OTHER):
        write_table(root / LOCAL.predictions(cell), table_of(cell))
    commit_all(root, "others, too")
    monkeypatch.chdir(root)
    return root


def stray(paths, name):
    folder = paths.predictions(OTHER).parents[1] / name
    folder.mkdir()
    shutil.copy(paths.predictions(OTHER), folder)


def verdicts(profile):
    found = run_gate_command("HEAD", profile=profile, margins=[], cells=[])
    return {result.cell: result.verdict for result in found.results}


@pytest.mark.parametrize("name", ["notes", ".hidden", "a-b-c-d-e", f"{OTHER.name[:-7]}odd"])
def test_of_the_profile_in_use_only_the_design_counts(project, name):
    stray(SAMPLE, name)
    assert set(verdicts("sample")) == {CELL.name, OTHER.name}


@pytest.mark.parametrize("name", ["notes", ".hidden"])
def test_what_is_named_like_no_cell_is_left_alone(project, name):
    stray(LOCAL, name)
    assert verdicts("local") == dict.fromkeys([CELL.name, OTHER.name], Verdict.IDENTICAL)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a-b-c-d-e", "no file describes the dataset"),
        ("----", "no file describes the dataset"),
        (f"{OTHER.name[:-7]}odd", "expected one of the splits published, grouped, received 'odd'"),
    ],
)
def test_what_is_named_like_a_cell_and_is_none_is_told(project, name, said):
    stray(LOCAL, name)
    with pytest.raises(UserError, match=said) as caught:
        verdicts("local")
    assert f"results/local/cells/{name}" in caught.value.remedy


def test_a_folder_that_only_the_reference_has_is_a_cell_that_is_missing(project):
    stray(LOCAL, "a-b-c-d-e")
    commit_all(project, "stray")
    shutil.rmtree(LOCAL.predictions(OTHER).parents[1] / "a-b-c-d-e")
    assert verdicts("local")["a-b-c-d-e"] is Verdict.NOT_COMPARABLE
