"""Metrics of images against real images."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from s2igan.metrics import (
    chance_recall_at,
    frechet_distance,
    inception_score,
    kernel_distance,
    mean_average_precision,
    nearest_rows,
    precision_recall_density_coverage,
    recall_at,
)

Pair = tuple[Any, Any]  # of the scored images, and of the real ones
RANKS = (1, 5, 10, 50)  # of instance retrieval, R@k
NEIGHBOURS = 5  # of precision, recall, density and coverage
NEAREST = 10  # pairs that are kept to be shown
FEWEST = 50  # images that FID is computed of, to show how it falls with their number


def image_scores(retrieval: Pair, labels: Pair, fid: Pair, kid: bool = True) -> list[dict[str, Any]]:
    """mAP (percent), FID and KID of N images against M real ones. In mAP the real images are the queries.

    Args:
        retrieval: features for mAP of the scored and of the real images, [N, D] and [M, D].
        labels: their classes, [N] and [M].
        fid: their features for FID and KID, [N, D'] and [M, D'].
        kid: False leaves KID out.
    Returns: rows {metric, value, n, split}.
    """
    (scored, real), (scored_labels, real_labels) = retrieval, labels
    values = {
        "mAP": 100 * mean_average_precision(real, real_labels, scored, scored_labels),
        "FID": frechet_distance(*fid),
    }
    if kid:
        values["KID"] = kernel_distance(*fid)
    return [{"metric": name, "value": value, "n": len(scored), "split": "test"} for name, value in values.items()]


def fid_by_number(halves: list[Pair], suffix: str = "") -> list[dict[str, Any]]:
    """`FID of <n>`: what FID is of n images against n others, for n = 50, 100, 200, ... as far as there are so many.

    FID falls as n grows, even where both sets are of one distribution: values of other numbers of images cannot be
    compared.

    Args: halves: features of both sets, [N, D] and [M, D], in random order; the mean over several pairs is taken.
    Returns: rows {metric, value, n}.
    """
    most, rows, n = min(map(len, halves[0])), [], FEWEST
    while n <= most:
        value = float(np.mean([frechet_distance(a[:n], b[:n]) for a, b in halves]))
        rows.append({"metric": f"FID of {n}{suffix}", "value": value, "n": n})
        n *= 2
    return rows


def inception_rows(p: Tensor, count: int, splits: int, suffix: str = "") -> list[dict[str, Any]]:
    """The Inception Score of `count` images drawn at random (seeded) from N, and its std over the splits.

    The score grows with the number of images in a split, even for a perfect classifier, so two scores can be compared
    only where `per_split` is the same.

    Args: p: class probabilities, [N, C]. count: at most N. suffix: added to the metric's name.
    Returns: rows {metric, value, n, split, per_split}, of `IS` and `IS_std`.
    """
    # IS's splits are runs of rows: shuffled, or each would hold the few classes that stand together in the files.
    chosen = np.random.default_rng(0).permutation(len(p))[:count]
    splits = min(splits, len(chosen))
    about = {"n": len(chosen), "split": "test", "per_split": len(chosen) // splits}
    values = zip(("IS", "IS_std"), inception_score(p[chosen], splits), strict=True)
    return [{"metric": name + suffix, "value": value, **about} for name, value in values]


def recall_rows(retrieval: Pair, image_ids: Pair) -> list[dict[str, Any]]:
    """Instance retrieval R@k in percent: a real image finds an image generated from one of its own captions.

    Args: retrieval: features of the generated and of the real images, [N, D] and [M, D]. image_ids: the real image of
        each, [N] and [M].
    Returns: rows {metric, value, n}, n the number of queries.
    """
    (generated, real), (of_generated, of_real) = retrieval, image_ids
    found = recall_at(real, of_real, generated, of_generated, RANKS)
    return [{"metric": f"R@{k}", "value": 100 * value, "n": len(of_real)} for k, value in found.items()]


def chance_recall_rows(image_ids: Pair, labels: Pair) -> list[dict[str, Any]]:
    """What R@k is by a random ranking, exact, ` chance`; and by one that knows the class and nothing else, ` class`.

    Args: as of `recall_rows`, with the classes of the images.
    """
    (of_generated, of_real), (generated_labels, real_labels) = image_ids, labels
    chance = chance_recall_at(of_real, of_generated, RANKS)
    rows = [{"metric": f"R@{k} chance", "value": 100 * value, "n": len(of_real)} for k, value in chance.items()]
    classes = np.intersect1d(generated_labels, real_labels)
    in_class = [(of_real[real_labels == label], of_generated[generated_labels == label]) for label in classes]
    weights = [len(queries) for queries, _ in in_class]
    each = [chance_recall_at(queries, gallery, RANKS) for queries, gallery in in_class]
    for k in RANKS:
        value = 100 * float(np.average([found[k] for found in each], weights=weights))
        rows.append({"metric": f"R@{k} class", "value": value, "n": len(of_real)})
    return rows


def neighbour_scores(generated: Tensor, real: Tensor) -> dict[str, float]:
    """Precision, recall, density and coverage in percent, of equal numbers of images: of the larger set as many as the
    smaller one has, drawn at random (seeded)."""
    count = min(len(generated), len(real))
    generated, real = (
        x[np.random.default_rng(0).permutation(len(x))[:count]] if len(x) > count else x for x in (generated, real)
    )
    found = precision_recall_density_coverage(real, generated, min(NEIGHBOURS, count - 1))
    return {name: 100 * value for name, value in found.items()}


def memory_row(features: Tensor, training: Tensor, suffix: str = "") -> dict[str, Any]:
    """`training distance`: the mean distance of N images to their nearest training image, in features.

    Copies of training images would lie nearer than new images, the real ones of unseen classes, do.

    Args: features: [N, D]; training: of all training images, [M, D].
    Returns: a row {metric, value, n, nearest}, the last of which are the nearest pairs: the number of the image among
        the N, the number of the training image among the M, and their distance.
    """
    distances, rows = nearest_rows(features, training)
    order = np.argsort(distances, kind="stable")[:NEAREST]
    pairs = [[int(k), int(rows[k]), float(distances[k])] for k in order]
    return {
        "metric": f"training distance{suffix}", "value": float(distances.mean()), "n": len(distances), "nearest": pairs,
    }  # fmt: skip
