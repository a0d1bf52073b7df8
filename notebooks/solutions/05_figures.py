"""Solutions to the exercises of 05_tables_and_figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from scipy import stats
from torch import Tensor, nn

from s2igan.config import Settings, run_dir
from s2igan.data.files import project_root
from s2igan.data.store import Store, attribute_targets
from s2igan.evaluation.attributes import attributes_seen
from s2igan.evaluation.feature_networks import extract
from s2igan.evaluation.finished import open_run
from s2igan.evaluation.generate import generate
from s2igan.rdg import Generator
from s2igan.reporting import comparisons, plots, tables
from s2igan.reporting.one_word import one_word_changed


def paired_or_not(ours: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """1. What does pairing by seed buy? Half-widths of the 95 % interval of the mean difference, paired and not. Two systems with one
    seed share SEN and batches: what is common to both falls out of their difference, which narrows the interval where that is much. But
    n pairs leave n - 1 degrees of freedom, not 2 n - 2: with three seeds t is 4.30 and not 2.78, and pairing may well cost more than it
    buys. It stays right either way; to drop it because the other interval is narrower would not be."""
    paired = np.subtract(*comparisons.interval(ours - other)[2:0:-1]) / 2
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
    settings: Settings, store: Store, generator: Generator, encode: Callable, evaluator: nn.Module, attribute: str = "colour"
) -> pd.DataFrame:
    """3. Which values are taken for which? For each said value of an attribute the share of images in which each value is seen, in
    percent."""
    changed, mels = one_word_changed(store, settings)
    part = changed[changed.attribute == attribute]
    heard = encode(list(part.text), [mels[i] for i in part.index])
    made = np.concatenate(list(generate(generator, heard, same_noise=True)))
    seen = attributes_seen(evaluator, extract(evaluator, made, settings.data_image_size))[attribute]
    values = attribute_targets(store)[0][attribute]
    table = pd.crosstab(part.value.to_numpy(), np.array(values)[seen], normalize="index") * 100
    return table.reindex(columns=values, fill_value=0.0).rename_axis(index="said", columns="seen")


def between_sentences(a: Tensor, b: Tensor, count: int = 7) -> Tensor:
    """4. (a change in the code) Unit vectors on the way from that of one sentence to that of another, [count, D].

    They must be brought back to length one: a mean of two unit vectors is shorter than both, and the generator has never seen such. Then
    they are standardised like any other (02 keeps mean and deviation).
    """
    return F.normalize(torch.stack([torch.lerp(a, b, share) for share in torch.linspace(0, 1, count).tolist()]), dim=1)


if __name__ == "__main__":
    from finished import open_study

    study = open_study()
    encode = open_run(study.folder / "rdg-s2igan-seed0").caption_encoder()
    kept = pd.read_csv(project_root() / "results" / "reference" / "metrics.csv")
    ours, other = (tables.values_of(kept, "mini-flowers", system, "mAP").to_numpy() for system in ("S2IGAN", "S2IGAN w/o Dense"))
    if len(ours) > 1:
        print("S2IGAN minus w/o Dense, half-widths: paired {:.2f}, not {:.2f}".format(*paired_or_not(ours, other)))
        print("seeds that tell 2 points:", seeds_needed(float((ours - other).std(ddof=1)), 2.0), end="\n\n")
    print(confused_values(study.settings, study.store, study.generator, encode, study.evaluator).round(0).astype(int), end="\n\n")
    kept = load_file(run_dir(study.settings, "sen", "SEN", root=project_root()) / "embeddings.safetensors")
    first, last = study.store.caption_ids_of("test")[[0, -1]]
    way = (between_sentences(kept["speech"][first], kept["speech"][last]) - kept["mean"]) / kept["std"]
    pixels = np.concatenate(list(generate(study.generator, way, same_noise=True)))
    sheet = plots.contact_sheet([list(pixels)], title=f"From “{study.store.caption_text[first]}” to “{study.store.caption_text[last]}”")
    plots.save(sheet, study.folder / "between", vector=False)
    print("drawn:", study.folder / "between.png")
