"""The gate for predictions of any classifier: two tables, or the tables of two MLflow runs.

Nothing of this project is needed beside them, neither parameters nor a repository: what parameters say of our
own results, options say of others'.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lung_attention.errors import UserError
from lung_attention.gate.chance import Chance, Luck, seed_spread
from lung_attention.gate.outcome import Outcome
from lung_attention.gate.pairing import differences, paired
from lung_attention.gate.rules import CellResult, Rule, Verdict, compare_pairs
from lung_attention.gate.run import seed_notes, with_floors
from lung_attention.gate.scores import with_margins
from lung_attention.gate.tables import Columns, read_pair

MARGINS = {"balanced_accuracy": 0.01, "mcc": 0.02, "auroc_ovr": 0.01, "log_loss": 0.05}
LUCK = Luck(balanced_accuracy=0.01, log_loss=0.1)
RUN = "mlflow-run:"
ARTIFACTS = ("results/predictions.csv", "predictions.csv")
"""Where a run may keep its predictions: the runs of this project, and others."""

_CHANCE = Chance(resamples=4000, confidence=0.95, power=0.8, seed=0)
_CELL = "predictions"


@dataclass(frozen=True)
class OwnOptions:
    """How anyone's predictions are judged.

    Attributes:
        columns: Where what stands in the tables.
        margins: In place of `MARGINS`, such as `mcc=0.03`.
        floor: The balanced accuracy to exceed; None for a majority vote's, 1 / classes.
        luck: How far one training is luckier than another as a whole.
    """

    columns: Columns = field(default_factory=Columns)
    margins: Sequence[str] = ()
    floor: float | None = None
    luck: Luck = LUCK


def run_own_gate(old: str, new: str, options: OwnOptions) -> Outcome:
    """Compares two classifiers' predictions of the same images.

    Args:
        old: The reference: a CSV file, or `mlflow-run:` and a run's id.
        new: The candidate, likewise.
        options: How they are read and judged.

    Returns:
        What was found: one cell.

    Raises:
        UserError: An option, a file or a run is unusable.
    """
    _check(options)
    rule = Rule(with_margins(MARGINS, options.margins), 0.2 * (1 - _CHANCE.confidence), _CHANCE)
    with tempfile.TemporaryDirectory(prefix="gate-runs-") as folder:
        files = [_local(name, Path(folder) / side) for name, side in ((old, "old"), (new, "new"))]
        theirs, ours = read_pair(files[0], files[1], options.columns, names=(old, new))
    floor = 1 / len(ours.classes) if options.floor is None else options.floor
    found = differences(ours, theirs)
    if found:
        notes = [f"{item.change}: {item.text}" for item in found]
        result = CellResult(_CELL, Verdict.NOT_COMPARABLE, notes)
        return Outcome(new, old, None, rule, [with_floors(result, ours, None, floor=floor)], None, [])
    pair = paired(ours, theirs)
    luck = options.luck.at_least(seed_spread(pair.reference))
    judged = compare_pairs({_CELL: pair}, {_CELL: luck}, rule, datasets={_CELL: _CELL})
    result = with_floors(judged.cells[_CELL], ours, pair, floor=floor)
    result.notes.extend(seed_notes(ours, theirs, pair))
    return Outcome(new, old, None, rule, [result], judged.pooled, [])


def _check(options: OwnOptions) -> None:
    bounds = {
        "--floor": (options.floor or 0.0, 1.0),
        "--training-sd": (options.luck.balanced_accuracy, 1.0),
        "--log-loss-sd": (options.luck.log_loss, float("inf")),
    }
    for option, (value, end) in bounds.items():
        if not 0 <= value < end:
            raise UserError(
                f"{option}: expected 0 or more, below {end:g}, received {value}", remedy="leave it out"
            )


def _local(name: str, folder: Path) -> Path:
    """A CSV file, fetched where it is a run's."""
    return _fetched(name.removeprefix(RUN), folder) if name.startswith(RUN) else Path(name)


def _fetched(run_id: str, folder: Path) -> Path:
    """Downloads the table of predictions of an MLflow run.

    Raises:
        UserError: There is no such run, or it has no table at one of `ARTIFACTS`.
        TrackingUnavailableError: The server does not answer.
    """
    # MLflow takes seconds to import, and files need none.
    from lung_attention.tracking.server import address, check_reachable, client, connect

    connect(Path())
    check_reachable()
    from mlflow.exceptions import MlflowException

    folder.mkdir()
    try:
        client().get_run(run_id)
    except MlflowException:
        # Not the error's text, which may repeat the address with its credentials.
        raise UserError(
            f"{RUN}{run_id}: {address()} has no such run",
            remedy="copy the id from the run's page; MLFLOW_TRACKING_URI names the server",
        ) from None
    for artifact in ARTIFACTS:
        try:
            return Path(client().download_artifacts(run_id, artifact, str(folder)))
        except (MlflowException, OSError):
            continue
    raise UserError(
        f"{RUN}{run_id}: this run has none of the artifacts {list(ARTIFACTS)}",
        remedy="log the table as predictions.csv, or download it and give the file",
    )
