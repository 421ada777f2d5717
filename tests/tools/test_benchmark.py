"""The benchmark measures what it says; how fast that is no test knows."""

from __future__ import annotations

import math

import pytest

import benchmark
from lung_attention.config import load_config
from lung_attention.errors import UserError


@pytest.fixture
def recipe(request):
    config = load_config(request.config.rootpath / "params.yaml")
    return config.profiles["sample"].train.recipe


@pytest.mark.parametrize("head", ["plain", "attention"])
def test_a_fit_is_measured(recipe, head):
    found = benchmark.measure_fit(recipe, (2, 2, 8), 64, head=head)
    assert 0 < found["ms"] < math.inf
    assert found["mb"] > 100 or math.isnan(found["mb"]), "TensorFlow alone takes more"


def test_a_pass_of_a_backbone_is_measured():
    found = benchmark.measure_extraction("mobilenetv2", 32, 70)
    assert 0 < found["ms"] < math.inf


def test_the_table_has_a_row_for_each_measurement(recipe, monkeypatch):
    told = []
    monkeypatch.setattr(benchmark, "_measured", lambda tell, call, *_, **__: tell(call) or {"ms": 2, "mb": 1})
    text = benchmark.benchmark(recipe, tell=told.append)
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(told)
    assert all("2.0 ms a" in row and "1 MB" in row for row in rows)
    assert sum("densenet121" in row for row in rows) == 2


def test_a_measurement_that_fails_is_named(recipe):
    with pytest.raises(UserError, match="the measurement extraction nowhere 32 64 failed"):
        benchmark._measured(print, ["extraction", "nowhere", "32", "64"], recipe)
