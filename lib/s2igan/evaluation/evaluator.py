"""The feature networks that score generated images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import Settings, run_dir, store_dir
from s2igan.data.store import Store, open_store
from s2igan.evaluation.feature_networks import extract, load_network, real_features
from s2igan.training.devices import pick_device


@dataclass(frozen=True)
class FeatureNetworks:
    """The networks that score images, and their features of all real images of the store, centre-cropped, [N, D]."""

    retrieval: nn.Module  # whose features rank images by cosine: mAP
    fid: nn.Module  # whose features FID and KID compare
    classifier: (
        nn.Module | None
    )  # its `classify` gives the Inception Score its probabilities; `attributes`, what is seen
    real_retrieval: Tensor
    real_fid: Tensor

    def features(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Images [B, 3, s, s] in [-1, 1] -> features [B, D] for mAP, FID and classes; each network runs once."""
        seen: dict[int, Tensor] = {}
        for network in (self.retrieval, self.fid, self.classifier):
            if network is not None and id(network) not in seen:
                seen[id(network)] = extract(network, images, images.shape[-1])
        return seen[id(self.retrieval)], seen[id(self.fid)], seen.get(id(self.classifier))


def load_feature_networks(settings: Settings, root: str | Path) -> FeatureNetworks:
    """The feature networks of a study's data set, on its device.

    They are what 01_data left, and at preset `paper` 02_classifier.

    Raises: BadInput where one of them has not run, or what it left is damaged.
    """
    folder, device = run_dir(settings, "data", root=root), pick_device(settings)
    evaluator = load_network(folder / "evaluator.safetensors").to(device)
    names = ("evaluator",) if settings.data_backbone == "proxy" else ("evaluator", "backbone")
    features = real_features(folder, open_store(store_dir(settings, root)), *names)
    if settings.data_backbone == "proxy":
        return FeatureNetworks(evaluator, evaluator, evaluator, features["evaluator"], features["evaluator"])
    weights = run_dir(settings, "classifier", root=root) / "weights.safetensors"
    if not weights.is_file():
        raise BadInput(f"{weights} does not exist: run 02_classifier first")
    classifier = load_network(weights).to(device)
    backbone = load_network(folder / "backbone.safetensors").to(device)
    return FeatureNetworks(backbone, evaluator, classifier, features["backbone"], features["evaluator"])


def probabilities(evaluator: nn.Module, features: Tensor, classes: np.ndarray | None = None) -> Tensor:
    """Class probabilities of images from the evaluator's features [N, D]: [N, C], C classes.

    Args: classes: those among which to choose, where given. IS chooses among the test classes.
    """
    with torch.no_grad():
        logits = evaluator.classify(features.to(evaluator.classify.weight.device)).cpu()
    return (logits if classes is None else logits[:, torch.as_tensor(classes)]).softmax(1)


def unseen_classes(store: Store, evaluator: nn.Module) -> np.ndarray | None:
    """The unseen classes, where the evaluator knows the data set's classes; None for ImageNet's."""
    if evaluator.classify.out_features != len(store.classes):
        return None
    return np.unique(store.image_class[store.image_ids_of("test")])
