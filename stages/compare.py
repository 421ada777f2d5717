"""Compares heads, recipes and splits with each other, and all with the paper."""

from __future__ import annotations

from lung_attention.config import Config, load_config
from lung_attention.data.published import load_published
from lung_attention.errors import run_guarded
from lung_attention.evaluation.baselines.table import Baseline, baselines_of
from lung_attention.evaluation.comparisons import compare
from lung_attention.files import read_table, write_json
from lung_attention.paths import EXPERIMENTS, PARAMS, Paths


def _baselines(config: Config, dataset: str) -> dict[str, Baseline]:
    of = config.dataset(dataset)
    return baselines_of(config.backbones, of.covariates, frame_is_empty=of.frame_is_empty)


def main() -> None:
    """Runs the stage."""
    config = load_config(PARAMS)
    settings, paths = config.active.evaluate, Paths(config.profile)
    experiments = read_table(EXPERIMENTS)
    result = compare(
        # The report names what of the design is not there yet.
        {cell: read_table(path) for cell in config.cells() if (path := paths.predictions(cell)).exists()},
        load_published().on(config.datasets).results,
        labels=config.labels,
        baselines={
            (dataset, split): read_table(paths.baseline_predictions(dataset, split))
            for dataset in config.datasets
            for split in config.splits
        },
        blind={
            name: [baseline for baseline, of in _baselines(config, name).items() if of.blind]
            for name in config.datasets
        },
        experiments=experiments[experiments["profile"] == config.profile],
        stand_in=bool(config.active.stand_ins),
        resamples=settings.resamples,
        confidence=settings.confidence,
        bins=settings.calibration_bins,
        seed=settings.seed,
    )
    write_json(paths.comparisons, result)


if __name__ == "__main__":
    run_guarded(main)
