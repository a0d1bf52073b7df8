"""Visible attributes in images, as the evaluator sees them, and how often guesses about them are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from s2igan.data.store import Store, attribute_targets
from s2igan.data.synthetic.meaning import named_in
from s2igan.data.synthetic.sets import SETS
from s2igan.metrics import check_finite


@torch.no_grad()
def attributes_seen(evaluator: nn.Module, features: Tensor) -> dict[str, np.ndarray]:
    """For each visible attribute the number of the value that the evaluator sees in each image.

    Args: features: the evaluator's features of the images, [N, D].
    Returns: {name: [N]}; {} for networks that know no attributes, such as Inception-v3.
    """
    check_finite(features, "attributes", "features")
    heads = getattr(evaluator, "attributes", {})
    return {name: head(features.to(head.weight.device)).argmax(1).cpu().numpy() for name, head in heads.items()}


def attribute_accuracy(network: nn.Module, store: Store, features: Tensor, split: str) -> dict[str, float]:
    """Share of a split's images in which a proxy network sees the attribute value that their class has.

    Args: features: the network's features of all images of the store, [N, D].
    Returns: {name: 0 to 1}; {} without attributes.
    """
    _, targets = attribute_targets(store)
    image_ids = store.image_ids_of(split)
    labels = store.image_class[image_ids]
    seen = attributes_seen(network, features[image_ids])
    return {name: float((seen[name] == targets[name][labels]).mean()) for name in targets if name in seen}


def attribute_questions(store: Store, caption_ids: np.ndarray) -> dict[str, tuple[str, np.ndarray]]:
    """What is asked about the images of N captions, by the metric's name.

    Returns: {metric: (attribute, whether each caption counts [N])}: `attribute <name>` of all captions; on the
        synthetic sets also `asked <name>`, of those that name the attribute. {} without attributes.
    """
    named = []
    if store.dataset in SETS:
        named = [named_in(store, i) for i in caption_ids]
    found = {}
    for name in attribute_targets(store)[0]:
        found[f"attribute {name}"] = name, np.ones(len(caption_ids), bool)
        asked = np.array([name in names for names in named], bool)
        if asked.any():
            found[f"asked {name}"] = name, asked
    return found


def attribute_rows(store: Store, seen: dict[str, np.ndarray], caption_ids: np.ndarray) -> list[dict[str, Any]]:
    """How often the evaluator sees the class's value of each visible attribute, in percent of the images of N captions.

    Args: seen: the number of the value seen in each image, {attribute: [N]}. caption_ids: [N].
    Returns: a row {metric, value, n} for each of `attribute_questions`.
    """
    _, targets = attribute_targets(store)
    labels = store.image_class[store.caption_image[caption_ids]]
    return [
        {"metric": metric, "value": 100 * float((seen[name] == targets[name][labels])[asked].mean()),
         "n": int(asked.sum())}
        for metric, (name, asked) in attribute_questions(store, caption_ids).items() if name in seen
    ]  # fmt: skip


def attribute_guesses(store: Store, split: str = "test") -> dict[str, tuple[float, float, int]]:
    """How often guesses about the attributes are right over the captions that `attribute_rows` counts, in percent.

    Returns: {metric: (a uniform guess among all values; the constant answer that is right most often; captions)}.
        A system that ignores what is said can reach the second. {} without attributes.
    """
    values, targets = attribute_targets(store)
    caption_ids = store.caption_ids_of(split)
    labels = store.image_class[store.caption_image[caption_ids]]
    found = {}
    for metric, (name, asked) in attribute_questions(store, caption_ids).items():
        counts = np.bincount(targets[name][labels[asked]])
        found[metric] = 100 / len(values[name]), 100 * float(counts.max() / counts.sum()), int(counts.sum())
    return found


def nearest_classes(store: Store) -> dict[int, tuple[list[int], int]]:
    """For each unseen class of a data set with attributes the training classes with the fewest different attributes.

    Returns: {unseen class: (all training classes that are as near as the nearest, how many attributes differ)}, by
        number; {} without attributes.
    """
    if not store.attributes:
        return {}
    values = np.array([list(store.attributes[name].values()) for name in store.classes])  # (classes, attributes)
    split = np.array(store.class_split)
    training, found = np.flatnonzero(split == "train"), {}
    for unseen in np.flatnonzero(split == "test"):
        different = (values[training] != values[unseen]).sum(1)
        found[int(unseen)] = training[different == different.min()].tolist(), int(different.min())
    return found
