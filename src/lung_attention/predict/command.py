"""The command `lung-attention predict`: images in; a table, files and pictures out."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from lung_attention.data.unreadable import SOME_UNREADABLE
from lung_attention.errors import UserError
from lung_attention.files import sha256, write_json
from lung_attention.images.decode import UnreadableError
from lung_attention.predict.about import code_version
from lung_attention.predict.exported import ExportedModel
from lung_attention.predict.inputs import find_inputs
from lung_attention.predict.overlay import overlay
from lung_attention.predict.pixels import read_pixels
from lung_attention.writing import replacing

_LISTED = 20  # of the unreadable, on the screen


@dataclass(frozen=True)
class Options:
    """What is written besides the table on the screen.

    Attributes:
        csv: A table.
        jsonl: An object a line.
        overlay: A folder of pictures with the attention map.
        window: Level and width in HU in place of the model's own.
        shards: A folder of Parquet files, in place of all else and of lines on the screen.
        shard_size: Images of one of them.
        workers: Processes of Ray that make them; None for this one alone.
    """

    csv: Path | None = None
    jsonl: Path | None = None
    overlay: Path | None = None
    window: tuple[float, float] | None = None
    shards: Path | None = None
    shard_size: int = 1000
    workers: int | None = None


def run_predict(model: ExportedModel, paths: Sequence[Path], options: Options) -> int:
    """Classifies the images of paths one by one, so that memory stays flat.

    Args:
        model: The model.
        paths: Files, folders and archives.
        options: What else is written.

    Returns:
        0, or `SOME_UNREADABLE`.

    Raises:
        UserError: A path is missing, or pictures are wanted of a model without attention.
    """
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder", remedy="check the path")
    if options.shards is not None:
        return _run_shards(model, paths, options.shards, options)
    if options.overlay is not None and not model.has_attention:
        raise UserError(
            f"--overlay: {model.about.name} has no attention map",
            remedy="name a cell with the head attention",
        )
    unreadable: list[dict[str, str]] = []
    count = 0
    print(_heading(model))
    with ExitStack() as stack:
        writers = list(_writers(model, options, stack))
        progress = stack.enter_context(tqdm(unit="image", mininterval=1, disable=None, leave=False))
        for one in find_inputs(paths):
            progress.update()
            try:
                content = one.read()
                pixels = read_pixels(content, options.window or model.about.window)
            except UnreadableError as error:
                unreadable.append({"file": one.name, "reason": str(error)})
                continue
            prediction = model.predict(pixels)
            count += 1
            digest = hashlib.sha256(content).hexdigest()
            row = {"file": one.name, **model.said(prediction), "sha256": digest}
            if sys.stdout.isatty():
                progress.clear()
            print(_line(row))
            for write in writers:
                write(row)
            if options.overlay is not None and prediction.attention is not None:
                picture = overlay(pixels, prediction.attention, model.about.shown)
                with replacing(options.overlay / _picture_name(one.name, count)) as temporary:
                    picture.save(temporary, "png")
    for file in filter(None, (options.csv, options.jsonl)):
        write_json(
            file.with_name(f"{file.name}.manifest.json"), manifest(model, file, count, unreadable, options)
        )
    _tell(model, count, unreadable)
    return SOME_UNREADABLE if unreadable else 0


def _run_shards(model: ExportedModel, paths: Sequence[Path], folder: Path, options: Options) -> int:
    from lung_attention.predict.corpus import predict_corpus

    if given := [name for name in ("csv", "jsonl", "overlay") if getattr(options, name) is not None]:
        raise UserError(f"--shards takes the place of --{given[0]}", remedy=f"leave out --{given[0]}")
    count, unreadable = predict_corpus(
        model,
        paths,
        folder,
        size=options.shard_size,
        workers=options.workers,
        window=options.window,
    )
    print(f"{folder}: {count:,} images, of which {unreadable:,} could not be read (column reason)")
    _tell(model, count, [])
    return SOME_UNREADABLE if unreadable else 0


def manifest(
    model: ExportedModel, file: Path, count: int, unreadable: list[dict[str, str]], options: Options
) -> dict[str, Any]:
    """What gave a table: the model with its metrics, versions and hashes, and what could not be read."""
    return {
        "table": {"file": file.name, "sha256": sha256(file), "images": count},
        "unreadable": unreadable,
        "window_hu": options.window or model.about.window,
        "model": model.about.model_dump(mode="json") | {"onnx_sha256": model.sha256},
        "code": code_version(),
    }


def _writers(model: ExportedModel, options: Options, stack: ExitStack) -> Iterator[Any]:
    def opened(path: Path) -> TextIO:
        temporary = stack.enter_context(replacing(path))
        return stack.enter_context(temporary.open("w", encoding="utf-8", newline=""))

    if options.csv is not None:
        names = [f"probability_{name}" for name in model.about.classes]
        fixed = ["file", "class", "probability", "set", "familiar", "distance", "sha256"]
        writer = csv.DictWriter(opened(options.csv), [*fixed, *names], lineterminator="\n")
        writer.writeheader()
        yield lambda row: writer.writerow(
            {
                name: " ".join(value) if isinstance(value, list) else _nine_digits(value)
                for name, value in row.items()
            }
        )
    if options.jsonl is not None:
        stream = opened(options.jsonl)
        yield lambda row: stream.write(json.dumps(row, ensure_ascii=False) + "\n")


def _nine_digits(value: Any) -> Any:
    return f"{value:.9g}" if isinstance(value, float) else value


def _picture_name(name: str, number: int) -> str:
    """A name that no other input of the run has, with the last part of the input's own in it."""
    stem = "".join(
        c if c.isalnum() or c in "-_." else "_" for c in name.replace("\\", "/").rsplit("/", 1)[-1]
    )
    return f"{number:05d}-{stem[:80]}.png"


_WIDTH = 44


def _heading(model: ExportedModel) -> str:
    wide = max(map(len, model.about.classes))
    return f"{'file':<{_WIDTH}}  {'class':<{wide}}  probability  {_set_title(model)}"


def _set_title(model: ExportedModel) -> str:
    coverage = model.about.coverage
    return "" if coverage is None else f"set ({100 * coverage:.0f} %)"


def _line(row: dict[str, Any]) -> str:
    name = "".join(c if c.isprintable() else "?" for c in row["file"])
    name = name if len(name) <= _WIDTH else "…" + name[1 - _WIDTH :]
    wide = max(len(key) - len("probability_") for key in row if key.startswith("probability_"))
    members = "" if row["set"] is None else " or ".join(row["set"])
    strange = "" if row["familiar"] in (True, None) else "   ! outside what this model knows"
    return f"{name:<{_WIDTH}}  {row['class']:<{wide}}  {100 * row['probability']:9.1f} %  {members}{strange}"


def _tell(model: ExportedModel, count: int, unreadable: list[dict[str, str]]) -> None:
    about = model.about
    print()
    shown = {"balanced_accuracy": "balanced accuracy", "auroc_ovr": "AUROC"}
    for key, title in shown.items():
        if key in about.metrics:
            value, low, high = about.metrics[key]
            bounds = "" if low is None or high is None else f" ({low:.3f} to {high:.3f})"
            print(f"{title} {value:.3f}{bounds}; ", end="")
    print(f"{about.measured}.")
    if about.covered is not None:
        print(
            f"Sets were right for {100 * about.covered:.1f} % of images of unseen groups, with "
            f"{about.set_size:.2f} of {len(about.classes)} classes on average."
        )
    for sentence in about.limits:
        print(sentence)
    if unreadable:
        print(f"\n{len(unreadable)} of {count + len(unreadable)} inputs could not be read:", file=sys.stderr)
        for one in unreadable[:_LISTED]:
            print(f"  {one['file']}: {one['reason']}", file=sys.stderr)
        if len(unreadable) > _LISTED:
            print(f"  and {len(unreadable) - _LISTED} more, in the manifest of --csv", file=sys.stderr)
