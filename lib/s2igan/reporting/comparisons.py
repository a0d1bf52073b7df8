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
    """Mean of the paired differences of two systems, its 95 % interval, the number of pairs, the conclusion from the
    interval, and the p-value of a difference of 0."""

    mean: float
    low: float
    high: float
    seeds: int
    conclusion: str
    p: float


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean of paired differences [n] and its 95 % interval by Student's t; infinitely wide for one pair."""
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return mean, -np.inf, np.inf
    if np.ptp(differences) == 0:  # scipy warns of a spread of 0
        return mean, mean, mean
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    return mean, float(low), float(high)


def p_value(differences: np.ndarray) -> float:
    """Two-sided p-value of the paired t-test over seeds: differences [n] of mean 0. It is below 0.05 where the 95 %
    interval leaves 0 out. nan for one pair; 0 where all differences are equal and not 0."""
    if len(differences) < 2:
        return float("nan")
    if np.ptp(differences) == 0:
        return float(differences[0] == 0)
    return float(stats.ttest_1samp(differences, 0).pvalue)


def holm(p_values: Iterable[float]) -> np.ndarray:
    """Holm's (1979) adjusted p-values of n tests: those below 0.05 are wrong about any one in at most 5 % of studies.

    The k-th smallest is multiplied by n - k + 1; none is smaller than the one before it, or larger than 1. A nan, of a
    comparison without a p-value, stays nan and is not counted.
    """
    p = np.asarray(list(p_values), float)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # nan come last
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


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
    values = difference.to_numpy()
    mean, low, high = interval(values)
    return Comparison(mean, low, high, len(values), conclusion(low, high, BETTER[metric]), p_value(values))


def comparison_row(found: Comparison, adjusted: float) -> dict[str, Any]:
    """The cells of a comparison, by column. `adjusted`: its p-value after Holm's correction.

    `after Holm` is the conclusion where that is below 0.05, else `inconclusive`.
    """
    one = not np.isfinite(found.low)
    return {
        "here": f"{found.mean:+.2f}",
        "95 % interval": "one seed" if one else f"{found.low:+.2f} to {found.high:+.2f}",
        "seeds": found.seeds,
        "conclusion": found.conclusion,
        "p": "" if one else f"{found.p:.4f}",
        "p (Holm)": "" if one else f"{adjusted:.3f}",
        "after Holm": found.conclusion if adjusted < 0.05 else "inconclusive",
    }


def _compared(found: list[tuple[dict[str, Any], Comparison]]) -> pd.DataFrame:
    """A row a comparison: what it is about, and its cells, corrected for the number of all of them."""
    adjusted = holm(comparison.p for _, comparison in found)
    return pd.DataFrame([about | comparison_row(of, p) for (about, of), p in zip(found, adjusted, strict=True)])


def compare_with(
    table: pd.DataFrame, others: Iterable[str], ours: str = "S2IGAN", metrics: Iterable[str] = ("mAP", "FID", "IS")
) -> pd.DataFrame:
    """`ours` compared with any other systems: a row a data set, system and metric, where they share a seed."""
    return _compared([
        ({"data set": dataset, f"{ours} minus": other, "metric": metric}, found)
        for dataset in dict.fromkeys(table.dataset) for other in others for metric in metrics
        if (found := compare(table, dataset, ours, other, metric))
    ])  # fmt: skip


def compare_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Each claim of the paper and what was measured: a row a data set, system and metric.

    Columns: the difference that the paper reports (S2IGAN minus the other, CUB / Oxford-102); the mean difference over
    seeds here, its 95 % interval, the number of seeds, the `conclusion` for the claim that S2IGAN is better, the
    p-value, and both after Holm's correction for all comparisons of the table.
    """
    rows = []
    for dataset in dict.fromkeys(table.dataset):
        for other, metrics in CLAIMS.items():
            for metric in metrics:
                if found := compare(table, dataset, "S2IGAN", other, metric):
                    about = {"data set": dataset, "S2IGAN minus": other, "metric": metric}
                    about["paper (CUB / Oxford-102)"] = _published_difference(other, metric)
                    rows.append((about, found))
    return _compared(rows)


def _published_difference(system: str, metric: str) -> str:
    with_it = "S2IGAN w/ L_d" if system == "S2IGAN w/o L_d" else "S2IGAN"
    parts = []
    for dataset in ("CUB", "Oxford-102"):
        ours, other = (PUBLISHED[name].get(dataset, {}).get(metric, "") for name in (with_it, system))
        parts.append(f"{float(ours.split()[0]) - float(other.split()[0]):+.2f}" if ours and other else "-")
    return " / ".join(parts)
