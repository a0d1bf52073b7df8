"""mAP and Inception Score by loops."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor


def mean_average_precision(
    queries: Tensor, query_labels: np.ndarray, gallery: Tensor, gallery_labels: np.ndarray
) -> float:
    """mAP, 0 ..

    1: all cosines [Q, G] at once, then query by query down the whole ranking. AP = mean over positives of k / rank_k.
    """
    similarity = (queries / queries.norm(dim=1, keepdim=True)) @ (gallery / gallery.norm(dim=1, keepdim=True)).T
    values = []
    for row, label in zip(similarity.numpy(), query_labels, strict=True):
        ranked = gallery_labels[np.argsort(-row, kind="stable")]
        found, precision = 0, 0.0
        for rank, answer in enumerate(ranked == label, 1):
            if answer:
                found += 1
                precision += found / rank
        if found:
            values.append(precision / found)
    return sum(values) / len(values)


def inception_score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """exp(mean_x KL(p(y|x) || p(y))) of each split, image by image and class by class: mean and population standard
    deviation.
    """
    n, scores = len(probabilities), []
    for i in range(splits):
        part = probabilities[i * n // splits : (i + 1) * n // splits]
        mean = part.mean(0).tolist()
        total = 0.0
        for row in part.tolist():
            for p, q in zip(row, mean, strict=True):
                if p > 0:
                    total += p * (math.log(p) - math.log(q))
        scores.append(math.exp(total / len(part)))
    return float(np.mean(scores)), float(np.std(scores))
