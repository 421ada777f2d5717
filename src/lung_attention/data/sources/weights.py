"""Keras' published weights, rewritten as the file that the pipeline reads."""

from __future__ import annotations

from pathlib import Path

from lung_attention.data.sources.transfer import TransferError
from lung_attention.writing import replacing

# Any size will do: the weights of these backbones do not depend on it.
_IMAGE_SIZE_PX = 224


def convert_weights(served: Path, to: Path, *, backbone: str) -> None:
    """Weight file of Keras' older layout as one of today's.

    The published files list their arrays layer by layer (`.h5`); `.weights.h5` means another layout to Keras,
    which mirrors the model. The values are the same.

    Args:
        served: The published file, whose name ends in `.h5`.
        to: The file to write, whose name ends in `.weights.h5`.
        backbone: A key of `models.backbones.BACKBONES`.

    Raises:
        TransferError: The file is no weight file of this backbone without its top.
    """
    import keras

    from lung_attention.models.backbones import build_backbone

    # Keras numbers models as they are built and writes the numbers down: without this, the same weights would
    # not have the same hash.
    keras.utils.clear_session()
    model = build_backbone(backbone, _IMAGE_SIZE_PX)
    try:
        model.load_weights(served)
    except (OSError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise TransferError(f"what was served are no weights of {backbone}: {error}") from error
    with replacing(to) as temporary:
        model.save_weights(temporary)
