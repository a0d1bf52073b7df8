"""The out-of-distribution score: how far a sentence lies from the training captions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

THRESHOLD_PERCENTILE = (
    99.0  # of the held-out captions' scores: a sentence with a higher score counts as out of distribution
)
SHRINKAGE = 0.1  # of the correlation matrix towards the identity


@dataclass(frozen=True)
class OutOfDistribution:
    """The inverse correlation matrix of the training captions, and the scores of held-out captions."""

    inverse: Tensor  # of the shrunk correlation matrix of the training captions' speech embeddings, [D, D]
    scores: Tensor  # of the validation captions, ascending, [V]

    def score(self, x: Tensor) -> Tensor:
        """Mahalanobis distance of standardised speech embeddings x [N, D] from the training captions, [N]: sqrt(x^T
        R^-1 x / D) with their correlation matrix R; about 1 over the training captions."""
        return ((x @ self.inverse * x).sum(1) / x.shape[1]).clamp_min(0).sqrt()

    def percentile(self, score: float) -> float:
        """Percentage of the validation captions with a lower score."""
        return 100 * float((self.scores < score).float().mean())

    @property
    def threshold(self) -> float:
        """The score above which a sentence counts as out of distribution: the validation score at
        `THRESHOLD_PERCENTILE`."""
        return float(torch.quantile(self.scores, THRESHOLD_PERCENTILE / 100, interpolation="higher"))


def fit_out_of_distribution(x: Tensor, train: np.ndarray, validation: np.ndarray) -> OutOfDistribution:
    """Fits R to a store's speech embeddings [M, D], standardised over the training captions; `train`, `validation`:
    caption ids.

    R is shrunk, (1 - s) R + s I: otherwise its smallest eigenvalues, which are noise, would dominate the inverse.
    Without validation captions the scores are those of the training captions.
    """
    training = x[torch.as_tensor(train)]
    r = training.T @ training / len(training)
    inverse = torch.linalg.inv((1 - SHRINKAGE) * r + SHRINKAGE * torch.eye(len(r)))
    held_out = x[torch.as_tensor(validation)] if len(validation) else training
    return OutOfDistribution(inverse, OutOfDistribution(inverse, torch.zeros(1)).score(held_out).sort().values)
