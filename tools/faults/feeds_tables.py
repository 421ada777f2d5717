"""Tables as inputs: those beside images, splits to audit, and predictions."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd

from faults.mutators import table_of
from faults.parsers import Parser
from faults.workspace import ROOT
from lung_attention.audit.own_split import run_audit_command
from lung_attention.audit.settings import ShortcutTest
from lung_attention.config import load_config
from lung_attention.config.datasets import Cut, ImageTable
from lung_attention.data.image_table import read_image_table, squares_of, with_image_table
from lung_attention.errors import UserError
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.files import read_table
from lung_attention.gate.tables import Columns, read_pair
from lung_attention.paths import PARAMS

_CLASSES = ("benign", "malignant", "normal")


def image_tables(_: Path) -> Parser:
    """The table beside the images of a dataset: patients, boxes, sizes."""
    base = load_config(ROOT / PARAMS).dataset("iqoth")
    table = ImageTable(file="t.csv", image="file", patient="who", sha256=None, covariates=["diameter"])
    cut = Cut(of="iqoth", centre=("x", "y"), mm_per_px="mm", side_mm=20.0)
    dataset = base.model_copy(
        update={"table": table, "cut": cut, "archive": base.archive.model_copy(update={"root": ""})}
    )
    images = [f"Normal cases/{number}.jpg" for number in range(6)]
    rows = pd.DataFrame(
        {"file": images, "who": list("aabbcc"), "x": 0.5, "y": 0.25, "mm": 0.7, "diameter": range(6)}
    )
    manifest = pd.DataFrame({"image": images, "label": "normal", "group": ""})

    def feed(content: bytes) -> None:
        found = read_image_table(dataset, ["t.csv"], lambda _name: content)
        squares_of(dataset, found, images)
        with_image_table(manifest, found, dataset)

    return Parser([_csv(rows)], [], table_of, feed, (UserError,))


def audit_tables(folder: Path) -> Parser:
    """Anyone's split of anyone's images."""
    names = []
    with zipfile.ZipFile(ROOT / "sample" / "iqoth.zip") as archive:
        members = [name for name in archive.namelist() if name.endswith(".jpg")]
        for number, name in enumerate(members[:: len(members) // 8]):
            names.append(f"{number}.jpg")
            (folder / names[-1]).write_bytes(archive.read(name))
    parts, labels = ["train", "test"], ["a", "b", "b", "a"]
    rows = pd.DataFrame(
        {
            "path": names,
            "label": [labels[k % 4] for k in range(len(names))],
            "subset": [parts[k % 2] for k in range(len(names))],
            "group": [f"g{k // 2}" for k in range(len(names))],
        }
    )
    test = ShortcutTest(folds=2, permutations=2, alpha=0.05, seed=0)

    def feed(content: bytes) -> None:
        path = folder / "split.csv"
        path.write_bytes(content)
        run_audit_command(
            path, near_duplicate_cosine=0.98, near_duplicates_leak=True, listed=3, shortcut_test=test
        )

    return Parser([_csv(rows)], [], table_of, feed, (UserError,), seconds=10)


def _predicted() -> pd.DataFrame:
    rows = [
        (
            f"{label}/{k}.jpg",
            label,
            f"{label}{k // 2}",
            k % 2,
            seed,
            label,
            *(0.8 if c == label else 0.1 for c in _CLASSES),
        )
        for seed in (0, 1)
        for label in _CLASSES
        for k in range(4)
    ]
    columns = [
        "image",
        "label",
        "group",
        "fold",
        "seed",
        "prediction",
        *(f"probability_{c}" for c in _CLASSES),
    ]
    return pd.DataFrame(rows, columns=columns)


def predictions(folder: Path) -> Parser:
    """Predictions of this project, as the report and the gate read them."""

    def feed(content: bytes) -> None:
        path = folder / "predictions.csv"
        path.write_bytes(content)
        predictions_to_arrays(read_table(path), _CLASSES)

    return Parser([_csv(_predicted())], [], table_of, feed, (UserError,))


def gate_tables(folder: Path) -> Parser:
    """Anyone's predictions, a pair of tables."""
    good = folder / "old.csv"
    good.write_bytes(_csv(_predicted()))

    def feed(content: bytes) -> None:
        path = folder / "new.csv"
        path.write_bytes(content)
        read_pair(good, path, Columns(), names=("old.csv", "new.csv"))

    plain = _predicted().drop(columns=["group", "fold", "prediction"])
    return Parser([_csv(_predicted()), _csv(plain)], [], table_of, feed, (UserError,))


def _csv(table: pd.DataFrame) -> bytes:
    stream = io.StringIO()
    table.to_csv(stream, index=False)
    return stream.getvalue().encode()
