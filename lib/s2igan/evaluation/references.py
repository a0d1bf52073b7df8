"""Reference values: chance, and real images against real images."""

from __future__ import annotations

from typing import Any

import numpy as np

from s2igan.config import Settings
from s2igan.data.store import Store
from s2igan.evaluation.attributes import attribute_guesses, nearest_classes
from s2igan.evaluation.diversity import real_diversity_rows
from s2igan.evaluation.evaluator import FeatureNetworks, probabilities, unseen_classes
from s2igan.evaluation.scores import (
    chance_recall_rows,
    fid_by_number,
    image_scores,
    inception_rows,
    memory_row,
    neighbour_scores,
)
from s2igan.metrics import (
    chance_mean_average_precision,
    frechet_distance,
    kernel_distance,
    mean_average_precision,
)

HALVINGS = 10  # random divisions of the real images in two, over which FID and KID are averaged


def evaluate_real(store: Store, networks: FeatureNetworks, settings: Settings) -> list[dict[str, Any]]:
    """Chance and upper bounds for the metrics of generated images, from the real images of the test classes.

    Returns: rows {metric, value, n, split}, the metric's name with a suffix:
        ` real`: of mAP, every second image of each class against the others; of FID and KID, the mean over random
            halves, and so of `FID of <n>`, precision, recall, density and coverage; of IS, all images in as many splits
            as the generated ones, of which as many are scored; of `training distance`, all images; of `diversity`,
            images of one class.
        ` chance`: of mAP and R@k, a random ranking of one generated image a caption, exact; of attributes, the best
            answer that is the same for all captions.
        ` class`: of R@k, a ranking by class and nothing else, exact.
        ` fitting`: of `diversity`, images of all classes that fit the caption.
        ` uniform`: of attributes, a guess among all values.
        ` training`: FID and KID of the training classes' images, perfect images of other classes.
        ` nearest`: mAP, FID and KID of a memory of training images, where the data set has attributes: each caption is
            answered with a real image of a training class that differs from its own in the fewest attributes.
    """
    test, train = store.image_ids_of("test"), store.image_ids_of("train")
    labels, features, for_fid = store.image_class, networks.real_retrieval, networks.real_fid
    order = test[np.argsort(labels[test], kind="stable")]
    a, b = order[::2], order[1::2]
    value = 100 * mean_average_precision(features[b], labels[b], features[a], labels[a])
    rows = [{"metric": "mAP real", "value": value, "n": len(a)}]
    distances = {"FID": frechet_distance, "KID": kernel_distance}
    halves = random_halves(test)
    for name, distance in distances.items():
        value = float(np.mean([distance(for_fid[a], for_fid[b]) for a, b in halves]))
        rows.append({"metric": f"{name} real", "value": value, "n": len(halves[0][0])})
    rows += fid_by_number([(for_fid[a], for_fid[b]) for a, b in halves], " real")
    scores = [neighbour_scores(for_fid[a], for_fid[b]) for a, b in halves]
    for name in scores[0]:
        value = float(np.mean([of_halves[name] for of_halves in scores]))
        rows.append({"metric": f"{name} real", "value": value, "n": len(halves[0][0])})
    rows += [memory_row(for_fid[test], for_fid[train], " real"), *real_diversity_rows(store, for_fid)]
    if networks.classifier is networks.fid:  # a classifier of its own has this value from 02_classifier
        p = probabilities(networks.classifier, for_fid[test], unseen_classes(store, networks.classifier))
        rows += inception_rows(p, len(test), settings.eval_splits, " real")
    of_generated = store.caption_image[store.caption_ids_of("test")]  # the real image of each generated one
    gallery = labels[of_generated]
    value = 100 * chance_mean_average_precision(labels[test], gallery)
    rows.append({"metric": "mAP chance", "value": value, "n": len(gallery)})
    rows += chance_recall_rows((of_generated, test), (gallery, labels[test]))
    for name, distance in distances.items():
        rows.append({"metric": f"{name} training", "value": distance(for_fid[train], for_fid[test]), "n": len(train)})
    if len(answers := nearest_answers(store)):
        pairs = ((x[answers], x[test]) for x in (features, for_fid))
        scores_of = image_scores(next(pairs), (gallery, labels[test]), next(pairs))
        rows += [{**row, "metric": f"{row['metric']} nearest"} for row in scores_of]
    for name, (uniform, constant, count) in attribute_guesses(store).items():
        rows.append({"metric": f"{name} chance", "value": constant, "n": count})
        rows.append({"metric": f"{name} uniform", "value": uniform, "n": count})
    return [{**row, "split": "test"} for row in rows]


def nearest_answers(store: Store) -> np.ndarray:
    """For each test caption an image of a training class that is nearest in attributes to its own class, [N].

    Classes that are equally near take turns by a seeded draw. Empty for a data set without attributes.
    """
    nearest, rng, train = nearest_classes(store), np.random.default_rng(0), store.image_ids_of("train")
    by_class = {label: train[store.image_class[train] == label] for label in np.unique(store.image_class[train])}
    labels = store.image_class[store.caption_image[store.caption_ids_of("test")]]
    chosen = [by_class[rng.choice(nearest[label][0])] for label in labels] if nearest else []
    return np.array([rng.choice(image_ids) for image_ids in chosen], int)


def random_halves(image_ids: np.ndarray, count: int = HALVINGS) -> list[tuple[np.ndarray, np.ndarray]]:
    """`count` random divisions of N images in two of N // 2, seeded, without regard to their classes.

    Halves that hold every class equally often are more alike than two samples of one distribution: KID, which is
    unbiased, would lie below 0.
    """
    rng, half = np.random.default_rng(0), len(image_ids) // 2
    orders = (rng.permutation(image_ids) for _ in range(count))
    return [(order[:half], order[half : 2 * half]) for order in orders]
