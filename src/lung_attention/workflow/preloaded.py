"""What stages import, imported once: the process that stages are forked from (`forked`) imports this module.

It only imports, and looks up which packages are installed. Nothing of it may begin to compute: what computes,
TensorFlow's threads or a GPU, does not outlive a fork.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from lung_attention.tracking import connect
from lung_attention.workflow.code import STAGES

# Imported inside functions, so that whoever does not need them need not wait: by DVC, and by `tracking`.
_LATE = (
    "dvc.cli",
    "dvc.commands.repro",
    "mlflow.data.pandas_dataset",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.system_metrics.system_metrics_monitor",
    "lung_attention.tracking.cells",
)


@contextmanager
def _silent() -> Iterator[None]:
    """Whatever fails here fails once more in the stage, which tells it; TensorFlow's notices are no news."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


with _silent():
    with suppress(Exception):
        connect(Path.cwd())
    for _name in _LATE:
        with suppress(Exception):
            import_module(_name)
    with suppress(Exception):
        # MLflow reads the files of all installed packages, once a process, when it logs a model.
        _requirements = import_module("mlflow.utils.requirements_utils")
        _requirements.warn_dependency_requirement_mismatches(["mlflow"])
    for _script in sorted(STAGES.glob("*.py")):
        with suppress(Exception):
            runpy.run_path(str(_script), run_name="preloaded")
