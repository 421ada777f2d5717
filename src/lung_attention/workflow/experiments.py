"""Experiments: runs with one setting changed, kept as a few scores beside a profile's results.

They show why a score is what it is. `results/experiments.csv` holds a row an experiment and cell; the
results of the profile itself stay as they are.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import pandas as pd

from lung_attention.cells import PUBLISHED
from lung_attention.files import read_table, write_table
from lung_attention.paths import EXPERIMENTS, Paths
from lung_attention.workflow.temporary import kept_file, nothing_further, run_in_temporary

COLUMNS = (
    "profile", "experiment", "settings", "dataset", "backbone", "head", "split", "n_test", "n_seeds",
    "accuracy", "accuracy_low", "accuracy_high", "device",
)  # fmt: skip


def run_experiment(profile: str, name: str, overrides: Sequence[str]) -> pd.DataFrame:
    """Runs a profile with other settings in a temporary workspace and keeps the scores of its cells.

    Args:
        profile: A profile of params.yaml.
        name: What is asked, for people, such as "nearest pixel instead of bilinear".
        overrides: `key=value` as `lung-attention repro --set` takes them; they narrow the design, too.

    Returns:
        The rows that were added to `EXPERIMENTS`, in place of earlier ones of the same profile and name.

    Raises:
        UserError: The profile is unknown, a source is missing, or a stage failed.
    """
    # Before a run of hours, whose scores would have nowhere to go.
    known = read_table(EXPERIMENTS) if EXPERIMENTS.exists() else pd.DataFrame(columns=list(COLUMNS))
    # Cells of further recipes have settings of their own, which one changed setting says nothing about.
    reference = run_in_temporary(profile, [*nothing_further(), *overrides])
    summary = pd.read_csv(io.StringIO(kept_file(reference, Paths(profile).summary)))
    # What is published was made by the published recipe.
    rows = summary[summary["recipe"] == PUBLISHED].assign(
        profile=profile, experiment=name, settings=" ".join(overrides)
    )
    rows = rows.loc[:, list(COLUMNS)]
    write_table(EXPERIMENTS, merged(known, rows))
    return rows


def merged(known: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Puts new rows in place of those of the same profile, experiment and cell.

    Returns:
        A table with `COLUMNS`, known rows first.
    """
    key = ["profile", "experiment", "dataset", "backbone", "head", "split"]
    both = pd.concat([known.astype(object), rows.astype(object)], ignore_index=True)
    kept: pd.DataFrame = both.drop_duplicates(key, keep="last").loc[:, list(COLUMNS)]
    return kept.reset_index(drop=True)
