"""Solutions to the exercises of 04_analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from s2igan import metrics


def interval_over_queries(
    queries: Tensor, query_labels: np.ndarray, gallery: Tensor, gallery_labels: np.ndarray, draws: int = 1000
) -> tuple[float, float, float]:
    """1. How far is mAP an accident of which images ask? A 95 % bootstrap interval: mAP over queries drawn again with repetition.

    It says nothing of other trainings (05 does that over seeds): on the same networks it tells what other questions would have told.
    """
    single = np.array([
        100 * metrics.mean_average_precision(queries[i : i + 1], query_labels[i : i + 1], gallery, gallery_labels)
        for i in range(len(queries))
    ])  # fmt: skip
    rng = np.random.default_rng(0)
    means = single[rng.integers(0, len(single), (draws, len(single)))].mean(1)
    return float(single.mean()), *map(float, np.percentile(means, [2.5, 97.5]))


def distance_by_number(features: Tensor, counts: tuple[int, ...] = (25, 50, 100, 200)) -> pd.DataFrame:
    """2. How do FID and KID depend on the number of images? Two halves of the same real images have distance 0 but for chance: FID is far
    above it where images are few, and falls like one in their number; KID stays about 0, since it is unbiased."""
    order, rows = torch.randperm(len(features), generator=torch.Generator().manual_seed(0)), []
    for count in counts:
        if 2 * count <= len(features):
            a, b = features[order[:count]], features[order[count : 2 * count]]
            rows.append({"images": count, "FID": metrics.frechet_distance(a, b), "KID": metrics.kernel_distance(a, b)})
    return pd.DataFrame(rows).set_index("images")


def score_by_order(probabilities: Tensor, labels: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """3. The released code computes the Inception Score in file order. What is it in the order of the classes, and shuffled?

    A split in file order holds few classes, so its images all look alike to the classifier: the score is lower, for no fault of the images.
    """
    by_class = np.argsort(labels, kind="stable")
    shuffled = np.random.default_rng(0).permutation(len(labels))
    return tuple(metrics.inception_score(probabilities[torch.as_tensor(order)], splits)[0] for order in (by_class, shuffled))


def euclidean_map(queries: Tensor, query_labels: np.ndarray, gallery: Tensor, gallery_labels: np.ndarray) -> float:
    """4. (a change in the code) mAP, 0 .. 1, of a ranking by Euclidean distance, [Q, D] against [G, D].

    |q - g|^2 = |q|^2 + |g|^2 - 2 |q| |g| cos: for vectors of one length, as SEN's, the order is that of the cosine. Features of other
    lengths differ: a long vector is far from everything, whatever its direction, and is ranked last.
    """
    order = torch.cdist(queries, gallery).numpy().argsort(1, kind="stable")
    found = []
    for label, row in zip(query_labels, order, strict=True):
        ranks = np.flatnonzero(gallery_labels[row] == label) + 1
        if len(ranks):
            found.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    return float(np.mean(found))


if __name__ == "__main__":
    from finished import open_study

    from s2igan.evaluation.evaluator import probabilities
    from s2igan.evaluation.feature_networks import extract
    from s2igan.evaluation.generate import generate

    study = open_study()
    store, features = study.store, study.features["evaluator"]
    captions, images = store.caption_ids_of("test"), store.image_ids_of("test")
    labels = store.image_class[store.caption_image[captions]]
    made = generate(study.generator, study.speech[captions])
    made = torch.cat([extract(study.evaluator, pixels, study.settings.data_image_size) for pixels in made])
    mean, low, high = interval_over_queries(features[images], store.image_class[images], made, labels)
    print(f"mAP {mean:.2f}, 95 % of bootstrap draws between {low:.2f} and {high:.2f}\n")
    print(distance_by_number(features[images]).round(3), end="\n\n")
    by_class, shuffled = score_by_order(probabilities(study.evaluator, made), labels)
    print(f"Inception Score by class {by_class:.2f}, shuffled {shuffled:.2f}\n")
    euclidean = 100 * euclidean_map(features[images], store.image_class[images], made, labels)
    print(f"mAP by cosine {mean:.2f}, by Euclidean distance {euclidean:.2f}")
