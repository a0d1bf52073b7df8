"""How much real images differ, and which fit a sentence. Without the generator, which 01_data does not use."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from s2igan.data.store import Store
from s2igan.data.synthetic.meaning import named_in
from s2igan.data.synthetic.sets import SETS
from s2igan.metrics import mean_distance

SENTENCES = 40  # captions of unseen classes
FITTING = 50  # real images of a sentence that are compared, at most


def chosen_captions(store: Store, split: str = "test") -> np.ndarray:
    """The captions whose images are compared, at most `SENTENCES`, spread over the split's."""
    caption_ids = store.caption_ids_of(split)
    return caption_ids[np.unique(np.linspace(0, len(caption_ids) - 1, SENTENCES).astype(int))]


def real_diversity_rows(store: Store, features: Tensor) -> list[dict[str, Any]]:
    """How much real images differ, in the same features [N, D] of all images of the store.

    Returns: rows {metric, value, n}: `diversity real`, of two images of one unseen class; on the synthetic sets
        `diversity fitting`, of two images, of any classes, that fit what one of the captions says.
    """
    test = store.image_ids_of("test")
    rows = [
        {"metric": "diversity real", "value": mean_distance(features[test], store.image_class[test]), "n": len(test)}
    ]
    if fitting := fitting_images(store, chosen_captions(store)):
        groups = np.repeat(np.arange(len(fitting)), [len(ids) for ids in fitting])
        value = mean_distance(features[np.concatenate(fitting)], groups)
        rows.append({"metric": "diversity fitting", "value": value, "n": len(groups)})
    return rows


def fitting_images(store: Store, caption_ids: np.ndarray) -> list[np.ndarray]:
    """For each caption of a synthetic set real images of which it is true, at most `FITTING`, drawn by a seed.

    It is true of a class that has the values of its own class in all attributes that it names. [] for other data sets.
    """
    if store.dataset not in SETS:
        return []
    rng, found = np.random.default_rng(0), []
    for caption in caption_ids:
        values = store.attributes[store.classes[store.image_class[store.caption_image[caption]]]]
        named = named_in(store, caption)
        true = [all(store.attributes[name][key] == values[key] for key in named) for name in store.classes]
        image_ids = np.flatnonzero(np.array(true)[store.image_class])
        found.append(np.sort(rng.permutation(image_ids)[:FITTING]))
    return found
