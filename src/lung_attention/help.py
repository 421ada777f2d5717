"""What the command line says beyond its grammar: examples of each command, and which arguments are files."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import shtab

_CELL = "iqoth-densenet121-attention-published-grouped"

EXAMPLES = {
    "make-sample": [("make-sample --to drawn", "into another folder")],
    "datasets": [("datasets", "addresses, sizes, layouts")],
    "dataset new": [
        ("dataset new mine --from scans.zip", "patients unknown: look-alikes are held together"),
        ("dataset new mine --from scans --patients '(P[0-9]+)_'", "the patient stands in each path"),
        ("dataset new mine --from scans --groups patients.csv", "or in a table"),
    ],
    "fetch": [
        ("fetch iqoth densenet121", "one dataset and one backbone's weights"),
        ("fetch --to /srv/downloads --yes", "all, also what is large"),
    ],
    "repro": [
        ("repro", "the default results"),
        ("repro --profile local --set 'datasets=[iqoth]'", "one dataset, on archives of your own"),
        ("repro --profile sample --set train.recipe.epochs=5", "with another setting"),
    ],
    "experiment": [
        (
            "experiment 'twice the rate' --profile local --set train.recipe.learning_rate=0.0002",
            "kept for the report",
        ),
    ],
    "search": [
        ("search --dataset iqoth --backbone densenet121 --head attention", "on the sample"),
        ("search --dataset iqoth --backbone densenet121 --head plain --profile local", "on real images"),
    ],
    "track": [("track --profile local", "runs for results that came from a cache")],
    "ui": [("ui --port 5001", "where 5000 is taken")],
    "export": [
        (f"export {_CELL} --to model.onnx", "a file for other machines"),
        (f"export {_CELL} --register lung-attention.iqoth", "to be served"),
    ],
    "predict": [
        (f"predict {_CELL} slice.png series.zip", "a line an image"),
        ("predict model.onnx scans --csv answers.csv --overlay maps", "a table, and where it looked"),
        ("predict model.onnx scans --shards answers --workers 4", "a hundred thousand images"),
    ],
    "crate": [("crate --profile local", "Croissant and RO-Crate files")],
    "audit": [
        ("audit split.csv", "columns path,label,subset"),
        ("audit scans --split split.csv --json found.json", "class folders, and all pairs in a file"),
        ("audit scans", "without a split: copies and shortcuts"),
    ],
    "reproducibility": [("reproducibility --revision origin/main", "against results of another machine")],
    "check-lock": [("check-lock", "in a fresh clone, too")],
    "verify": [("verify", "after a crash of the machine")],
    "stale": [("stale --profile local", "and what mends it")],
    "dag": [("dag", "for a page that draws Mermaid")],
    "readme": [("readme --check", "as CI does")],
    "gate": [
        ("gate --reference origin/main", "this checkout's results against that revision's"),
        ("gate old.csv new.csv --cluster patient", "anyone's predictions"),
        ("gate --reference origin/main --strict --markdown gate.md", "as CI does"),
    ],
}
"""By command: what is typed after `lung-attention`, and what for."""


def illustrate(parser: argparse.ArgumentParser) -> None:
    """Adds examples to the help of all commands, and the completion of files to their arguments."""
    for name, command in commands(parser):
        command.formatter_class = argparse.RawDescriptionHelpFormatter
        command.epilog = "examples:\n" + "\n".join(
            f"  {parser.prog} {typed}\n      {what}" for typed, what in EXAMPLES[name]
        )
        for action in command._actions:
            # A model or a table may also be named by what is no file.
            if action.type is Path or action.metavar in ("MODEL", "OLD NEW"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]


def commands(parser: argparse.ArgumentParser, *before: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that has no further ones, by the words that are typed for it."""
    parts = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for part in parts:
        for name, command in part.choices.items():
            yield from commands(command, *before, name)
    if before and not parts:
        yield " ".join(before), parser
