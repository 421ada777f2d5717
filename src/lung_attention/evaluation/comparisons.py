"""Everything that compares one cell with another or with the paper: the content of `comparisons.json`.

The schema (all scores are fractions of 1, nothing in percent; undefined ones are null):

- `confidence`, `resamples`, `stand_in` (images or backbones are stand-ins: no verdict on the paper).
- `attention_vs_plain`: an entry for each dataset, backbone, recipe and split with both heads.
  `dataset`, `backbone`, `recipe`, `split`, what `paired_comparison.compare_pair` gives: attention − plain
  (McNemar's test on the published split, sign-flip over groups on the grouped one), `p_holm` (adjusted over
  the `family_size` entries of the same recipe and split) and `verdict` (helps, hurts, undecided).
- `recipe_vs_published`: an entry for each cell of another recipe beside its cell of the published one.
  `dataset`, `backbone`, `head`, `recipe`, `split`, what `paired_comparison.compare_pair` gives under the
  names `changed` and `published`: changed − published, `p_holm` (adjusted over the `family_size` entries of
  the same recipe and split) and `verdict`.
- `network_vs_baseline`: an entry for each cell on the grouped split and each baseline there (schema in
  `against_baselines`).
- `leakage`: an entry for each dataset, backbone, head and recipe measured on both splits, and each baseline
  (schema in `leakage`).
- `reproduction`: an entry for each published result and head, by the published recipe (schema in
  `reproductions`), and `experiments`: where ours is off, what runs with one setting changed say (see
  `explanations`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.data.published import PublishedResult
from lung_attention.evaluation.against_baselines import against_baselines
from lung_attention.evaluation.explanations import experiments_on
from lung_attention.evaluation.leakage import baseline_leakage, network_leakage
from lung_attention.evaluation.measured import Bootstrap, Measured
from lung_attention.evaluation.multiplicity import holm
from lung_attention.evaluation.paired_comparison import compare_pair
from lung_attention.evaluation.reproductions import reproductions
from lung_attention.evaluation.verdicts import UNDECIDED, change_verdict


def compare(
    cells: Mapping[Cell, pd.DataFrame],
    published: Sequence[PublishedResult],
    *,
    labels: Mapping[str, Sequence[str]],
    baselines: Mapping[tuple[str, str], pd.DataFrame],
    blind: Mapping[str, Collection[str]],
    experiments: pd.DataFrame,
    stand_in: bool,
    resamples: int,
    confidence: float,
    bins: int,
    seed: int,
) -> dict[str, Any]:
    """Compares all cells that there are; what is missing is left out or said to be open.

    Args:
        cells: The predictions of each cell, with groups in the column `group`.
        published: The published results.
        labels: Class names in label order, by dataset.
        baselines: For each dataset and split the predictions of the baselines, with a column `baseline`,
            groups as in `cells`. May be empty.
        blind: For each dataset the baselines that see nothing of the disease.
        experiments: Runs of this profile with one setting changed, see `explanations`. May be empty.
        stand_in: Whether images or backbones are stand-ins.
        resamples: Bootstrap resamples.
        confidence: Of intervals and verdicts, such as 0.95.
        bins: Bins of the calibration error.
        seed: Of the resampling.

    Returns:
        The content of `comparisons.json`, as described at the head of this module.

    Raises:
        UserError: Predictions are malformed, or cells to be compared are not on the same images.
    """
    bootstrap = Bootstrap(resamples, confidence, bins, seed)
    measured = {cell: bootstrap.measure(table, labels[cell.dataset]) for cell, table in cells.items()}
    of_baselines = {
        key: {
            str(name): bootstrap.measure(rows, labels[key[0]])
            for name, rows in table.groupby("baseline", sort=False)
        }
        for key, table in baselines.items()
    }
    found = reproductions(published, measured, stand_in=stand_in, confidence=confidence)
    theirs = {(result.dataset, result.backbone): result for result in published}
    for entry in found:
        result = theirs[entry["dataset"], entry["backbone"]]
        entry["experiments"] = experiments_on(entry, result, experiments, confidence=confidence)
    return {
        "confidence": confidence,
        "resamples": resamples,
        "stand_in": stand_in,
        "attention_vs_plain": _attention_entries(measured, confidence=confidence),
        "recipe_vs_published": _recipe_entries(measured, confidence=confidence),
        "network_vs_baseline": against_baselines(measured, of_baselines, blind=blind, confidence=confidence),
        "leakage": [*network_leakage(measured, bootstrap), *baseline_leakage(of_baselines, bootstrap)],
        "reproduction": found,
    }


def _recipe_entries(measured: Mapping[Cell, Measured], *, confidence: float) -> list[dict[str, Any]]:
    entries = []
    for cell, changed in measured.items():
        base = measured.get(replace(cell, recipe=PUBLISHED))
        if cell.recipe != PUBLISHED and base is not None:
            names, grouped = ("changed", "published"), cell.split == "grouped"
            paired = compare_pair(changed, base, names=names, grouped=grouped, confidence=confidence)
            entries.append({**asdict(cell), **paired})
    _judge_families(entries, names=("changed", "published"), confidence=confidence)
    return entries


def _judge_families(entries: Sequence[dict[str, Any]], *, names: tuple[str, str], confidence: float) -> None:
    """Judges the entries of each recipe and split together."""
    for key in dict.fromkeys((entry["recipe"], entry["split"]) for entry in entries):
        family = [entry for entry in entries if (entry["recipe"], entry["split"]) == key]
        _judge(family, confidence=confidence)
    ours, theirs = names
    for entry in entries:
        # McNemar's test counts images, not by how many seeds: the mean may point the other way.
        more_images = entry[f"{ours}_better"] - entry[f"{theirs}_better"]
        difference = entry["differences"]["accuracy"]["difference"]
        if entry["test"] == "mcnemar" and more_images * difference < 0:
            entry["verdict"] = UNDECIDED


def _judge(family: Sequence[dict[str, Any]], *, confidence: float) -> None:
    """Adds to each entry of a family its adjusted p value, the family's size and the verdict that follows."""
    for entry, adjusted in zip(family, holm([entry["p_value"] for entry in family]), strict=True):
        difference = entry["differences"]["accuracy"]["difference"]
        entry["p_holm"] = adjusted
        entry["family_size"] = len(family)
        entry["verdict"] = change_verdict(difference, adjusted, confidence=confidence)


def _attention_entries(measured: Mapping[Cell, Measured], *, confidence: float) -> list[dict[str, Any]]:
    entries = []
    for cell, attention in measured.items():
        plain = measured.get(replace(cell, head="plain"))
        if cell.head == "attention" and plain is not None:
            names, grouped = ("attention", "plain"), cell.split == "grouped"
            paired = compare_pair(attention, plain, names=names, grouped=grouped, confidence=confidence)
            factors = {key: value for key, value in asdict(cell).items() if key != "head"}
            entries.append({**factors, **paired})
    _judge_families(entries, names=("attention", "plain"), confidence=confidence)
    return entries
