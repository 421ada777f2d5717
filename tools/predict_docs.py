"""Writes what predicting gives on real images into README.md and docs/predict.md.

    python tools/predict_docs.py --example MODEL.onnx IMAGES --archives FOLDER MODEL.onnx …

The example is a run of `lung-attention predict`. The table says of which share of images of other datasets,
and of photographs, a model says that they are outside what it knows.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_sample_images
from tqdm import tqdm

from lung_attention.config import load_config
from lung_attention.data.archive import open_archive
from lung_attention.data.members import find_members
from lung_attention.errors import run_guarded
from lung_attention.files import write_text
from lung_attention.images.decode import decode
from lung_attention.paths import PARAMS
from lung_attention.predict.command import Options, run_predict
from lung_attention.predict.exported import ExportedModel
from lung_attention.report.regions import replace_region

README, PAGE = Path("README.md"), Path("docs/predict.md")
EACH = 60  # images of a dataset, evenly spaced
TILES = 24  # of each photograph

Pixels = npt.NDArray[np.uint8]


def example(model: ExportedModel, images: Path) -> str:
    """What `lung-attention predict` prints, as a block of Markdown."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        run_predict(model, [images], Options())
    command = f"$ lung-attention predict {model.about.name} {images.name} --profile local"
    return f"```\n{command}\n{said.getvalue().rstrip()}\n```"


def images_of(name: str, folder: Path) -> Iterator[Pixels]:
    """Images of a dataset's archive, evenly spaced over its members."""
    dataset = load_config(PARAMS).dataset(name)
    path = folder / f"{dataset.archive_of}.zip"
    with open_archive(path) as (names, read):
        members = find_members(names, dataset, path=path)
        for row in np.linspace(0, len(members) - 1, EACH).astype(int):
            yield decode(read(members[row].source))


def photographs() -> Iterator[Pixels]:
    """Squares out of the two photographs that scikit-learn brings."""
    for picture in load_sample_images().images:
        generator = np.random.default_rng(0)
        for _ in range(TILES):
            top, left = (int(generator.integers(0, length - 224)) for length in picture.shape[:2])
            yield picture[top : top + 224, left : left + 224]


def share_outside(model: ExportedModel, images: Iterator[Pixels]) -> float:
    """Of which share a model says that it does not know them."""
    return float(np.mean([model.predict(one).familiar is False for one in images]))


def strangers(models: Sequence[ExportedModel], datasets: Sequence[str], folder: Path) -> str:
    """The table of all models and kinds of images."""
    titles = {name: load_config(PARAMS).dataset(name).title for name in datasets}
    rule = "--:|" * (len(datasets) + 1)
    lines = [f"| model | {' | '.join(titles.values())} | photographs |", f"|---|{rule}"]
    for model in tqdm(models):
        own = model.about.name.split("-")[0]
        shares = {name: share_outside(model, images_of(name, folder)) for name in datasets}
        shown = [
            f"{100 * share:.0f} %" + (" (its own)" if name == own else "") for name, share in shares.items()
        ]
        shown.append(f"{100 * share_outside(model, photographs()):.0f} %")
        lines.append(f"| `{model.about.name}` | {' | '.join(shown)} |")
    return "\n".join(lines)


def main() -> None:
    """Writes both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--example", nargs=2, type=Path, metavar=("MODEL", "IMAGES"), required=True)
    parser.add_argument("--archives", type=Path, required=True)
    parser.add_argument("--datasets", nargs="+", default=["iqoth", "lc25000", "lidc_nodules", "lidc_slices"])
    parser.add_argument("models", nargs="+", type=Path)
    arguments = parser.parse_args()
    model, images = arguments.example
    text = README.read_text(encoding="utf-8")
    write_text(README, replace_region(text, "predict", example(ExportedModel(model), images)))
    models = [ExportedModel(path) for path in arguments.models]
    table = strangers(models, arguments.datasets, arguments.archives)
    text = PAGE.read_text(encoding="utf-8")
    write_text(PAGE, replace_region(text, "strangers", table))


if __name__ == "__main__":
    run_guarded(main)
