"""The spread over seeds: interquartile mean with a bootstrap interval (Agarwal et al. 2021), beside the mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from s2igan.reporting.tables import DIGITS, values_of

RESAMPLES = 2000


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half of values [..., n]: of a value that the quarter's edge divides, its share counts."""
    n = values.shape[-1]
    edges = np.clip(np.arange(n + 1), n / 4, 3 * n / 4)
    return np.sort(values, axis=-1) @ np.diff(edges) / (n / 2)


def bootstrap(values: np.ndarray) -> tuple[float, float]:
    """95 % percentile interval of the interquartile mean of n seeds, over seeded resamples; nan for a single seed.

    With three seeds it cannot be wider than from the lowest to the highest: narrower than Student's interval.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).choice(values, (RESAMPLES, len(values)))
    low, high = np.quantile(interquartile_mean(drawn), (0.025, 0.975))
    return float(low), float(high)


def spread_table(table: pd.DataFrame, systems: Sequence[str], metrics: Sequence[str] = ("mAP", "FID")) -> pd.DataFrame:
    """Mean, interquartile mean and its bootstrap interval over seeds: a row a data set, metric and system."""
    rows = []
    for dataset in dict.fromkeys(table.dataset):
        for metric in metrics:
            for system in systems:
                values = values_of(table, dataset, system, metric).to_numpy()
                if len(values):
                    low, high = bootstrap(values)
                    numbers = values.mean(), float(interquartile_mean(values))
                    mean, middle = (f"{number:.{DIGITS.get(metric, 2)}f}" for number in numbers)
                    between = f"{low:.2f} to {high:.2f}" if len(values) > 1 else "one seed"
                    rows.append((dataset, metric, system, len(values), mean, middle, between))
    columns = ["data set", "metric", "system", "seeds", "mean", "interquartile mean", "95 % bootstrap"]
    return pd.DataFrame(rows, columns=columns).set_index("data set")
