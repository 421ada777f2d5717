"""What a report says of the weights of its backbones."""

from pathlib import Path

import pytest

from lung_attention.config import read_values, validate
from lung_attention.report.collect import load_results
from lung_attention.report.notes import methods
from lung_attention.report.weights import IMAGENET, weights_told

ROOT = Path(__file__).parents[2]
OTHER = "0" * 64


def config_with(checksums, *, profile="local", source=None):
    values = read_values(ROOT / "params.yaml")
    values |= {"profile": profile, "backbones": ["mobilenetv2", "densenet121"]}
    values["profiles"][profile]["backbone"] |= {"checksums": checksums}
    if source is not None:
        values["profiles"][profile]["backbone"]["source"] = source
    return validate(values, ROOT / "params.yaml")


def known(backbone):
    return min(IMAGENET[backbone])


def test_the_committed_real_results_have_known_weights():
    values = read_values(ROOT / "results/local/params.yaml")
    recorded = values["profiles"]["local"]["backbone"]["checksums"]
    assert set(recorded) == set(values["backbones"])
    said = weights_told(config_with(recorded))
    assert said.count("ImageNet weights") == 2 and "unknown" not in said


@pytest.mark.parametrize("source", ["folder", "public"])
def test_other_weights_are_named_by_their_hash(source):
    said = weights_told(
        config_with({"mobilenetv2": known("mobilenetv2"), "densenet121": OTHER}, source=source)
    )
    assert f"DenseNet121: weights of unknown origin (SHA-256 `{OTHER}`)" in said
    assert said.startswith("MobileNetV2: ImageNet weights (")


def test_the_weights_of_another_backbone_are_not_known_for_this_one():
    said = weights_told(config_with({"mobilenetv2": known("densenet121")}))
    assert "MobileNetV2: weights of unknown origin" in said
    assert "DenseNet121: weights of unknown origin, as no SHA-256" in said


def test_random_ones_are_told_as_stand_ins_alone(complete, real):
    assert weights_told(complete.config) == ""
    texts = {
        name: methods(load_results(one.config, one.root)).blocks[0].items
        for name, one in {"complete": complete, "real": real}.items()
    }
    told = {name: [item for item in items if "Backbones" in item] for name, items in texts.items()}
    assert told["complete"] == []
    assert told["real"] == [f"**Backbones**: {weights_told(real.config)}"]
