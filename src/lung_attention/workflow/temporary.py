"""Running another profile beside the default one, in DVC's isolated copy.

The copy shares DVC's cache, so a finished stage is not run again after a kill; the work tree's params.yaml,
dvc.lock and results of other profiles stay as they are.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from lung_attention.cells import tuned_cells
from lung_attention.config import Config, Profile, load_config, parse_value, read_values, validate
from lung_attention.data.sources.client import PATIENCE
from lung_attention.data.sources.resolve import (
    ARCHIVES_VARIABLE,
    DOWNLOADS_VARIABLE,
    WEIGHTS_VARIABLE,
    downloads_folder,
    find_archive,
    find_weights,
    verify,
)
from lung_attention.errors import UserError
from lung_attention.files import write_text
from lung_attention.paths import PARAMS, Paths
from lung_attention.workflow.git import git

_DATABASE = "sqlite:///mlflow.db"
_LOCK = Path("dvc.lock")


def reproduce(profile: str, overrides: Sequence[str]) -> None:
    """Regenerates the results of a profile and brings them into the work tree.

    Args:
        profile: A profile of params.yaml.
        overrides: As `run_isolated` takes them.

    Raises:
        UserError: The profile is unknown, a source is missing, or a stage failed.
    """
    _bring_back(profile, run_isolated(profile, overrides))


def run_isolated(
    profile: str,
    overrides: Sequence[str],
    *,
    targets: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs a pipeline with a profile in DVC's isolated copy; the work tree stays as it is.

    Args:
        profile: A profile of params.yaml.
        overrides: `key=value` as `dvc exp run -S` takes them; a key that begins with a section of a profile,
            such as `train.recipe.epochs`, is this profile's.
        targets: Stages; none means the whole pipeline of the project's root.
        environment: Variables for the stages, besides those there are.

    Returns:
        The git reference that holds the results.

    Raises:
        UserError: The profile is unknown, a source is missing, or a stage failed.
    """
    config = load_config(PARAMS)
    datasets = profile_of(config, profile).datasets
    asked = _with(profile, datasets, overrides)
    # Two searches may begin in the same second.
    name = f"{profile}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    settings = [f"profile={profile}", f"datasets=[{','.join(datasets)}]"]
    settings += _pins(asked)
    settings += [_qualified(override, profile) for override in overrides]
    settings += [f"tuned.{factor}=[{','.join(values)}]" for factor, values in asked.tuned]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name]
    for setting in settings:
        command += ["-S", setting]
    for path in _found_settings(asked):
        command += ["--copy-paths", str(path)]  # they may be new, and not yet in git
    command += targets
    print(f"profile {profile}: {' '.join(command[3:])}", flush=True)
    if subprocess.run(command, env=_environment() | dict(environment or {}), check=False).returncode:
        raise UserError(
            f"the run of profile {profile} did not end well; its last lines above say why",
            remedy="the same command goes on where it stopped",
        )
    return _reference(name)


def profile_of(config: Config, name: str) -> Profile:
    """A profile by its name.

    Raises:
        UserError: There is no such profile.
    """
    if name not in config.profiles:
        raise UserError(
            f"profile: expected one of {sorted(config.profiles)}, received {name!r}",
            remedy="make repro PROFILE=local",
        )
    return config.profiles[name]


def kept_file(reference: str, path: Path) -> str:
    """The text of a file as an isolated run left it."""
    return git("show", f"{reference}:{path.as_posix()}")


def profile_lock(text: str, profile: str) -> str:
    """What a dvc.lock says of one profile; stages that this profile does not have may be another's.

    Args:
        text: A dvc.lock.
        profile: The profile.

    Returns:
        A dvc.lock with the stages that read or write files of this profile.
    """
    ours = tuple(f"{folder.as_posix()}/" for folder in (Paths(profile).artifacts, Paths(profile).results))
    lock = yaml.safe_load(text)
    lock["stages"] = {
        name: stage
        for name, stage in lock["stages"].items()
        if any(entry["path"].startswith(ours) for entry in [*stage.get("deps", []), *stage.get("outs", [])])
    }
    return yaml.safe_dump(lock, sort_keys=False)


def _with(profile: str, datasets: Sequence[str], overrides: Sequence[str]) -> Config:
    """params.yaml as the copy will read it."""
    values = {**read_values(PARAMS), "profile": profile, "datasets": list(datasets)}
    values["tuned"] = dict(values["profiles"][profile]["tuned"])
    for override in overrides:
        key, _, value = _qualified(override, profile).partition("=")
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
        except yaml.YAMLError as error:
            raise UserError(
                f"--set {override!r}: {value!r} is no YAML value", remedy="--set 'splits=[published]'"
            ) from error
    tuned, whole = values["tuned"], read_values(PARAMS) | {"datasets": datasets}
    matrix = validate(values | {"tuned": {"datasets": [], "backbones": [], "heads": []}}, PARAMS)
    if isinstance(tuned, dict) and all(isinstance(chosen, list) for chosen in tuned.values()):
        # What a narrower matrix leaves out is not tuned either; what was never in it is a mistake.
        values["tuned"] = {
            factor: [
                value
                for value in chosen
                if value not in whole.get(factor, [])
                or ("grouped" in matrix.splits and value in getattr(matrix, factor))
            ]
            for factor, chosen in tuned.items()
        }
    return validate(values, PARAMS)


def _found_settings(config: Config) -> list[Path]:
    """What `make search` left of each cell to be trained with its settings.

    Raises:
        UserError: A cell was not searched yet.
    """
    tuned, paths = config.tuned, Paths(config.profile)
    found = []
    for cell in tuned_cells(tuned.datasets, tuned.backbones, tuned.heads):
        path = paths.search(cell.default)
        if not path.exists():
            raise UserError(
                f"tuned: {path} is missing, the settings for {cell.default.name}",
                remedy=f"make search DATASET={cell.dataset} BACKBONE={cell.backbone} "
                f"HEAD={cell.default.head} PROFILE={config.profile}",
            )
        found.append(path)
    return found


def _pins(config: Config) -> list[str]:
    """Hashes of archives and weights, so that DVC sees when one is replaced; first fetches public ones."""
    profile = config.active
    archives_from, weights_from = profile.download.source, profile.backbone.source
    public = config.datasets if archives_from == "public" else []
    public = public + (config.backbones if weights_from == "public" else [])
    if public:
        from lung_attention.data.sources.fetch import fetch_named

        fetch_named(public, downloads_folder(), settings=profile, patience=PATIENCE, consent=False)
    pins = []
    if archives_from in ("folder", "public"):
        for dataset in config.datasets:
            archive = find_archive(dataset, source=archives_from)
            found, _ = verify(archive, pin=profile.download.pins.get(dataset))
            pins.append(f"profiles.{config.profile}.download.pins.{dataset}={found}")
    if weights_from in ("folder", "public"):
        for backbone in config.backbones:
            weights = find_weights(backbone, source=weights_from)
            found, _ = verify(weights, pin=profile.backbone.pins.get(backbone))
            pins.append(f"profiles.{config.profile}.backbone.pins.{backbone}={found}")
    return pins


def _qualified(override: str, profile: str) -> str:
    key, equals, _ = override.partition("=")
    if not equals:
        raise UserError(f"--set {override!r}: expected key=value", remedy="--set 'splits=[published]'")
    top = ("datasets", "backbones", "heads", "splits", "tuned", "profiles")
    return override if key.split(".")[0] in top else f"profiles.{profile}.{override}"


def _environment() -> dict[str, str]:
    """The environment of the copy: absolute addresses, but the copy's own code."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = "src"  # relative, so that it is the copy's
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    environment["MLFLOW_TRACKING_URI"] = absolute(environment.get("MLFLOW_TRACKING_URI") or _DATABASE)
    for variable in (ARCHIVES_VARIABLE, WEIGHTS_VARIABLE, DOWNLOADS_VARIABLE):
        if variable in environment:
            environment[variable] = str(Path(environment[variable]).resolve())
    return environment


def absolute(address: str) -> str:
    """The same address, but a database file named relative to here is not looked for in the copy."""
    scheme = "sqlite:///"
    if not address.startswith(scheme):
        return address
    return f"{scheme}{Path(address.removeprefix(scheme)).absolute()}"


def _reference(name: str) -> str:
    """The git reference under which DVC keeps the experiment of this name."""
    for line in git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines():
        if line.rsplit("/", 1)[-1] == name:
            return line
    raise UserError(f"DVC kept no experiment {name}", remedy="look at: dvc exp show")


def _bring_back(profile: str, reference: str) -> None:
    """Takes results, parameters and lock of an experiment into the work tree, nothing else."""
    results = Paths(profile).results
    git("restore", "--source", reference, "--worktree", "--", results.as_posix())
    write_text(results / PARAMS, kept_file(reference, PARAMS))
    write_text(results / _LOCK, profile_lock(kept_file(reference, _LOCK), profile))
    print(f"profile {profile}: results are in {results}/ (git add {results} to keep them)")
