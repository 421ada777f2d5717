"""The real archives, read without the package's importer, once for all tests."""

import io
import os
import re
import zipfile
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from natsort import natsorted
from PIL import Image

from known import DATASETS
from lung_attention.images.decode import thumbnail

FOLDER = os.environ.get("LUNG_ATTENTION_ARCHIVES", "")

MARKS = [
    pytest.mark.real,
    pytest.mark.skipif(
        not FOLDER, reason="LUNG_ATTENTION_ARCHIVES does not name the folder of the real archives"
    ),
]


@cache
def load(dataset_id):
    """Manifest and thumbnails."""
    path = Path(FOLDER) / f"{dataset_id}.zip"
    if not path.is_file():
        pytest.skip(f"LUNG_ATTENTION_ARCHIVES has no {dataset_id}.zip")
    dataset = DATASETS[dataset_id]
    rows, thumbnails = [], []
    with zipfile.ZipFile(path) as archive:
        for label, folders in zip(dataset.classes, dataset.folders, strict=True):
            tops = tuple(f"{dataset.root}/{folder}/" for folder in folders)
            for name in natsorted(name for name in archive.namelist() if name.startswith(tops)):
                content = archive.read(name)
                with Image.open(io.BytesIO(content)) as image:
                    width, height = image.size
                patient = re.search(r"LIDC-IDRI-\d{4}(?=_)", name)
                group = patient[0] if patient else ""
                digest = sha256(content).hexdigest()
                image_name = name.removeprefix(f"{dataset.root}/")
                rows.append((image_name, label, len(content), digest, width, height, group))
                thumbnails.append(thumbnail(content))
    columns = ["image", "label", "bytes", "sha256", "width", "height", "group"]
    return pd.DataFrame(rows, columns=columns), np.stack(thumbnails)
