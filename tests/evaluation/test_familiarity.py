import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from lung_attention.evaluation.familiarity import fit_familiarity


def drawn(rng, n, channels=6):
    labels = rng.integers(0, 2, n)
    return rng.normal(size=(n, channels)) + 3 * labels[:, None], labels


def fitted(x, labels, groups, share=0.95):
    return fit_familiarity(x, labels, groups, share=share, folds=5, seed=0)


def test_distances_are_those_of_mahalanobis_to_the_nearest_class():
    x, labels = drawn(np.random.default_rng(0), 200)
    found = fitted(x, labels, np.arange(200))
    means = np.stack([x[labels == label].mean(axis=0) for label in (0, 1)])
    precision = LedoitWolf(assume_centered=True).fit(x - means[labels]).get_precision()
    expected = [min(mahalanobis(row, mean, precision) for mean in means) for row in x]
    assert found.distances(x) == pytest.approx(expected)


def test_images_of_unseen_groups_are_familiar_as_often_as_asked():
    rng = np.random.default_rng(1)
    x, labels = drawn(rng, 2000)
    found = fitted(x, labels, np.arange(2000) // 4, share=0.9)
    new, _ = drawn(rng, 4000)
    assert (found.distances(new) <= found.threshold).mean() == pytest.approx(0.9, abs=0.03)


def test_the_threshold_is_found_on_groups_that_were_not_fitted_on():
    """With more channels than groups what was fitted on looks close; images of new groups do not."""
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(40), 5)
    x = rng.normal(size=(40, 60))[groups] + rng.normal(0, 0.05, (200, 60))
    found = fitted(x, groups % 2, groups)
    new = rng.normal(size=(500, 60))
    assert (found.distances(new) <= found.threshold).mean() > 0.8
    assert (found.distances(x) < found.threshold).mean() > 0.99


def test_what_lies_far_away_is_not_familiar():
    x, labels = drawn(np.random.default_rng(3), 300)
    found = fitted(x, labels, np.arange(300))
    assert (found.distances(x + 10 * np.tile([1, -1], 3)) > found.threshold).all()


def test_constant_channels_do_not_hurt():
    x, labels = drawn(np.random.default_rng(4), 100)
    x[:, 2] = 1.0
    assert np.isfinite(fitted(x, labels, np.arange(100)).distances(x)).all()
