"""`--set` on whatever a user may write: taken, or refused in the user's own words."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lung_attention.config import flat, read_values
from lung_attention.errors import UserError
from lung_attention.workflow.overrides import overridden, qualified

ROOT = Path(__file__).parents[2]
VALUES = read_values(ROOT / "params.yaml")
KEYS = sorted(key for key, _ in flat(VALUES))
PLACES = [
    *KEYS, *(key.rpartition(".")[0] for key in KEYS), "profile", "profiles.sample", "profiles.nope.train",
    "further", "further.nope.datasets", "explained", "++datasets", "+x.y", "~datasets", "datasets[0]", ".",
    "..", "train.",
]  # fmt: skip
ODD = [
    "", "null", "~", "[]", "{}", "[[]]", "[null]", "{a: 1}", "-1", "1e999", ".nan", "0x10", "014", "1:30",
    "yes", "2020-01-01", "'", '"', "[", "{", "&a", "*a", "!!python/object:x y", "? a", "- b", "a: b", "\t",
    "\n", "\0", "é", "${a}", "@", "%", "|", ">", "#", "\ud800", "[" * 200, "{a: " * 200, "9" * 5000,
]  # fmt: skip
endings = st.text("ab.+[]{}*- \n\0é#:", max_size=6)
keys = st.sampled_from(PLACES) | st.tuples(st.sampled_from(KEYS), endings).map(".".join)
assigned = st.tuples(keys, st.sampled_from(ODD) | st.text(max_size=8)).map("=".join)
overrides = st.lists(assigned | st.text(max_size=10), min_size=1, max_size=2)


@pytest.fixture(scope="module", autouse=True)
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "datasets", folder / "datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def taken(given, profile="local"):
    config = overridden(profile, VALUES["profiles"][profile]["datasets"], given)
    for one in given:
        qualified(one, profile)
    return config


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(overrides, st.sampled_from(sorted(VALUES["profiles"])))
@example(["datasets"], "local")
@example(["=1"], "local")
@example(["train.recipe=1", "train.recipe.epochs=1"], "sample")
@example(["further=null"], "local")
@example(["explained=null"], "local")
@example(["explained=[1]"], "local")
@example(["explained.recipes=null"], "local")
@example(["explained.recipes=[[1], {a: 1}]"], "local")
@example(["explained.datasets=[[1]]"], "local")
@example(["further.recommended.datasets=[{a: 1}]"], "sample")
@example(["further.recommended=null"], "sample")
@example(["audit.listed=2020-01-01"], "local")
@example(["audit.listed={2020-01-01: 1}"], "local")
@example(["audit.listed=!!set {a, b}"], "local")
@example(["stand_ins=[!!binary aGVsbG8=]"], "local")
@example(["datasets=null"], "local")
@example(["datasets=[[1]]"], "local")
@example(["further.recommended.datasets={}"], "public")
@example(["profiles.local=[]"], "local")
def test_no_setting_makes_it_fall(given, profile):
    try:
        taken(given, profile)
    except UserError as error:
        assert error.problem.startswith("--set ")
        assert error.remedy


def test_a_good_one_is_taken():
    assert taken(["splits=[published]", "train.recipe.epochs=2"]).active.train.recipe.epochs == 2
    assert taken(["+datasets=[iqoth]"]).datasets == ["iqoth"]
