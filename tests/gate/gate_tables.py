"""Predictions of fabricated classifiers, and a project around them."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from known import DATASETS

from lung_attention.cells import Cell
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.files import write_json, write_table
from lung_attention.gate.pairing import Pair
from lung_attention.paths import Paths

ROOT = Path(__file__).parents[2]
CELL = Cell("lidc", "mobilenetv2", "plain", "published", "published")
OTHER = Cell("iqoth", "mobilenetv2", "plain", "published", "grouped")
PATHS = Paths("sample")


def predictions(dataset, decisions, *, labels, groups=None, seed=0, fold=0, sure=0.9):
    """A table in the predictions schema: `decisions` and `labels` are class numbers, one an image."""
    classes = DATASETS[dataset].labels
    decisions = np.asarray(decisions)
    table = pd.DataFrame(
        {
            "image": [f"{k:04d}.png" for k in range(len(decisions))],
            "label": [classes[k] for k in labels],
            "group": "" if groups is None else [str(group) for group in groups],
            "fold": fold,
            "seed": seed,
            "prediction": [classes[k] for k in decisions],
        }
    )
    for k, name in enumerate(classes):
        table[f"probability_{name}"] = np.where(decisions == k, sure, (1 - sure) / (len(classes) - 1))
    return table


def labels_of(dataset, per_class):
    return np.repeat(np.arange(len(DATASETS[dataset].labels)), per_class)


def with_errors(labels, errors, *, classes, first=0):
    """Decisions that are right but for the images `first`, `first + 1`, … of each class."""
    decided = labels.copy()
    for k in range(classes):
        wrong = np.flatnonzero(labels == k)[first : first + errors]
        decided[wrong] = (k + 1) % classes
    return decided


def table_of(cell, *, per_class=100, errors=10, first=0, seed=0, fold=0):
    labels = labels_of(cell.dataset, per_class)
    classes = len(DATASETS[cell.dataset].labels)
    decided = with_errors(labels, errors, classes=classes, first=first)
    return predictions(cell.dataset, decided, labels=labels, seed=seed, fold=fold)


def random_pair(seed, *, classes=3, n=40, groups=None, ties=False):
    """Two classifiers that know a little, on images of unequal classes."""
    random = np.random.default_rng(seed)
    dataset = "iqoth" if classes == 3 else "lidc"
    labels = np.concatenate([np.arange(classes), random.integers(classes, size=n - classes)])
    common = random.standard_normal((n, classes)) + 1.2 * np.eye(classes)[labels]

    def probabilities():
        raw = np.exp(common + 0.7 * random.standard_normal((n, classes)))
        return np.round(raw / raw.sum(axis=1, keepdims=True), 1 if ties else 9)

    base = predictions_to_arrays(
        predictions(dataset, labels, labels=labels, groups=groups), DATASETS[dataset].labels
    )
    return Pair(*(replace(base, probabilities=probabilities()[None]) for _ in range(2)))


def write_cell(root, cell, table):
    write_table(root / PATHS.predictions(cell), table)


def comparisons(verdict, cell=CELL):
    entry = {
        "dataset": cell.dataset, "backbone": cell.backbone, "head": cell.head, "verdict": verdict,
    }  # fmt: skip
    return {"reproduction": [entry]}


def write_comparisons(root, verdict, cell=CELL):
    write_json(root / PATHS.comparisons, comparisons(verdict, cell))


def git(root, *arguments):
    environment = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *environment, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit_all(root, message):
    git(root, "add", "--all", "--force")
    git(root, "commit", "--quiet", "--message", message)


def new_project(root, cells=(CELL, OTHER)):
    """A git repository with parameters and cells, committed."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "params.yaml", root / "params.yaml")
    shutil.copytree(ROOT / "datasets", root / "datasets")
    git(root, "init", "--quiet", "--initial-branch=main")
    for cell in cells:
        write_cell(root, cell, table_of(cell))
    commit_all(root, "reference")
    return root
