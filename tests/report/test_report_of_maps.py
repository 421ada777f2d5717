from dataclasses import replace

import pytest
from fake_results import maps_record

from lung_attention.report.collect import load_results
from lung_attention.report.maps import LOOKS, looks_answer, maps_section
from lung_attention.report.page import answers_of, build_report, render_markdown


@pytest.fixture(scope="module")
def results(unpublished):
    return load_results(unpublished.config, unpublished.root)


def with_record(results, **values):
    return replace(results, maps={cell: maps_record(cell, **values) for cell in results.maps})


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({}, "Yes"),
        ({"over_untrained": -0.1}, "Not shown"),
        ({"over_mean": -0.1}, "Not shown"),
        ({"low": 0.9}, "In part"),
    ],
)
def test_the_attention_looks_only_where_nothing_simpler_does(results, values, verdict):
    said = looks_answer(with_record(results, **values))
    assert said.verdict == verdict
    assert "it is 1.20 times as dense" in said.numbers
    fitted = int(values.get("over_untrained", 1) > 0)
    assert f"denser than one that was never fitted in {fitted} of 1 networks" in said.numbers
    assert "in 5.0 % of the images" in said.numbers
    assert not said.details, "one dataset and recipe"


def test_the_answer_follows_that_on_attention(results):
    questions = [one.question for one in answers_of(results)]
    assert questions.index(LOOKS) == questions.index("Does attention help?") + 1


def test_nothing_is_asked_where_nothing_is_marked(real):
    results = load_results(real.config, real.root)
    assert looks_answer(results) is None
    assert LOOKS not in [one.question for one in answers_of(results)]
    assert all(of["location"] is None for of in results.maps.values())


def test_tables_hold_what_was_measured(results):
    report = build_report(
        results, draw_cell=lambda _: None, read_images=lambda _: None, read_failures=lambda _: None
    )
    text = render_markdown(report)
    worth = "106 | 0.0130 | 5.30 % | 0.960 | 0.71 | 0.33 | 0.52"
    assert f"| LIDC-IDRI, whole slices, DenseNet121, published | {worth} |" in text
    alike = "0.10 | 0.10 | 0.00 | 0.00 | 0.30 | 0.15 | 0.20 | 0.10 | 0.10 | 0.05"
    assert f"| LIDC-IDRI, whole slices, DenseNet121, published | {alike} |" in text
    assert "| attention α | 1.20 (1.10 to 1.30) | 5.0 (2.0 to 9.0) |  |" in text
    assert (
        "| attention never fitted | 1.20 (1.10 to 1.30) | 5.0 (2.0 to 9.0) | +0.20 (+0.10 to +0.30) |" in text
    )


def test_a_cell_that_was_not_refitted_has_no_likeness_of_refits(results):
    maps = {cell: {**of, "repeated": None} for cell, of in results.maps.items()}
    table = maps_section(replace(results, maps=maps)).blocks[1]
    assert all(row[5:] == ["", "", ""] for row in table.rows)


def test_what_was_not_looked_into_is_named(results):
    empty = replace(results, maps={}, map_pictures={})
    (missing,) = maps_section(empty).blocks
    assert "No network was looked into" in missing.text
    assert any(one.startswith("maps of") for one in empty.missing)
