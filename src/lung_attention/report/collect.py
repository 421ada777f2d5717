"""Everything a profile's report is made from, and by name what of it is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.config import Config, Dataset
from lung_attention.data.published import Published, PublishedResult, load_published
from lung_attention.evaluation.errors_in_common import ClassErrors, errors_in_common
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.files import read_table
from lung_attention.images.decode import Pixels, decode, read_members
from lung_attention.models.backbone_table import title
from lung_attention.paths import Paths
from lung_attention.plots.figures import cell_figures
from lung_attention.report.reading import read_results

Json = dict[str, Any]

SAMPLES_PER_CLASS = 5
SAMPLE_SIZE_PX = 96
ERRORS_PER_CLASS = 3
ERROR_SIZE_PX = 144


@dataclass(frozen=True)
class Failures:
    """The errors of the networks of a dataset on the grouped split, all by the published recipe.

    Attributes:
        cells: Whose errors they are; those of the design without predictions are left out.
        trainings: Cells times seeds.
        per_class: The errors on each class, in label order.
        images: By name uint8 `(size, size, 3)` arrays, RGB, squeezed to squares, of the errors that are
            named; None where the archive is missing.
    """

    cells: Sequence[Cell]
    trainings: int
    per_class: Mapping[str, ClassErrors]
    images: Mapping[str, Pixels] | None


@dataclass(frozen=True)
class Results:
    """The scores of one profile, as far as there are any.

    Attributes:
        config: The parameters; its active profile is the one reported.
        published: The published results.
        metrics: `metrics.json` of each cell of the design that has one.
        comparisons: `comparisons.json`, None where it is missing.
        audits: The audit of each dataset that has one.
        baselines: The scores of the baselines of each dataset and split that has them.
        sensitivity: What groups and partitions do to the scores of each dataset, where it was measured.
        searches: What the search for each searched cell found, where it is there.
        maps: Where cells look, of which it was looked at.
        map_pictures: Their pictures, WebP files.
        copies: What is known to be different in the archive of a dataset from its release.
    """

    config: Config
    published: Published
    metrics: Mapping[Cell, Json]
    comparisons: Json | None
    audits: Mapping[str, Json]
    baselines: Mapping[tuple[str, str], Json]
    sensitivity: Mapping[str, Json]
    searches: Mapping[Cell, Json]
    maps: Mapping[Cell, Json]
    map_pictures: Mapping[Cell, bytes]
    copies: Mapping[str, str]

    @property
    def cells(self) -> list[Cell]:
        """The cells of the design, there or not."""
        return list(self.config.cells())

    @property
    def further_cells(self) -> list[Cell]:
        """Those that are not made by the published recipe."""
        return [cell for cell in self.cells if cell.recipe != PUBLISHED]

    def dataset(self, name: str) -> Dataset:
        """What is known of a dataset."""
        return self.config.dataset(name)

    @property
    def missing(self) -> list[str]:
        """What the design asks for and nobody has computed yet, in words."""
        paths = Paths(self.config.profile)
        absent = [f"cell `{cell.name}`" for cell in self.cells if cell not in self.metrics]
        if self.comparisons is None:
            absent.append(f"all comparisons (`{paths.comparisons.as_posix()}`)")
        absent += [f"audit of `{name}`" for name in self.config.datasets if name not in self.audits]
        absent += [
            f"baselines of `{dataset}` on the {split} split"
            for dataset in self.config.datasets
            for split in self.config.splits
            if (dataset, split) not in self.baselines
        ]
        absent += [
            f"maps of `{cell.name}`" for cell in self.config.explained.cells() if cell not in self.maps
        ]
        return absent

    @property
    def tag(self) -> str:
        """What stands beside every score that is not the real thing; empty where all is real."""
        if not self.config.active.stand_ins:
            return ""
        return "synthetic sample" if self.config.active.download.source == "embedded" else "stand-in"

    def baseline_titles(self, dataset: str) -> dict[str, str]:
        """The names of a dataset's baselines for people, by name."""
        found = (self.baselines.get((dataset, split), {}) for split in self.config.splits)
        return {name: str(of["title"]) for scores in found for name, of in scores.items()}

    def against_baselines(self, cell: Cell) -> list[Json]:
        """The comparisons of a cell with baselines; none where nothing was compared."""
        entries = (self.comparisons or {}).get("network_vs_baseline", [])
        return [
            entry for entry in entries if all(entry[factor] == value for factor, value in vars(cell).items())
        ]

    def title(self, backbone: str) -> str:
        """The name of a backbone for people."""
        return title(backbone)

    def result(self, dataset: str, backbone: str) -> PublishedResult | None:
        """The published result of a dataset and backbone, if there is one."""
        for result in self.published.results:
            if (result.dataset, result.backbone) == (dataset, backbone):
                return result
        return None


def load_results(config: Config, root: Path) -> Results:
    """Reads what there is of the active profile's results.

    Cells that are not of the design in the parameters are not looked at, so that leftovers of another
    design never mix in.

    Args:
        config: The parameters.
        root: The project's root.

    Returns:
        The results; what is missing is named by `Results.missing`.
    """
    paths = Paths(config.profile)
    metrics = {cell: _json(root / paths.metrics(cell)) for cell in config.cells()}
    audits = {dataset: _json(root / paths.audit(dataset)) for dataset in config.datasets}
    baselines = {
        (dataset, split): _json(root / paths.baselines(dataset, split))
        for dataset in config.datasets
        for split in config.splits
    }
    sensitivity = {dataset: _json(root / paths.sensitivity(dataset)) for dataset in config.datasets}
    searched = [cell for cell in config.cells() if cell.recipe == "searched"]
    searches = {cell: _json(root / paths.search(cell)) for cell in searched}
    maps = {cell: _json(root / paths.maps(cell)) for cell in config.explained.cells()}
    pictures = {cell: root / paths.maps_picture(cell) for cell in maps}
    return Results(
        config=config,
        published=load_published().on(config.datasets),
        metrics={cell: value for cell, value in metrics.items() if value is not None},
        comparisons=_json(root / paths.comparisons),
        audits={dataset: value for dataset, value in audits.items() if value is not None},
        baselines={key: value for key, value in baselines.items() if value is not None},
        sensitivity={dataset: value for dataset, value in sensitivity.items() if value is not None},
        searches={cell: value for cell, value in searches.items() if value is not None},
        maps={cell: value for cell, value in maps.items() if value is not None},
        map_pictures={cell: path.read_bytes() for cell, path in pictures.items() if path.exists()},
        copies=_known_copies(config, paths, root),
    )


def _known_copies(config: Config, paths: Paths, root: Path) -> dict[str, str]:
    origins = {dataset: _json(root / paths.origin(dataset)) or {} for dataset in config.datasets}
    known = {
        dataset: config.dataset(dataset).copies.get(str(origin.get("sha256")))
        for dataset, origin in origins.items()
    }
    return {dataset: text for dataset, text in known.items() if text is not None}


def _json(path: Path) -> Json | None:
    return read_results(path) if path.exists() else None


def draw_cell(config: Config, root: Path, cell: Cell) -> dict[str, Figure] | None:
    """Draws a cell from its committed predictions and history.

    Args:
        config: The parameters.
        root: The project's root.
        cell: The cell.

    Returns:
        The figures, see `lung_attention.plots.figures.cell_figures`; None where a file is missing.
    """
    paths = Paths(config.profile)
    predictions, history = root / paths.predictions(cell), root / paths.history(cell)
    if not (predictions.exists() and history.exists()):
        return None
    return cell_figures(read_table(predictions), read_table(history), config.dataset(cell.dataset).labels)


def sample_images(config: Config, root: Path, dataset: str) -> dict[str, list[Pixels]] | None:
    """Reads images of each class, evenly spaced over the manifest's rows.

    Args:
        config: The parameters.
        root: The project's root.
        dataset: Dataset id.

    Returns:
        For each class uint8 `(size, size, 3)` arrays, RGB, squeezed to squares as the networks see them;
        None where the archive or its manifest is missing.
    """
    paths = Paths(config.profile)
    archive, manifest = root / paths.archive(dataset), root / paths.manifest(dataset)
    if not (archive.exists() and manifest.exists()):
        return None
    table = read_table(manifest)
    shown = {}
    for name in config.dataset(dataset).labels:
        images = table.loc[table["label"] == name, "image"].tolist()
        rows = np.unique(np.linspace(0, len(images) - 1, SAMPLES_PER_CLASS).astype(int)).tolist()
        chosen = [images[row] for row in rows] if images else []
        contents = read_members(archive, chosen)
        shown[name] = [_squeezed(decode(content), SAMPLE_SIZE_PX) for content in contents]
    return shown if any(shown.values()) else None


def failures(config: Config, root: Path, dataset: str) -> Failures | None:
    """Reads the errors of all networks of a dataset by the published recipe on the grouped split.

    Args:
        config: The parameters.
        root: The project's root.
        dataset: Dataset id.

    Returns:
        The errors, with the images of those that are named; None where no such cell has predictions.

    Raises:
        UserError: Predictions are not in their schema, or cells predict different images.
    """
    paths = Paths(config.profile)
    cells = [
        cell
        for cell in config.cells()
        if (cell.dataset, cell.recipe, cell.split) == (dataset, PUBLISHED, "grouped")
        and (root / paths.predictions(cell)).exists()
    ]
    if not cells:
        return None
    labels = config.dataset(dataset).labels
    predictions = [predictions_to_arrays(read_table(root / paths.predictions(one)), labels) for one in cells]
    per_class = errors_in_common(predictions, shown=ERRORS_PER_CLASS)
    trainings = sum(len(one.seeds) for one in predictions)
    archive = root / paths.archive(dataset)
    if not archive.exists():
        return Failures(cells, trainings, per_class, None)
    names = [one.image for of_class in per_class.values() for one in of_class.surest]
    contents = zip(names, read_members(archive, names), strict=True)
    images = {name: _squeezed(decode(content), ERROR_SIZE_PX) for name, content in contents}
    return Failures(cells, trainings, per_class, images)


def _squeezed(pixels: Pixels, size_px: int) -> Pixels:
    image = Image.fromarray(pixels)
    # A box averages down and is blocky upwards, where images are smaller than they are shown.
    way = Image.Resampling.BOX if min(image.size) >= size_px else Image.Resampling.BICUBIC
    return np.asarray(image.resize((size_px, size_px), way))
