"""Temporary workspaces: another profile runs in one beside the default, in a copy that DVC makes.

The copy shares DVC's cache, so a finished stage is not run again after a kill; the work tree's params.yaml,
dvc.lock and results of other profiles stay as they are.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lung_attention.alive import RUN_VARIABLE, run_to_the_end
from lung_attention.config import Config, Profile, load_config
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
from lung_attention.workflow.check import searches
from lung_attention.workflow.git import git, require_identity
from lung_attention.workflow.killed import noted_branch, refuse_taken_over
from lung_attention.workflow.lock import mend_notes
from lung_attention.workflow.overrides import overridden, qualified
from lung_attention.workflow.status import LOCK, profile_lock
from lung_attention.writing import require_space

_DATABASE = "sqlite:///mlflow.db"
_GOES_ON = "the same command goes on where it stopped"
_PATIENCE_SECONDS = 60  # for what a training closes
_YOUNG_SECONDS = 120


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
        Stopped: By a signal; the work tree is as it was.
        UserError: The profile is unknown, a source is missing, or a stage failed.
    """
    refuse_taken_over(Path())
    mend_notes(Path())
    config = load_config(PARAMS)
    require_identity()
    require_space(Path())
    sweep_workspaces(Path())
    datasets = profile_of(config, profile).datasets
    asked = overridden(profile, datasets, overrides)
    # Two searches may begin in the same second.
    name = f"{profile}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
    settings = [f"profile={profile}", f"datasets=[{','.join(datasets)}]"]
    settings += _checksums(asked)
    settings += [qualified(override, profile) for override in overrides]
    settings += [
        f"further.{recipe}.{factor}=[{','.join(values)}]"
        for recipe, part in asked.further.items()
        for factor, values in part
    ]
    settings += [f"explained.{factor}=[{','.join(values)}]" for factor, values in asked.explained]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name]
    for setting in settings:
        command += ["-S", setting]
    for path in [*searches(asked), *_dataset_files(asked)]:
        command += ["--copy-paths", str(path)]  # they may be new, and not yet in git
    command += targets
    print(f"profile {profile}: {' '.join(command[3:])}", flush=True)
    with noted_branch(Path()):
        ended = run_to_the_end(
            command,
            _stop_dvc,
            said=f"stopped; {_GOES_ON}",
            environment=_environment() | dict(environment or {}),
            patience_seconds=_PATIENCE_SECONDS,
        )
    if ended:
        raise UserError(
            f"the run of profile {profile} did not end well; its last lines above say why",
            remedy=_GOES_ON,
        )
    return _reference(name)


def _stop_dvc(dvc: subprocess.Popen[bytes]) -> None:
    """Asks DVC to end as Ctrl-C does, which it ignores while a stage runs, and ends the stage.

    At any other signal it would leave the params.yaml of the copy in the work tree, where it has it for some
    seconds, and all other changes in a stash of git's.
    """
    import psutil  # type: ignore[import-untyped]

    with suppress(psutil.NoSuchProcess):
        stages = psutil.Process(dvc.pid).children(recursive=True)
        dvc.send_signal(signal.SIGINT)
        for process in stages:
            process.terminate()


def sweep_workspaces(root: Path) -> None:
    """Removes the workspaces that stopped runs left, some 60 MB each: those in which no process works.

    One that was made just now is left, since DVC is elsewhere while it fills it.
    """
    long_ago = time.time() - _YOUNG_SECONDS
    found = (root / ".dvc" / "tmp" / "exps" / "standalone").glob("tmp*")
    left = [path for path in found if path.is_dir() and path.stat().st_mtime < long_ago]
    if not left:
        return
    import psutil

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
