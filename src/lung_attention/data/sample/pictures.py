"""The pictures of the embedded sample, as files: what each dataset of it is composed of."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image

from lung_attention.config import Dataset
from lung_attention.data.sample.shapes import Pixels, between, to_pixels, window
from lung_attention.data.sample.thorax import Nodule, Thorax, make_nodule
from lung_attention.data.sample.tissue import Tissue

_THUMBNAIL_PX = 64
_DEALING = 99
"""Names the stream of random numbers that deals files; cases, tiles and attempts have lower numbers."""

_DISEASE = {"normal": 0.0, "benign": 0.4, "malignant": 1.0}
"""A shortcut for classifiers, as scans of the ill often carry: haze in all of the lungs."""


@dataclass(frozen=True)
class _Cases:
    """How one class of `iqoth` is composed: its folder and file names, its scans and their slices."""

    folder: str
    name: str
    slices: tuple[int, ...]
    repeated: int


_IQOTH = {
    "normal": _Cases("Normal cases", "Normal case", (8, 8, 7, 7, 7, 7, 7, 7, 7), 5),
    "malignant": _Cases("Malignant cases", "Malignant case", (7,) * 9 + (6, 6), 5),
    "benign": _Cases("Bengin cases", "Bengin case", (6, 6, 6, 5, 5), 2),
}
_IQOTH_PX = 128
_IQOTH_ODD_PX = (104, 152)
"""Height and width of the last malignant case, as some real malignant scans are cut out by hand."""

_TILES = 20
_COPIES = 5
_REPEATED_TILES = 3
_TILE_PX = 96
_SOURCE_PX = 144
_MOST_TURNED = 0.07
"""Tangent of half the largest angle: 8 degrees. The real copies' 25 would leave a sixth of a tile."""
_MIRRORED = 0.3
"""Share of copies mirrored, of either axis."""

_LIDC_PX = 128
_LIDC: dict[int, tuple[int, int, int]] = {
    **dict.fromkeys((1, 11, 12, 49, 124, 129, 149, 164), (10, 0, 0)),
    **dict.fromkeys((28, 62, 100, 143, 189), (0, 14, 0)),
    174: (0, 0, 6),
    205: (0, 8, 4),
}
"""Slices of each patient: malignant, benign, and under both labels, as the release's 0174 and 0205 are."""

_CROP_PX = 64
_CROPS = (1,) * 6 + (2,) * 7 + (3,) * 8 + (4,) * 7
"""Crops of the patients who carry one label, for each label."""
_TWO_LABELLED = 4


@dataclass(frozen=True)
class Picture:
    """An image file of the sample.

    Attributes:
        path: Below the archive's root.
        group: The case, source tile or patient that it really came from.
        encoded: The file.
    """

    path: str
    group: str
    encoded: bytes


def pictures(dataset: Dataset, seed: int) -> Iterator[Picture]:
    """Draws the files of one dataset.

    Args:
        dataset: The dataset whose layout is imitated.
        seed: Seed of all that is drawn.

    Yields:
        Each file, in the order in which they are drawn.
    """
    makers: dict[str, Callable[[list[int]], Iterator[Picture]]] = {
        "iqoth": _iqoth,
        "lc25000": partial(_lc25000, dataset.classes),
        "lidc": _lidc,
        "lidc_nodules": _lidc_nodules,
    }
    return makers[dataset.id]([seed, list(makers).index(dataset.id)])


def _encode(pixels: Pixels, kind: str) -> bytes:
    stream = io.BytesIO()
    options = {"PNG": {"compress_level": 9}, "JPEG": {"quality": 85, "subsampling": 0}}[kind]
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


class _Unlike:
    """Refuses scans that resemble an earlier one, so that cases can be told apart by their thumbnails."""

    def __init__(self, cosine: float) -> None:
        self.cosine = cosine
        self.seen = np.zeros((0, _THUMBNAIL_PX * _THUMBNAIL_PX), np.int64)

    def admits(self, slices: list[Pixels]) -> bool:
        """Whether the slices are unlike all scans before; then they are remembered."""
        size = (_THUMBNAIL_PX, _THUMBNAIL_PX)
        small = [Image.fromarray(pixels).resize(size, Image.Resampling.BOX) for pixels in slices]
        vectors = np.stack([np.asarray(image, np.int64).ravel() for image in small])
        # Whole numbers, so that every processor accepts the same scans.
        vectors -= vectors.sum(axis=1, keepdims=True) // vectors.shape[1]
        if len(self.seen):
            products = np.einsum("id,jd->ij", vectors, self.seen)
            squares = np.outer((vectors * vectors).sum(1), (self.seen * self.seen).sum(1))
            if (products > self.cosine * np.sqrt(squares)).any():
                return False
        self.seen = np.concatenate([self.seen, vectors])
        return True


def _scan(
    stream: list[int], unlike: _Unlike, heights: Sequence[float], label: str, size: tuple[int, int]
) -> list[Pixels]:
    """Draws one patient's slices, again with other random numbers until they are unlike the earlier ones."""
    attempt = 0
    while True:
        rng = np.random.default_rng([*stream, attempt])
        thorax = Thorax(rng, disease=_DISEASE[label])
        nodules: tuple[Nodule, ...] = ()
        if label != "normal":
            place = thorax.spot(rng, depth=0.8)
            nodules = (make_nodule(rng, *place, malignant=label == "malignant", scale=1.45),)
        odd = size[0] != size[1]
        y, x = window(*size, centre=thorax.centre if odd else (0.0, 0.0), half=0.62 if odd else 1.0)
        slices = [thorax.draw(rng, y, x, height=height, nodules=nodules) for height in heights]
        if unlike.admits(slices):
            return slices
        attempt += 1


def _iqoth(stream: list[int]) -> Iterator[Picture]:
    """Consecutive slices of a scan bear consecutive numbers; repeated files follow at the end of a class."""
    unlike = _Unlike(0.87)
    for number, (label, cases) in enumerate(_IQOTH.items()):
        made: list[tuple[str, bytes]] = []
        for case, count in enumerate(cases.slices):
            odd = label == "malignant" and case == len(cases.slices) - 1
            size = _IQOTH_ODD_PX if odd else (_IQOTH_PX, _IQOTH_PX)
            heights = [0.08 * index - 0.04 * count for index in range(count)]
            slices = _scan([*stream, number, case], unlike, heights, label, size)
            made += [(f"{label}-{case:02d}", _encode(pixels, "JPEG")) for pixels in slices]
        order = np.random.default_rng([*stream, number, _DEALING]).permutation(len(made) - cases.slices[-1])
        made += [made[index] for index in order[: cases.repeated]]
        for index, (group, encoded) in enumerate(made, 1):
            yield Picture(f"{cases.folder}/{cases.name} ({index}).jpg", group, encoded)


def _augmented(rng: np.random.Generator, source: Pixels) -> Pixels:
    """A copy of a tile, made as LC25000's were: turned, its empty corners cropped, stretched, mirrored.

    A square of side 1 turned by a is X = cos |a| + sin |a| wide. With t = tan |a| the Augmentor library cuts
    E = t X (1 - t) off left and right, and A = t (X - E) off above and below.
    """
    half = between(rng, -_MOST_TURNED, _MOST_TURNED)  # the tangent of half the angle
    cos, sin = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    tangent, extent = abs(sin) / cos, cos + abs(sin)
    aside = tangent * extent * (1 - tangent)
    above = tangent * (extent - aside)
    y, x = window(_TILE_PX, _TILE_PX, half=source.shape[0] / 2)
    y, x = y * (extent - 2 * above), x * (extent - 2 * aside)
    middle = source.shape[0] / 2 - 0.5
    row = np.clip(cos * y - sin * x + middle, 0, source.shape[0] - 1.001)
    column = np.clip(sin * y + cos * x + middle, 0, source.shape[0] - 1.001)
    i, j = row.astype(np.int64), column.astype(np.int64)
    fv, fu = (row - i)[..., None], (column - j)[..., None]
    top = source[i, j] * (1 - fu) + source[i, j + 1] * fu
    bottom = source[i + 1, j] * (1 - fu) + source[i + 1, j + 1] * fu
    copy = to_pixels(top * (1 - fv) + bottom * fv)
    vertically, horizontally = 1 - 2 * (rng.random(2) < _MIRRORED)
    return np.ascontiguousarray(copy[::vertically, ::horizontally])


def _lc25000(classes: Mapping[str, Sequence[str]], stream: list[int]) -> Iterator[Picture]:
    """File numbers are dealt at random, as after augmentation; a repeated copy equals its tile's first."""
    for number, (kind, (folder,)) in enumerate(classes.items()):
        rng = np.random.default_rng([*stream, number, _DEALING])
        numbers = rng.permutation(_TILES * _COPIES) + 1
        for tile in range(_TILES):
            source = Tissue(np.random.default_rng([*stream, number, tile]), kind, _SOURCE_PX).draw()
            copies = [_encode(_augmented(rng, source), "JPEG") for _ in range(_COPIES)]
            if tile < _REPEATED_TILES:
                copies[-1] = copies[0]
            for copy, encoded in enumerate(copies):
                name = f"{folder.replace('_', '')}{numbers[tile * _COPIES + copy]}.jpeg"
                yield Picture(f"{folder}/{name}", f"{folder}-{tile:02d}", encoded)


def _lidc(stream: list[int]) -> Iterator[Picture]:
    """Every patient stands in all three folders, as in the release; 64/16/20 within patient and label."""
    unlike = _Unlike(0.87)
    for patient, (malignant, benign, both) in _LIDC.items():
        rng = np.random.default_rng([*stream, patient, _DEALING])
        count = malignant + benign + both
        heights = [0.06 * index - 0.03 * count for index in range(count)]
        label = "normal" if benign and not both else "malignant"
        slices = _scan([*stream, patient], unlike, heights, label, (_LIDC_PX, _LIDC_PX))
        first = int(rng.integers(20, 80))
        for name, members in (
            ("malignant", range(malignant + both)),
            ("benign", [*range(malignant, malignant + both), *range(malignant + both, count)]),
        ):
            order = rng.permutation(len(members))
            n_test, n_valid = round(0.2 * len(order)), max(1, round(0.16 * len(order)))
            for rank, position in enumerate(order):
                subset = "test" if rank < n_test else "valid" if rank < n_test + n_valid else "train"
                index = members[position]
                # The release calls patient 0001 (malignant) and patient 0100 (benign) both "1-<slice>".
                stem = "1-{}" if patient in (1, 100) else f"{patient}-001 ({{}})"
                path = f"{subset}/{name}/{stem.format(first + index)}.dcm.png"
                yield Picture(path, f"LIDC-IDRI-{patient:04d}", _encode(slices[index], "PNG"))


def _crops(rng: np.random.Generator, thorax: Thorax, *, malignant: bool, count: int) -> list[Pixels]:
    nodule = make_nodule(rng, *thorax.spot(rng, depth=0.85), malignant=malignant, scale=1.0)
    y, x = window(
        _CROP_PX,
        _CROP_PX,
        centre=(nodule.x + between(rng, -0.06, 0.06), nodule.y + between(rng, -0.06, 0.06)),
        half=between(rng, 0.26, 0.4),
    )
    crops = []
    for index in range(count):
        grey = thorax.draw(rng, y, x, height=0.12 * (index - (count - 1) / 2), nodules=(nodule,))
        # The release scales the greys of each image by itself.
        gain, offset = between(rng, 0.75, 1.0), between(rng, 0, 40)
        crops.append(to_pixels(gain * grey.astype(np.float64) + offset))
    return crops


def _lidc_nodules(stream: list[int]) -> Iterator[Picture]:
    rng = np.random.default_rng(stream)
    plans = [[(label, count)] for label in ("malignant", "benign") for count in _CROPS]
    plans += [[("malignant", 2), ("benign", 2)] for _ in range(_TWO_LABELLED)]
    patients = rng.permutation(1012)[: len(plans)] + 1
    for patient, plan in zip(patients, plans, strict=True):
        own = np.random.default_rng([*stream, int(patient)])
        thorax = Thorax(own, disease=between(own, 0, 0.5))
        group = f"LIDC-IDRI-{patient:04d}"
        for nodule, (label, count) in enumerate(plan):
            for index, pixels in enumerate(_crops(own, thorax, malignant=label == "malignant", count=count)):
                yield Picture(
                    f"{label}/{group}_nodule-{nodule}_slice-{index}.png", group, _encode(pixels, "PNG")
                )
