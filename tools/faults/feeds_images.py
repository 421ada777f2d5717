"""Archives, images and DICOM files as inputs."""

from __future__ import annotations

import functools
import io
import random
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file

from faults.mutators import bytes_of
from faults.parsers import Parser
from faults.workspace import ROOT
from lung_attention.config import load_config
from lung_attention.data.manifest import import_archive
from lung_attention.data.sources.dicom import DicomError, read_slice
from lung_attention.errors import UserError
from lung_attention.images.decode import UnreadableError, decode, thumbnail
from lung_attention.paths import PARAMS
from lung_attention.predict.inputs import find_inputs
from lung_attention.predict.pixels import read_pixels

_WINDOW = (-600.0, 1500.0)


@functools.cache
def _sample(each: int) -> dict[str, bytes]:
    """A few images of each class folder of the embedded sample, by their names."""
    with zipfile.ZipFile(ROOT / "sample" / "iqoth.zip") as archive:
        images = [name for name in archive.namelist() if name.lower().endswith(".jpg")]
        folders = sorted({name.rsplit("/", 1)[0] for name in images})
        chosen = [
            name for folder in folders for name in [one for one in images if one.startswith(folder)][:each]
        ]
        return {name: archive.read(name) for name in chosen}


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, compress_type=method)
    return stream.getvalue()


def archives(folder: Path) -> Parser:
    """Whole archives, as `download` imports them and `predict` lists them."""
    dataset = load_config(ROOT / PARAMS).dataset("iqoth")
    members = _sample(1)
    first = next(iter(members))
    renamed = [
        {**members, name: members[first]}
        for name in (
            "../evil.jpg",
            "/etc/evil.jpg",
            "C:\\evil.jpg",
            "a/../../evil.jpg",
            "..",
            "\x00.jpg",
            "a\n.jpg",
        )
    ]
    bomb = _zip({**members, first: bytes(50_000_000)}, zipfile.ZIP_DEFLATED)

    def feed(content: bytes) -> None:
        path = folder / "source.zip"
        path.write_bytes(content)
        for found in find_inputs([path]):
            try:
                found.read()
            except UnreadableError:
                continue
        import_archive(path, dataset, archive=folder / "a.zip", manifest=folder / "m.csv", check_counts=False)

    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    seeds = [_zip(members, method) for method in methods]
    return Parser(seeds, [*(_zip(one) for one in renamed), bomb], bytes_of, feed, (UserError,))


def archive_images(folder: Path) -> Parser:
    """One image of a sound archive; what `download` accepts the later stages must decode."""
    dataset = load_config(ROOT / PARAMS).dataset("iqoth")
    members = _sample(1)
    first = next(iter(members))

    def feed(content: bytes) -> None:
        path = folder / "source.zip"
        path.write_bytes(_zip({**members, first: content}))
        import_archive(path, dataset, archive=folder / "a.zip", manifest=folder / "m.csv", check_counts=False)
        decode(content)
        thumbnail(content)

    return Parser(_pictures(("JPEG", "PNG")), _bombs(), bytes_of, feed, (UserError,))


def images(_: Path) -> Parser:
    """Images as `predict` reads them."""
    return Parser(
        _pictures(("JPEG", "PNG", "TIFF")), _bombs(), bytes_of, lambda content: read_pixels(content, _WINDOW),
        (UnreadableError,),
    )  # fmt: skip


def _pictures(formats: Sequence[str]) -> list[bytes]:
    modes = {"JPEG": ("L", "RGB", "CMYK"), "PNG": ("L", "RGB", "P", "1"), "TIFF": ("L", "RGB", "CMYK", "P")}
    return [_saved(_original().convert(mode), kind) for kind in formats for mode in modes[kind]]


def _original() -> Image.Image:
    return Image.open(io.BytesIO(next(iter(_sample(1).values())))).resize((48, 40))


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, (72, 1)  # turned; and a rational, which may become one over 0
    image.save(stream, kind, exif=exif, **options)
    return stream.getvalue()


def _bombs() -> list[bytes]:
    large, deep = Image.new("1", (20_000, 20_000)), _original().convert("I;16")
    return [
        _saved(large, "PNG"), _saved(large.resize((9_000, 9_000)).convert("L"), "JPEG", quality=1),
        _saved(deep, "PNG"), _saved(_original().convert("RGBA"), "PNG"),
    ]  # fmt: skip


def dicom(_: Path) -> Parser:
    """CT slices: where they lie, and their pixels through a window."""
    seeds = []
    for name, size in (("CT_small.dcm", 32), ("MR_small.dcm", 16)):
        dataset = dcmread(str(get_testdata_file(name, download=False)))
        dataset.Rows = dataset.Columns = size
        dataset.PixelData = np.zeros((size, size), dtype=np.int16).tobytes()
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        stream = io.BytesIO()
        dataset.save_as(stream)
        seeds.append(stream.getvalue())
    begin, least = seeds[0].index(b"\x28\x00\x10\x00"), 132

    def mutate(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
        # The mark stays more often than not: without it the file is none, and nothing is learnt.
        if chance.random() < 0.1:
            return bytes_of(content, others, chance)
        if chance.random() < 0.5:  # the pixels' own description, where little is read and much follows
            head, tail = content[:begin], content[begin:]
            return head + bytes_of(tail, [one[begin:] for one in others], chance)
        return content[:least] + bytes_of(content[least:], others, chance)

    def feed(content: bytes) -> None:
        problems: list[Exception] = []
        steps: list[Callable[[], object]] = [
            lambda: read_slice(content, "slice"), lambda: read_pixels(content, _WINDOW)
        ]  # fmt: skip
        for step in steps:
            try:
                step()
            except (DicomError, UnreadableError) as error:
                problems.append(error)
        if problems:
            raise problems[0]

    return Parser(seeds, [], mutate, feed, (DicomError, UnreadableError))
