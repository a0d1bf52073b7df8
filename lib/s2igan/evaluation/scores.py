"""Metrics of images against real images."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from s2igan.metrics import frechet_distance, inception_score, kernel_distance, mean_average_precision

Pair = tuple[Any, Any]  # of the scored images, and of the real ones


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
