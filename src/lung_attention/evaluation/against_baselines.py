"""Networks against baselines on the grouped split: what `network_vs_baseline` of `comparisons.json` holds.

An entry for each cell on the grouped split and each baseline there has `dataset`, `backbone`, `head`,
`recipe`, `split`, `baseline`, `blind` (the baseline looks at nothing medical), what
`paired_comparison.compare_pair` gives under the names `network` and `baseline` (network − baseline, tested by
sign-flip over groups), `p_holm` (adjusted over the `family_size` entries of the same recipe) and `verdict`
(better, worse, undecided).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from lung_attention.cells import Cell
from lung_attention.evaluation.measured import Measured
from lung_attention.evaluation.multiplicity import holm
from lung_attention.evaluation.paired_comparison import compare_pair
from lung_attention.evaluation.verdicts import rank_verdict

GROUPED = "grouped"


def against_baselines(
    measured: Mapping[Cell, Measured],
    baselines: Mapping[tuple[str, str], Mapping[str, Measured]],
    *,
    blind: Mapping[str, Collection[str]],
    confidence: float,
) -> list[dict[str, Any]]:
    """Tests each network against each baseline, where no known leakage flatters either.

    Args:
        measured: The cells.
        baselines: For each dataset and split the baselines by name, resampled as the cells are.
        blind: For each dataset the baselines that see nothing of the disease.
        confidence: Of intervals and verdicts, such as 0.95.

    Returns:
        The entries that the module describes.

    Raises:
        UserError: A network and a baseline are not on the same images.
    """
    entries: list[dict[str, Any]] = []
    for cell, network in measured.items():
        if cell.split != GROUPED:
            continue
        for name, baseline in baselines.get((cell.dataset, GROUPED), {}).items():
            names = ("network", "baseline")
            paired = compare_pair(network, baseline, names=names, grouped=True, confidence=confidence)
            entries.append({**asdict(cell), "baseline": name, "blind": name in blind[cell.dataset], **paired})
    for recipe in dict.fromkeys(entry["recipe"] for entry in entries):
        family = [entry for entry in entries if entry["recipe"] == recipe]
        for entry, adjusted in zip(family, holm([entry["p_value"] for entry in family]), strict=True):
            difference = entry["differences"]["accuracy"]["difference"]
            entry["p_holm"], entry["family_size"] = adjusted, len(family)
            entry["verdict"] = rank_verdict(difference, adjusted, confidence=confidence)
    return entries
