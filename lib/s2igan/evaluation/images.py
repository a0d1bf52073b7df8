"""Metrics of generated images, and the validation callback of RDG's training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from s2igan.evaluation.diversity import chosen_captions
from s2igan.evaluation.evaluator import FeatureNetworks, probabilities, unseen_classes
from s2igan.evaluation.feature_networks import extract
from s2igan.evaluation.generate import draw_noises, generate, to_uint8
from s2igan.evaluation.scores import (
    fid_by_number,
    image_scores,
    inception_rows,
    memory_row,
    neighbour_scores,
    recall_rows,
)
from s2igan.files import replacing
from s2igan.metrics import mean_average_precision, mean_distance
from s2igan.rdg import Generator
from s2igan.training.devices import within_memory

NOISES = 5  # images of one caption that are compared


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
        rows = evaluate_rdg(generator, store, speech_embeddings, networks, settings, "val", brief=True)
        values = {row["metric"]: row["value"] for row in rows}
        strip = np.concatenate(list(next(generate(generator, speech_embeddings[shown], seed=0))), axis=1)
        with replacing(folder / "snapshots" / f"step-{step:07d}.png") as temporary:
            Image.fromarray(strip).save(temporary)
        return {"val_mAP": values["mAP"], "val_FID": values["FID"]}

    return validate


@dataclass(frozen=True)
class GeneratedFeatures:
    """What is kept of one image of each of N captions."""

    caption_ids: np.ndarray  # [N]
    retrieval: Tensor  # features for mAP, [N, D]
    fid: Tensor  # for FID, [N, D']
    classes: Tensor | None  # of the classifier, [N, D'']
    released: Tensor | None  # for mAP, of the images in [0, 1], [N, D]


def generated_features(
    generator: Generator,
    store: Store,
    speech_embeddings: Tensor,
    networks: FeatureNetworks,
    settings: Settings,
    split: str = "test",
) -> GeneratedFeatures:
    """The features of one image for every caption of every image of `split`; images are kept batch by batch alone."""
    caption_ids = store.caption_ids_of(split)
    released = split == "test" and networks.retrieval is not networks.fid
    device = next(networks.retrieval.parameters()).device
    features, darker = [], []
    with within_memory("eval_batch", settings.eval_batch):
        for pixels in generate(generator, speech_embeddings[caption_ids], settings.seed, settings.eval_batch):
            images = centre_crop(pixels, settings.data_image_size).to(device)  # (b, 3, s, s) in [-1, 1]
            features.append(networks.features(images))
            if released:
                darker.append(extract(networks.retrieval, (images + 1) / 2, settings.data_image_size))
    retrieval, fid = (torch.cat([of_batch[k] for of_batch in features]) for k in (0, 1))
    classes = None if networks.classifier is None else torch.cat([of_batch[2] for of_batch in features])
    return GeneratedFeatures(caption_ids, retrieval, fid, classes, torch.cat(darker) if released else None)


def evaluate_rdg(
    generator: Generator,
    store: Store,
    speech_embeddings: Tensor,
    networks: FeatureNetworks,
    settings: Settings,
    split: str = "test",
    brief: bool = False,
) -> list[dict[str, Any]]:
    """One image for every caption of every image of `split`, against that split's real images.

    Args:
        speech_embeddings: embeddings of all captions as the generator was trained on them, [M, speech_size].
        networks: what scores the images.
        brief: mAP and FID alone.
    Returns: rows {metric, value, n, split}: mAP (percent), FID, KID, R@k, precision, recall, density and coverage
        (percent), `FID of <n>`, `training distance`; of the unseen classes also what `diversity_rows` gives, IS and
        IS_std of as many images as there are real ones, and `attribute_rows`. At preset `paper`, of the unseen classes,
        also `mAP released`, as the released code, which shows Inception-v3 the real images in [-1, 1] and the generated
        ones in [0, 1] (`mAP` shows it both alike), and `IS all` and `IS_std all` of all images, as published.
    """
    made = generated_features(generator, store, speech_embeddings, networks, settings, split)
    image_ids, of_made = store.image_ids_of(split), store.caption_image[made.caption_ids]
    labels, real_labels = store.image_class[of_made], store.image_class[image_ids]
    retrieval = made.retrieval, networks.real_retrieval[image_ids]
    fid = made.fid, networks.real_fid[image_ids]
    rows = image_scores(retrieval, (labels, real_labels), fid, kid=not brief)
    if not brief:
        rows += recall_rows(retrieval, (of_made, image_ids))
        count = min(len(of_made), len(image_ids))
        rows += [{"metric": name, "value": value, "n": count} for name, value in neighbour_scores(*fid).items()]
        rng = np.random.default_rng(0)
        rows += fid_by_number([(fid[0][rng.permutation(len(fid[0]))], fid[1][rng.permutation(len(fid[1]))])])
        rows.append(memory_row(made.fid, networks.real_fid[store.image_ids_of("train")]))
    if not brief and split == "test":
        rows += diversity_rows(generator, store, speech_embeddings, networks, settings)
    if made.released is not None:
        value = 100 * mean_average_precision(retrieval[1], real_labels, made.released, labels)
        rows.append({"metric": "mAP released", "value": value, "n": len(labels)})
    if made.classes is not None:
        among = unseen_classes(store, networks.classifier) if split == "test" else None
        p = probabilities(networks.classifier, made.classes, among)
        rows += inception_rows(p, len(image_ids), settings.eval_splits)
        rows += inception_rows(p, len(p), settings.eval_splits, " all") if made.released is not None else []
        rows += attribute_rows(store, attributes_seen(networks.classifier, made.classes), made.caption_ids)
    return [{**row, "split": split} for row in rows]


def nearest_pairs(
    generator: Generator, store: Store, speech_embeddings: Tensor, settings: Settings, rows: list[dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray, list[float]]:
    """The generated images that lie nearest to a training image, from the rows of `evaluate_rdg` of the unseen classes.

    Returns: the generated images and the training images, [n, s, s, 3] uint8 each, nearest first; their distances.
    """
    pairs = next(row["nearest"] for row in rows if row["metric"] == "training distance")
    caption_ids, chosen = store.caption_ids_of("test"), [pair[0] for pair in pairs]
    z, eps = draw_noises(generator, len(caption_ids), settings.seed)
    noises = z[chosen], eps[chosen]
    made = np.concatenate(list(generate(generator, speech_embeddings[caption_ids[chosen]], noises=noises)))
    training = store.images[store.image_ids_of("train")[[pair[1] for pair in pairs]]]
    return made, to_uint8(centre_crop(training, settings.data_image_size)), [pair[2] for pair in pairs]


def diversity_rows(
    generator: Generator,
    store: Store,
    speech_embeddings: Tensor,
    networks: FeatureNetworks,
    settings: Settings,
    split: str = "test",
) -> list[dict[str, Any]]:
    """How much images of one caption of `split` differ.

    Returns: rows {metric, value, n}:
        `diversity`: the mean distance, in the features of FID, of two images of one caption with different noise.
        `change by z`, `change by eps`: by how much a pixel (0 to 255) moves, in the mean, with another z or eps.
    """
    caption_ids = chosen_captions(store, split)
    said, count = speech_embeddings[caption_ids], len(caption_ids)

    def images(embeddings: Tensor, z: Tensor, eps: Tensor) -> np.ndarray:
        made = generate(generator, embeddings, batch=settings.eval_batch, noises=(z, eps))
        return np.concatenate(list(made))  # (n, s, s, 3)

    z, eps = draw_noises(generator, NOISES * count, settings.seed)
    first, other = slice(count), slice(count, 2 * count)
    size, device = settings.data_image_size, next(networks.fid.parameters()).device
    with within_memory("eval_batch", settings.eval_batch):
        made = images(said.repeat(NOISES, 1), z, eps)  # the first noise of each caption, then the second, ...
        changed = {"z": images(said, z[other], eps[first]), "eps": images(said, z[first], eps[other])}
        features = extract(networks.fid, centre_crop(made, size).to(device), size, settings.eval_batch)
    base = made[first].astype(float)
    value = mean_distance(features, np.tile(np.arange(count), NOISES))
    rows = [{"metric": "diversity", "value": value, "n": len(made)}]
    for name, pixels in changed.items():
        rows.append({"metric": f"change by {name}", "value": float(np.abs(pixels - base).mean()), "n": count})
    return rows
