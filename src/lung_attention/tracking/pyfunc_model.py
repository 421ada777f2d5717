"""The model as MLflow serves it: encoded images in, class probabilities out.

MLflow copies this file beside the `.keras` file and runs it to load the model ("model from code"); nothing
is pickled. What it needs of the package lies beside it, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ImageClassifier(PythonModel):
    """Opens the artifact `keras`; `classes` and `window` (of DICOM slices, or none) are its configuration."""

    def load_context(self, context: Any) -> None:
        """Opens the Keras file.

        Args:
            context: MLflow's context with the artifact's path and the model's configuration.
        """
        # Here and not at the top: logging a model runs this file, too, and needs no TensorFlow.
        import keras

        from lung_attention.models.saved import open_model
        from lung_attention.predict.requests import asked

        config = context.model_config
        self._classes = list(config["classes"])
        self._window = None if config["window"] is None else tuple(config["window"])
        self._asked = asked
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
            model_input: A column `image`, see `asked`.
            params: Unused.

        Returns:
            A row an image with the input's index, a float64 column of probabilities a class.

        Raises:
            MlflowException: The request is refused, see `asked`.
        """
        probabilities = np.empty((len(model_input), len(self._classes)), dtype=np.float64)
        for row, pixels in enumerate(self._asked(model_input, self._window)):
            outputs = self._model(pixels[np.newaxis], training=False)
            probabilities[row] = self._to_numpy(outputs)[0]
        return pd.DataFrame(probabilities, columns=self._classes, index=model_input.index)


set_model(ImageClassifier())
