"""Overrides: what `--set key=value` makes of params.yaml, or which of them is a mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ruamel.yaml.error import YAMLError

from lung_attention.cells import PUBLISHED
from lung_attention.config import (
    DESIGN,
    Config,
    Explained,
    Part,
    flat,
    load_config,
    parse_value,
    read_values,
    validate,
)
from lung_attention.errors import UserError
from lung_attention.paths import PARAMS


def overridden(profile: str, datasets: Sequence[str], overrides: Sequence[str]) -> Config:
    """params.yaml as the copy of a run will read it.

    Args:
        profile: A profile of params.yaml.
        datasets: Those of the profile.
        overrides: `key=value`, as `qualified` takes them.

    Returns:
        The configuration: what a narrower matrix leaves out is left out of all further parts, too.

    Raises:
        UserError: An override is a mistake; its message names it, and the keys that are like it.
    """
    values = {**read_values(PARAMS), "profile": profile, "datasets": list(datasets)}
    nothing: dict[str, dict[str, list[str]]] = {
        recipe: {factor: [] for factor in Part.model_fields} for recipe in load_config(PARAMS).further
    }
    # A mapping each: in YAML two may be one, by an anchor, and an override is about one of them.
    of_profile = values["profiles"][profile]
    values["further"] = {recipe: dict(part) for recipe, part in of_profile["further"].items()}
    values["explained"] = dict(of_profile["explained"])
    given = set()
    for override in overrides:
        key, _, value = qualified(override, profile).lstrip("+").partition("=")
        given.add(key)
        *path, last = key.split(".")
        place = values
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise UserError(
                    f"--set {override!r}: {part} has nothing below it", remedy="look at params.yaml"
                )
        try:
            place[last] = parse_value(value)
        except (YAMLError, ValueError) as error:
            raise UserError(
                f"--set {override!r}: {value!r} is no YAML value", remedy="--set 'splits=[published]'"
            ) from error
    no_maps: dict[str, list[str]] = {factor: [] for factor in Explained.model_fields}
    narrow = _validated(values | {"further": nothing, "explained": no_maps}, overrides)
    whole = read_values(PARAMS) | {"datasets": datasets}
    # What a narrower matrix leaves out is no further cell either; what is asked for and was never in it is a
    # mistake. The matrix of the file may be narrower itself than the profile thinks.
    further = values["further"] if isinstance(values["further"], dict) else {}
    parts = {f"further.{recipe}": part for recipe, part in further.items()} | {
        "explained": values["explained"]
    }
    for name, part in parts.items():
        for factor, chosen in part.items() if isinstance(part, dict) else ():
            if isinstance(chosen, list) and hasattr(narrow, factor):
                # Lists, as what was given may be anything.
                kept = list(getattr(narrow, factor))
                if any(f"{name}.{factor}.".startswith(f"{key}.") for key in given):
                    kept += [value for value in chosen if value not in whole[factor]]
                part[factor] = [value for value in chosen if value in kept]
    # A recipe that runs nowhere has nothing to be looked at.
    left = {recipe for recipe, part in further.items() if isinstance(part, dict) and all(part.values())}
    looked_at = values["explained"]
    if isinstance(looked_at, dict) and isinstance(recipes := looked_at.get("recipes"), list):
        looked_at["recipes"] = [name for name in recipes if name in [PUBLISHED, *left]]
    return _validated(values, overrides)


def qualified(override: str, profile: str) -> str:
    """An override as DVC takes it, at the place that the stages look at.

    Args:
        override: `key=value`; a key that begins with a section of a profile, such as `train.recipe.epochs`,
            is this profile's.
        profile: A profile of params.yaml.

    Raises:
        UserError: There is no `=` in it.
    """
    key, equals, value = override.lstrip("+").partition("=")
    if not equals:
        raise UserError(f"--set {override!r}: expected key=value", remedy="--set 'splits=[published]'")
    section, *rest = key.split(".")
    if section in DESIGN:
        return f"{key}={value}"
    values = read_values(PARAMS)
    if section == "profiles" and len(rest) > 1 and rest[0] in values["profiles"]:
        profile, section, key = rest[0], rest[1], ".".join(rest[1:])
    # A profile says only what differs from what all share, so the key may be new to it. But a section that it
    # does not have stands at the top alone, where DVC looks for changes; this is the copy's params.yaml.
    if section != "profiles" and (section in values["profiles"][profile] or section not in values):
        return f"++profiles.{profile}.{key}={value}"
    return f"{key}={value}"


def _validated(values: Mapping[str, Any], overrides: Sequence[str]) -> Config:
    """The configuration; params.yaml was good before, so a mistake is one of the overrides."""
    try:
        return validate(values, PARAMS)
    except UserError as error:
        if not overrides:
            raise
        keys = {override: override.lstrip("+").partition("=")[0] for override in overrides}
        # A command may have added some of its own.
        blamed = [one for one, key in keys.items() if key.rpartition(".")[2] in error.problem] or overrides
        meant = sorted((key for one in blamed for key in _alike(keys[one], read_values(PARAMS))), key=len)
        raise UserError(
            f"--set {' '.join(blamed)}: {error.problem.replace(f'{PARAMS}: ', '')}",
            remedy=f"keys like it: {', '.join(meant)}" if meant else f"look at the keys of {PARAMS}",
        ) from error


def _alike(key: str, values: Mapping[str, Any]) -> list[str]:
    """What a key that is none is like in its section, as `train.recipe.epochs`; nothing for one that is."""
    section, _, rest = key.partition(".")
    known = [one for one, _ in flat({section: values.get(section)})]
    names = {one.rpartition(".")[2] for one in known}
    close = get_close_matches(rest.rpartition(".")[2], names, n=1, cutoff=0.75)
    return [] if key in known else [one for one in known if one.rpartition(".")[2] in close]
