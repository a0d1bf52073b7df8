"""The paper's claims against what was seen over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from s2igan.reporting.tables import BETTER, PUBLISHED, values_of

# What the paper reports of each part: the metrics in which S2IGAN is ahead of the system without it, wherever both are given.
CLAIMS = {
    "S2IGAN w/o Dense": ("mAP", "FID"), "S2IGAN w/o RS": ("mAP", "FID"), "S2IGAN w/o SEN": ("mAP", "FID", "IS"),
    "S2IGAN end-to-end": ("mAP", "FID"), "S2IGAN w/o L_d": ("SEN mAP", "mAP", "FID", "IS"), "StackGAN-v2 (S2IG)": ("FID", "IS"),
}  # fmt: skip


def compare_claims(table: pd.DataFrame) -> pd.DataFrame:
    """Each claim of the paper against what was seen: a row a data set, ablation and metric.

    Columns: what the paper reports (S2IGAN minus the ablation, CUB / Oxford-102), the paired difference over seeds here with its 95 %
    interval (Student's t), the number of seeds, and the verdict: `shows` where the interval lies on the claimed side of 0, `does not
    show` where it lies on the other side, `cannot be told` where it holds 0 or there are fewer than two seeds.
    """
    rows = []
    for dataset in dict.fromkeys(table.dataset):
        for system, metrics in CLAIMS.items():
            for metric in metrics:
                ours, other = (values_of(table, dataset, name, metric) for name in ("S2IGAN", system))
                difference = (ours - other).dropna()
                if difference.empty:
                    continue
                mean, low, high = interval(difference.to_numpy())
                rows.append({
                    "data set": dataset, "without": system, "metric": metric,
                    "paper (CUB / Oxford-102)": _published_difference(system, metric),
                    "here": f"{mean:+.2f}",
                    "95 % interval": f"{low:+.2f} to {high:+.2f}" if np.isfinite(low) else "one seed",
                    "seeds": len(difference), "verdict": conclusion(low, high, BETTER[metric]),
                })  # fmt: skip
    return pd.DataFrame(rows)


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """Mean of paired differences and its 95 % interval by Student's t; infinitely wide for one pair."""
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return mean, -np.inf, np.inf
    half = float(stats.t.ppf(0.975, len(differences) - 1) * np.std(differences, ddof=1) / np.sqrt(len(differences)))
    return mean, mean - half, mean + half


def conclusion(low: float, high: float, better: int) -> str:
    """`low` to `high`: interval of S2IGAN minus the ablation; `better` 1 where higher is better, else -1."""
    low, high = (low, high) if better > 0 else (-high, -low)
    return "shows" if low > 0 else "does not show" if high < 0 else "cannot be told"


def _published_difference(system: str, metric: str) -> str:
    with_it = "S2IGAN w/ L_d" if system == "S2IGAN w/o L_d" else "S2IGAN"
    parts = []
    for dataset in ("CUB", "Oxford-102"):
        ours, other = (PUBLISHED[name].get(dataset, {}).get(metric, "") for name in (with_it, system))
        parts.append(f"{float(ours.split()[0]) - float(other.split()[0]):+.2f}" if ours and other else "-")
    return " / ".join(parts)
