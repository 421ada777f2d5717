"""Saved models, opened where nothing of this package has been imported before."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import keras

from lung_attention.models.heads import HEADS

_LAYERS = ("lung_attention.models.classifier", "lung_attention.models.turns", *HEADS.values())


def open_model(path: str | Path) -> keras.Model:
    """Opens a head or a whole classifier that a training kept.

    Args:
        path: A `.keras` file.

    Returns:
        The model, not compiled.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no model of Keras.
    """
    # Keras finds the layers of a file among those whose modules were imported.
    for module in _LAYERS:
        import_module(module)
    return keras.saving.load_model(path, compile=False)
