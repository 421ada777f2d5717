"""Whether dvc.lock belongs to the code and parameters beside it."""

from __future__ import annotations

import re
import subprocess
import sys

from lung_attention.errors import UserError

_WOULD_RUN = re.compile(r"^Running stage '([^']+)'", flags=re.MULTILINE)
# A stale stage whose data are not there cannot even be tried.
_COULD_NOT = re.compile(r"failed to reproduce (?:stages: )?(.*)")
_QUOTED = re.compile(r"'([^']+)'")
_UNCHANGED = "didn't change"


def stale_stages(said: str) -> list[str]:
    """The stages that a dry `dvc repro --keep-going` would run, or could not run without data.

    Args:
        said: All it printed.

    Returns:
        Their names. What comes after them is not known to be stale, so it is not among them.
    """
    failed = [name for line in _COULD_NOT.findall(said) for name in _QUOTED.findall(line.split(": ")[0])]
    return list(dict.fromkeys([*_WOULD_RUN.findall(said), *failed]))


def check_lock() -> int:
    """Compares dvc.lock with code, parameters and dvc.yaml; no data need be there.

    Returns:
        How many stages are locked as they stand.

    Raises:
        UserError: Some stages are not; they are named.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--allow-missing", "--dry", "--keep-going"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if stale := stale_stages(said):
        raise UserError(
            f"dvc.lock is not of this code and these parameters: {', '.join(stale)}, and what follows them",
            remedy="make repro && git add dvc.lock results && git commit",
        )
    if done.returncode:
        raise UserError(f"dvc repro --dry failed: {said.strip()[-800:]}", remedy="mend what it names")
    return said.count(_UNCHANGED)
