"""What was measured so far: each figure once, so that a stopped run goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lung_attention.files import read_json, write_json

from .machine import describe_machine


def read_figures(path: Path) -> dict[str, Any]:
    """The figures of a file, as `Store.values`; none where there is no file."""
    return read_json(path) if path.exists() else {"parts": {}, "measured": {}}


class Store:
    """Figures by name, on disk after each of them.

    Args:
        path: The file of a finished run.
        parts: The parts that are measured now; figures of others are kept.
        quick: Whether sizes are those of a test; a run goes on from one of its own kind and parts alone.
        tell: Receives a line before each measurement.

    Attributes:
        values: Figures of this run: machines under `parts`, what was measured under `measured`.
    """

    def __init__(
        self, path: Path, parts: list[str], *, quick: bool, tell: Callable[[str], None] = print
    ) -> None:
        self._path, self._tell, self._parts = path, tell, parts
        kind = "-".join([*sorted(parts), *(["quick"] if quick else [])])
        self._unfinished = path.with_name(f"unfinished-{kind}.json")
        self.values = read_figures(self._unfinished)

    def once(self, key: str, measure: Callable[..., Mapping[str, Any]], *arguments: Any) -> dict[str, Any]:
        """A figure; measured where that is not done yet.

        Args:
            key: Its name, `part/…`.
            measure: Gives a JSON object.
            *arguments: For `measure`.
        """
        measured = self.values["measured"]
        if key not in measured:
            self._tell(key)
            self.values["parts"].setdefault(key.split("/")[0], describe_machine())
            measured[key] = dict(measure(*arguments))
            write_json(self._unfinished, self.values)
        found: dict[str, Any] = measured[key]
        return found

    def finish(self) -> dict[str, Any]:
        """Gives the figures their name, beside those of other parts, and returns all."""
        done = read_figures(self._path)
        for kind, values in self.values.items():
            kept = {key: one for key, one in done[kind].items() if key.split("/")[0] not in self._parts}
            done[kind] = kept | values
        write_json(self._path, done)
        self._unfinished.unlink(missing_ok=True)
        return done
