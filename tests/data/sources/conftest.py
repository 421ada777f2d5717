"""Servers, folders and an environment without anybody's secrets, proxies or mirrors."""

import os
import sys
from pathlib import Path

import pytest
from public_server import PublicServer

sys.path.append(str(Path(__file__).parents[1] / "dicom"))  # its drawn CT series


@pytest.fixture
def server():
    running = PublicServer()
    yield running
    running.close()


@pytest.fixture
def other_server():
    running = PublicServer()
    yield running
    running.close()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in os.environ:
        if name.startswith(("KAGGLE_", "HF_", "LUNG_ATTENTION_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
