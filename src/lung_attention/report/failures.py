"""The section on failure cases: how confident errors are, and images that all networks get wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lung_attention.cells import Cell
from lung_attention.evaluation.errors_in_common import SURE, CommonError
from lung_attention.images.decode import Pixels
from lung_attention.plots.style import words
from lung_attention.report.blocks import Block, Bullets, Gallery, Missing, Picture, Section, Table, Text
from lung_attention.report.collect import Failures, Results
from lung_attention.report.embed import photo_uri
from lung_attention.report.numbers import DASH, listed, percent

ReadFailures = Callable[[str], Failures | None]

_SURE = f"{100 * SURE:.0f}\N{NO-BREAK SPACE}%"
_WIDTH_PX = 144  # two side by side on a phone, nine on a wide screen


def failures_section(results: Results, read: ReadFailures) -> Section:
    """How many errors are confident, and pictures of those that all networks of a dataset make."""
    found = {dataset: read(dataset) for dataset in results.config.datasets}
    blocks: list[Block] = [
        Text(
            "Errors on the grouped split, by the networks of the published recipe. Shown are images that "
            "**every** network of a dataset gets wrong, with each backbone, head and seed: an error of one "
            "network may be the bad luck of one training, an error of all rather shows what the method does "
            "not see, or a label to be doubted. Of each class those stand here whose wrong class has the "
            "highest mean probability over the networks, at most one of a group, so that neighbouring "
            "slices of one scan do not fill the row. No one has chosen among them, and no radiologist or "
            "pathologist has read them again."
        )
    ]
    rows = [row for name, of in found.items() if of for row in _rows(results.dataset(name).title, of)]
    if rows:
        columns = (
            "dataset", "true class", "images", "errors", f"of these above {_SURE}",
            f"right answers above {_SURE}", "misclassified by every network",
        )  # fmt: skip
        caption = f"Confident errors: predictions with a probability above {_SURE}"
        blocks.append(Table(caption, columns, "llrrrrr", rows))
        predictions = f"`results/{results.config.profile}/cells/<cell>/predictions.csv`"
        blocks.append(
            Text(
                "Ranges are those over networks. Were probabilities calibrated, at most "
                f"{100 * (1 - SURE):.0f} % of the predictions above {_SURE} would be wrong; how many are is "
                "said of each dataset below. Beside each picture stand the true class, the wrong one with "
                "its mean probability, and the file. Every prediction behind this section stands in "
                f"{predictions}, with the probabilities of all classes."
            )
        )
    for name, of in found.items():
        title = results.dataset(name).title
        if of is None:
            blocks.append(Missing(f"{title}: no network has predictions on the grouped split yet."))
        else:
            blocks += _cases(results, name, of)
    return Section("failures", "Failure cases", blocks)


def _rows(title: str, of: Failures) -> list[list[str]]:
    return [
        [
            "" if number else title,
            words(name),
            f"{errors.images:,}",
            _numbers(errors.wrong),
            _shares(errors.sure_wrong, errors.wrong),
            _shares(errors.sure_right, errors.images - errors.wrong),
            f"{errors.in_common:,} ({percent(errors.in_common / errors.images)})" if errors.images else DASH,
        ]
        for number, (name, errors) in enumerate(of.per_class.items())
    ]


def _numbers(counts: NDArray[np.int64]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _shares(parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> str:
    """Such as "55 to 61 %", over the networks that have any."""
    shares = [100 * part / whole for part, whole in zip(parts, wholes, strict=True) if whole]
    if not shares:
        return DASH
    low, high = f"{min(shares):.0f}", f"{max(shares):.0f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def _cases(results: Results, dataset: str, of: Failures) -> list[Block]:
    """The errors in common of one dataset, class by class: pictures, or their captions without an archive."""
    title = results.dataset(dataset).title
    networks = [f"{results.title(cell.backbone)} {cell.head}" for cell in of.cells]
    trained = "" if of.trainings == len(of.cells) else f", {of.trainings} training runs in all"
    wrong = np.sum([errors.sure_wrong for errors in of.per_class.values()], axis=0)
    right = np.sum([errors.sure_right for errors in of.per_class.values()], axis=0)
    blocks: list[Block] = [
        Text(
            f"**{title}**: of the predictions above {_SURE}, {_shares(wrong, wrong + right)} are wrong. "
            f"Networks: {listed(networks)}{trained}."
        )
    ]
    cases = [(name, one) for name, errors in of.per_class.items() for one in errors.surest]
    spared = [words(name) for name, errors in of.per_class.items() if not errors.in_common]
    if spared:
        blocks.append(
            Text(f"Of these true classes no image is misclassified by every network: {listed(spared)}.")
        )
    if of.images is None:
        blocks.append(Missing(f"{title}: the archive is not there, so no image can be shown."))
        blocks.append(Bullets([_caption(name, one) for name, one in cases]))
    elif cases:
        shown = [_picture(title, name, one, of.images[one.image], of.cells[0]) for name, one in cases]
        blocks.append(Gallery(shown))
    return blocks


def _picture(title: str, name: str, one: CommonError, pixels: Pixels, cell: Cell) -> Picture:
    alt = (
        f"{title}, {one.image}: of the true class {words(name)}, misclassified by every network, most "
        f"confidently as {words(one.taken_for)}, with a mean probability of {percent(one.probability)}"
    )
    return Picture(
        photo_uri(pixels), alt, _caption(name, one), _WIDTH_PX, f"cells/{cell.name}/predictions.csv"
    )


def _caption(name: str, one: CommonError) -> str:
    """Such as "normal, taken for benign, 99.8 %: Normal case (14).jpg"."""
    # The captions are narrow: a number stays with its signs. No probability of an error is all of it.
    number = f"{100 * one.probability:.1f}".replace("100.0", ">\N{NO-BREAK SPACE}99.9")
    file = one.image.rsplit("/", 1)[-1]  # its folder is that of the class
    return f"{words(name)}, taken for {words(one.taken_for)}, {number}\N{NO-BREAK SPACE}%: {file}"
