"""Verifies a dataset's source and writes its archive, its manifest and where it came from."""

from __future__ import annotations

import argparse

from lung_attention.config import load_config
from lung_attention.data.manifest import import_archive
from lung_attention.data.sources.resolve import find_archive, verify
from lung_attention.errors import run_guarded
from lung_attention.files import write_json
from lung_attention.paths import PARAMS, Paths


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    arguments = parser.parse_args()
    config = load_config(PARAMS)
    dataset = config.dataset(arguments.dataset)
    settings = config.active.download
    paths = Paths(config.profile)
    source = find_archive(dataset.archive_of, source=settings.source)
    digest, record = verify(source, expected=settings.checksums.get(dataset.id))
    import_archive(
        source,
        dataset,
        archive=paths.archive(dataset.id),
        manifest=paths.manifest(dataset.id),
        check_counts=settings.check_counts,
    )
    origin = {
        "source": settings.source,
        "sha256": digest,
        "served_by": None,
        "address": None,
        "fetched": None,
    }
    if record is not None:
        origin |= {"served_by": record.source, "address": record.address, "fetched": record.fetched}
    write_json(paths.origin(dataset.id), origin)


if __name__ == "__main__":
    run_guarded(main)
