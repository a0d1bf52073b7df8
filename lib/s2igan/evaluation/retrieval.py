"""Retrieval of real images by speech: SEN's mAP."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from s2igan.data.store import Store
from s2igan.sen import SEN
from s2igan.training.sen import retrieval_map, validation_map


def evaluate_sen(net: SEN, store: Store, features: Tensor, speech: Tensor) -> list[dict]:
    """Retrieval on the unseen test classes: every utterance asks (ours), and the first one of each class (released protocol), with chance.

    Args: features: backbone features of all images [N, feature_size]; speech: embeddings of all captions [M, D].
    """
    images, captions = store.image_ids_of("test"), store.caption_ids_of("test")
    with torch.no_grad():
        v = net.image_encoder.project(features[images])
    image_labels, labels = store.image_class[images], store.image_class[store.caption_image[captions]]
    first = np.sort(np.unique(labels, return_index=True)[1])
    shuffled = np.random.default_rng(0).permutation(image_labels)
    a = speech[captions]
    validation = validation_map(net, store, features, torch.device("cpu"))
    return [
        {"metric": "mAP", "value": retrieval_map(a, labels, v, image_labels), "n": len(captions), "split": "test"},
        {"metric": "mAP released", "value": retrieval_map(a[first], labels[first], v, image_labels), "n": len(first), "split": "test"},
        {"metric": "mAP chance", "value": retrieval_map(a, labels, v, shuffled), "n": len(captions), "split": "test"},
        *([{"metric": "mAP val", "value": validation, "n": asked, "split": "val"}] if (asked := len(store.caption_ids_of("val"))) else []),
    ]
