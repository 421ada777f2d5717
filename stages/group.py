"""Makes thumbnails of a dataset and finds the groups that must not stand on two sides of a split."""

from __future__ import annotations

import argparse

import numpy as np
from tqdm import tqdm

from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import read_table, write_table
from lung_attention.groups.infer import infer_groups
from lung_attention.images.decode import THUMBNAIL_SIZE_PX, read_members, thumbnail
from lung_attention.paths import PARAMS, Paths
from lung_attention.writing import replacing, reserve


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    dataset = parser.parse_args().dataset
    config = load_config(PARAMS)
    paths = Paths(config.profile)
    manifest = read_table(paths.manifest(dataset))
    images = manifest["image"].tolist()
    shape = (len(images), THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX, 3)
    with replacing(paths.thumbnails(dataset)) as temporary:
        thumbnails = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
        reserve(temporary)
        contents = read_members(paths.archive(dataset), images)
        for row, content in enumerate(tqdm(contents, total=len(images), desc=dataset, mininterval=1)):
            thumbnails[row] = thumbnail(content)
        thumbnails.flush()
        groups = infer_groups(manifest, thumbnails, config.dataset(dataset).groups)
    write_table(paths.groups(dataset), manifest[["image"]].assign(group=groups.to_numpy()))


if __name__ == "__main__":
    run_guarded(main)
