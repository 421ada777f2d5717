"""Kills stages and feeds parsers, and writes what fell into benchmarks/faults.json and docs/faults.md.

make faults                                        # 200 kills and 100,000 inputs: an hour or two
make faults ARGS="--kills 10 --inputs 2000"        # a short look, which writes nothing
make faults ARGS="--inputs 0 --seed 1 --more"      # more kills, beside those that are known
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from faults.page import FILE, write_results
from lung_attention.errors import run_guarded

KILLS, INPUTS = 200, 100_000


def main() -> int:
    """Runs the suite.

    Returns:
        1 where anything fell.
    """
    parser = argparse.ArgumentParser(prog="faults", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, help="0: none, and what is known of them stays")
    parser.add_argument("--inputs", type=int, default=INPUTS, help="0: none, likewise")
    parser.add_argument("--minutes", type=float, default=240, help="after which no more kills begin")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random")
    parser.add_argument("--workspace", type=Path, help="is kept, and used again by the next run")
    parser.add_argument("--write", action="store_true", help=f"write {FILE} even of a short run")
    parser.add_argument("--more", action="store_true", help="keep the kills of other seeds, and write")
    given = parser.parse_args()
    write = given.write or given.more or (given.kills >= KILLS and given.inputs >= INPUTS)
    found: dict[str, Any] = {}

    def keep(part: str, value: Any) -> None:
        found[part] = value.as_json()
        if write:
            write_results(found, seed=given.seed, more=given.more)

    if given.inputs:
        from faults.inputs import feed_all

        feed_all(given.inputs, seed=given.seed, tell=functools.partial(keep, "inputs"))
    if given.kills:
        from faults.kills import Undisturbed, kill_all

        with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
            folder = (given.workspace or Path(temporary) / "workspace").absolute()
            whole = Undisturbed(folder)
            print(f"{len(whole.stages)} stages ran undisturbed", flush=True)
            deadline = time.monotonic() + 60 * given.minutes
            kill_all(
                whole,
                given.kills,
                seed=given.seed,
                deadline=deadline,
                tell=functools.partial(keep, "kills"),
            )
    fell = [line for part in found.values() for line in part["fell"]]
    for line in fell:
        print(f"fell: {line}", file=sys.stderr)
    for part, value in found.items():
        print(f"{value[part]:,} {part}, {len(value['fell'])} fell")
    return int(bool(fell))


if __name__ == "__main__":
    run_guarded(main)
