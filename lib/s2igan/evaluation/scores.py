"""Metrics of images against real images."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from s2igan.metrics import frechet_distance, inception_score, kernel_distance, mean_average_precision

Pair = tuple[Any, Any]  # of the scored images, and of the real ones


def image_scores(
    retrieval: Pair, labels: Pair, fid: Pair, p: Tensor | None, splits: int, suffix: str = "", kid: bool = True
) -> list[dict[str, Any]]:
    """mAP (percent), FID, KID and IS of N images against M real ones. In mAP the real images are the queries.

    Args:
        retrieval: features for mAP of the scored and of the real images, [N, D] and [M, D].
        labels: their classes, [N] and [M].
        fid: their features for FID and KID, [N, D'] and [M, D'].
        p: class probabilities of the scored images, [N, C]; None leaves IS out.
        splits: of the Inception Score.
        suffix: added to each metric's name. kid: False leaves KID out.
    Returns: rows {metric, value, n, split}.
    """
    (scored, real), (scored_labels, real_labels) = retrieval, labels
    values = {
        "mAP": 100 * mean_average_precision(real, real_labels, scored, scored_labels),
        "FID": frechet_distance(*fid),
    }
    if kid:
        values["KID"] = kernel_distance(*fid)
    if p is not None:
        # IS's splits are runs of rows: shuffled, or each would hold the few classes that stand together in the files.
        order = np.random.default_rng(0).permutation(len(p))
        values["IS"], values["IS_std"] = inception_score(p[order], min(splits, len(p)))
    return [
        {"metric": name + suffix, "value": value, "n": len(scored), "split": "test"} for name, value in values.items()
    ]
