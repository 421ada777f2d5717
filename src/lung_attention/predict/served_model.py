"""An exported model as MLflow serves it: encoded images in; classes, probabilities and doubts out.

MLflow copies this file beside the ONNX file and runs it to load the model ("model from code"); nothing is
pickled. What it needs of the package lies beside it, too; it needs neither TensorFlow nor Keras.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ServedModel(PythonModel):
    """Opens the artifact `onnx`."""

    def load_context(self, context: Any) -> None:
        """Opens the ONNX file.

        Args:
            context: MLflow's context with the artifact's path.
        """
        # Here and not at the top: logging a model runs this file, too.
        from lung_attention.predict.exported import ExportedModel
        from lung_attention.predict.requests import asked

        self._asked = asked
        self._model = ExportedModel(Path(context.artifacts["onnx"]))

    def predict(
        self,
        context: Any,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Classifies images.

        Args:
            context: Unused.
            model_input: A column `image`, see `asked`.
            params: Unused.

        Returns:
            A row an image: `class`, `probability`, `set` (its classes, the most probable first, with blanks
            between), `familiar`, and `probability_<class>` of each class.

        Raises:
            MlflowException: The request is refused, see `asked`.
        """
        rows = []
        for pixels in self._asked(model_input, self._model.about.window):
            said = self._model.said(self._model.predict(pixels))
            del said["distance"]
            said["set"], said["familiar"] = " ".join(said["set"] or []), said["familiar"] is not False
            rows.append(said)
        return pd.DataFrame(rows)


set_model(ServedModel())
