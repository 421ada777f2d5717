from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from lung_attention.cells import Cell
from lung_attention.report.cards import model_card
from lung_attention.report.collect import load_results
from lung_attention.report.numbers import percent_interval

CELL = Cell("iqoth", "densenet121", "plain", "published", "grouped")


@pytest.fixture(scope="module")
def results(real):
    return load_results(real.config, real.root)


def test_a_card_is_read_by_hugging_face_with_the_scores_of_the_cell(results):
    card = ModelCard(model_card(results, CELL))
    found = {one.metric_type: one.metric_value for one in card.data.eval_results}
    metrics = results.metrics[CELL]
    assert found == {name: round(metrics[name], 4) for name in found}
    assert set(found) == {"accuracy", "balanced_accuracy", "auroc_ovr", "log_loss"}
    assert card.data.license == "other" and card.data.license_name == "CC BY 4.0"
    assert "pipeline_tag" in card.data.to_dict()


def test_a_card_says_what_the_model_is_worth_and_what_it_is_not(results):
    text = model_card(results, CELL)
    assert percent_interval(results.metrics[CELL], "accuracy") in text
    assert "Not a medical device, and not for diagnosis" in text
    for of in results.baselines[("iqoth", "grouped")].values():
        assert f"| {of['title']} |" in text
    assert results.metrics[CELL]["inputs"] in text
    assert text.index("| normal |") < text.index("| malignant |") < text.index("| benign |")
    assert "doi.org/10.17632/bhmdr45bh2" in text


def test_a_split_that_leaks_and_stand_ins_are_called_so(results, complete):
    leaky = model_card(results, replace(CELL, split="published"))
    assert "**The split leaks**" in leaky
    stand_ins = load_results(complete.config, complete.root)
    text = model_card(stand_ins, next(iter(stand_ins.metrics)))
    for sentence in stand_ins.config.active.stand_ins:
        assert f"> **{sentence}**" in text
    assert "> **" not in leaky


def test_maps_stand_in_the_card_of_the_cell_they_are_of(unpublished):
    results = load_results(unpublished.config, unpublished.root)
    (cell,) = results.maps
    assert "it is 1.20 times as dense as over the image (1.10 to 1.30)" in model_card(results, cell)
    assert "Where it looks" not in model_card(results, replace(cell, head="plain"))
