import sys
from pathlib import Path

import pytest

# The helpers beside the tests, which are no package.
sys.path.insert(0, str(Path(__file__).parent))

from fake_results import fake_project

from lung_attention.cells import Cell

SEARCHED = Cell("lidc_nodules", "densenet121", "plain", "searched", "grouped")


@pytest.fixture(scope="session")
def complete(tmp_path_factory):
    """All 24 cells of the sample, three datasets, everything there."""
    return fake_project(tmp_path_factory.mktemp("complete"), profile="sample")


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """Real images, another task instead of the paper's LIDC slices, one cell missing."""
    return fake_project(
        tmp_path_factory.mktemp("real"),
        profile="local",
        datasets=["iqoth", "lidc_nodules"],
        backbones=["densenet121"],
        without=["iqoth-densenet121-attention-published-grouped"],
        further=[SEARCHED],
    )


@pytest.fixture(scope="session")
def published_only(tmp_path_factory):
    """One split alone, without audit, baselines, comparisons and archives."""
    return fake_project(
        tmp_path_factory.mktemp("published"),
        profile="local",
        datasets=["iqoth"],
        splits=["published"],
        extras=False,
    )


@pytest.fixture(scope="session")
def unpublished(tmp_path_factory):
    """Images on which nothing was published, with cells of another recipe for both heads."""
    return fake_project(
        tmp_path_factory.mktemp("unpublished"),
        profile="local",
        datasets=["lidc_slices"],
        backbones=["densenet121"],
        further=[
            Cell("lidc_slices", "densenet121", head, "searched", split)
            for head in ("plain", "attention")
            for split in ("published", "grouped")
        ],
    )
