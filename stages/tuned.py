"""Publishes a search, draws it, and sets its settings beside those of `train` on the grouped split."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from lung_attention.cells import PARAMS, Cell, Paths
from lung_attention.config import load_config
from lung_attention.data.catalog import DATASETS
from lung_attention.errors import run_guarded
from lung_attention.evaluation.measured import Bootstrap
from lung_attention.evaluation.predictions import complete_predictions
from lung_attention.files import read_json, read_table, replacing, write_json, write_table
from lung_attention.plots.search_figure import search_figure
from lung_attention.search.comparison import compare_with_default


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for factor in ("dataset", "backbone", "head"):
        parser.add_argument(f"--{factor}", required=True)
    cell = Cell(**vars(parser.parse_args()), split="grouped")
    config = load_config(PARAMS)
    settings, paths = config.active.evaluate, Paths(config.profile)
    classes = DATASETS[cell.dataset].classes
    found = read_json(paths.raw_search(cell))
    predictions = complete_predictions(
        read_table(paths.raw_tuned_predictions(cell)), read_table(paths.groups(cell.dataset)), classes
    )
    comparison = compare_with_default(
        predictions,
        read_table(paths.predictions(cell)),
        cell.dataset,
        Bootstrap(settings.resamples, settings.confidence, settings.calibration_bins, settings.seed),
    )
    write_json(paths.search(cell), found)
    write_table(paths.tuned_predictions(cell), predictions)
    write_json(paths.tuned_comparison(cell), {**asdict(cell), **comparison})
    with replacing(paths.search_figure(cell)) as temporary:
        # Without its date, the same figure is the same file.
        search_figure(found).savefig(temporary, metadata={"Date": None})


if __name__ == "__main__":
    run_guarded(main)
