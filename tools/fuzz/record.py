"""Fuzzes several parsers one after another, and writes how long and what fell into docs/faults.md.

PYTHONPATH=tools python -m fuzz.record 600     # seconds each
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from typing import Any

from faults.page import write_results
from lung_attention.errors import run_guarded

# Those whose code is Python to a large part, so that there is something to be led by.
_FUZZED = ("DICOM", "images to predict", "zip archives", "tables beside images", "params.yaml", "dvc.lock")
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")
_COVERED = re.compile(r"cov: (\d+)")


def main() -> int:
    """Runs libFuzzer in a process each.

    Returns:
        1 where an input fell.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=int)
    seconds = parser.parse_args().seconds
    found: dict[str, dict[str, Any]] = {}
    for name in _FUZZED:
        command = [sys.executable, "-m", "fuzz", name, f"-max_total_time={seconds}", "-rss_limit_mb=4096"]
        done = subprocess.run(
            command,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        runs, covered = _DONE.search(done.stdout), _COVERED.findall(done.stdout)
        found[name] = {
            "inputs": int(runs[1]) if runs else 0,
            "seconds": int(runs[2]) if runs else 0,
            "branches": int(covered[-1]) if covered else 0,
            "fell": [] if done.returncode == 0 else [done.stdout.strip().splitlines()[-1][:200]],
        }
        print(name, found[name], flush=True)
        write_results({"fuzz": {"by_parser": found}}, seed=0)
    return int(any(one["fell"] for one in found.values()))


if __name__ == "__main__":
    run_guarded(main)
