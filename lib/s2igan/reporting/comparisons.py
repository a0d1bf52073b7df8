"""Two systems compared over their seeds, and the paper's claims as a table of such comparisons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from s2igan.reporting.tables import BETTER, PUBLISHED, values_of

# What the paper claims: the metrics in which S2IGAN is better than another system, wherever it reports both.
CLAIMS = {
    "S2IGAN w/o Dense": ("mAP", "FID"),
    "S2IGAN w/o RS": ("mAP", "FID"),
    "S2IGAN w/o SEN": ("mAP", "FID", "IS"),
    "S2IGAN end-to-end": ("mAP", "FID"),
    "S2IGAN w/o L_d": ("SEN mAP", "mAP", "FID", "IS"),
    "StackGAN-v2 (S2IG)": ("FID", "IS"),
}


class Comparison(NamedTuple):
    """Mean of the paired differences of two systems, its 95 % interval, the number of pairs, and the conclusion."""

    mean: float
    low: float
    high: float
    seeds: int
    conclusion: str


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean of paired differences [n] and its 95 % interval by Student's t; infinitely wide for one pair."""
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return mean, -np.inf, np.inf
    if np.ptp(differences) == 0:  # scipy warns of a spread of 0
        return mean, mean, mean
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    return mean, float(low), float(high)


def conclusion(low: float, high: float, better: int) -> str:
    """Whether the first of two systems is the better one, by the interval of first minus second.

    `supported`: the whole interval is on the better side of 0. `contradicted`: it is all on the other side.
    `inconclusive`: it holds 0.

    Args: better: 1 where higher values are better, -1 where lower ones are.
    """
    low, high = (low, high) if better > 0 else (-high, -low)
    return "supported" if low > 0 else "contradicted" if high < 0 else "inconclusive"


def compare(table: pd.DataFrame, dataset: str, ours: str, other: str, metric: str) -> Comparison | None:
    """`ours` minus `other` in a metric on a data set, paired by seed; None where they share no seed.

    Runs with the same seed share their SEN and their batches.

    Args: table: rows of `collect`.
    """
    first, second = (values_of(table, dataset, name, metric) for name in (ours, other))
    difference = (first - second).dropna()
    if difference.empty:
        return None
    mean, low, high = interval(difference.to_numpy())
    return Comparison(mean, low, high, len(difference), conclusion(low, high, BETTER[metric]))


def comparison_row(found: Comparison) -> dict[str, Any]:
    """The cells of a comparison, by column."""
    spread = f"{found.low:+.2f} to {found.high:+.2f}" if np.isfinite(found.low) else "one seed"
    return {"here": f"{found.mean:+.2f}", "95 % interval": spread, "seeds": found.seeds, "conclusion": found.conclusion}


def compare_with(
    table: pd.DataFrame, others: Iterable[str], ours: str = "S2IGAN", metrics: Iterable[str] = ("mAP", "FID", "IS")
) -> pd.DataFrame:
    """`ours` compared with any other systems: a row a data set, system and metric, where they share a seed."""
    rows = [
        {"data set": dataset, f"{ours} minus": other, "metric": metric, **comparison_row(found)}
        for dataset in dict.fromkeys(table.dataset) for other in others for metric in metrics
        if (found := compare(table, dataset, ours, other, metric))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def compare_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Each claim of the paper and what was measured: a row a data set, system and metric.

    Columns: the difference that the paper reports (S2IGAN minus the other, CUB / Oxford-102); the mean difference over
    seeds here, its 95 % interval, the number of seeds, and the `conclusion` for the claim that S2IGAN is better.
    """
    rows = []
    for dataset in dict.fromkeys(table.dataset):
        for other, metrics in CLAIMS.items():
            for metric in metrics:
                if found := compare(table, dataset, "S2IGAN", other, metric):
                    about = {"data set": dataset, "S2IGAN minus": other, "metric": metric}
                    about["paper (CUB / Oxford-102)"] = _published_difference(other, metric)
                    rows.append(about | comparison_row(found))
    return pd.DataFrame(rows)


def _published_difference(system: str, metric: str) -> str:
    with_it = "S2IGAN w/ L_d" if system == "S2IGAN w/o L_d" else "S2IGAN"
    parts = []
    for dataset in ("CUB", "Oxford-102"):
        ours, other = (PUBLISHED[name].get(dataset, {}).get(metric, "") for name in (with_it, system))
        parts.append(f"{float(ours.split()[0]) - float(other.split()[0]):+.2f}" if ours and other else "-")
    return " / ".join(parts)
