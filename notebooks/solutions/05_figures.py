"""Solutions to the exercises of 05_figures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan.config import Settings
from s2igan.data.store import Store, attribute_targets
from s2igan.evaluation.attributes import attributes_seen
from s2igan.evaluation.feature_networks import extract
from s2igan.evaluation.finished import open_run
from s2igan.evaluation.generate import generate
from s2igan.rdg import Generator
from s2igan.reporting import plots
from s2igan.reporting.one_word import one_word_changed


def confused_values(
    settings: Settings,
    store: Store,
    generator: Generator,
    encode: Callable,
    evaluator: nn.Module,
    attribute: str = "colour",
) -> pd.DataFrame:
    """1. Which values are confused?

    For each value that is said, the share of images, in percent, in which the
    evaluator sees each value. The diagonal is right; look at what is large
    beside it.
    """
    changed, mels = one_word_changed(store, settings)
    part = changed[changed.attribute == attribute]
    speech_embedding = encode(list(part.text), [mels[i] for i in part.index])
    images = np.concatenate(
        list(generate(generator, speech_embedding, same_noise=True))
    )
    features = extract(evaluator, images, settings.data_image_size)
    seen = attributes_seen(evaluator, features)[attribute]
    values = attribute_targets(store)[0][attribute]
    table = 100 * pd.crosstab(
        part.value.to_numpy(), np.array(values)[seen], normalize="index"
    )
    table = table.reindex(columns=values, fill_value=0.0)
    return table.rename_axis(index="said", columns="seen")


def between_sentences(a: Tensor, b: Tensor, count: int = 7) -> Tensor:
    """2. (a change in the code) From one sentence to another.

    Unit vectors on the way from embedding a to embedding b, [count, D]. They
    must be scaled to length one again: the mean of two unit vectors is shorter
    than both, and the generator never saw such a vector. Then they are
    standardised like all others; 02_sen keeps the mean and the standard
    deviation.
    """
    shares = torch.linspace(0, 1, count).tolist()
    way = [torch.lerp(a, b, share) for share in shares]
    return F.normalize(torch.stack(way), dim=1)


if __name__ == "__main__":
    from finished import open_study

    study = open_study()
    store, run = study.store, open_run(study.folder / "rdg-s2igan-seed0")
    table = confused_values(
        study.settings,
        store,
        study.generator,
        run.caption_encoder(),
        study.evaluator,
    )
    print(table.round(0).astype(int), end="\n\n")
    kept = run.beside("sen", "SEN").tensors("embeddings")
    first, last = store.caption_ids_of("test")[[0, -1]]
    way = between_sentences(kept["speech"][first], kept["speech"][last])
    way = (way - kept["mean"]) / kept["std"]
    images = next(generate(study.generator, way, same_noise=True))
    texts = [store.caption_text[i] for i in (first, last)]
    title = f"From “{texts[0]}”\nto “{texts[1]}”"
    sheet = plots.contact_sheet([list(images)], title=title)
    plots.save(sheet, study.folder / "between", vector=False)
    print("written:", study.folder / "between.png")
