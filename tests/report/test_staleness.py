"""The notice on stale results, and the regions of texts it stands in."""

import pytest

from lung_attention.errors import UserError
from lung_attention.report.regions import region, replace_region
from lung_attention.report.staleness import STALENESS, note_of, short_note, with_note

STALE = ["train@a", "train@b", "report"]


@pytest.mark.parametrize("top", ["<!DOCTYPE html>\n<p>", "# Title\n"])
def test_a_notice_names_the_stages_comes_and_goes(top):
    fresh = f"{top}\n{region(STALENESS, '')}\nfigures\n"
    noted = with_note(fresh, STALE)
    assert "train (2) and report" in noted
    assert ("<details class=" in noted) == top.startswith("<!")
    assert with_note(noted, STALE) == noted
    assert with_note(noted, []) == fresh == with_note(fresh, [])


@pytest.mark.parametrize(
    ("stale", "says"),
    [
        ([], ""),
        (["report"], "These stages: report."),
        (["train@a", "train@b"], "These stages: train (2)."),
        (["train@a", "train_further@b"], "have changed since these results were computed"),
    ],
)
def test_a_note_counts_the_cells_of_a_stage(stale, says):
    note = note_of(stale)
    assert says in note and bool(note) == bool(stale)


def test_the_short_note_names_no_stage():
    assert short_note(STALE) in note_of(STALE)
    assert "train" not in short_note(STALE)
    assert short_note([]) == ""


def test_a_text_without_the_region_is_refused():
    with pytest.raises(UserError, match=f"generated:{STALENESS}"):
        with_note("# Title\n", STALE)


def test_regions_are_replaced_one_by_one():
    text = f"a\n{region('one', 'x')}\nb\n{region('two', 'y')}\nc\n"
    assert replace_region(text, "two", "\nz\n") == f"a\n{region('one', 'x')}\nb\n{region('two', 'z')}\nc\n"


@pytest.mark.parametrize("text", ["", "<!-- /generated:x --><!-- generated:x -->", region("x", "") * 2])
def test_marks_have_to_be_there_once_and_in_order(text):
    with pytest.raises(UserError, match="once each"):
        replace_region(text, "x", "content")
