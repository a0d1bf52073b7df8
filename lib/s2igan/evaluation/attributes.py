"""Visible attributes in images, as the evaluator sees them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from s2igan.data.store import Store, attribute_targets


@torch.no_grad()
def attribute_accuracy(network: nn.Module, store: Store, features: Tensor, split: str) -> dict[str, float]:
    """Share of a split's images in which a stand-in sees the attribute value that their class has; {} without attributes."""
    _, targets = attribute_targets(store)
    images = store.image_ids_of(split)
    heads = getattr(network, "attributes", {})
    seen = {name: heads[name](features[images].to(heads[name].weight.device)).argmax(1).cpu().numpy() for name in targets if name in heads}
    return {name: float((numbers == targets[name][store.image_class[images]]).mean()) for name, numbers in seen.items()}


@torch.no_grad()
def attributes_seen(evaluator: nn.Module, features: Tensor) -> dict[str, np.ndarray]:
    """For each visible attribute the number of the value that the evaluator sees in each image, {name: [N]}; {} for Inception-v3."""
    heads = getattr(evaluator, "attributes", {})
    return {name: head(features.to(head.weight.device)).argmax(1).cpu().numpy() for name, head in heads.items()}
