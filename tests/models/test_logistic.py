"""Logistic regressions on pooled features, against scikit-learn and by their first-order conditions."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lung_attention.models.logistic import LogisticPath, pooled


def test_features_are_pooled_over_the_image_in_chunks():
    features = np.random.default_rng(0).normal(size=(600, 3, 2, 5)).astype(np.float16)
    wide = features.astype(np.float64).reshape(600, 6, 5)
    np.testing.assert_allclose(
        pooled(features), np.concatenate([wide.mean(axis=1), wide.max(axis=1)], axis=1), atol=1e-6
    )


def some(n, d, n_classes, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    x = random.normal(size=(n, d)) * random.uniform(0.5, 3, size=d) + random.normal(size=d)
    x[:, :n_classes] += np.eye(n_classes)[labels]
    return x, labels


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
@pytest.mark.parametrize(("n", "d"), [(80, 6), (40, 90)])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_are_those_of_scikit_learn_on_standardised_columns(n, d, n_classes, class_weights):
    x, labels = some(n, d, n_classes)
    labels[: n // 4] = 0
    l2 = 0.02
    found = LogisticPath(x, labels, n_classes=n_classes, class_weights=class_weights).fit(l2)
    scaler = StandardScaler().fit(x)
    weight = "balanced" if class_weights == "balanced" else None
    model = LogisticRegression(C=1 / (2 * l2 * n), max_iter=10_000, tol=1e-8, class_weight=weight)
    model.fit(scaler.transform(x), labels)
    other = some(30, d, n_classes, seed=1)[0]
    expected = model.predict_proba(scaler.transform(other))
    np.testing.assert_allclose(softmax(found.logits(other), axis=1), expected, atol=2e-3)


def test_it_minimises_the_mean_loss_and_the_penalty_of_a_keras_layer():
    """The gradient of both vanishes; two columns of a binary one share the penalty as Keras would have it."""
    x, labels = some(60, 4, 3)
    l2 = 0.05
    found = LogisticPath(x, labels, n_classes=3, class_weights="none").fit(l2)
    z = (x - found.mean) / found.scale
    residual = softmax(found.logits(x), axis=1) - np.eye(3)[labels]
    np.testing.assert_allclose(z.T @ residual / len(x) + 2 * l2 * found.kernel, 0, atol=1e-3)


def test_a_path_gives_the_same_as_each_strength_by_itself():
    x, labels = some(50, 70, 3)
    path = LogisticPath(x, labels, n_classes=3, class_weights="none")
    along = [path.fit(l2).logits(x) for l2 in (1.0, 0.1, 0.01)]
    alone = LogisticPath(x, labels, n_classes=3, class_weights="none").fit(0.01).logits(x)
    np.testing.assert_allclose(along[-1], alone, atol=0.05)
    assert np.ptp(along[0]) < np.ptp(along[-1]), "a weaker penalty spreads logits"


def test_a_class_without_a_row_is_not_predicted():
    x, labels = some(40, 5, 2)
    found = LogisticPath(x, labels, n_classes=3, class_weights="none").fit(0.1)
    assert softmax(found.logits(x), axis=1)[:, 2].max() < 1e-6
