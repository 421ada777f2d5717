"""The backbones: every classifier of `keras.applications`, and what each expects of pixels.

Nothing here needs TensorFlow, so that the configuration can look at the table.
"""

from __future__ import annotations

from dataclasses import dataclass

# ImageNet's mean and deviation of red, green and blue, of pixels 0..1.
_MEAN, _SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Scaling:
    """What is done to pixels 0..255 before they enter a backbone: scale · pixel + offset, channel by channel.

    Attributes:
        scale: Factors of red, green and blue.
        offset: Added after scaling.
        blue_first: Whether the channels are then taken in reverse order.
    """

    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    blue_first: bool = False


# As `keras.applications.imagenet_utils.preprocess_input` does in its modes; `RAW`: scaled inside the network.
RAW = Scaling((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
ONE_TO_ONE = Scaling((1 / 127.5,) * 3, (-1.0,) * 3)
STANDARDISED = Scaling(
    (1 / (255 * _SD[0]), 1 / (255 * _SD[1]), 1 / (255 * _SD[2])),
    (-_MEAN[0] / _SD[0], -_MEAN[1] / _SD[1], -_MEAN[2] / _SD[2]),
)
CENTRED = Scaling((1.0, 1.0, 1.0), (-123.68, -116.779, -103.939), blue_first=True)
# The paper fed pixel / 255 to both of its backbones, whatever these were trained with.
PAPER = Scaling((1 / 255,) * 3, (0.0,) * 3)


@dataclass(frozen=True)
class Backbone:
    """How a backbone is built and what it expects of pixels.

    Attributes:
        application: The function of `keras.applications`, also its name for people.
        scaling: Of pixels.
    """

    application: str
    scaling: Scaling


_BY_SCALING = {
    RAW: (
        "ConvNeXtTiny ConvNeXtSmall ConvNeXtBase ConvNeXtLarge ConvNeXtXLarge "
        "EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetB5 "
        "EfficientNetB6 EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 "
        "EfficientNetV2S EfficientNetV2M EfficientNetV2L MobileNetV3Small MobileNetV3Large"
    ),
    ONE_TO_ONE: (
        "InceptionResNetV2 InceptionV3 MobileNet NASNetLarge NASNetMobile ResNet50V2 ResNet101V2 ResNet152V2 "
        "Xception"
    ),
    STANDARDISED: "DenseNet169 DenseNet201",
    CENTRED: "ResNet50 ResNet101 ResNet152 VGG16 VGG19",
    PAPER: "DenseNet121 MobileNetV2",
}

BACKBONES = {
    application.lower(): Backbone(application, scaling)
    for scaling, applications in _BY_SCALING.items()
    for application in applications.split()
}
"""Each backbone by its name in parameters, stages and files."""


def title(backbone: str) -> str:
    """The name of a backbone for people."""
    known = BACKBONES.get(backbone)
    return known.application if known else backbone
