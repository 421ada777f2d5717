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
        ({}, "yes."),
        (
            {"over_untrained": -0.1},
            "not shown, no fitted attention does more",
        ),
        ({"over_mean": -0.1}, "in part."),
        ({"low": 0.9}, "in part."),
    ],
)
def test_the_attention_looks_only_where_nothing_simpler_does(results, values, verdict):
    said = looks_answer(with_record(results, **values))
    assert said.startswith(f"LIDC-IDRI, whole slices, published recipe: {verdict}")
    assert ". Inside the box" in said
    assert "1.20 times as dense" in said
    assert "in 5.0 % of the images" in said


def test_the_answer_follows_that_on_attention(results):
    questions = [one["question"] for one in answers_of(results)]
    assert questions.index(LOOKS) == questions.index("Does attention help?") + 1


def test_nothing_is_asked_where_nothing_is_marked(real):
    results = load_results(real.config, real.root)
    assert looks_answer(results) is None
    assert LOOKS not in [one["question"] for one in answers_of(results)]
    assert all(of["location"] is None for of in results.maps.values())


def test_tables_hold_what_was_measured(results):
    report = build_report(
        results, draw_cell=lambda _: None, read_images=lambda _: None, read_failures=lambda _: None
    )
    text = render_markdown(report)
    assert "| LIDC-IDRI, whole slices, DenseNet121, published | 106 | 0.0130 | 5.30 % | 0.960 " in text
    assert "| attention α | 1.20 (1.10 to 1.30) | 5.0 (2.0 to 9.0) |  |" in text
    assert (
        "| attention never fitted | 1.20 (1.10 to 1.30) | 5.0 (2.0 to 9.0) | +0.20 (+0.10 to +0.30) |" in text
    )


def test_what_was_not_looked_into_is_named(results):
    empty = replace(results, maps={}, map_pictures={})
    (missing,) = maps_section(empty).blocks
    assert "No network was looked into" in missing.text
    assert any(one.startswith("maps of") for one in empty.missing)
