"""The feature networks that score generated images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import Settings, run_dir
from s2igan.data.store import Store
from s2igan.evaluation.feature_networks import extract, load_network
from s2igan.training.devices import pick_device


@dataclass(frozen=True)
class FeatureNetworks:
    """The networks that judge images, and their features of the store's real images, centre-cropped, [N, D]."""

    retrieval: nn.Module  # whose features rank images by cosine: mAP
    distance: nn.Module  # whose features FID and KID compare
    classes: nn.Module | None  # whose `classify` gives the Inception Score its probabilities, and `attributes` what is to be seen
    real_retrieval: Tensor
    real_distance: Tensor

    def features(self, images: np.ndarray | Tensor, size: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Features of a batch of images for mAP, for FID and for classes, each network asked once."""
        seen: dict[int, Tensor] = {}
        for network in (self.retrieval, self.distance, self.classes):
            if network is not None and id(network) not in seen:
                seen[id(network)] = extract(network, images, size)
        return seen[id(self.retrieval)], seen[id(self.distance)], seen.get(id(self.classes))


def load_feature_networks(settings: Settings, root: str | Path) -> FeatureNetworks:
    """The judges of a study's data set, from what 01_data (and at preset `paper` 02_classifier) left, on the study's device.

    Raises: BadInput where one of them has not run.
    """
    folder, device = run_dir(settings, "data", root=root), pick_device(settings)
    evaluator = load_network(folder / "evaluator.safetensors").to(device)
    features = load_file(folder / "features.safetensors")
    if settings.data_backbone == "proxy":
        return FeatureNetworks(evaluator, evaluator, evaluator, features["evaluator"], features["evaluator"])
    weights = run_dir(settings, "classifier", root=root) / "weights.safetensors"
    if not weights.is_file():
        raise BadInput(f"{weights} does not exist: run 02_classifier first")
    classifier = load_network(weights).to(device)
    backbone = load_network(folder / "backbone.safetensors").to(device)
    return FeatureNetworks(backbone, evaluator, classifier, features["backbone"], features["evaluator"])


def probabilities(evaluator: nn.Module, features: Tensor, classes: np.ndarray | None = None) -> Tensor:
    """Class probabilities [N, C] from the evaluator's features; over `classes` alone where given (IS asks among the test classes)."""
    with torch.no_grad():
        logits = evaluator.classify(features.to(evaluator.classify.weight.device)).cpu()
    return (logits if classes is None else logits[:, torch.as_tensor(classes)]).softmax(1)


def unseen_classes(store: Store, evaluator: nn.Module) -> np.ndarray | None:
    """The unseen classes, where the evaluator knows the data set's classes; None for ImageNet's."""
    return np.unique(store.image_class[store.image_ids_of("test")]) if evaluator.classify.out_features == len(store.classes) else None
