"""The names of all files. No path is spelled anywhere else but in dvc.yaml."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lung_attention.cells import Cell

SAMPLE = Path("data")
PARAMS = Path("params.yaml")
DATASETS = Path("datasets")
# Runs with one setting changed: a row an experiment and cell, of all profiles.
EXPERIMENTS = Path("results/experiments.csv")

# What was run with what and gave what, for machines; its names are relative to it.
CRATE = Path("ro-crate-metadata.json")

# Names a folder in place of `artifacts` for checkpoints: they outlive a temporary workspace.
CHECKPOINTS_VARIABLE = "LUNG_ATTENTION_CHECKPOINTS"


def code_digest(stage: str) -> Path:
    """The hashes of the code that a stage computes with."""
    return Path("artifacts/code") / f"{stage}.json"


def head_digest(head: str) -> Path:
    """The hashes of the code of a head."""
    return Path("artifacts/code/heads") / f"{head}.json"


def recipe_digest(recipe: str) -> Path:
    """The hashes of the code that makes the fits of a recipe."""
    return Path("artifacts/code/recipes") / f"{recipe}.json"


@dataclass(frozen=True)
class Paths:
    """Where the files of one profile lie, relative to the project's root.

    Attributes:
        profile: The profile's name.
    """

    profile: str

    @property
    def experiment(self) -> str:
        """The MLflow experiment of this profile."""
        return f"lung-attention/{self.profile}"

    @property
    def artifacts(self) -> Path:
        """What DVC caches; not in git."""
        return Path("artifacts") / self.profile

    @property
    def results(self) -> Path:
        """What git keeps."""
        return Path("results") / self.profile

    def archive(self, dataset: str) -> Path:
        """The verified images of a dataset, one uncompressed zip."""
        return self.artifacts / "archives" / f"{dataset}.zip"

    def manifest(self, dataset: str) -> Path:
        """A row an image."""
        return self.artifacts / "manifests" / f"{dataset}.csv"

    def origin(self, dataset: str) -> Path:
        """Which source served a dataset, and its hash."""
        return self.artifacts / "manifests" / f"{dataset}.json"

    def thumbnails(self, dataset: str) -> Path:
        """uint8 `(n, 64, 64, 3)`, rows as in the manifest."""
        return self.artifacts / "thumbnails" / f"{dataset}.npy"

    def groups(self, dataset: str) -> Path:
        """The group of each image, rows as in the manifest."""
        return self.artifacts / "groups" / f"{dataset}.csv"

    def split(self, dataset: str, split: str) -> Path:
        """The subset of each image, rows as in the manifest."""
        return self.artifacts / "splits" / f"{dataset}-{split}.csv"

    def backbone(self, backbone: str) -> Path:
        """The weights of a backbone without its top."""
        return self.artifacts / "backbones" / f"{backbone}.weights.h5"

    def features(self, dataset: str, backbone: str, view: str) -> Path:
        """float16 `(n, rows, cols, channels)`, rows as in the manifest."""
        return self.artifacts / "features" / f"{dataset}-{backbone}-{view}.npy"

    def features_info(self, dataset: str, backbone: str, view: str) -> Path:
        """How the features were made, and their hash."""
        return self.artifacts / "views" / f"{dataset}-{backbone}-{view}.json"

    def settings(self, cell: Cell) -> Path:
        """What a cell is fitted with: settings of its fits, seeds, classes, and features by their hash."""
        return self.artifacts / "settings" / f"{cell.name}.json"

    def baseline_settings(self, dataset: str) -> Path:
        """What the linear probes of a dataset are fitted on: features by their hash, by backbone."""
        return self.artifacts / "settings" / f"{dataset}.json"

    def evaluation_settings(self, dataset: str) -> Path:
        """How the predictions of a dataset's cells are measured: classes, unit of groups, `evaluate`."""
        return self.artifacts / "settings" / f"{dataset}-evaluation.json"

    def trained(self, cell: Cell) -> Path:
        """The folder of a cell's model, history and raw predictions."""
        return self.artifacts / "cells" / cell.name

    def model(self, cell: Cell) -> Path:
        """The full model: raw image in, probabilities out."""
        return self.trained(cell) / "model.keras"

    def raw_history(self, cell: Cell) -> Path:
        """A row a seed, fold and epoch."""
        return self.trained(cell) / "history.csv"

    def raw_predictions(self, cell: Cell) -> Path:
        """A row a seed and test image."""
        return self.trained(cell) / "predictions.csv"

    def training_info(self, cell: Cell) -> Path:
        """What identifies the training: the hash of its inputs, parameter counts."""
        return self.trained(cell) / "training.json"

    def checkpoints(self, cell: Cell) -> Path:
        """What a killed training of a cell goes on from; no output of a stage, and removed at its end."""
        root = os.environ.get(CHECKPOINTS_VARIABLE)
        return (Path(root) / self.profile if root else self.artifacts) / "checkpoints" / cell.name

    def cell(self, cell: Cell) -> Path:
        """The folder of a cell's committed results."""
        return self.results / "cells" / cell.name

    def metrics(self, cell: Cell) -> Path:
        """All scores of a cell with their intervals."""
        return self.cell(cell) / "metrics.json"

    def scores(self, cell: Cell) -> Path:
        """The few of them that `dvc metrics` shows."""
        return self.cell(cell) / "scores.json"

    def predictions(self, cell: Cell) -> Path:
        """The committed predictions, with groups."""
        return self.cell(cell) / "predictions.csv"

    def history(self, cell: Cell) -> Path:
        """The committed learning curves."""
        return self.cell(cell) / "history.csv"

    def audit(self, dataset: str) -> Path:
        """What the audit found."""
        return self.results / "audit" / f"{dataset}.json"

    def baselines(self, dataset: str, split: str) -> Path:
        """Scores of the baselines, and what they chose."""
        return self.results / "baselines" / f"{dataset}-{split}.json"

    def baseline_predictions(self, dataset: str, split: str) -> Path:
        """Predictions of the baselines."""
        return self.results / "baselines" / f"{dataset}-{split}.csv"

    def sensitivity(self, dataset: str) -> Path:
        """What groups and partitions do to the scores of a dataset."""
        return self.results / "sensitivity" / f"{dataset}.json"

    def search(self, cell: Cell) -> Path:
        """What a search found: settings of each fold and of the refit, and scores of each study."""
        return self.results / "search" / f"{cell.searched}.json"

    def found(self, cell: Cell) -> Path:
        """The same, where the stage of the search writes it; `make search` keeps it as `search`."""
        return Path("search") / "found" / self.profile / f"{cell.searched}.json"

    def studies(self, cell: Cell) -> Path:
        """The SQLite file of a cell's studies, where no database is named; no output of a stage."""
        return self.artifacts / "studies" / f"{cell.searched}.db"

    def exported(self, cell: Cell) -> Path:
        """The model that leaves the project: ONNX, with all that it carries; no output of a stage."""
        return self.artifacts / "exported" / f"{cell.name}.onnx"

    def maps(self, cell: Cell) -> Path:
        """Where a cell looks, and what its maps are worth."""
        return self.results / "maps" / f"{cell.name}.json"

    def maps_picture(self, cell: Cell) -> Path:
        """Images with the maps of a cell beside them."""
        return self.results / "maps" / f"{cell.name}.webp"

    @property
    def cards(self) -> Path:
        """The model cards."""
        return self.results / "cards"

    def card(self, cell: Cell) -> Path:
        """The model card of a cell."""
        return self.cards / f"{cell.name}.md"

    def croissant(self, dataset: str) -> Path:
        """What a dataset is, for machines."""
        return self.results / "croissant" / f"{dataset}.json"

    @property
    def comparisons(self) -> Path:
        """Attention against plain, what leakage carries, and the reproduction verdicts."""
        return self.results / "comparisons.json"

    @property
    def summary(self) -> Path:
        """A row a cell."""
        return self.results / "summary.csv"

    @property
    def report_markdown(self) -> Path:
        """The report as Markdown."""
        return self.results / "report.md"

    @property
    def report_html(self) -> Path:
        """The report's first page."""
        return self.results / "report.html"

    @property
    def report_pages(self) -> Path:
        """The folder of its further pages, on single cells."""
        return self.results / "report"
