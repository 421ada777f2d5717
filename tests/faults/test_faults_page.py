"""What is written of kills, inputs and fuzzing."""

import json

import pytest

from faults import page

RUN = {"kills": 3, "commands_run_again": 1, "by_kind": {"a search": {"SIGINT": 1, "SIGKILL": 2}}, "fell": []}
INPUTS = {
    "inputs": 10, "memory_mb": 8.0, "fell": [],
    "by_parser": {"DICOM": {"inputs": 10, "accepted": 4, "refused": 6, "fell": [], "slowest_s": 0.25}},
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / page.PAGE).write_text("<!-- generated:faults -->\n<!-- /generated:faults -->\n")
    return tmp_path


def told(here):
    return (here / page.PAGE).read_text(encoding="utf-8")


def test_kills_of_several_seeds_are_added_and_what_fell_names_its_code(here, monkeypatch):
    monkeypatch.setattr(page, "commit_of", lambda _: "abc")
    page.write_results({"kills": RUN | {"fell": ["a search: exit code 2"]}}, seed=1)
    monkeypatch.setattr(page, "commit_of", lambda _: "def")
    page.write_results({"kills": RUN}, seed=2, more=True)
    text = told(here)
    assert (
        "**6 kills** and interrupts at random moments (3 with seed 1 of code abc, 3 with seed 2 of code def)"
        in text
    )
    assert "| a search | 2 | 4 | 6 |" in text
    assert "- `code abc: a search: exit code 2`" in text
    page.write_results({"kills": RUN | {"kills": 4}}, seed=2, more=True)
    assert [run["kills"] for run in json.loads(page.FILE.read_text())["kills"]] == [3, 4], (
        "of one seed the last"
    )
    page.write_results({"kills": RUN}, seed=3)
    assert "**3 kills**" in told(here) and "Nothing fell." in told(here)


def test_a_part_that_was_not_run_stays(here):
    page.write_results({"inputs": INPUTS}, seed=7)
    page.write_results({"kills": RUN}, seed=1)
    assert "**10 inputs** (seed 7, code " in told(here)
    assert "| DICOM | 10 | 4 | 6 | 0 | 0.25 |" in told(here)
