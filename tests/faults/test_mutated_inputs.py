"""A share of `make faults`: mutated inputs of some parsers, and the mutators themselves."""

import contextlib
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml.error import YAMLError

from faults import mutators
from faults.inputs import feed_all
from faults.parsers import PARSERS
from lung_attention.config import parse_value
from lung_attention.data.sources.dicom import DicomError, read_slice
from lung_attention.errors import UserError
from lung_attention.gate.tables import Columns, read_pair
from lung_attention.images.decode import UnreadableError
from lung_attention.predict.pixels import read_pixels
from lung_attention.workflow.status import profile_lock

# Each takes a process that imports what it needs; `make faults` feeds all of them.
CHEAP = ["DICOM", "predictions.csv", "found settings", "zip archives", "dvc.lock", "params.yaml"]
GOOD = {
    mutators.bytes_of: b"0123456789" * 10,
    mutators.text_of: b"a-b-c",
    mutators.json_of: b'{"a": [1, {"b": 2}]}',
    mutators.yaml_of: b"a: [1, 2]\nb: {c: d}\n",
    mutators.table_of: b"a,b\n1,2\n3,4\n",
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded and read as Linux has it")
def test_nothing_falls():
    assert set(CHEAP) <= set(PARSERS)
    found = feed_all(2000, seed=7, names=CHEAP).as_json()
    assert found["fell"] == []
    assert found["inputs"] > 900
    assert all(one["refused"] for one in found["by_parser"].values())


@pytest.mark.parametrize("mutate", GOOD, ids=lambda mutate: mutate.__name__)
def test_mutations_are_those_of_their_seed(mutate):
    good = GOOD[mutate]
    made = [mutate(good, [good], random.Random(seed)) for seed in range(60)]
    assert made == [mutate(good, [good], random.Random(seed)) for seed in range(60)]
    assert len(set(made)) > 30


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_an_image_or_refused(content):
    for head in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", bytes(128) + b"DICM"):
        with pytest.raises(UnreadableError):
            read_pixels(head + content, (-600.0, 1500.0))


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_a_slice_or_refused(content):
    with pytest.raises(DicomError):
        read_slice(bytes(128) + b"DICM" + content, "a")


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_text_is_a_value_or_no_yaml(text):
    with contextlib.suppress(YAMLError, ValueError):
        assert not callable(parse_value(text))


@given(st.text(alphabet="stages: \n-[]{}a@'!&*|,", max_size=200))
@settings(deadline=None)
def test_any_text_is_a_lock_or_refused(text):
    try:
        assert profile_lock(text, "sample").startswith("schema")
    except UserError as error:
        assert "no lock of DVC" in error.problem


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "? "])
def test_a_lock_of_great_depth_ends_no_process(opened):
    with pytest.raises(UserError, match="no lock of DVC"):
        profile_lock(opened * 100_000, "sample")


@pytest.mark.parametrize("depth", [200, 900, 100_000])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ("{a: ", "}"), ("- ", "")])
def test_values_of_great_depth_are_refused(depth, opened, closed):
    """A hundred thousand would end the process."""
    for content in (text := opened * depth + "0" + closed * depth, text.encode()):
        with pytest.raises(ValueError, match="levels"):
            parse_value(content)


def test_brackets_and_blanks_that_are_no_levels_count_as_none():
    hidden = "# " + "]" * 200_000 + "\n" + "[" * 100_000
    with pytest.raises(ValueError, match="levels"):
        parse_value(hidden)
    assert parse_value(f"a: '{'[' * 300}'\nb: |\n{' ' * 210}deep\n# {'-' * 300}\n") == {
        "a": "[" * 300,
        "b": "deep\n",
    }


def test_a_seed_without_bounds_is_refused(tmp_path):
    for name, seed in (("old", 0), ("new", 10**30)):
        rows = [f"{label}.jpg,{label},{seed},{p},{1 - p}" for label, p in (("a", 0.9), ("b", 0.2))]
        head = "image,label,seed,probability_a,probability_b"
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *rows]))
    with pytest.raises(UserError, match="a seed that is no whole number"):
        read_pair(tmp_path / "old.csv", tmp_path / "new.csv", Columns(), names=("old.csv", "new.csv"))
