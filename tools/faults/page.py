"""What fell, as numbers in benchmarks/faults.json and as tables in docs/faults.md."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lung_attention.files import write_json, write_text
from lung_attention.report.regions import replace_region
from lung_attention.workflow.git import commit_of

FILE = Path("benchmarks/faults.json")
PAGE = Path("docs/faults.md")


def write_results(found: dict[str, Any], *, seed: int, more: bool = False) -> None:
    """Writes both files; a part that was not run stays as it was.

    Args:
        found: `kills`, `inputs` and `fuzz`, as `as_json` of their outcomes gives them.
        seed: Of this run.
        more: Whether kills of other seeds stay beside these; a run of this seed is written anew.
    """
    before = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    about = {"machine": machine(), "seed": seed, "code": commit_of(Path(__file__).parent)}
    value = before | {name: part | about for name, part in found.items()}
    if "kills" in found:
        kept = [run for run in before.get("kills", []) if more and run["seed"] != seed]
        value["kills"] = [*kept, value["kills"]]
    write_json(FILE, value)
    write_text(PAGE, replace_region(PAGE.read_text(encoding="utf-8"), "faults", render(value)))


def machine() -> str:
    """This machine in words."""
    names = ("dvc", "tensorflow", "mlflow", "pandas", "pillow", "pydicom")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def render(value: dict[str, Any]) -> str:
    """The tables in Markdown."""
    return "\n\n".join(
        [
            *(_kills(value["kills"]) if "kills" in value else ["Nothing was killed yet."]),
            *(_inputs(value["inputs"]) if "inputs" in value else ["Nothing was fed yet."]),
            *(_fuzz(value["fuzz"]) if "fuzz" in value else []),
        ]
    )


def _kills(runs: list[dict[str, Any]]) -> list[str]:
    by_kind: dict[str, Counter[str]] = {}
    for run in runs:
        for kind, counts in run["by_kind"].items():
            by_kind.setdefault(kind, Counter()).update(counts)
    signals = sorted({name for counts in by_kind.values() for name in counts})
    rows = [
        [kind, *(f"{counts[name]:,}" for name in signals), f"{counts.total():,}"]
        for kind, counts in by_kind.items()
    ]
    total, again = (sum(run[name] for run in runs) for name in ("kills", "commands_run_again"))
    seeds = ", ".join(f"{run['kills']:,} with seed {run['seed']} of code {run['code']}" for run in runs)
    machines = "; ".join(dict.fromkeys(run["machine"] for run in runs))
    return [
        f"**{total:,} kills** and interrupts at random moments ({seeds}), after which the same command was "
        f"left to end {again:,} times, on {machines}:",
        _table(["what was hit", *signals, "together"], rows),
        _fallen([f"code {run['code']}: {line}" for run in runs for line in run["fell"]]),
    ]


def _inputs(part: dict[str, Any]) -> list[str]:
    rows = [
        [
            name,
            *(f"{one[key]:,}" for key in ("inputs", "accepted", "refused")),
            f"{len(one['fell']):,}",
            f"{one['slowest_s']:.2f}",
        ]
        for name, one in part["by_parser"].items()
    ]
    return [
        f"**{part['inputs']:,} inputs** (seed {part['seed']}, code {part['code']}), no more than "
        f"{part['memory_mb']:,.0f} MB of memory beyond what the libraries take, on {part['machine']}:",
        _table(["parser", "inputs", "accepted", "refused", "fell", "slowest, s"], rows),
        _fallen(part["fell"]),
    ]


def _fuzz(part: dict[str, Any]) -> list[str]:
    found = part["by_parser"]
    rows = [
        [name, *(f"{one[key]:,}" for key in ("inputs", "seconds", "branches")), f"{len(one['fell']):,}"]
        for name, one in found.items()
    ]
    minutes = sum(one["seconds"] for one in found.values()) / 60
    return [
        f"**Led by coverage** (`make fuzz`, libFuzzer by atheris), {minutes:.0f} minutes in all, code "
        f"{part['code']}, on {part['machine']}:",
        _table(["parser", "inputs", "seconds", "branches reached", "fell"], rows),
        _fallen([f"{name}: {line}" for name, one in found.items() for line in one["fell"]]),
    ]


def _fallen(lines: list[str]) -> str:
    if not lines:
        return "Nothing fell."
    return "\n".join(["What fell:", "", *(f"- `{line.replace('`', chr(39))}`" for line in lines)])


def _table(head: list[str], rows: list[list[str]]) -> str:
    marks = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, marks, *rows])
