"""Reference values: chance, and real images against real images."""

from __future__ import annotations

from typing import Any

import numpy as np

from s2igan.config import Settings
from s2igan.data.store import Store
from s2igan.evaluation.evaluator import FeatureNetworks, probabilities, unseen_classes
from s2igan.evaluation.scores import image_scores
from s2igan.metrics import frechet_distance, kernel_distance, mean_average_precision


def evaluate_real(store: Store, networks: FeatureNetworks, settings: Settings) -> list[dict[str, Any]]:
    """Chance and upper bounds for the metrics of generated images, from the real images of the test classes.

    Returns: rows {metric, value, n, split}, the metric's name with a suffix:
        ` real`: one half of the images against the other half, an upper bound.
        ` chance`: mAP with shuffled labels.
        ` training`: FID and KID of the training classes' images, perfect images of other classes.
    """
    test, train = store.image_ids_of("test"), store.image_ids_of("train")
    # Every second image of each class, so that both halves hold every class.
    order = test[np.argsort(store.image_class[test], kind="stable")]
    a, b = order[::2], order[1::2]
    labels, features, for_fid = store.image_class, networks.real_retrieval, networks.real_fid
    p = None
    if networks.classifier is networks.fid:  # a classifier of its own has this value from 02_classifier
        p = probabilities(networks.classifier, for_fid[a], unseen_classes(store, networks.classifier))
    rows = image_scores(
        (features[a], features[b]), (labels[a], labels[b]), (for_fid[a], for_fid[b]), p, settings.eval_splits, " real"
    )
    shuffled = np.random.default_rng(0).permutation(labels[test])
    chance = 100 * mean_average_precision(features[test], labels[test], features[test], shuffled)
    rows.append({"metric": "mAP chance", "value": chance, "n": len(test), "split": "test"})
    for name, distance in (("FID", frechet_distance), ("KID", kernel_distance)):
        value = distance(for_fid[train], for_fid[test])
        rows.append({"metric": f"{name} training", "value": value, "n": len(train), "split": "test"})
    return rows
