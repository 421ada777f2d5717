"""What every comparison needs of a cell: its scores, and the same resamples for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from lung_attention.evaluation.intervals import resampled_scores, score_intervals, seed_scores
from lung_attention.evaluation.predictions import Predictions, predictions_to_arrays
from lung_attention.evaluation.weighted import Floats, Integers


@dataclass(frozen=True)
class Measured:
    """Predictions with all that is compared of them.

    Attributes:
        predictions: Of one cell or baseline.
        per_seed: Scores of each seed (see `seed_scores`).
        resampled: Scores of each resample (see `resampled_scores`).
        intervals: Lower and upper bound of each score.
    """

    predictions: Predictions
    per_seed: dict[str, Floats]
    resampled: dict[str, Floats]
    intervals: dict[str, tuple[float, float]]

    def point(self, score: str) -> float:
        """The score, mean over seeds."""
        return float(self.per_seed[score].mean())


@dataclass(frozen=True)
class Bootstrap:
    """How everything is resampled.

    Attributes:
        resamples: Number of resamples.
        confidence: Of the intervals, such as 0.95.
        bins: Bins of the calibration error.
        seed: Of the resampling.
    """

    resamples: int
    confidence: float
    bins: int
    seed: int

    def measure(self, table: pd.DataFrame, classes: Sequence[str]) -> Measured:
        """Validates and measures the predictions of one cell or baseline; classes in label order."""
        return self.measure_predictions(predictions_to_arrays(table, classes))

    def measure_predictions(self, predictions: Predictions) -> Measured:
        """Measures validated predictions."""
        per_seed = seed_scores(predictions, bins=self.bins)
        resampled = self.resample(predictions)
        intervals, _ = score_intervals(predictions, per_seed, resampled, confidence=self.confidence)
        return Measured(predictions, per_seed, resampled, intervals)

    def resample(
        self, predictions: Predictions, clusters: tuple[Integers, int] | None = None
    ) -> dict[str, Floats]:
        """Scores of each resample of `clusters`, by default the predictions' own."""
        return resampled_scores(
            predictions,
            resamples=self.resamples,
            seed=self.seed,
            bins=self.bins,
            rank=True,
            clusters=clusters,
        )


def defined(**values: float) -> dict[str, float | None]:
    """Numbers for JSON, NaN as None."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}
