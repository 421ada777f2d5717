"""Fetching: sources in order of preference, each file verified and recorded before it is put in place.

A folder of downloads holds `<dataset>.zip` and `<backbone>_notop.weights.h5`, the names that the profile
`local` reads, and `sources.json`. What is on its way lies in `.incoming` until it has been verified.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from lung_attention.config import Dataset, Profile, Source
from lung_attention.config.sources import Kind
from lung_attention.data.archive import open_archive
from lung_attention.data.members import find_members, require_counts
from lung_attention.data.sources.checksums import CHECKSUMS, Record, read_record, write_record
from lung_attention.data.sources.idc import cut_settings, series_source, transfer_bytes
from lung_attention.data.sources.resolve import WEIGHTS_VARIABLE, verify
from lung_attention.data.sources.services import Deliver, deliverers
from lung_attention.data.sources.table import Item, items
from lung_attention.data.sources.transfer import TransferError, tell
from lung_attention.data.sources.weights import convert_weights
from lung_attention.errors import UserError
from lung_attention.files import sha256
from lung_attention.models.backbone_table import BACKBONES
from lung_attention.paths import DATASETS, PARAMS

# More than this is not transferred without having been asked for expressly.
CONSENT_BYTES = 5_000_000_000

# Left free on the disk beside what is downloaded: a full disk breaks more than a download.
_SPARE_BYTES = 256 * 2**20

_INCOMING = ".incoming"


@dataclass(frozen=True)
class Wanted:
    """Item to fetch, and what its file must be.

    Attributes:
        item: What it is.
        checksum: The SHA-256 that params.yaml demands of the file, if any.
        check_counts: Whether an archive must have the public release's number of images.
        made_with: The parameters with which an archive is cut, where it is.
    """

    item: Item
    checksum: str | None
    check_counts: bool
    made_with: dict[str, Any]


def fetch_named(
    names: Sequence[str],
    folder: Path,
    *,
    catalog: Mapping[str, Dataset],
    settings: Profile,
    consent: bool,
) -> dict[str, str]:
    """Fetches datasets and weights by name.

    Args:
        names: Of datasets and backbones.
        folder: The folder of downloads.
        catalog: The datasets.
        settings: The profile whose checksums must match, and which says how archives are cut.
        consent: Whether the user has agreed to a large transfer.

    Returns:
        The SHA-256 of each file, by name.

    Raises:
        UserError: As `fetch_all`, a name is unknown, or nobody serves what it names.
    """
    known = items(catalog)
    for name in names:
        if name in catalog and name not in known:
            raise UserError(
                f"{DATASETS}/{name}.yaml: sources: nobody serves {name}, so it cannot be fetched",
                remedy="name who serves it there (docs/data.md), leave it out, or use a copy of your own: "
                "make repro PROFILE=local",
            )
        if name in BACKBONES and name not in known:
            raise UserError(
                f"{name}: no source of its weights is known",
                remedy=f"let ${WEIGHTS_VARIABLE} name a folder with {name}_notop.weights.h5, then: "
                "make repro PROFILE=local",
            )
        if name not in known:
            raise UserError(f"{name!r}: expected some of {list(known)}", remedy="lung-attention datasets")
    rebuild = settings.rebuild
    checksums = {**settings.download.checksums, **settings.backbone.checksums}
    wanted = []
    for item in (known[name] for name in dict.fromkeys(names)):
        source, made_with = series_source(item), {}
        if source is not None and item.dataset is not None:
            made_with = cut_settings(source, rebuild)
            if not (folder / item.file).exists():
                item = replace(item, about_bytes=transfer_bytes(item.dataset, source, rebuild))
        wanted.append(Wanted(item, checksums.get(item.id), settings.download.check_counts, made_with))
    return fetch_all(wanted, folder, deliver=deliverers(rebuild), consent=consent)


def fetch_all(
    wanted: Sequence[Wanted], folder: Path, *, deliver: Mapping[Kind, Deliver], consent: bool
) -> dict[str, str]:
    """Fetches what is not in a folder yet and verifies what is.

    Args:
        wanted: The items.
        folder: The folder of downloads; made if it is missing.
        deliver: How each kind of source is asked.
        consent: Whether the user has agreed to a large transfer.

    Returns:
        The SHA-256 of each item's file, by the item's id.

    Raises:
        UserError: No source delivers an item, a checksum differs from the recorded one, the disk is too
            small, the transfer is large and nobody has agreed, or somebody else is fetching into the folder.
            Files that were there before are as they were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            missing = [each for each in wanted if not (folder / each.item.file).exists()]
            _announce(missing, folder, consent)
            return {
                each.item.id: _fetch(each, folder, deliver)
                if each in missing
                else _verify_present(each, folder)
                for each in wanted
            }
    except Timeout as error:
        raise UserError(f"another process is fetching into {folder}", remedy="wait for it to end") from error


def _announce(missing: Sequence[Wanted], folder: Path, consent: bool) -> None:
    if not missing:
        return
    sizes = {each.item.id: each.item.about_bytes for each in missing}
    parts = ", ".join(f"{name} {size / 1e9:.2f} GB" for name, size in sizes.items())
    tell(f"to be fetched into {folder}: about {sum(sizes.values()) / 1e9:.2f} GB ({parts})")
    large = {name: size for name, size in sizes.items() if size > CONSENT_BYTES}
    if large and not consent:
        name, size = next(iter(large.items()))
        raise UserError(
            f"{name} needs about {size / 1e9:.1f} GB to be transferred, more than "
            f"{CONSENT_BYTES / 1e9:.0f} GB, which have to be agreed to",
            remedy=f"lung-attention fetch --yes {name}",
        )
    # What is served, perhaps unpacked, and the file made of it lie on the disk at the same time.
    needed = sum(sizes.values()) + 2 * max(sizes.values()) + _SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder} has {free / 1e9:.2f} GB free, but {needed / 1e9:.2f} GB are needed",
            remedy="make room, or choose another disk: lung-attention fetch --to FOLDER",
        )


def _verify_present(wanted: Wanted, folder: Path) -> str:
    file = folder / wanted.item.file
    found, record = verify(file, expected=wanted.checksum)
    if record is not None and record.made_with not in ({}, wanted.made_with):
        old = {key: value for key, value in record.made_with.items() if wanted.made_with.get(key) != value}
        raise UserError(
            f"{file} was cut with other parameters than params.yaml has now: {old}",
            remedy=f"remove {file} to cut it anew, or restore the parameters",
        )
    if record is None:
        write_record(file, Record(found, file.stat().st_size, "found in the folder", "", _today(), {}))
    tell(f"{wanted.item.id}: {file} is there and unchanged")
    return found


def _fetch(wanted: Wanted, folder: Path, deliver: Mapping[Kind, Deliver]) -> str:
    item = wanted.item
    file = folder / item.file
    incoming = folder / _INCOMING / item.id
    incoming.mkdir(parents=True, exist_ok=True)
    record = read_record(file)
    # A file cut with other parameters is another file: its checksum says nothing of this one.
    served = dict(record.served) if record and record.made_with == wanted.made_with else {}
    failures = []
    for source in item.sources:
        # Keras tells its older layout of weights from today's `.weights.h5` by the name.
        target = incoming / f"{source.name}{'.h5' if item.dataset is None else '.zip'}"
        try:
            deliver[source.kind](item, source, target)
            digest = sha256(target)
            if served.get(source.name, digest) != digest:
                raise _mismatch(target, file, source, digest, served[source.name], CHECKSUMS)
            made = _verified(target, wanted)
        except TransferError as error:
            failures.append(f"{source.name}: {error}")
            tell(f"{item.id}: {source.name} does not serve it ({error})")
            continue
        found = sha256(made)
        if wanted.checksum is not None and found != wanted.checksum:
            raise _mismatch(made, file, source, found, wanted.checksum, str(PARAMS))
        # The record first: a file without one would count as found there by chance.
        write_record(
            file,
            Record(
                sha256=found,
                bytes=made.stat().st_size,
                source=source.name,
                address=source.page,
                fetched=_today(),
                served={**served, source.name: digest},
                made_with=wanted.made_with,
            ),
        )
        made.replace(file)
        shutil.rmtree(incoming)
        tell(f"{item.id}: {file} from {source.name}, sha256 {found}")
        return found
    raise UserError(
        f"{item.id} could not be fetched:\n  " + "\n  ".join(failures),
        remedy="run the same command again later, what is complete is not fetched again; "
        f"or put a copy of your own there as {file}",
    )


def _mismatch(got: Path, file: Path, source: Source, found: str, expected: str, place: str) -> UserError:
    aside = file.with_name(f"{file.name}.mismatch")
    got.replace(aside)
    return UserError(
        f"what {source.name} serves as {file.name} has sha256 {found}, but {expected} is recorded in "
        f"{place}; it is kept as {aside}",
        remedy=f"find out why; if the change is wanted, remove the checksum from {place} and fetch again",
    )


def _verified(target: Path, wanted: Wanted) -> Path:
    """Looks into what was served, and makes of it the file that is wanted.

    Raises:
        TransferError: It is something else, damaged or hostile; it is removed.
    """
    item = wanted.item
    try:
        if item.dataset is None:
            made = target.with_name(item.file)
            convert_weights(target, made, backbone=item.id)
            return made
        with open_archive(target) as (names, read):
            members = find_members(names, item.dataset, path=target)
            if wanted.check_counts:
                require_counts(members, item.dataset, path=target)
            for member in tqdm(members, desc=f"verify {item.id}", unit="image", mininterval=1):
                read(member.source)
        return target
    except UserError as error:
        target.unlink()
        raise TransferError(error.problem) from error
    except TransferError:
        target.unlink()
        raise


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
