"""An exported model as MLflow serves it: encoded images in; classes, probabilities and doubts out.

MLflow copies this file beside the ONNX file and runs it to load the model ("model from code"); nothing is
pickled. It needs the package installed, but neither TensorFlow nor Keras.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

MOST_IMAGES = 64
"""Of one request: more would hold up everybody else."""


class ServedModel(PythonModel):
    """Opens the artifact `onnx`."""

    def load_context(self, context: Any) -> None:
        """Opens the ONNX file.

        Args:
            context: MLflow's context with the artifact's path.
        """
        # Here and not at the top: logging a model runs this file, too.
        from lung_attention.predict.exported import ExportedModel

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
            model_input: A column `image` of encoded images (bytes of JPEG, PNG, TIFF or DICOM files).
            params: Unused.

        Returns:
            A row an image: `class`, `probability`, `set` (its classes, the most probable first, with blanks
            between), `familiar`, and `probability_<class>` of each class.

        Raises:
            MlflowException: There are too many images, or an entry is none; it becomes an answer 400.
        """
        from lung_attention.predict.inputs import UnreadableError, read_pixels

        if len(model_input) > MOST_IMAGES:
            raise _refused(f"expected at most {MOST_IMAGES} images a request, received {len(model_input)}")
        about, rows = self._model.about, []
        for number, content in enumerate(model_input["image"]):
            try:
                pixels = read_pixels(bytes(content), about.window)
            except (UnreadableError, TypeError) as error:
                raise _refused(f"image {number}: {error}") from error
            said = self._model.said(self._model.predict(pixels))
            del said["distance"]
            said["set"], said["familiar"] = " ".join(said["set"] or []), said["familiar"] is not False
            rows.append(said)
        return pd.DataFrame(rows)


def _refused(reason: str) -> MlflowException:
    return MlflowException(reason, error_code=INVALID_PARAMETER_VALUE)


set_model(ServedModel())
