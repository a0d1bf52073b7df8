"""Solutions to the exercises of 07_cost."""

from __future__ import annotations

import pandas as pd

from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS
from s2igan.files import project_root


def longest_chain(hours: pd.Series) -> float:
    """1. With as many GPUs as runs, when are both tables complete?

    A run of RDG waits for its SEN, and SEN for the features; nothing else
    waits. Take the longest features + SEN + RDG, and then the evaluation.

    Args: hours: of one run, by stage.
    """
    before = hours["features of all images"]
    of_sen = {name: before + hours[name] for name in SEN_SYSTEMS}
    ends = [
        of_sen.get(parts["sen"], before) + hours[system]
        for system, parts in RDG_SYSTEMS.items()
        if system in hours
    ]
    return max(ends) + hours["evaluation of all systems"]


def kept_features(gflop: pd.Series) -> float:
    """2. By how much would a step shrink with kept features of real images?

    Three of the four passes through Inception-v3 are of real images and need
    no gradient. The price: a random crop has no kept features, so the real
    images of RS would be seen in a few fixed crops only.

    Args: gflop: of an image, by stage. Returns: a share of S2IGAN's step.
    """
    return 3 * gflop["features of all images"] / gflop["S2IGAN"]


if __name__ == "__main__":
    kept = project_root() / "results" / "reference" / "cost" / "cost.csv"
    table = pd.read_csv(kept)
    ends = " (estimated)", " (scaled)"
    column = next(name for name in table if name.endswith(ends))
    for dataset, rows in table.groupby("dataset", sort=False):
        rows = rows.set_index("stage")
        hours = longest_chain(rows[column] / rows.runs)
        print(f"{dataset}, {column[7:]}: {hours:.1f} hours with a GPU a run")
    share = kept_features(rows["GFLOP an image"])
    print(f"a step of S2IGAN would shrink by {100 * share:.0f} %")
