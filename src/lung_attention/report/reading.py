"""JSON files of results that tell where a value stood that nobody can use."""

from __future__ import annotations

import traceback
from collections.abc import ItemsView, Iterator, ValuesView
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from lung_attention.errors import UserError
from lung_attention.files import read_json

_asked: ContextVar[str] = ContextVar("asked", default="the results")

_MEND = "restore the file (git checkout -- FILE), or remove it, and dvc repro"
_PACKAGE = Path(__file__).parents[1]


class _Object(dict[str, Any]):
    """An object of a JSON file, which notes what it is asked for."""

    def __init__(self, values: dict[str, Any], place: str) -> None:
        super().__init__({key: _noted(value, f"{place}.{key}") for key, value in values.items()})
        self._place = place

    def __getitem__(self, key: str) -> Any:
        _asked.set(f"{self._place}.{key}")
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As of a dict."""
        _asked.set(f"{self._place}.{key}")
        return super().get(key, default)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """As of a dict."""
        _asked.set(self._place)
        return super().items()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """As of a dict."""
        _asked.set(self._place)
        return super().values()


def _noted(value: Any, place: str) -> Any:
    if isinstance(value, dict):
        return _Object(value, place)
    if isinstance(value, list):
        return [_noted(one, f"{place}[{number}]") for number, one in enumerate(value)]
    return value


def read_results(path: Path) -> dict[str, Any]:
    """Reads a JSON file of results.

    Args:
        path: The file.

    Returns:
        Its object; within `results_told`, what is wrong in it is told by its place in the file.

    Raises:
        UserError: It is no JSON, or no object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected an object, received {value!r:.80}", remedy=_MEND)
    return _Object(value, f"{path}:")


@contextmanager
def results_told() -> Iterator[None]:
    """Names the place in a file of results that could not be used, and the line that used it.

    A file that is as its stage wrote it tells a mistake of that line.

    Raises:
        UserError: A value is missing, or is none that its stage writes.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, TemplateError) as error:
        raise UserError(
            f"{_asked.get()}: not what its stage writes "
            f"({type(error).__name__}{_line_of(error)}: {error!s:.200})",
            remedy=_MEND,
        ) from error


def _line_of(error: BaseException) -> str:
    """Where the package met an error, below this module."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _PACKAGE in Path(frame.filename).parents]
    for frame in reversed(ours):
        if frame.filename != __file__:
            return f" in {Path(frame.filename).relative_to(_PACKAGE.parent)}:{frame.lineno}"
    return ""
