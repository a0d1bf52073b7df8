"""Retrieval of real images by speech: SEN's mAP."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2igan.data.store import Store
from s2igan.metrics import chance_mean_average_precision
from s2igan.sen import SEN
from s2igan.training.sen import retrieval_map


def evaluate_sen(net: SEN, store: Store, features: Tensor, speech_embeddings: Tensor) -> list[dict[str, Any]]:
    """Retrieval of the real images of the unseen test classes, in percent.

    Args:
        features: the backbone's features of all images, [N, feature_size].
        speech_embeddings: embeddings of all captions, [M, D].
    Returns: rows {metric, value, n, split}: `mAP`, where every caption is a query (ours); `mAP released`, where the
        first caption of each class is (released code); of both with ` chance` what a random ranking reaches, exact;
        `mAP val`, as `mAP` on the validation classes, where there are any.
    """

    def in_split(split: str) -> tuple[Tensor, np.ndarray, Tensor, np.ndarray]:
        image_ids, caption_ids = store.image_ids_of(split), store.caption_ids_of(split)
        with torch.no_grad():
            v = net.image_encoder.project(features[image_ids])
        return (
            speech_embeddings[caption_ids],
            store.image_class[store.caption_image[caption_ids]],
            v,
            store.image_class[image_ids],
        )

    a, labels, v, image_labels = in_split("test")
    first = np.sort(np.unique(labels, return_index=True)[1])
    rows = []
    for name, queries in (("mAP", np.arange(len(a))), ("mAP released", first)):
        value = retrieval_map(a[queries], labels[queries], v, image_labels)
        chance = 100 * chance_mean_average_precision(labels[queries], image_labels)
        rows.append({"metric": name, "value": value, "n": len(queries), "split": "test"})
        rows.append({"metric": f"{name} chance", "value": chance, "n": len(queries), "split": "test"})
    if n := len(store.caption_ids_of("val")):
        rows.append({"metric": "mAP val", "value": retrieval_map(*in_split("val")), "n": n, "split": "val"})
    return rows
