"""A cell of toy images for tests of finetuning, with a backbone of four small convolutions."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from PIL import Image
from small_recipe import TUNING, small_recipe

from lung_attention.files import read_json
from lung_attention.images.view import View
from lung_attention.models.backbones import build_backbone
from lung_attention.models.classifier import build_preprocessing
from lung_attention.models.feature_file import load_features
from lung_attention.models.features import extract_features
from lung_attention.splits.grouped import grouped_split
from lung_attention.training.fits import Material, Source
from lung_attention.training.recipe import EVERY, Choices, Settings

CLASSES = ("benign", "malignant")
SIZE = 32
VIEW = View(24, "bilinear", antialias=True, standardise=True)
N = 48
BACKBONE = "mobilenetv2"
RECIPE = small_recipe(
    view="close", epochs=2, batch_size=8, pooling="average_max", hidden_units=(), start="logistic",
    class_weights="balanced", optimizer="adamw", dropout=0.3, attention_gamma=0.1,
    attention_activation="linear",
)  # fmt: skip
CHOICES = Choices(inner_folds=2, l2=[0.3, 0.01], epochs=[2])
SMALL_TUNING = replace(TUNING, trainable=0.5)


def toy_application(*, include_top, weights, input_shape, name):
    """In place of a function of `keras.applications`: convolutions and batch normalisations."""
    assert not include_top and weights is None
    x = inputs = keras.Input(input_shape)
    for number in range(4):
        x = keras.layers.Conv2D(8, 3, strides=2 if number < 3 else 1, padding="same", name=f"conv_{number}")(
            x
        )
        x = keras.layers.BatchNormalization(name=f"norm_{number}")(x)
        x = keras.layers.ReLU(name=f"relu_{number}")(x)
    return keras.Model(inputs, x, name=name)


def raw_images(seed=0):
    """Images of two classes, of different sizes: a blob in the middle, wide or narrow."""
    random = np.random.default_rng(seed)
    for number in range(N):
        height, width = 40 + number % 3, 44 - number % 4
        rows, cols = np.mgrid[:height, :width]
        distance = (rows - height / 2) ** 2 + (cols - width / 2) ** 2
        blob = 120 * np.exp(-distance / (60 if number % 2 else 18))
        grey = np.clip(blob + random.integers(0, 90, (height, width)), 0, 255)
        yield np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


def write_archive(path: Path, images) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number, image in enumerate(images):
            content = io.BytesIO()
            Image.fromarray(image).save(content, "png")
            archive.writestr(f"{number:02}.png", content.getvalue())


@dataclass(frozen=True)
class Toy:
    """The files of a toy cell."""

    folder: Path
    table: pd.DataFrame

    def material(self, checkpoints, *, table=None, head="plain", tuning=SMALL_TUNING, spoilt=None):
        """What `fit` is given; of spoilt rows features are NaN and images noise."""
        archive, features = self.folder / "images.zip", self.features
        if spoilt is not None:
            archive = checkpoints.parent / f"{checkpoints.name}.zip"
            noise = np.random.default_rng(9)
            write_archive(
                archive,
                [
                    noise.integers(0, 256, image.shape, dtype=np.uint8) if row in spoilt else image
                    for row, image in enumerate(raw_images())
                ],
            )
            features = np.array(features)
            features[spoilt] = np.nan
        source = Source(archive, BACKBONE, self.folder / "toy.weights.h5", VIEW, SIZE, checkpoints)
        recipe = replace(RECIPE, epochs=tuning.epochs, dropout=tuning.dropout)
        settings = Settings({EVERY: recipe}, None, replace(CHOICES, epochs=[tuning.epochs]), tuning)
        table = self.table if table is None else table
        return Material(features, table, CLASSES, settings, head, [0], None, source)

    @property
    def features(self):
        return load_features(
            self.folder / "f.npy", read_json(self.folder / "f.json"), self.table["image"].tolist()
        )

    @property
    def published(self):
        """The first fold alone, as a published split has it."""
        subset = np.where(self.table["fold"] == 0, "test", "train")
        return self.table.assign(subset=subset, fold=0)


def make_toy(folder: Path) -> Toy:
    """Writes archive, weights and features; `keras.applications.MobileNetV2` is the toy."""
    keras.applications.MobileNetV2 = toy_application
    images = list(raw_images())
    write_archive(folder / "images.zip", images)
    keras.utils.set_random_seed(3)
    backbone = build_backbone(BACKBONE, SIZE)
    backbone.save_weights(folder / "toy.weights.h5")
    names = [f"{number:02}.png" for number in range(N)]
    extract_features(
        images, names, preprocessing=build_preprocessing(BACKBONE, VIEW, SIZE), backbone=backbone,
        batch_size=16, path=folder / "f.npy", info_path=folder / "f.json", info={},
    )  # fmt: skip
    manifest = pd.DataFrame({"image": names, "label": [CLASSES[number % 2] for number in range(N)]})
    # Two images a group, both of a class.
    groups = pd.Series([f"g{number // 4}-{number % 2}" for number in range(N)])
    return Toy(folder, grouped_split(manifest, groups, folds=2, seed=5))
