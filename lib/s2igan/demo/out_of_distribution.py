"""How far a sentence lies from the training descriptions: the out-of-distribution score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

OUTSIDE = 99.0  # percent of the held-out descriptions that lie nearer than a sentence from which on it counts as outside
SHRINKAGE = 0.1  # of the correlations towards none


@dataclass(frozen=True)
class OutOfDistribution:
    """How far a sentence lies from the training descriptions, and how far held-out ones lie."""

    inverse: Tensor  # of the shrunk correlations of the training descriptions' embeddings, [D, D]
    scores: Tensor  # of the validation descriptions, ascending, [V]

    def score(self, x: Tensor) -> Tensor:
        """Mahalanobis distance of standardised embeddings x [N, D] from the training descriptions, [N]: sqrt(x^T R^-1 x / D) with their
        correlations R; about 1 is usual."""
        return ((x @ self.inverse * x).sum(1) / x.shape[1]).clamp_min(0).sqrt()

    def percent(self, score: float) -> float:
        """Of the validation descriptions, the percentage that lies nearer than `score`."""
        return 100 * float((self.scores < score).float().mean())

    @property
    def threshold(self) -> float:
        """The score beyond which a sentence counts as outside: that of a validation description than which `OUTSIDE` percent lie nearer."""
        return float(torch.quantile(self.scores, OUTSIDE / 100, interpolation="higher"))


def fit_out_of_distribution(x: Tensor, train: np.ndarray, validation: np.ndarray) -> OutOfDistribution:
    """From the embeddings of a store's captions, standardised over the training ones, [M, D], and the numbers of those of both splits.

    R is shrunk, (1 - s) R + s I, or its smallest directions, which hold nothing but chance, would count most. Without validation captions
    the training ones stand in.
    """
    training = x[torch.as_tensor(train)]
    r = training.T @ training / len(training)
    novelty = OutOfDistribution(torch.linalg.inv((1 - SHRINKAGE) * r + SHRINKAGE * torch.eye(len(r))), torch.zeros(1))
    held_out = x[torch.as_tensor(validation)] if len(validation) else training
    return OutOfDistribution(novelty.inverse, novelty.score(held_out).sort().values)
