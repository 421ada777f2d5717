"""What the project's own files say of datasets, for tests."""

from pathlib import Path

from lung_attention.config import load_config

ROOT = Path(__file__).parents[1]
CONFIG = load_config(ROOT / "params.yaml")
DATASETS = CONFIG.catalog
PROFILES = CONFIG.profiles
LABELS = {name: dataset.labels for name, dataset in DATASETS.items()}
