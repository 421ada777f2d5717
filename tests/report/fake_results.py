"""Made-up results of a profile, written by the real code as far as there is some."""

import io
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from known import DATASETS, LABELS
from PIL import Image

from lung_attention.cells import FACTORS, Cell
from lung_attention.config import Config, load_config
from lung_attention.data.published import load_published
from lung_attention.evaluation.baselines.table import BASELINES
from lung_attention.evaluation.cell_metrics import cell_metrics
from lung_attention.evaluation.comparisons import compare
from lung_attention.evaluation.intervals import evaluate
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.files import write_json, write_table
from lung_attention.paths import Paths

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
RESAMPLING = {"resamples": 50, "bins": 5, "confidence": 0.95, "seed": 0}
POINTS = {"specificities": [0.9, 0.95], "prevalences": [0.01, 0.2]}
EXPERIMENT = {
    "experiment": "nearest pixel", "settings": "preprocess.views.whole.interpolation=nearest",
    "dataset": "iqoth",
    "backbone": "densenet121", "head": "plain", "split": "published", "n_test": 220, "accuracy": 0.991,
    "accuracy_low": 0.97, "accuracy_high": 0.999,
}  # fmt: skip
N_IMAGES, N_PUBLISHED, EPOCHS = 120, 60, 6
HARD = [0, 1, 20, 40]  # two of one group, and at least one of each class


@dataclass(frozen=True)
class Project:
    """A folder laid out as a project with results.

    Attributes:
        root: The folder.
        config: Its parameters.
        paths: The names of its files.
    """

    root: Path
    config: Config
    paths: Paths


def fake_project(
    root: Path,
    *,
    profile: str,
    datasets: list[str] | None = None,
    splits: list[str] | None = None,
    backbones: list[str] | None = None,
    without: list[str] = (),
    further: list[Cell] = (),
    stand_ins: list[str] | None = None,
    extras: bool = True,
) -> Project:
    """Writes params.yaml and the results of a profile; `extras` are all but the cells."""
    values = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    values["profile"] = profile
    values["datasets"] = datasets or ["iqoth", "lc25000", "lidc"]
    values["splits"] = splits or ["published", "grouped"]
    values["backbones"] = backbones or ["mobilenetv2", "densenet121"]
    values["heads"] = ["plain", "attention"]
    values["further"] = {
        recipe: {
            f"{factor}s": list(
                dict.fromkeys(getattr(cell, factor) for cell in further if cell.recipe == recipe)
            )
            for factor in FACTORS
            if factor != "recipe"
        }
        for recipe in values["further"]
    }
    # Others look at the view of the recommended recipe, so that its part covers theirs.
    for factor in ("dataset", "backbone"):
        seen = list(dict.fromkeys(getattr(cell, factor) for cell in further))
        values["further"]["recommended"][f"{factor}s"] = seen
    values["explained"] = {
        "datasets": values["datasets"] if extras else [],
        "backbones": values["backbones"][-1:],
        "heads": ["attention"],
        "recipes": ["published"],
        "splits": ["published"],
    }
    if stand_ins is not None:
        values["profiles"][profile]["stand_ins"] = stand_ins
    shutil.copytree(PARAMS.parent / "datasets", root / "datasets")
    (root / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    config, paths = load_config(root / "params.yaml"), Paths(profile)
    rng = np.random.default_rng(1)
    tables: dict[Cell, pd.DataFrame] = {}
    for cell in config.cells():
        if cell.name not in without:
            seeds = (0, 1) if cell.dataset == "iqoth" else (0,)
            skill = {"published": 4, "grouped": 2}[cell.split] + (cell.recipe != "published")
            table = predictions(cell.dataset, cell.split, seeds=seeds, skill=skill, rng=rng)
            tables[cell] = table
            _write_cell(root, paths, cell, table)
    for cell in further:
        write_json(root / paths.search(cell), search_record(cell))
    if extras:
        baselines = {
            (dataset, split): _write_baselines(root, paths, dataset, split, rng)
            for dataset in config.datasets
            for split in config.splits
        }
        experiments = pd.DataFrame([EXPERIMENT])
        comparisons = compare(
            tables,
            load_published().on(config.datasets).results,
            labels=LABELS,
            baselines=baselines,
            blind=dict.fromkeys(config.datasets, ("majority", "image_size", "border", "background")),
            experiments=experiments,
            stand_in=bool(config.active.stand_ins),
            **RESAMPLING,
        )
        write_json(root / paths.comparisons, comparisons)
        for cell in config.explained.cells():
            write_json(root / paths.maps(cell), maps_record(cell))
            Image.new("RGB", (30, 20)).save(root / paths.maps_picture(cell), "webp")
        for dataset in config.datasets:
            write_json(root / paths.audit(dataset), audit_record(dataset, config.splits))
            _write_archive(root, paths, dataset, rng)
    return Project(root, config, paths)


def maps_record(cell, *, lift=1.2, low=1.1, over_untrained=0.1, over_mean=0.05):
    """What a look at a cell leaves, made up; only whole slices are marked."""
    names = ("attention", "gradcam", "untrained", "moved", "centre", "mean")
    over = dict.fromkeys(names[1:], 0.2) | {"untrained": over_untrained, "mean": over_mean}
    hits = {"hits": 0.05, "hits_low": 0.02, "hits_high": 0.09}
    maps = {name: {"lift": lift, "lift_low": low, "lift_high": 1.3, **hits} for name in names}
    for name, least in over.items():
        maps[name] |= {"difference": least + 0.1, "difference_low": least, "difference_high": least + 0.2}
    steps = [("probabilities", 1.0, 0.3), ("soft_attention", 0.1, 0.2), ("backbone", 0.0, 0.1)]
    location = {"area": 0.004, "unit": "patient", "images": 106, "clusters": 90, "maps": maps}
    return {
        "cell": cell.name,
        "images": 106,
        "seen_in_training": False,
        "gamma": 0.013,
        "changed": 0.053,
        "evenness": 0.96,
        "shuffled": [
            {"layer": name, "attention": a, "attention_smoothed": a, "gradcam": g, "gradcam_smoothed": g / 2}
            for name, a, g in steps
        ],
        "repeated": {"fits": 2, "attention": 0.71, "gradcam": 0.52, "untrained": 0.33},
        "location": location if cell.dataset == "lidc_slices" else None,
    }


def search_record(cell):
    """What a search of five outer folds leaves, made up."""
    default = {"view": "whole", "optimizer": "adam", "class_weights": "none",
               "epochs": 100, "batch_size": 32, "jit_compile": True, "pooling": "flatten",
               "hidden_units": [256, 32], "dropout": 0.0, "l2": 0.0, "attention_maps": 16,
               "attention_gamma": 0.01, "attention_activation": "relu", "learning_rate": 0.0001}  # fmt: skip
    rng = np.random.default_rng(3)
    studies = {}
    for number, name in enumerate([*(f"fold-{fold}" for fold in range(5)), "all"]):
        values = np.concatenate([[1.4], rng.lognormal(-0.2, 0.6, size=39)])
        states = np.where(rng.random(40) < 0.5, "complete", "pruned")
        states[0] = "complete"
        complete = np.flatnonzero(states == "complete")
        best = int(complete[values[complete].argmin()])
        studies[name] = {
            "settings": {**default, "learning_rate": 0.000231 * (number + 1), "hidden_units": [64]},
            "best_value": float(values[best]), "best_trial": best, "default_value": 1.4,
            "trials": {"complete": len(complete), "pruned": 40 - len(complete), "error": 0, "repeated": 1},
            "seconds": 1234.5,
            "importances": {"learning_rate": 0.6, "epochs": 0.3, "attention_gamma": 0.1},
            "history": [[k, str(states[k]), float(values[k])] for k in range(40)],
        }  # fmt: skip
    about = {"dataset": cell.dataset, "backbone": cell.backbone, "head": cell.head}
    return {**about, "default": default, "search": {"trials": 40}, "studies": studies}


def predictions(dataset, split, *, seeds, skill, rng):
    """A predictions table; groups are four neighbouring images. Nobody gets the hard ones right."""
    classes = DATASETS[dataset].labels
    n = N_PUBLISHED if split == "published" else N_IMAGES
    labels = np.arange(n) // 4 % len(classes)
    tables = []
    for seed in seeds:
        p = rng.dirichlet(np.ones(len(classes)), size=n)
        p[np.arange(n), labels] += skill * rng.random(n)
        p[HARD, labels[HARD]] = 0
        p /= p.sum(axis=1, keepdims=True)
        table = pd.DataFrame({"image": [f"{k:03d}.png" for k in range(n)]})
        table["label"] = [classes[k] for k in labels]
        table["group"] = [f"g{k // 4:02d}" for k in range(n)]
        table["fold"], table["seed"] = 0, seed
        table["prediction"] = [classes[k] for k in p.argmax(axis=1)]
        for k, name in enumerate(classes):
            table[f"probability_{name}"] = p[:, k]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _write_cell(root, paths, cell, table):
    classes = DATASETS[cell.dataset].labels
    metrics = cell_metrics(predictions_to_arrays(table, classes), **POINTS, **RESAMPLING)
    metrics |= {
        "dataset": cell.dataset,
        "backbone": cell.backbone,
        "head": cell.head,
        "recipe": cell.recipe,
        "split": cell.split,
        "unit": "patient" if cell.dataset.startswith("lidc") else "pseudo-group",
        "device": "cpu",
        "trainable_parameters": 12_853_635,
        "parameters": 19_891_139,
        "inputs": "0" * 64,
    }
    write_json(root / paths.metrics(cell), metrics)
    write_table(root / paths.predictions(cell), table)
    folds = [0] if cell.split == "published" else [0, 1, -1]
    rows = [
        {
            "seed": seed,
            "fold": fold,
            "epoch": epoch,
            "loss": 1 / epoch,
            "accuracy": 1 - 0.5 / epoch,
            "val_loss": None if fold < 0 else 1.2 / epoch + 0.1 * fold,
            "val_accuracy": None if fold < 0 else 0.9 - 0.5 / epoch,
        }
        for seed in metrics["seeds"]
        for fold in folds
        for epoch in range(1, EPOCHS + 1)
    ]
    write_table(root / paths.history(cell), pd.DataFrame(rows))


def _write_baselines(root, paths, dataset, split, rng):
    classes = DATASETS[dataset].labels
    tables, scores = [], {}
    for skill, (name, baseline) in enumerate(BASELINES.items()):
        table = predictions(dataset, split, seeds=(0,), skill=skill, rng=rng)
        about = {"title": baseline.title, "blind": baseline.blind, "chosen": {}}
        scores[name] = about | evaluate(table, classes, **RESAMPLING)
        table.insert(0, "baseline", name)
        tables.append(table)
    write_json(root / paths.baselines(dataset, split), scores)
    table = pd.concat(tables, ignore_index=True)
    write_table(root / paths.baseline_predictions(dataset, split), table)
    return table


def _write_archive(root, paths, dataset, rng):
    """The images that are predicted, each with a brightness of its own."""
    rows, classes = [], DATASETS[dataset].labels
    path = root / paths.archive(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for k in range(N_IMAGES):
            pixels = (k + rng.integers(100, size=(40, 48, 3))).astype(np.uint8)
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, format="png")
            image = f"{k:03d}.png"
            archive.writestr(image, stream.getvalue())
            rows.append({"image": image, "label": classes[k // 4 % len(classes)], "bytes": 1, "sha256": "",
                         "width": 48, "height": 40, "group": ""})  # fmt: skip
    write_table(root / paths.manifest(dataset), pd.DataFrame(rows))


def audit_record(dataset, splits):
    """What the audit writes, as far as the report reads it."""
    of_split = {
        "published": {
            "test_images": N_PUBLISHED,
            "test_images_with_identical_file_in_training": 3,
            "test_images_with_near_duplicate_in_training": 20,
            "test_images_with_twin_in_training": 21,
            "test_images_with_group_in_training": 55,
            "groups_on_two_sides": 14,
            "leak": True,
            "drawn_by_groups": False,
            "sentence": "Leak: 14 of 30 groups on two sides.",
        },
        "grouped": {
            "test_images": N_IMAGES,
            "test_images_with_identical_file_in_training": 0,
            "test_images_with_near_duplicate_in_training": 0,
            "test_images_with_twin_in_training": 0,
            "test_images_with_group_in_training": 0,
            "groups_on_two_sides": 0,
            "leak": False,
            "drawn_by_groups": True,
            "sentence": "No leak found by these criteria: no group (patient, as given) stands on two sides.",
        },
    }
    per_class = dict.fromkeys(DATASETS[dataset].labels, 40)
    probe = {
        "title": "outermost pixels",
        "accuracy": 0.8,
        "balanced_accuracy": 0.7,
        "auroc": 0.9,
        "by_chance": {"auroc": 0.5, "balanced_accuracy": 0.34},
        "p": 0.001,
        "p_holm": 0.004,
        "found": True,
    }
    return {
        "shortcuts": {
            "probes": {"border": probe},
            "groups_known": True,
            "groups": 30,
            "permutations": 999,
        },
        "images": N_IMAGES,
        "images_per_class": per_class,
        "groups": {
            "unit": DATASETS[dataset].unit,
            "inferred": DATASETS[dataset].groups_inferred,
            "number": 30,
            "images_with_group": N_IMAGES,
            "smallest": 4,
            "largest": 4,
            "median": 4.0,
            "mean": 4.0,
            "two_labels": [],
        },
        "splits": {split: of_split[split] for split in splits},
        "findings": ["7 of 120 files are redundant (byte for byte equal to another)."],
    }
