"""Chance and upper bounds against closed forms, brute force and simulation."""

import itertools
import math

import numpy as np
import pytest
import torch

from s2igan import BadInput, metrics
from s2igan.evaluation.references import random_halves
from s2igan.evaluation.scores import inception_rows


def average_precision(hits):
    """Of a ranking, [G] bool, by the definition."""
    ranks = np.flatnonzero(hits) + 1
    return np.mean(np.arange(1, len(ranks) + 1) / ranks)


@pytest.mark.parametrize(("size", "positives"), [(1, 1), (5, 1), (6, 3), (7, 4), (8, 8)])
def test_chance_of_map_is_the_mean_over_all_orders_of_the_gallery(size, positives):
    every = [np.isin(np.arange(size), places) for places in itertools.combinations(range(size), positives)]
    gallery = np.arange(size) >= positives  # label 0 is the query's
    found = metrics.chance_mean_average_precision([0], gallery.astype(int))
    assert found == pytest.approx(np.mean([average_precision(hits) for hits in every]), rel=1e-12)


def test_chance_of_map_of_the_two_data_sets_and_of_classes_of_different_size():
    # 800 generated images of 20 classes; the queries are other images.
    found = metrics.chance_mean_average_precision(np.arange(20), np.arange(800) % 20)
    harmonic = sum(1 / k for k in range(1, 801))
    assert found == pytest.approx(39 / 799 + harmonic / 800 * (1 - 39 / 799), rel=1e-12)
    assert found == pytest.approx(0.05744, abs=1e-5)
    # Queries of class 0 count twice; class 9 has no positive and is left out.
    gallery = np.array([0, 0, 0, 1])
    each = [metrics.chance_mean_average_precision([label], gallery) for label in (0, 1)]
    assert metrics.chance_mean_average_precision([0, 0, 1, 9], gallery) == pytest.approx((2 * each[0] + each[1]) / 3)
    with pytest.raises(BadInput, match="no query"):
        metrics.chance_mean_average_precision([9], gallery)


def test_chance_of_map_is_what_random_features_reach():
    rng = np.random.default_rng(0)
    labels, gallery = np.arange(2000) % 10, np.repeat(np.arange(10), np.arange(3, 13))
    reached = metrics.mean_average_precision(rng.normal(size=(2000, 40)), labels, rng.normal(size=(75, 40)), gallery)
    assert reached == pytest.approx(metrics.chance_mean_average_precision(labels, gallery), rel=0.03)


def test_kid_of_random_halves_is_0_on_the_mean_over_all_divisions_and_of_classes_kept_apart_below():
    """Of one set: exactly 0 as the mean over every division in two, whatever the set is."""
    x = np.random.default_rng(0).normal(size=(6, 3)) + np.repeat([[0, 0, 0], [3, 0, 0], [0, 4, 0]], 2, axis=0)
    every = [np.isin(np.arange(6), chosen) for chosen in itertools.combinations(range(6), 3)]
    values = [metrics.kernel_distance(x[half], x[~half], subsets=1) for half in every]
    assert np.mean(values) == pytest.approx(0, abs=1e-3 * np.std(values))
    assert metrics.kernel_distance(x[::2], x[1::2], subsets=1) < 0  # a half has one of each class


def test_random_halves_are_seeded_disjoint_and_unbiased():
    image_ids = np.arange(100, 161)
    halves = random_halves(image_ids)
    assert len(halves) == 10 and len({tuple(a) for a, _ in halves}) == 10
    for a, b in halves:
        assert len(a) == len(b) == 30 and len({*a, *b}) == 60 and {*a, *b} <= {*image_ids}
    for (a, b), (c, d) in zip(halves, random_halves(image_ids), strict=True):
        assert (a == c).all() and (b == d).all()
    rng, labels = np.random.default_rng(1), np.repeat(np.arange(20), 10)
    features = rng.normal(size=(20, 16))[labels] + 0.3 * rng.normal(size=(200, 16))
    values = [metrics.kernel_distance(features[a], features[b]) for a, b in random_halves(np.arange(200), 40)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40)
    order = np.argsort(labels, kind="stable")
    assert metrics.kernel_distance(features[order[::2]], features[order[1::2]]) < np.mean(values) - np.std(values)


def test_the_inception_score_of_a_perfect_classifier_grows_with_the_images_of_a_split():
    """A split of one image scores 1, and one of all images of all C classes scores C: scores need the same split."""
    p = torch.eye(20)[torch.arange(400) % 20]
    found = {count: inception_rows(p, count, 10) for count in (10, 200, 400)}
    assert [rows[0]["per_split"] for rows in found.values()] == [1, 20, 40]
    assert [rows[0]["n"] for rows in found.values()] == [10, 200, 400]
    scores = [rows[0]["value"] for rows in found.values()]
    assert scores[0] == pytest.approx(1) and scores[0] < scores[1] < scores[2] < 20
    # exp of the entropy of the classes in each split, counted here.
    order = np.random.default_rng(0).permutation(400) % 20
    shares = [np.bincount(part, minlength=20) / 40 for part in order.reshape(10, 40)]
    expected = [math.exp(-sum(s * math.log(s) for s in share if s)) for share in shares]
    assert scores[2] == pytest.approx(np.mean(expected), rel=1e-5)
    assert {row["metric"] for row in inception_rows(p, 3, 10, " real")} == {"IS real", "IS_std real"}
