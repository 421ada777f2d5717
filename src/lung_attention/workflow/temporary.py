"""Temporary workspaces: another profile runs in one beside the default, in a copy that DVC makes.

The copy shares DVC's cache, so a finished stage is not run again after a kill; the work tree's params.yaml,
dvc.lock and results of other profiles stay as they are.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ruamel.yaml.error import YAMLError

from lung_attention.alive import RUN_VARIABLE
from lung_attention.cells import PUBLISHED
from lung_attention.config import (
    DESIGN,
    Config,
    Explained,
    Part,
    Profile,
    load_config,
    parse_value,
    read_values,
    validate,
)
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
from lung_attention.paths import CHECKPOINTS_VARIABLE, DATASETS, PARAMS, Paths
from lung_attention.workflow.git import git, require_identity
from lung_attention.workflow.status import LOCK, profile_lock
from lung_attention.writing import require_space

_DATABASE = "sqlite:///mlflow.db"


def reproduce(profile: str, overrides: Sequence[str]) -> None:
    """Regenerates the results of a profile and brings them into the work tree.

    Args:
        profile: A profile of params.yaml.
        overrides: As `run_in_temporary` takes them.

    Raises:
        UserError: The profile is unknown, a source is missing, or a stage failed.
    """
    _bring_back(profile, run_in_temporary(profile, overrides))


def run_in_temporary(
    profile: str,
    overrides: Sequence[str],
    *,
    targets: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> str:
    """Runs a pipeline with a profile in a temporary workspace; the work tree stays as it is.

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
    require_identity()
    require_space(Path())
    sweep_workspaces(Path())
    datasets = profile_of(config, profile).datasets
    asked = _with(profile, datasets, overrides)
    # Two searches may begin in the same second.
    name = f"{profile}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    settings = [f"profile={profile}", f"datasets=[{','.join(datasets)}]"]
    settings += _checksums(asked)
    settings += [_qualified(override, profile) for override in overrides]
    settings += [
        f"further.{recipe}.{factor}=[{','.join(values)}]"
        for recipe, part in asked.further.items()
        for factor, values in part
    ]
    settings += [f"explained.{factor}=[{','.join(values)}]" for factor, values in asked.explained]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name]
    for setting in settings:
        command += ["-S", setting]
    for path in [*_searches(asked), *_dataset_files(asked)]:
        command += ["--copy-paths", str(path)]  # they may be new, and not yet in git
    command += targets
    print(f"profile {profile}: {' '.join(command[3:])}", flush=True)
    if subprocess.run(command, env=_environment() | dict(environment or {}), check=False).returncode:
        raise UserError(
            f"the run of profile {profile} did not end well; its last lines above say why",
            remedy="the same command goes on where it stopped",
        )
    return _reference(name)


def sweep_workspaces(root: Path) -> None:
    """Removes the workspaces that killed runs left, some 60 MB each: those in which no process works."""
    left = [path for path in (root / ".dvc" / "tmp" / "exps").glob("tmp*") if path.is_dir()]
    if not left:
        return
    import psutil  # type: ignore[import-untyped]

    working = set()
    for process in psutil.process_iter(["cwd"]):
        if process.info["cwd"]:
            working.add(Path(process.info["cwd"]))
    for path in left:
        here = path.resolve()
        if not any(here == place or here in place.parents for place in working):
            shutil.rmtree(path, ignore_errors=True)


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


def nothing_further() -> list[str]:
    """Overrides that leave out all cells of further recipes."""
    further = load_config(PARAMS).further
    return [*(f"further.{recipe}.datasets=[]" for recipe in further), "explained.datasets=[]"]


def kept_file(reference: str, path: Path) -> str:
    """The text of a file as a run in a temporary workspace left it."""
    return git("show", f"{reference}:{path.as_posix()}")


def _with(profile: str, datasets: Sequence[str], overrides: Sequence[str]) -> Config:
    """params.yaml as the copy will read it."""
    values = {**read_values(PARAMS), "profile": profile, "datasets": list(datasets)}
    nothing: dict[str, dict[str, list[str]]] = {
        recipe: {factor: [] for factor in Part.model_fields} for recipe in load_config(PARAMS).further
    }
    # A mapping each: in YAML two may be one, by an anchor, and an override is about one of them.
    of_profile = values["profiles"][profile]
    values["further"] = {recipe: dict(part) for recipe, part in of_profile["further"].items()}
    values["explained"] = dict(of_profile["explained"])
    for override in overrides:
        key, _, value = _qualified(override, profile).lstrip("+").partition("=")
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
    narrow = validate(values | {"further": nothing, "explained": no_maps}, PARAMS)
    whole = read_values(PARAMS) | {"datasets": datasets}
    # What a narrower matrix leaves out is no further cell either; what was never in it is a mistake.
    further = values["further"] if isinstance(values["further"], dict) else {}
    for part in (*further.values(), values["explained"]):
        for factor, chosen in part.items() if isinstance(part, dict) else ():
            if isinstance(chosen, list):
                left_out = set(whole.get(factor, [])) - set(getattr(narrow, factor, []))
                part[factor] = [value for value in chosen if value not in left_out]
    # A recipe that runs nowhere has nothing to be looked at.
    left = {recipe for recipe, part in further.items() if isinstance(part, dict) and all(part.values())}
    looked_at = values["explained"]
    looked_at["recipes"] = [name for name in looked_at["recipes"] if name == PUBLISHED or name in left]
    return validate(values, PARAMS)


def _searches(config: Config) -> list[Path]:
    """What `make search` left of each searched cell.

    Raises:
        UserError: A cell was not searched yet.
    """
    paths = Paths(config.profile)
    found = []
    for cell in config.cells():
        if cell.recipe != "searched":
            continue
        path = paths.search(cell)
        if not path.exists():
            raise UserError(
                f"{path} is missing, the settings for {cell.name}",
                remedy=f"make search DATASET={cell.dataset} BACKBONE={cell.backbone} "
                f"HEAD={cell.head} PROFILE={config.profile}",
            )
        found.append(path)
    return found


def _dataset_files(config: Config) -> list[Path]:
    """The files of the datasets, which may be new and not yet in git, and the tables beside them."""
    chosen = [config.dataset(name) for name in config.datasets]
    tables = [DATASETS / one.table.file for one in chosen if one.table is not None and one.table.sha256]
    return [*(DATASETS / f"{one.id}.yaml" for one in chosen), *tables]


def _checksums(config: Config) -> list[str]:
    """Hashes of archives and weights, so that DVC sees when one is replaced; first fetches public ones."""
    profile = config.active
    archives_from, weights_from = profile.download.source, profile.backbone.source
    public = config.datasets if archives_from == "public" else []
    public = public + (config.backbones if weights_from == "public" else [])
    if public:
        from lung_attention.data.sources.fetch import fetch_named

        fetch_named(public, downloads_folder(), catalog=config.catalog, settings=profile, consent=False)
    checksums = []
    if archives_from in ("folder", "public"):
        for dataset in config.datasets:
            archive = find_archive(config.dataset(dataset).archive_of, source=archives_from)
            found, _ = verify(archive, expected=profile.download.checksums.get(dataset))
            checksums.append(f"++profiles.{config.profile}.download.checksums.{dataset}={found}")
    if weights_from in ("folder", "public"):
        for backbone in config.backbones:
            weights = find_weights(backbone, source=weights_from)
            found, _ = verify(weights, expected=profile.backbone.checksums.get(backbone))
            checksums.append(f"++profiles.{config.profile}.backbone.checksums.{backbone}={found}")
    return checksums


def _qualified(override: str, profile: str) -> str:
    """An override as DVC takes it, at the place that the stages look at."""
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


def _environment() -> dict[str, str]:
    """The environment of the copy: absolute addresses, but the copy's own code."""
    environment = dict(os.environ)
    environment[RUN_VARIABLE] = str(os.getpid())
    environment["PYTHONPATH"] = "src"  # relative, so that it is the copy's
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    environment["MLFLOW_TRACKING_URI"] = absolute(environment.get("MLFLOW_TRACKING_URI") or _DATABASE)
    # A killed training goes on in another copy than that in which it began.
    checkpoints = Path(environment.get(CHECKPOINTS_VARIABLE) or "artifacts")
    environment[CHECKPOINTS_VARIABLE] = str(checkpoints.absolute())
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
    write_text(results / LOCK, profile_lock(kept_file(reference, LOCK), profile))
    print(f"profile {profile}: results are in {results}/ (git add {results} to keep them)")
