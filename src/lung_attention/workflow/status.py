"""What DVC says of stages: which are stale, which will run, and what dvc.lock holds of a training."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from lung_attention.cells import Cell
from lung_attention.config.depth import MOST_LEVELS, is_too_deep
from lung_attention.errors import UserError
from lung_attention.paths import Paths
from lung_attention.workflow.code import code_digests

LOCK = Path("dvc.lock")
PIPELINE = Path("dvc.yaml")
CODE_STAGE = "code"

# In C where PyYAML was built with it; locks have thousands of lines.
_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_FILES = ("deps", "outs")

_WOULD_RUN = re.compile(r"^Running stage '([^']+)'", flags=re.MULTILINE)
# A stale stage whose data are not there cannot even be tried.
_COULD_NOT = re.compile(r"failed to reproduce (?:stages: )?(.*)")
_QUOTED = re.compile(r"'([^']+)'")
_UNCHANGED = "didn't change"


def check_lock(root: Path) -> int:
    """Compares dvc.lock with code, parameters and dvc.yaml; no data need be there.

    Args:
        root: The project's root, the current folder.

    Returns:
        How many stages are locked as they stand.

    Raises:
        UserError: Some stages are not; they are named.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--allow-missing", "--dry", "--keep-going"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    # The stage `code` reads comments, too; what it writes is looked at below.
    stale = [name for name in stale_stages(said) if name != CODE_STAGE]
    if (root / LOCK).exists():
        # A dry run hashes no code anew, and does not compare what stages say of each other.
        stages = stages_of(root / LOCK)
        found = [*other_code(stages, root), *contradicting(stages, root)]
        stale += [name for name in dict.fromkeys(found) if name not in stale]
    if stale:
        raise UserError(
            f"dvc.lock is not of this code and these parameters: {', '.join(stale)}, and what follows them",
            remedy="make repro && git add dvc.lock results && git commit",
        )
    if done.returncode:
        raise UserError(f"dvc repro --dry failed: {said.strip()[-800:]}", remedy="mend what it names")
    return said.count(_UNCHANGED)


def stale_stages(said: str) -> list[str]:
    """The stages that a dry `dvc repro --keep-going` would run, or could not run without data.

    Args:
        said: All it printed.

    Returns:
        Their names. What comes after them is not known to be stale, so it is not among them.
    """
    failed = [name for line in _COULD_NOT.findall(said) for name in _QUOTED.findall(line.split(": ")[0])]
    return list(dict.fromkeys([*_WOULD_RUN.findall(said), *failed]))


def other_code(stages: Mapping[str, Any], root: Path) -> list[str]:
    """The stages whose code is another one now.

    Args:
        stages: Those of a dvc.lock.
        root: The work tree.

    Returns:
        Their names, in the order of the lock. Data and parameters are not looked at.
    """
    digests = {
        path.as_posix(): _md5(_json_text(files).encode()) for path, files in code_digests(root).items()
    }
    return [
        str(name)
        for name, stage in stages.items()
        if any(digests.get(dep["path"], dep.get("md5")) != dep.get("md5") for dep in stage.get("deps") or [])
    ]


def contradicting(stages: Mapping[str, Any], root: Path, *, but: Collection[str] = ()) -> list[str]:
    """The stages that say of a file what its maker does not say, or what a committed result is not.

    Args:
        stages: Those of a dvc.lock.
        root: The work tree; artifacts are not looked at.
        but: Results that are not looked at either.

    Returns:
        Their names, in the order of the lock.
    """
    made = {out["path"]: out.get("md5") for stage in stages.values() for out in stage.get("outs") or []}
    results = {path: root / path for path in made if path.startswith("results/") and path not in but}
    there = {path: _md5(file.read_bytes()) for path, file in results.items() if file.is_file()}
    return [
        str(name)
        for name, stage in stages.items()
        if any(made.get(dep["path"], dep.get("md5")) != dep.get("md5") for dep in stage.get("deps") or [])
        or any(there.get(out["path"], out.get("md5")) != out.get("md5") for out in stage.get("outs") or [])
    ]


def profile_lock(text: str, profile: str) -> str:
    """What a dvc.lock says of one profile; stages that this profile does not have may be another's.

    Args:
        text: A dvc.lock.
        profile: The profile.

    Returns:
        A dvc.lock with the stages that read or write files of this profile.

    Raises:
        UserError: The text is no lock.
    """
    stages = {name: stage for name, stage in _stages(text, LOCK).items() if is_of(stage, profile)}
    return yaml.safe_dump({"schema": "2.0", "stages": stages}, sort_keys=False)


def is_of(stage: Mapping[str, Any], profile: str) -> bool:
    """Whether a stage of a dvc.lock reads or writes files of a profile."""
    ours = tuple(f"{folder.as_posix()}/" for folder in (Paths(profile).artifacts, Paths(profile).results))
    return any(entry["path"].startswith(ours) for kind in _FILES for entry in stage.get(kind) or [])


def lock_entry(cell: Cell, paths: Paths) -> str | None:
    """The hash of a training's entry.

    Args:
        cell: The cell.
        paths: The profile's files.

    Returns:
        SHA-256 as 64 hexadecimal digits over the entry (command, dependencies, parameters and outs with their
        hashes), or `None` where neither the work tree's dvc.lock nor the one that came with the profile's
        results has a complete entry of this profile.
    """
    for path in (LOCK, paths.results / LOCK):
        if not path.exists():
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        entry = _entry(lines, cell.stage)
        # Stages of all profiles have the same names; their outs tell which one ran last.
        outs = (entry.get("outs") or []) if isinstance(entry, dict) else []
        whole = [out for out in outs if isinstance(out, dict) and "md5" in out]
        if any(out.get("path") == paths.trained(cell).as_posix() for out in whole):
            return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    return None


def _entry(lines: Iterable[str], stage: str) -> Any:
    """The entry of one stage. The whole file would take PyYAML seconds; an entry is an indented block.

    DVC writes the file in place, perhaps while it is read, where several stages run at a time. An entry that
    is cut off is none; `lung-attention track` tells its hash later.
    """
    head = f"  {stage}:"
    block: list[str] = []
    for line in lines:
        if block and not line.startswith("    "):
            break
        if block or line == head:
            block.append(line)
    try:
        return yaml.safe_load("\n".join(block))[stage] if block else None
    except (yaml.YAMLError, ValueError, LookupError, TypeError, RecursionError):
        return None


def stages_of(lock: Path) -> dict[str, Any]:
    """The entries of a dvc.lock by their stages' names.

    Raises:
        UserError: The file is none.
    """
    return _stages(lock.read_bytes().decode("utf-8", errors="replace"), lock)


def _stages(text: str, path: Path) -> dict[str, Any]:
    if is_too_deep(text):
        raise _no_lock(path, f"more than {MOST_LEVELS} levels")
    try:
        value = yaml.load(text, Loader=_FAST)
        stages = (value.get("stages") or {}) if isinstance(value, dict) else None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _no_lock(path, str(error).partition("\n")[0]) from error
    if not isinstance(stages, dict):
        raise _no_lock(path, "no stages")
    for name, stage in stages.items():
        if not isinstance(stage, dict) or not all(_are_files(stage.get(kind) or []) for kind in _FILES):
            raise _no_lock(path, f"{name}: expected deps and outs, each with a path")
    return stages


def _are_files(entries: Any) -> bool:
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("path"), str) for entry in entries
    )


def _no_lock(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is no lock of DVC ({reason})",
        remedy=f"git checkout -- {path}, or remove it; then make repro",
    )


def _json_text(files: Mapping[str, str]) -> str:
    """As `files.write_json` writes it."""
    return json.dumps(files, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _md5(content: bytes) -> str:
    """The hash by which DVC knows a file."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
