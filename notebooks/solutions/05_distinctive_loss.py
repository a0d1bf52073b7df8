"""Solutions to the exercises of 05_distinctive_loss."""

from __future__ import annotations

import math

import pandas as pd

from s2igan.files import project_root


def cross_entropy(length: float, classes: int, scale: float = 1.0) -> float:
    """1. What is the cross-entropy of a unit vector along its class's row?

    Its own logit is scale * length, all others are 0, so the cross-entropy is
    ln(1 + (C - 1) exp(-scale * length)).
    """
    return math.log1p((classes - 1) * math.exp(-scale * length))


def length_needed(wanted: float, classes: int, scale: float = 1.0) -> float:
    """1. How long must the rows be for a cross-entropy of `wanted`?

    The formula above, solved for the length. For 342 classes and 1 it is 5.3.
    The rows start at about 0.9 (Xavier-uniform, embeddings of 256 values).
    Perfect embeddings then have 4.94 where a guess has 5.83. With a factor of
    10 on the embeddings 0.53 is enough, less than the rows have at the start.
    """
    return math.log((classes - 1) / math.expm1(wanted)) / scale


def largest_gains(gains: pd.DataFrame) -> pd.Series:
    """2. What does a null result exclude?

    Gains above the upper end of an interval are excluded (at 95 %, and one
    interval at a time). A condition with a wide interval excludes little: its
    null result says that three seeds are too few, not that L_d does nothing.
    """
    return gains.set_index(["data set", "condition"]).high.sort_values()


if __name__ == "__main__":
    for scale in (1.0, 10.0):
        start = cross_entropy(0.9, 342, scale)
        length = length_needed(1.0, 342, scale)
        print(f"scale {scale:g}: rows of length 0.9 give {start:.2f},")
        print(f"  a cross-entropy of 1 needs rows of length {length:.2f}")
    kept = project_root() / "results" / "reference" / "distinctive"
    print(largest_gains(pd.read_csv(kept / "gains.csv")).round(2))
