"""Predictions made up for the tests of the evaluation."""

import numpy as np
import pandas as pd


def table_of(labels, probabilities, classes, *, groups=None, seed=0, fold=0, images=None):
    """A table in the predictions schema for one seed."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=float)
    table = pd.DataFrame(
        {
            "image": [f"image-{k:05d}" for k in range(len(labels))] if images is None else list(images),
            "label": [classes[k] for k in labels],
            "group": "" if groups is None else [str(group) for group in groups],
            "fold": fold,
            "seed": seed,
            "prediction": [classes[k] for k in probabilities.argmax(axis=1)],
        }
    )
    for k, name in enumerate(classes):
        table[f"probability_{name}"] = probabilities[:, k]
    return table


def softened(labels, right, classes, *, rng=None):
    """Probabilities whose largest is the true class where `right`, else the next class."""
    labels, right = np.asarray(labels), np.asarray(right, dtype=bool)
    c = len(classes)
    chosen = np.where(right, labels, (labels + 1) % c)
    p = np.full((len(labels), c), 0.1) + (0.01 * rng.random((len(labels), c)) if rng is not None else 0)
    p[np.arange(len(labels)), chosen] += 1
    return p / p.sum(axis=1, keepdims=True)


def random_case(rng, *, n=60, c=3, ties=True):
    """Labels with every class, and probabilities, rounded so that many are equal if `ties`."""
    labels = np.concatenate([np.arange(c), rng.integers(c, size=n - c)])
    logits = rng.normal(size=(n, c))
    logits[np.arange(n), labels] += 1
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    if ties:
        p = np.round(p * 8) + 0.25
        p /= p.sum(axis=1, keepdims=True)
    return labels, p
