"""Writes what describes a profile's results for machines: a Croissant file a dataset, and an RO-Crate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from lung_attention.config import Config, read_values
from lung_attention.errors import UserError
from lung_attention.files import sha256, write_json
from lung_attention.paths import CRATE, DATASETS, PARAMS, Paths
from lung_attention.report.collect import load_results
from lung_attention.report.crate import run_crate
from lung_attention.report.croissant import croissant
from lung_attention.workflow.git import try_git
from lung_attention.workflow.status import LOCK

_WORKFLOW = Path("dvc.yaml")


def write_descriptions(config: Config, root: Path) -> Iterator[Path]:
    """Writes the descriptions of the active profile's results.

    Args:
        config: The design of these results.
        root: The project's root.

    Yields:
        The files, as they are written.

    Raises:
        UserError: The results do not say which archives they are of.
    """
    paths = Paths(config.profile)
    if not (root / paths.summary).exists():
        raise UserError(f"{paths.summary} is missing", remedy=f"make repro PROFILE={config.profile}")
    checksums, published = _checksums(config, root, paths), _published(paths)
    results = load_results(config, root)
    for name in config.datasets:
        dataset = config.dataset(name)
        digest = checksums[f"{dataset.archive_of}.zip"]
        copy = dataset.copies.get(digest)
        described = croissant(dataset, sha256=digest, copy=copy, published=published)
        write_json(root / paths.croissant(name), described)
        yield paths.croissant(name)
    # What came from a temporary workspace keeps its own parameters and lock beside it.
    beside = [name for name in (PARAMS, LOCK) if (root / paths.results / name).exists()]
    read = [paths.results / name if name in beside else name for name in (PARAMS, LOCK)]
    read += [DATASETS / f"{name}.yaml" for name in config.datasets]
    files = (file.relative_to(root) for file in (root / paths.results).rglob("*") if file.is_file())
    written = sorted(file for file in files if file.name != ".gitkeep" and not _describes(file, paths))
    stand_ins = f" {' '.join(config.active.stand_ins)}" if config.active.stand_ins else ""
    described = run_crate(
        root,
        name=f"lung-attention, profile {config.profile}",
        description=f"{len(results.metrics)} classifiers on {len(config.datasets)} datasets.{stand_ins}",
        workflow=_WORKFLOW,
        inputs=read,
        external=checksums,
        outputs=[path for path in written if path not in read],
        published=published,
        version=metadata.version("lung-attention"),
    )
    write_json(root / CRATE, described)
    yield CRATE


def _checksums(config: Config, root: Path, paths: Paths) -> dict[str, str]:
    """SHA-256 of the archives and weights that the results are of, by the names of their files."""
    if config.active.download.source == "embedded":
        return {f"{name}.zip": sha256(root / "sample" / f"{name}.zip") for name in config.datasets}
    kept = read_values(root / paths.results / PARAMS)["profiles"][config.profile]
    archives = {
        f"{config.dataset(name).archive_of}.zip": digest
        for name, digest in kept["download"]["checksums"].items()
    }
    absent = [name for name in config.datasets if f"{config.dataset(name).archive_of}.zip" not in archives]
    if absent:
        raise UserError(
            f"{paths.results / PARAMS} has no checksum of {', '.join(absent)}",
            remedy=f"make repro PROFILE={config.profile}",
        )
    weights = kept["backbone"].get("checksums", {})
    return archives | {f"{name}_notop.weights.h5": digest for name, digest in weights.items()}


def _published(paths: Paths) -> str:
    """The day of the results' last commit; today where they have none."""
    found = (try_git("log", "-1", "--format=%cs", "--", str(paths.summary)) or "").strip()
    return found or datetime.now(UTC).date().isoformat()


def _describes(file: Path, paths: Paths) -> bool:
    """Whether a file is one of those written here, which describe the rest and not themselves."""
    return file.parent == paths.croissant("any").parent
