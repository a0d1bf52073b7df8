"""Solutions to the exercises of 05_tables_and_figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor, nn

from s2igan import analysis, evaluate, tables
from s2igan.backbone import attribute_targets, extract
from s2igan.data import Store
from s2igan.rdg import Generator
from s2igan.settings import Settings


def paired_or_not(ours: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """1. What does pairing by seed buy? Half-widths of the 95 % interval of the mean difference, paired and not. Two systems with one
    seed share SEN and batches: what is common to both falls out of their difference, and the paired interval is narrower where that is
    much."""
    paired = np.subtract(*tables.interval(ours - other)[2:0:-1]) / 2
    n = len(ours)
    spread = np.sqrt((ours.var(ddof=1) + other.var(ddof=1)) / n)
    return float(paired), float(stats.t.ppf(0.975, 2 * n - 2) * spread)


def seeds_needed(deviation: float, difference: float, most: int = 1000) -> int:
    """2. How many seeds tell a difference from chance? The fewest n whose 95 % interval, t(n - 1) s / sqrt(n), is narrower than the
    difference on each side, if the paired differences keep their deviation s. (To see it in most repetitions and not in half of them,
    take more.)"""
    for n in range(2, most):
        if stats.t.ppf(0.975, n - 1) * deviation / np.sqrt(n) < difference:
            return n
    return most


def confused_values(
    settings: Settings, store: Store, generator: Generator, listen: Callable, evaluator: nn.Module, attribute: str = "colour"
) -> pd.DataFrame:
    """3. Which values are taken for which? For each said value of an attribute the share of images in which each value is seen, in
    percent."""
    changed, mels = analysis.one_word_changed(store, settings)
    part = changed[changed.attribute == attribute]
    heard = listen(list(part.text), [mels[i] for i in part.index])
    made = np.concatenate(list(evaluate.generate(generator, heard, same_noise=True)))
    seen = evaluate.attributes_seen(evaluator, extract(evaluator, made, settings.data_image_size))[attribute]
    values = attribute_targets(store)[0][attribute]
    table = pd.crosstab(part.value.to_numpy(), np.array(values)[seen], normalize="index") * 100
    return table.reindex(columns=values, fill_value=0.0).rename_axis(index="said", columns="seen")


def between_sentences(heard: Tensor, share: float = 0.5) -> Tensor:
    """4. (a change) Images between two sentences: embeddings on the way from each to the next, `share` of it, [N - 1, D]. They are scaled
    to the length of their ends, since a mean of two vectors is shorter than both and the generator has never seen such."""
    mixed = torch.lerp(heard[:-1], heard[1:], share)
    length = torch.lerp(heard[:-1].norm(dim=1), heard[1:].norm(dim=1), share)
    return mixed * (length / mixed.norm(dim=1))[:, None]


if __name__ == "__main__":
    from finished import open_study

    study = open_study()
    listen = analysis.load_listener(study.folder / "rdg-s2igan-seed0", study.store, analysis.runs.project_root())
    kept = pd.read_csv(analysis.runs.project_root() / "results" / "reference" / "metrics.csv")
    ours, other = (tables.values_of(kept, "mini-flowers", system, "mAP").to_numpy() for system in ("S2IGAN", "S2IGAN w/o Dense"))
    if len(ours) > 1:
        print("S2IGAN minus w/o Dense, half-widths: paired {:.2f}, not {:.2f}".format(*paired_or_not(ours, other)))
        print("seeds that tell 2 points:", seeds_needed(float((ours - other).std(ddof=1)), 2.0), end="\n\n")
    print(confused_values(study.settings, study.store, study.generator, listen, study.evaluator).round(0).astype(int))
