"""How much images of one sentence differ, and by which noise; and how much real images differ."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from s2igan.config import Settings
from s2igan.data.batches import centre_crop
from s2igan.data.store import Store
from s2igan.data.synthetic.captions import named_attributes
from s2igan.data.synthetic.sets import SETS
from s2igan.evaluation.evaluator import FeatureNetworks
from s2igan.evaluation.feature_networks import extract
from s2igan.evaluation.generate import draw_noises, generate
from s2igan.metrics import mean_distance
from s2igan.rdg import Generator

SENTENCES, NOISES = 40, 5  # captions of unseen classes, and images of each
FITTING = 50  # real images of a sentence that are compared, at most


def chosen_captions(store: Store, split: str = "test") -> np.ndarray:
    """The captions whose images are compared, at most `SENTENCES`, spread over the split's."""
    caption_ids = store.caption_ids_of(split)
    return caption_ids[np.unique(np.linspace(0, len(caption_ids) - 1, SENTENCES).astype(int))]


def diversity_rows(
    generator: Generator, store: Store, speech_embeddings: Tensor, networks: FeatureNetworks, settings: Settings
) -> list[dict[str, Any]]:
    """How much images of one caption differ.

    Returns: rows {metric, value, n}:
        `diversity`: the mean distance, in the features of FID, of two images of one caption with different noise.
        `change by z`, `change by eps`: by how much a pixel (0 to 255) moves, in the mean, with another z or eps.
    """
    caption_ids = chosen_captions(store)
    said, count = speech_embeddings[caption_ids], len(caption_ids)

    def images(embeddings: Tensor, z: Tensor, eps: Tensor) -> np.ndarray:
        made = generate(generator, embeddings, batch=settings.eval_batch, noises=(z, eps))
        return np.concatenate(list(made))  # (n, s, s, 3)

    z, eps = draw_noises(generator, NOISES * count, settings.seed)
    made = images(said.repeat(NOISES, 1), z, eps)  # the first noise of each caption, then the second, ...
    first, other = slice(count), slice(count, 2 * count)
    base = made[first].astype(float)
    changed = {"z": images(said, z[other], eps[first]), "eps": images(said, z[first], eps[other])}
    device = next(networks.fid.parameters()).device
    features = extract(networks.fid, centre_crop(made, settings.data_image_size).to(device), settings.data_image_size)
    value = mean_distance(features, np.tile(np.arange(count), NOISES))
    rows = [{"metric": "diversity", "value": value, "n": len(made)}]
    for name, pixels in changed.items():
        rows.append({"metric": f"change by {name}", "value": float(np.abs(pixels - base).mean()), "n": count})
    return rows


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
        named = named_attributes(store.dataset, store.caption_text[caption])
        true = [all(store.attributes[name][key] == values[key] for key in named) for name in store.classes]
        image_ids = np.flatnonzero(np.array(true)[store.image_class])
        found.append(np.sort(rng.permutation(image_ids)[:FITTING]))
    return found
