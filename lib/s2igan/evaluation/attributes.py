"""Visible attributes in images, as the evaluator sees them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from s2igan.data.store import Store, attribute_targets


@torch.no_grad()
def attributes_seen(evaluator: nn.Module, features: Tensor) -> dict[str, np.ndarray]:
    """For each visible attribute the number of the value that the evaluator sees in each image.

    Args: features: the evaluator's features of the images, [N, D].
    Returns: {name: [N]}; {} for networks that know no attributes, such as Inception-v3.
    """
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
