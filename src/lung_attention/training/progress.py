"""Progress of long work, for people who watch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType

EpochReport = Callable[[int, int, int, dict[str, float]], None]


def tell_all(*reports: EpochReport) -> EpochReport:
    """Makes one report of several; each receives every epoch."""

    def report(seed: int, fold: int, epoch: int, values: dict[str, float]) -> None:
        for each in reports:
            each(seed, fold, epoch, values)

    return report


class EpochProgress:
    """Prints a line at the first and last epoch of each fit, and about every ten seconds in between.

    DVC hands on whole lines, so this prints lines rather than a moving bar.

    Args:
        name: What is being fitted.
        epochs: Epochs of a fit, by its fold.
        every_s: Seconds between two lines of a fit.
    """

    def __init__(self, name: str, *, epochs: Mapping[int, int], every_s: float = 10.0) -> None:
        self._name = name
        self._epochs = epochs
        self._every_s = every_s
        self._started = 0.0
        self._printed = 0.0

    def __enter__(self) -> EpochProgress:
        self._started = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            print(f"{self._name}: fitted in {time.monotonic() - self._started:.0f} s", flush=True)

    def __call__(self, seed: int, fold: int, epoch: int, values: dict[str, float]) -> None:
        """Reports a finished epoch.

        Args:
            seed: The fit's seed.
            fold: The fit's fold, -1 for the refit on all images.
            epoch: From 1.
            values: Loss and accuracy.
        """
        now, last = time.monotonic(), self._epochs[fold]
        if epoch in (1, last) or now - self._printed >= self._every_s:
            self._printed = now
            numbers = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
            fit = f"seed {seed} " + ("refit" if fold < 0 else f"fold {fold}")
            # A fit of no epoch, as of a regression, reports once.
            far = f"epoch {epoch}/{last}" if last else "regression"
            print(f"{self._name}  {fit}  {far}  {numbers}", flush=True)
