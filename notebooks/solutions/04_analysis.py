"""Solutions to the exercises of 04_analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from s2igan import metrics


def interval_over_queries(
    queries: Tensor,
    query_labels: np.ndarray,
    gallery: Tensor,
    gallery_labels: np.ndarray,
    draws: int = 1000,
) -> tuple[float, float, float]:
    """1. How much does mAP depend on which images ask?

    A 95 % bootstrap interval: mAP over queries that are drawn again with
    replacement. It covers other questions to the same networks. It does not
    cover other trainings: 05_tables does this, with several seeds.
    """
    single = 100 * np.array([
        metrics.mean_average_precision(
            query[None], [label], gallery, gallery_labels
        )
        for query, label in zip(queries, query_labels, strict=True)
    ])
    rng = np.random.default_rng(0)
    means = single[rng.integers(0, len(single), (draws, len(single)))].mean(1)
    return float(single.mean()), *map(float, np.percentile(means, [2.5, 97.5]))


def distance_by_number(
    features: Tensor, counts: tuple[int, ...] = (25, 50, 100, 200)
) -> pd.DataFrame:
    """2. How do FID and KID depend on the number of images?

    Two halves of the same real images should have a distance of 0. FID is far
    above 0 when the images are few, and falls about as one in their number.
    KID is unbiased and stays about 0. So never compare FIDs of different
    numbers of images.
    """
    random = torch.Generator().manual_seed(0)
    order, rows = torch.randperm(len(features), generator=random), []
    for count in counts:
        if 2 * count <= len(features):
            a = features[order[:count]]
            b = features[order[count : 2 * count]]
            fid = metrics.frechet_distance(a, b)
            kid = metrics.kernel_distance(a, b)
            rows.append({"images": count, "FID": fid, "KID": kid})
    return pd.DataFrame(rows).set_index("images")


def score_by_order(
    probabilities: Tensor, labels: np.ndarray, splits: int = 10
) -> tuple[float, float]:
    """3. What is the Inception Score by class, and in random order?

    In file order a split holds few classes, so its images look alike to the
    classifier and the score is lower. The order is to blame, not the images.
    """
    by_class = np.argsort(labels, kind="stable")
    shuffled = np.random.default_rng(0).permutation(len(labels))
    orders = [torch.as_tensor(order) for order in (by_class, shuffled)]
    return tuple(
        metrics.inception_score(probabilities[order], splits)[0]
        for order in orders
    )


def euclidean_map(
    queries: Tensor,
    query_labels: np.ndarray,
    gallery: Tensor,
    gallery_labels: np.ndarray,
) -> float:
    """4. (a change in the code) mAP by Euclidean distance, from 0 to 1.

    |q - g|^2 = |q|^2 + |g|^2 - 2 |q| |g| cos. For vectors of one length, such
    as SEN's, the order is that of the cosine. Other features have different
    lengths: a long vector is far from everything, whatever its direction, and
    comes last.

    Args: queries: [Q, D]. gallery: [G, D].
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
    from s2igan.evaluation.finished import open_run
    from s2igan.evaluation.generate import generate

    study = open_study()
    store, features = study.store, study.features["evaluator"]
    caption_ids = store.caption_ids_of("test")
    image_ids = store.image_ids_of("test")
    labels = store.image_class[store.caption_image[caption_ids]]
    run = open_run(study.folder / "rdg-s2igan-seed0")
    size = study.settings.data_image_size
    embeddings = run.speech_embeddings()[caption_ids]
    gallery = torch.cat([
        extract(study.evaluator, images, size)
        for images in generate(study.generator, embeddings)
    ])
    given = features[image_ids], store.image_class[image_ids], gallery, labels
    mean, low, high = interval_over_queries(*given)
    print(f"mAP {mean:.2f}, 95 % of draws between {low:.2f} and {high:.2f}\n")
    print(distance_by_number(features[image_ids]).round(3), end="\n\n")
    guesses = probabilities(study.evaluator, gallery)
    by_class, shuffled = score_by_order(guesses, labels)
    print(f"Inception Score by class {by_class:.2f}, ", end="")
    print(f"in random order {shuffled:.2f}\n")
    print(f"mAP by cosine {mean:.2f}, ", end="")
    print(f"by Euclidean distance {100 * euclidean_map(*given):.2f}")
