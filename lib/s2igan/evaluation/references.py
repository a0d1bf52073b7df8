"""Reference values: chance, and real images against real images."""

from __future__ import annotations

import numpy as np

from s2igan.config import Settings
from s2igan.data.store import Store
from s2igan.evaluation.evaluator import FeatureNetworks, probabilities, unseen_classes
from s2igan.evaluation.images import image_scores
from s2igan.metrics import frechet_distance, kernel_distance, mean_average_precision


def evaluate_real(store: Store, judges: FeatureNetworks, settings: Settings) -> list[dict]:
    """Floors and ceilings that every generated figure is read against, from the test classes' real images.

    ` real`: one half of the images against the other half. ` chance`: mAP with shuffled labels. ` training`: FID and KID of the
    training classes' images, other classes drawn as well as can be, against the test classes'.
    """
    test = store.image_ids_of("test")
    # Every second image of each class, so that both halves hold every class.
    order = test[np.argsort(store.image_class[test], kind="stable")]
    a, b = order[::2], order[1::2]
    labels, features, others = store.image_class, judges.real_retrieval, judges.real_distance
    # Where a classifier of its own serves, 02_classifier says what real images score.
    p = probabilities(judges.classes, others[a], unseen_classes(store, judges.classes)) if judges.classes is judges.distance else None
    rows = image_scores(
        (features[a], features[b]), (labels[a], labels[b]), (others[a], others[b]), p, settings.eval_splits, " real"
    )  # fmt: skip
    shuffled = np.random.default_rng(0).permutation(labels[test])
    chance = 100 * mean_average_precision(features[test], labels[test], features[test], shuffled)
    train = store.image_ids_of("train")
    rows.append({"metric": "mAP chance", "value": chance, "n": len(test), "split": "test"})
    for name, distance in (("FID", frechet_distance), ("KID", kernel_distance)):
        rows.append({"metric": f"{name} training", "value": distance(others[train], others[test]), "n": len(train), "split": "test"})
    return rows
