"""params.yaml: every key known, every value checked, every message naming file, key and value."""

import json
from pathlib import Path

import pytest
import yaml

from lung_attention.config import load_config
from lung_attention.errors import UserError

PARAMS = Path(__file__).parents[1] / "params.yaml"
VALUES = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))


def sections(values, path=()):
    """The paths of all mappings, first list level included."""
    yield path
    for key, value in values.items():
        if isinstance(value, dict):
            yield from sections(value, (*path, key))


# Mappings whose keys are datasets or backbones say so in another message.
OPEN = {
    "profiles",
    "pins",
    "near_duplicates_leak",
    "image_size_px",
    "seeds",
    "learning_rate",
    "training_sd",
    "floors",
}
CLOSED = [
    path
    for path in sections(VALUES)
    if path[:2] in ((), ("profiles",), ("profiles", "sample")) and not OPEN & set(path[-2:]) - {"profiles"}
    if path != ("profiles",)
]


def load(tmp_path, changes):
    """Loads params.yaml with the values at some paths replaced; `...` removes a key."""
    values = json.loads(json.dumps(VALUES))  # what profiles share by YAML anchors becomes their own
    for (*path, last), value in changes.items():
        section = values
        for key in path:
            section = section[key]
        if value is ...:
            del section[last]
        else:
            section[last] = value
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return load_config(file)


def refusal(tmp_path, changes):
    with pytest.raises(UserError) as caught:
        load(tmp_path, changes)
    assert str(tmp_path / "params.yaml") in caught.value.problem
    return caught.value.problem


def test_the_repositorys_own_file_is_valid():
    config = load_config(PARAMS)
    assert config.active is config.profiles["sample"]


def test_no_value_is_shared_by_an_anchor():
    """DVC's overrides load the file without anchors and write it with them: the last sharer wins."""
    tokens = yaml.scan(PARAMS.read_text(encoding="utf-8"))
    assert not [token for token in tokens if isinstance(token, yaml.AliasToken)]


def test_there_are_sections_to_try():
    assert len(CLOSED) > 10


@pytest.mark.parametrize("path", CLOSED, ids=".".join)
def test_an_unknown_key_is_refused_at_every_level(tmp_path, path):
    problem = refusal(tmp_path, {(*path, "epoch"): 7})
    assert f"{'.'.join((*path, 'epoch'))}: " in problem
    assert "received 7" in problem


S = ("profiles", "sample")
R = (*S, "train", "recipe")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*R, "epochs"), "12"),
        ((*R, "epochs"), 0),
        ((*R, "epochs"), 1.0),
        ((*R, "epochs"), True),
        ((*R, "l2"), float("inf")),
        ((*R, "attention_gamma"), float("nan")),
        ((*R, "dropout"), 1.0),
        ((*R, "jit_compile"), "yes"),
        ((*R, "pooling"), "max"),
        ((*S, "download", "source"), "web"),
        ((*S, "download", "pins", "iqoth"), "ABC"),
        ((*S, "preprocess", "interpolation"), "cubic"),
        ((*S, "evaluate", "confidence"), 95),
        ((*S, "train", "seeds", "iqoth"), [0, 0]),
        ((*S, "train", "seeds", "iqoth"), []),
        (("heads",), ["plain", "attentive"]),
        (("splits",), ["published", "published"]),
        (("datasets",), "iqoth"),
    ],
)
def test_a_bad_value_is_named(tmp_path, path, value):
    problem = refusal(tmp_path, {path: value})
    assert ".".join(path) in problem
    received = value[1] if path == ("heads",) else value
    assert f"received {received!r}" in problem


def test_an_unknown_dataset_is_named_with_those_that_exist(tmp_path):
    problem = refusal(tmp_path, {("datasets",): ["iqoth", "luna16"]})
    assert "datasets.1" in problem
    assert "'luna16'" in problem
    assert "lidc_nodules" in problem


def test_what_is_tuned_is_part_of_the_matrix(tmp_path):
    problem = refusal(tmp_path, {("tuned", "datasets"): ["lidc_nodules"]})
    assert "tuned.datasets: the matrix has no ['lidc_nodules']" in problem
    problem = refusal(tmp_path, {("tuned", "datasets"): ["iqoth"], ("splits",): ["published"]})
    assert "nested in the grouped split" in problem


def test_an_unknown_profile(tmp_path):
    problem = refusal(tmp_path, {("profile",): "sampel"})
    assert "'sampel'" in problem
    assert "'local', 'public', 'sample'" in problem


def test_a_profile_that_does_not_cover_the_datasets(tmp_path):
    problem = refusal(tmp_path, {("profile",): "local"})
    assert "'local' has no source for ['lidc']" in problem
    load(tmp_path, {("profile",): "local", ("datasets",): ["iqoth"]})


@pytest.mark.parametrize(
    "key",
    [
        "download.pins",
        "audit.near_duplicates_leak",
        "preprocess.image_size_px",
        "train.seeds",
        "train.learning_rate",
        "gate.training_sd",
        "gate.floors",
    ],
)
def test_a_dataset_without_a_value(tmp_path, key):
    assert f"profiles.sample.{key}: no value for ['lidc']" in refusal(
        tmp_path, {(*S, *key.split("."), "lidc"): ...}
    )


def test_a_floor_below_a_majority_vote(tmp_path):
    floor = (*S, "gate", "floors", "iqoth", "grouped")
    assert "expected at least 0.333, that of a majority vote" in refusal(tmp_path, {floor: 0.33})
    load(tmp_path, {floor: 0.34})


@pytest.mark.parametrize(
    "entry",
    [
        {"cells": ["iqoth-*"], "change": "worse", "reason": ""},
        {"cells": ["iqoth-*"], "change": "better", "reason": "because"},
        {"cells": [], "change": "worse", "reason": "because"},
        {"cells": ["iqoth-*"], "change": "worse"},
        {"cells": ["iqoth-*"], "change": "worse", "reason": "because", "until": "2027"},
    ],
)
def test_a_declared_change_names_cells_change_and_reason(tmp_path, entry):
    assert "gate.declared.0" in refusal(tmp_path, {(*S, "gate", "declared"): [entry]})


def test_a_backbone_without_settings(tmp_path):
    assert "no settings for ['resnet50']" in refusal(tmp_path, {("backbones",): ["resnet50"]})
    problem = refusal(tmp_path, {(*S, "backbone", "pins", "resnet50"): None})
    assert "resnet50" in problem
    assert "train.learning_rate.iqoth" in problem


def test_a_missing_key(tmp_path):
    assert "profiles.sample.split.seed: Field required" in refusal(tmp_path, {(*S, "split", "seed"): ...})


def test_small_numbers_as_dvc_writes_them(tmp_path):
    # `dvc exp run -S …l2=0.00001` writes 1e-05, which PyYAML by itself reads as text.
    text = PARAMS.read_text(encoding="utf-8")
    assert "l2: 0.0\n" in text
    (tmp_path / "params.yaml").write_text(text.replace("l2: 0.0\n", "l2: 1e-05\n", 1), encoding="utf-8")
    assert load_config(tmp_path / "params.yaml").active.train.recipe.l2 == 1e-5


def test_a_file_that_is_missing_or_no_yaml(tmp_path):
    path = tmp_path / "params.yaml"
    for content in (None, b"a: [", b"", b"\xff\x00", b"- 1"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=r"params\.yaml"):
            load_config(path)


def test_it_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_config(PARAMS).active.split.seed = 11
