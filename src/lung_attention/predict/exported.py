"""An exported model, opened without TensorFlow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from pydantic import ValidationError

from lung_attention.errors import UserError
from lung_attention.evaluation.prediction_sets import prediction_sets
from lung_attention.predict.about import KEY, About

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """What a model says of an image.

    Attributes:
        probabilities: `(classes,)`, float64.
        members: Names of the classes in the set, the most probable one first; None where it has no sets.
        distance: From the images that it was fitted on, in standard deviations; None where it knows none.
        familiar: Whether that is no further than nearly all images of unseen groups; None likewise.
        attention: α `(rows, cols)`, float32; None for heads without attention.
    """

    probabilities: npt.NDArray[np.float64]
    members: list[str] | None
    distance: float | None
    familiar: bool | None
    attention: npt.NDArray[np.float32] | None


class ExportedModel:
    """A model of an ONNX file.

    Args:
        path: Written by `lung-attention export`.
        threads: For one image; None for as many as there are cores.

    Attributes:
        content: The bytes of the file, which may be a temporary one.
        about: What it says about itself.
        sha256: Of the file.

    Raises:
        UserError: The file is no ONNX model, or none of this project.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        self.content = path.read_bytes()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or 0  # 0: all
        try:
            self._session = ort.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common class but this one
            raise UserError(f"{path} is no ONNX model ({_reason(error)})", remedy=_REMEDY) from error
        try:
            said = self._session.get_modelmeta().custom_metadata_map.get(KEY)
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is no ONNX model (its metadata are no text)", remedy=_REMEDY) from error
        if said is None:
            raise UserError(
                f"{path} is an ONNX model that does not say what it was fitted on (metadata {KEY!r})",
                remedy=_REMEDY,
            )
        try:
            self.about = About.model_validate_json(said)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise UserError(f"{path}: metadata {KEY!r}: {place}: {first['msg']}", remedy=_REMEDY) from error
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        self._outputs = [output.name for output in self._session.get_outputs()]
        given = [one.name for one in self._session.get_inputs()]
        if given != ["image"] or "probabilities" not in self._outputs:
            raise UserError(
                f"{path}: expected image in and probabilities out, received {given} and {self._outputs}",
                remedy=_REMEDY,
            )

    @property
    def has_attention(self) -> bool:
        """Whether it has an attention map."""
        return "attention" in self._outputs

    def predict(self, pixels: Pixels) -> Prediction:
        """Classifies an image.

        Args:
            pixels: uint8 `(height, width, 3)`, RGB.

        Raises:
            UserError: The model cannot be computed, or gives other probabilities than it says.
        """
        about = self.about
        try:
            answers = self._session.run(self._outputs, {"image": pixels[np.newaxis]})
            found = {name: np.asarray(value)[0] for name, value in zip(self._outputs, answers, strict=True)}
            probabilities = found["probabilities"].astype(np.float64)
            distance = float(found["distance"]) if "distance" in found else None
        except Exception as error:  # as above; and whatever other shapes lead to
            raise UserError(f"{about.name} cannot be computed ({_reason(error)})", remedy=_REMEDY) from error
        if probabilities.shape != (len(about.classes),) or not np.isfinite(probabilities).all():
            raise UserError(
                f"{about.name} gives the probabilities {probabilities.tolist()!r:.200}, expected "
                f"{len(about.classes)} numbers",
                remedy=_REMEDY,
            )
        members: list[str] | None = None
        if about.set_threshold is not None:
            inside = prediction_sets(probabilities[np.newaxis], about.set_threshold)[0]
            members = [about.classes[code] for code in np.argsort(-probabilities) if inside[code]]
        threshold = about.distance_threshold
        return Prediction(
            probabilities,
            members,
            distance,
            None if distance is None or threshold is None else distance <= threshold,
            found.get("attention"),
        )

    def said(self, found: Prediction) -> dict[str, Any]:
        """A prediction by name, in the order of the columns; `probability_<class>` of each class last."""
        best = int(found.probabilities.argmax())
        return {
            "class": self.about.classes[best],
            "probability": float(found.probabilities[best]),
            "set": found.members,
            "familiar": found.familiar,
            "distance": found.distance,
            **{
                f"probability_{name}": float(value)
                for name, value in zip(self.about.classes, found.probabilities, strict=True)
            },
        }


def _reason(error: Exception) -> str:
    lines = str(error).split("failed:")[-1].strip().splitlines()
    return lines[0] if lines else type(error).__name__


_REMEDY = "make one with: lung-attention export CELL"
