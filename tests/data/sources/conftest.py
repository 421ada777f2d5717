"""Servers, folders and an environment without anybody's secrets, proxies or mirrors."""

import dataclasses
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
        if name.startswith(("AWS_", "KAGGLE", "HF_", "LUNG_ATTENTION_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def services(server, monkeypatch):
    """The server in the place of every public service; no client waits before it asks again."""
    from huggingface_hub import constants
    from kagglehub import config
    from kagglesdk import kaggle_env

    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", server.address)
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    # kagglehub has no setting for another address than its own ones.
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.address)
    # Both read these when they are imported.
    monkeypatch.setattr(config, "DEFAULT_KAGGLE_CREDENTIALS_FOLDER", str(Path.home() / ".kaggle"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(Path.home() / ".cache" / "huggingface" / "token"))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return server


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "downloads"


@pytest.fixture
def run(services, folder):
    """Fetches with the real table and the real clients."""
    from known import DATASETS, PROFILES

    from lung_attention.data.sources.fetch import Wanted, fetch_all
    from lung_attention.data.sources.services import deliverers
    from lung_attention.data.sources.table import items as items_of

    known, rebuild = items_of(DATASETS), PROFILES["public"].rebuild

    def fetch_items(
        *items, checksum=None, check_counts=False, made_with=None, consent=False, deliver=None, only=None
    ):
        wanted = []
        for item in items:
            item = known[item] if isinstance(item, str) else item
            if only is not None:
                chosen = tuple(source for source in item.sources if source.name == only)
                item = dataclasses.replace(item, sources=chosen)
            wanted.append(Wanted(item, checksum, check_counts, made_with or {}))
        return fetch_all(wanted, folder, deliver=deliverers(rebuild) | (deliver or {}), consent=consent)

    return fetch_items
