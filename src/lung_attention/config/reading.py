"""From the file params.yaml to the configuration, with errors that name the key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lung_attention.config.profiles import Config
from lung_attention.errors import UserError


class _Loader(yaml.SafeLoader):
    """Reads 1e-05 as a number, as DVC writes it; PyYAML by itself takes it for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_config(path: Path) -> Config:
    """Reads and validates params.yaml.

    Args:
        path: The file.

    Returns:
        The configuration.

    Raises:
        UserError: The file is missing, is no YAML, misses a key, holds an unknown one or a bad value.
    """
    return validate(read_values(path), path)


def read_values(path: Path) -> Any:
    """Reads params.yaml without looking at what it says.

    Raises:
        UserError: The file is missing or no YAML.
    """
    try:
        return parse_value(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", remedy="run in the folder of params.yaml") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}", remedy=f"mend {path}") from error


def parse_value(text: str | bytes) -> Any:
    """Reads YAML as DVC does."""
    return yaml.load(text, Loader=_Loader)


def validate(values: Any, path: Path) -> Config:
    """Makes the configuration of the values of a params.yaml.

    Args:
        values: What the file says.
        path: The file, for messages.

    Raises:
        UserError: A key is missing or unknown, or a value is bad.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or 'params'}: {item['msg']}"
            + ("" if isinstance(item["input"], dict) else f" (received {item['input']!r})")
            for item in error.errors()
        ]
        raise UserError(f"{path}:\n  " + "\n  ".join(lines), remedy=f"mend these keys in {path}") from error
