"""The parsers under test: what good inputs of each are, how they are made bad, and what may come of it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

Mutate = Callable[[bytes, Sequence[bytes], random.Random], bytes]


@dataclass(frozen=True)
class Parser:
    """A parser, ready to be fed.

    Attributes:
        seeds: Good inputs.
        hostile: Inputs that were written to do harm; each is fed once.
        mutate: Makes a bad input of a good one.
        feed: Takes an input; returns where it was accepted.
        refusals: The exceptions that it promises.
        seconds: That an input may take.
    """

    seeds: Sequence[bytes]
    hostile: Sequence[bytes]
    mutate: Mutate
    feed: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seconds: float = 5.0


# By module and function, with the share of all inputs. Libraries are imported where they are used.
PARSERS: dict[str, tuple[str, str, float]] = {
    "DICOM": ("faults.feeds_images", "dicom", 0.16),
    "images to predict": ("faults.feeds_images", "images", 0.17),
    "predictions.csv": ("faults.feeds_tables", "predictions", 0.10),
    "found settings": ("faults.feeds_settings", "found_settings", 0.08),
    "tables for the gate": ("faults.feeds_tables", "gate_tables", 0.09),
    "tables beside images": ("faults.feeds_tables", "image_tables", 0.12),
    "ONNX models": ("faults.feeds_models", "onnx_files", 0.02),
    "images of an archive": ("faults.feeds_images", "archive_images", 0.12),
    "zip archives": ("faults.feeds_images", "archives", 0.10),
    "dvc.lock": ("faults.feeds_settings", "locks", 0.02),
    "params.yaml": ("faults.feeds_settings", "params", 0.01),
    "datasets/*.yaml": ("faults.feeds_settings", "dataset_files", 0.01),
    "names of models": ("faults.feeds_models", "names", 0.01),
    "tables to audit": ("faults.feeds_tables", "audit_tables", 0.002),
    "results for the report": ("faults.feeds_report", "results", 0.0008),
    "Keras models": ("faults.feeds_models", "keras_files", 0.0006),
}


def parser(name: str, folder: Path) -> Parser:
    """Makes a parser ready.

    Args:
        name: One of `PARSERS`.
        folder: An empty one for its files.
    """
    module, function, _ = PARSERS[name]
    made: Parser = getattr(import_module(module), function)(folder)
    return made
