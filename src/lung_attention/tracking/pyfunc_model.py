"""The model as MLflow serves it: encoded images in, class probabilities out.

MLflow copies this file beside the `.keras` file and runs it to load the model ("model from code"); nothing
is pickled. It needs the package installed, but nothing of it imported before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ImageClassifier(PythonModel):
    """Opens the artifact `keras` and names its outputs by the configured `classes`."""

    def load_context(self, context: Any) -> None:
        """Opens the Keras file.

        Args:
            context: MLflow's context with the artifact's path and the model's configuration.
        """
        # Here and not at the top: logging a model runs this file, too, and needs no TensorFlow.
        import keras

        from lung_attention.models.saved import open_model

        self._classes = list(context.model_config["classes"])
        self._to_numpy = keras.ops.convert_to_numpy
        self._model = open_model(context.artifacts["keras"])

    def predict(
        self,
        context: Any,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Classifies images, one by one since their sizes differ.

        Args:
            context: Unused.
            model_input: A column `image` of encoded images (bytes of JPEG or PNG files).
            params: Unused.

        Returns:
            A row an image with the input's index, a float64 column of probabilities a class.

        Raises:
            ValueError: An entry is no image; the message names its row.
        """
        from lung_attention.images.decode import decode

        probabilities = np.empty((len(model_input), len(self._classes)), dtype=np.float64)
        for row, content in enumerate(model_input["image"]):
            try:
                pixels = decode(content)
            except (OSError, TypeError) as error:
                raise ValueError(f"Row {row} of column 'image' is no encoded image: {error}") from error
            outputs = self._model(pixels[np.newaxis], training=False)
            probabilities[row] = self._to_numpy(outputs)[0]
        return pd.DataFrame(probabilities, columns=self._classes, index=model_input.index)


set_model(ImageClassifier())
