"""Solutions to the exercises of 05_tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from s2igan.files import project_root
from s2igan.reporting import comparisons, tables


def paired_or_not(ours: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """1. What does pairing by seed gain?

    Returns the half-widths of the 95 % interval of the mean difference, paired
    and unpaired. Two systems with the same seed share their SEN and their
    batches. What is common to both cancels in the difference, and a large
    common part makes the paired interval narrower. But n pairs leave n - 1
    degrees of freedom, unpaired systems 2 n - 2: with three seeds t is 4.30
    instead of 2.78, so pairing can also make the interval wider. Choose before
    you look: it is wrong to take whichever interval is narrower.
    """
    _, low, high = comparisons.interval(ours - other)
    n = len(ours)
    error = np.sqrt((ours.var(ddof=1) + other.var(ddof=1)) / n)
    unpaired = stats.t.ppf(0.975, 2 * n - 2) * error
    return (high - low) / 2, float(unpaired)


def seeds_needed(std: float, difference: float, most: int = 1000) -> int:
    """2. How many seeds are needed to tell a difference from zero?

    The fewest n whose half-width t(n - 1) std / sqrt(n) is smaller than the
    difference, if the paired differences keep their standard deviation. With
    this n about half of all repetitions would exclude zero; take more seeds if
    most of them should.
    """
    for n in range(2, most):
        if stats.t.ppf(0.975, n - 1) * std / np.sqrt(n) < difference:
            return n
    return most


if __name__ == "__main__":
    kept = project_root() / "results" / "reference" / "metrics.csv"
    table = pd.read_csv(kept)
    pair = [
        tables.values_of(table, "mini-flowers", system, "mAP")
        for system in ("S2IGAN", "S2IGAN w/o Dense")
    ]
    pair = pd.concat(pair, axis=1, join="inner").to_numpy().T
    paired, unpaired = paired_or_not(*pair)
    print(f"S2IGAN minus w/o Dense on flowers, {pair.shape[1]} seeds:")
    print(f"half-width paired {paired:.2f}, unpaired {unpaired:.2f}")
    std = float((pair[0] - pair[1]).std(ddof=1))
    print(f"seeds that tell 2 points from zero: {seeds_needed(std, 2.0)}")
