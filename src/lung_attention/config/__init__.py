"""params.yaml and datasets/ as one frozen, typed configuration.

No field has a default: every parameter stands in a file, where DVC sees it. Nothing is computed here, so the
values a stage reads (its `params:` in dvc.yaml) say all that this package can do to its results.
"""

from lung_attention.config.beside import Gating, Range, Search, SearchSpace, TrainingSd
from lung_attention.config.datasets import Dataset
from lung_attention.config.profiles import Config, Explained, Part, Profile
from lung_attention.config.reading import (
    DESIGN,
    flat,
    load_config,
    parse_value,
    read_values,
    validate,
)
from lung_attention.config.sources import Source
from lung_attention.config.stages import Rebuild

__all__ = [
    "DESIGN",
    "Config",
    "Dataset",
    "Explained",
    "Gating",
    "Part",
    "Profile",
    "Range",
    "Rebuild",
    "Search",
    "SearchSpace",
    "Source",
    "TrainingSd",
    "flat",
    "load_config",
    "parse_value",
    "read_values",
    "validate",
]
