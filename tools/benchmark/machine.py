"""The machine on which it was measured, and how fast its memory is."""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from lung_attention.predict.about import code_version
from lung_attention.workflow.git import commit_of

_PACKAGES = ("tensorflow", "keras", "onnxruntime", "numpy", "dvc", "mlflow")


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory, versions and the day, JSON-ready."""
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "code": commit_of(Path(__file__).parent) or code_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_speed(*, mb: int = 512, repeats: int = 7) -> float:
    """Bytes a second that all cores together read and write, by a sum of two large arrays (as in STREAM).

    Args:
        mb: Of each of the three arrays, MB; well beyond any cache.
        repeats: The fastest of so many counts.
    """
    count = mb * 1_000_000 // 4
    first, second, total = (np.ones(count, dtype=np.float32) for _ in range(3))
    bounds = np.linspace(0, count, cores() + 1).astype(int)
    parts = [slice(start, stop) for start, stop in pairwise(bounds)]
    best = float("inf")
    with ThreadPoolExecutor(len(parts)) as pool:
        for _ in range(repeats):
            started = time.perf_counter()
            list(pool.map(lambda part: np.add(first[part], second[part], out=total[part]), parts))
            best = min(best, time.perf_counter() - started)
    return 3 * 4 * count / best
