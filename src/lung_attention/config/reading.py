"""From params.yaml and the datasets' files to the configuration, with errors that name file and key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lung_attention.config.depth import MOST_LEVELS, is_too_deep
from lung_attention.config.profiles import Config
from lung_attention.errors import UserError
from lung_attention.paths import DATASETS

# What stands at the top of params.yaml and is no section of every profile.
DESIGN = ("datasets", "backbones", "heads", "splits", "views", "further", "explained")
# Sections that stages read at the top alone: their values are part of how every profile is measured.
_OF_ALL = ("audit", "baseline", "sensitivity", "evaluate", "explain")
_TOP = ("profile", *DESIGN, "searching", "profiles")


# Aliases can make terabytes of a line.
_MOST_VALUES = 100_000


def load_config(path: Path) -> Config:
    """Reads and validates params.yaml and the datasets' files beside it.

    Args:
        path: params.yaml.

    Returns:
        The configuration.

    Raises:
        UserError: A file is missing, is no YAML, misses a key, holds an unknown one or a bad value.
    """
    return validate(read_values(path), path)


def read_values(path: Path) -> Any:
    """Reads a YAML file without looking at what it says.

    Raises:
        UserError: The file is missing or no YAML.
    """
    try:
        return parse_value(path.read_bytes())
    except OSError as error:
        above = [folder for folder in path.absolute().parents[1:] if (folder / path).is_file()]
        remedy = f"cd {above[0]}" if above and not path.is_absolute() else "run in the folder of params.yaml"
        raise UserError(f"{path}: {error.strerror} in {Path.cwd()}", remedy=remedy) from error
    except (YAMLError, ValueError, RecursionError) as error:
        said = str(error).partition("\nTo suppress")[0].strip()
        raise UserError(f"{path} is not valid YAML: {said}", remedy=f"mend {path}") from error


def parse_value(text: str | bytes) -> Any:
    """Reads YAML as DVC does, by the same reader: version 1.2, in which 014 is fourteen and yes a word.

    Raises:
        YAMLError: It is no YAML, or names a key twice.
        ValueError: It holds more values, or deeper ones, than any configuration has.
    """
    if is_too_deep(text):
        raise ValueError(f"expected at most {MOST_LEVELS} levels")
    value = YAML(typ="safe").load(text)
    todo, count = [(value, 1)], 0  # of what aliases make, too
    while todo:
        one, level = todo.pop()
        count += 1
        if count > _MOST_VALUES or level > MOST_LEVELS:
            raise ValueError(f"expected at most {_MOST_VALUES:,} values on {MOST_LEVELS} levels")
        inside = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        todo += [(part, level + 1) for part in inside]
    return value


def validate(values: Any, path: Path) -> Config:
    """Makes the configuration of the values of a params.yaml.

    Args:
        values: What the file says.
        path: The file, for messages; the datasets' files are in `datasets/` beside it, or else in that of
            the current folder.

    Raises:
        UserError: A key is missing or unknown, or a value is bad.
    """
    if not isinstance(values, dict) or not isinstance(values.get("profiles"), dict):
        raise UserError(f"{path}: expected keys, among them profiles", remedy=f"mend {path}")
    for name, own in values["profiles"].items():
        for key in _OF_ALL if isinstance(own, dict) else ():
            if key in own:
                raise UserError(
                    f"{path}: profiles.{name}.{key}: this section is the same for all profiles; no stage "
                    "looks for it below one",
                    remedy=f"set {key} at the top of {path}",
                )
    shared = {key: value for key, value in values.items() if key not in _TOP}
    whole = {key: value for key, value in values.items() if key in _TOP}
    whole["profiles"] = {
        name: merged(shared, own) if isinstance(own, dict) else own
        for name, own in values["profiles"].items()
    }
    whole["catalog"] = {file.stem: _dataset_values(file) for file in _dataset_files(path)}
    try:
        return Config.model_validate_json(json.dumps(whole, default=_as_text))
    except TypeError as error:  # of json, about a key
        raise UserError(f"{path}, or datasets/: {error}", remedy="put text in quotes") from error
    except ValidationError as error:
        lines = dict.fromkeys(_message(item, values["profiles"], path) for item in error.errors())
        raise UserError("\n  ".join(lines), remedy=f"mend these keys of {path}, or of datasets/") from error


def _as_text(value: object) -> str:
    """A date as it stands in the file; other kinds of values that YAML has are no parameters."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"expected text, a number, true, false or null, received {value!s:.40}")


def merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What all profiles share with what one says in its place, section by section."""
    result = dict(shared)
    for key, value in own.items():
        below = result.get(key)
        # A list of choices is one value, and so is a range of the search space.
        both = isinstance(below, dict) and isinstance(value, dict)
        result[key] = merged(below, value) if both and below is not None else value
    return result


def _dataset_files(path: Path) -> list[Path]:
    folder = path.parent / DATASETS
    return sorted((folder if folder.is_dir() else DATASETS).glob("*.yaml"))


def _dataset_values(file: Path) -> Any:
    values = read_values(file)
    return {"id": file.stem, **values} if isinstance(values, dict) else values


def _message(item: Any, profiles: Mapping[str, Any], path: Path) -> str:
    """One mistake, at the place where its value stands."""
    place = [str(part) for part in item["loc"]]
    file = str(path)
    if place[:1] == ["catalog"] and len(place) > 1:
        file, place = f"{DATASETS}/{place[1]}.yaml", place[2:]
    elif place[:1] == ["profiles"] and len(place) > 2 and not _says(profiles.get(place[1]), place[2:]):
        place = place[2:]
    received = "" if isinstance(item["input"], dict) else f" (received {item['input']!r})"
    return f"{file}: {'.'.join(place) or 'params'}: {item['msg'].removeprefix('Value error, ')}{received}"


def _says(own: Any, place: list[str]) -> bool:
    """Whether a profile's own values reach as far as a key."""
    for part in place:
        if isinstance(own, list):
            return True  # a list is one value, which is replaced as a whole
        if not isinstance(own, dict) or part not in own:
            return False
        own = own[part]
    return True


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of nested values, as `train.recipe.epochs`, each with its value."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
