"""Metrics of generated images, and the validation callback of RDG's training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from s2igan.config import Settings
from s2igan.data.batches import centre_crop
from s2igan.data.store import Store
from s2igan.evaluation.attributes import attribute_rows, attributes_seen
from s2igan.evaluation.evaluator import FeatureNetworks, probabilities, unseen_classes
from s2igan.evaluation.feature_networks import extract
from s2igan.evaluation.generate import generate
from s2igan.evaluation.scores import image_scores, inception_rows
from s2igan.files import replacing
from s2igan.metrics import mean_average_precision
from s2igan.rdg import Generator


def validation_callback(
    store: Store, networks: FeatureNetworks, settings: Settings, folder: Path
) -> Callable[[Generator, Tensor, int], dict[str, float]]:
    """What `train_rdg` calls every so many steps with the generator, the speech embeddings [M, D] and the step.

    It gives mAP and FID on the validation classes, and writes `snapshots/step-<n>.png`: eight images, with the
    same noise at every step. Without validation classes it does nothing.
    """
    caption_ids = store.caption_ids_of("val")
    if len(caption_ids) == 0:
        return lambda generator, speech_embeddings, step: {}
    shown = caption_ids[np.linspace(0, len(caption_ids) - 1, 8).astype(int)]
    networks = replace(networks, classifier=None)  # IS and attributes are of the unseen classes

    def validate(generator: Generator, speech_embeddings: Tensor, step: int) -> dict[str, float]:
        rows = evaluate_rdg(generator, store, speech_embeddings, networks, settings, "val", kid=False)
        values = {row["metric"]: row["value"] for row in rows}
        strip = np.concatenate(list(next(generate(generator, speech_embeddings[shown], seed=0))), axis=1)
        with replacing(folder / "snapshots" / f"step-{step:07d}.png") as temporary:
            Image.fromarray(strip).save(temporary)
        return {"val_mAP": values["mAP"], "val_FID": values["FID"]}

    return validate


def evaluate_rdg(
    generator: Generator,
    store: Store,
    speech_embeddings: Tensor,
    networks: FeatureNetworks,
    settings: Settings,
    split: str = "test",
    kid: bool = True,
) -> list[dict[str, Any]]:
    """One image for every caption of every image of `split`, against that split's real images.

    Args:
        speech_embeddings: embeddings of all captions as the generator was trained on them, [M, speech_size].
        networks: what scores the images. Only features are kept of the images, batch by batch.
        kid: False leaves KID out.
    Returns: rows {metric, value, n, split}: mAP (percent), FID, KID, IS and IS_std of as many images as there are real
        ones, and what `attribute_rows` gives. At preset `paper`, of the test classes, also `mAP released`, as the
        released code, which shows Inception-v3 the real images in [-1, 1] and the generated ones in [0, 1] (`mAP` shows
        it both alike), and `IS all` and `IS_std all` of all images, as published.
    """
    caption_ids, image_ids = store.caption_ids_of(split), store.image_ids_of(split)
    released = split == "test" and networks.retrieval is not networks.fid
    device = next(networks.retrieval.parameters()).device
    features, darker = [], []
    for pixels in generate(generator, speech_embeddings[caption_ids], settings.seed, settings.eval_batch):
        images = centre_crop(pixels, settings.data_image_size).to(device)  # (b, 3, s, s) in [-1, 1]
        features.append(networks.features(images))
        if released:
            darker.append(extract(networks.retrieval, (images + 1) / 2, settings.data_image_size))
    for_retrieval, for_fid = (torch.cat([of_batch[k] for of_batch in features]) for k in (0, 1))
    seen, p = None, None
    if networks.classifier is not None:
        seen = torch.cat([of_batch[2] for of_batch in features])
        p = probabilities(
            networks.classifier, seen, unseen_classes(store, networks.classifier) if split == "test" else None
        )
    labels, real_labels = store.image_class[store.caption_image[caption_ids]], store.image_class[image_ids]
    real, real_for_fid = networks.real_retrieval[image_ids], networks.real_fid[image_ids]
    rows = image_scores((for_retrieval, real), (labels, real_labels), (for_fid, real_for_fid), kid)
    if p is not None:
        rows += inception_rows(p, len(image_ids), settings.eval_splits)
        rows += inception_rows(p, len(p), settings.eval_splits, " all") if released else []
    if released:
        value = 100 * mean_average_precision(real, real_labels, torch.cat(darker), labels)
        rows.append({"metric": "mAP released", "value": value, "n": len(labels)})
    if seen is not None:
        rows += attribute_rows(store, attributes_seen(networks.classifier, seen), caption_ids)
    return [{**row, "split": split} for row in rows]
