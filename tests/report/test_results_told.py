"""Results that their stage did not write are told by file and place, and names in them are no HTML."""

import pytest

from lung_attention.errors import UserError
from lung_attention.report.numbers import listed
from lung_attention.report.page import without_html
from lung_attention.report.reading import read_results, results_told


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(
        '{"accuracy": null, "per_class": [{"name": "benign", "sensitivity": 0.5}], "n": {"a": 1}}'
    )
    return path


def used(use, path):
    with pytest.raises(UserError) as caught, results_told():
        use(read_results(path))
    return caught.value.problem


@pytest.mark.parametrize(
    ("use", "place"),
    [
        (lambda found: found["absent"], ".absent"),
        (lambda found: 100 * found["accuracy"], ".accuracy"),
        (lambda found: found["per_class"][0]["specificity"], ".per_class[0].specificity"),
        (lambda found: found["n"]["a"].items(), ".n.a"),
        (lambda found: [low + high for low, high in found["n"].items()], ".n"),
        (lambda found: f"{found.get('per_class'):.1f}", ".per_class"),
    ],
)
def test_what_cannot_be_used_is_named(file, use, place):
    assert used(use, file).startswith(f"{file}:{place}: not what its stage writes")


def test_the_line_that_could_not_use_it_is_told(file):
    line = listed.__code__.co_firstlineno
    told = used(lambda found: listed(found["accuracy"]), file)
    place, _, rest = told.partition("(TypeError in lung_attention/report/numbers.py:")[2].partition(": ")
    assert line < int(place) < line + 5 and "NoneType" in rest


@pytest.mark.parametrize("text", ["[1, 2]", "3", "null", "{", "[" * 100_000])
def test_what_is_no_object_is_refused(file, text):
    file.write_text(text)
    assert str(file) in used(dict, file)


def test_what_is_asked_for_is_what_the_file_says(file):
    found = read_results(file)
    assert found["n"]["a"] == 1 and dict(found["per_class"][0]) == {"name": "benign", "sensitivity": 0.5}


def test_names_are_no_html_but_code_and_our_marks_stay():
    ours = "1 < 2 `<cell>`\n<!-- generated:staleness -->\n<!-- /generated:staleness -->"
    text = f"a <img src=x> </b> <!-- x --> {ours}"
    assert without_html(text) == text.replace("<img", "&lt;img").replace("</b", "&lt;/b").replace(
        "<!-- x", "&lt;!-- x"
    )
