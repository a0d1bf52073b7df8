"""Which images and captions a training step sees: from the seed and the number of the step alone."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from s2igan.config import Settings
from s2igan.data.batches import pad_mels, random_crops
from s2igan.data.store import Store, training_targets
from s2igan.sen import SpeechEncoder, TextEncoder, characters
from s2igan.training import processes


class SENBatch(NamedTuple):
    """This process's rows of a batch of SEN."""

    images: Tensor  # pixels [b, s, s, 3] uint8, or features of the backbone [b, feature_size]
    captions: Tensor  # as the encoder takes them: log-mels [b, T, 40], or characters [b, 201]
    lengths: Tensor  # of the captions, [b]
    labels: Tensor  # numbers of the training classes, [b]


class RDGBatch(NamedTuple):
    """This process's rows of a batch of RDG."""

    seed: int  # of the noise
    image_ids: np.ndarray  # [b]
    caption_ids: np.ndarray  # [b]
    pixels: Tensor  # real, same-class and mismatched images, [3, b, s, s, 3] uint8
    captions: tuple[Tensor, Tensor] | None  # where the encoder learns: the captions as it takes them, and their lengths


def epoch_batches(
    image_ids: np.ndarray, store: Store, batch: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch: every image once in random order, with one of its captions at random; an incomplete batch is dropped.

    Fewer images than a batch make one batch of all of them. Batches hold captions of similar length (sorted within
    eight batches' worth of the shuffled images), which halves the padding; their order is then shuffled. What is
    dropped is chosen before the sorting, so that every image and every length is drawn equally often.
    Yields: image indices [batch], caption indices [batch].
    """
    batch = min(batch, len(image_ids))
    image_ids = rng.permutation(image_ids)[: len(image_ids) // batch * batch]
    caption_ids = one_caption_each(image_ids, store, rng)
    lengths = store.mel_lengths[caption_ids]
    pool = 8 * batch
    pools = range(0, len(image_ids), pool)
    position = np.concatenate([k + np.argsort(lengths[k : k + pool], kind="stable") for k in pools])
    for start in rng.permutation(np.arange(0, len(image_ids), batch)):
        chosen = position[start : start + batch]
        yield image_ids[chosen], caption_ids[chosen]


def one_caption_each(image_ids: np.ndarray, store: Store, rng: np.random.Generator) -> np.ndarray:
    """One caption of each image at random: caption indices [N]."""
    return np.array([rng.choice(store.caption_ids_by_image[i]) for i in image_ids])


def caption_batch(encoder: SpeechEncoder | TextEncoder, store: Store, caption_ids: np.ndarray) -> tuple[Tensor, Tensor]:
    """Captions as `encoder` takes them: zero-padded log-mels [B, T, 40], or characters [B, 201]; their lengths [B]."""
    if isinstance(encoder, TextEncoder):
        return characters([store.caption_text[i] for i in caption_ids])
    return pad_mels([store.stored_mel(i) for i in caption_ids])


def sen_batches(
    settings: Settings,
    store: Store,
    encoder: SpeechEncoder | TextEncoder,
    image_ids: np.ndarray,
    crop_features: Tensor | None,
) -> Callable[[int], SENBatch]:
    """SEN's batch of a step, as a function of the step.

    Args:
        image_ids: the training images, sorted.
        crop_features: backbone features of fixed crops of them, [N, sen_crops, feature_size]. None: pixels of a new
            random crop.
    """
    shard = processes.local_shard()
    per_epoch = len(image_ids) // settings.sen_batch
    targets = training_targets(store)

    @functools.lru_cache(maxsize=2)
    def batches_of(epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        rng = np.random.default_rng([settings.seed, 2, epoch])
        return list(epoch_batches(image_ids, store, settings.sen_batch, rng))

    def batch_of(step: int) -> SENBatch:
        epoch, position = divmod(step, per_epoch)
        chosen, caption_ids = batches_of(epoch)[position]
        rng = np.random.default_rng([settings.seed, 3, step])
        if crop_features is None:
            images = random_crops(store.images, chosen, settings.data_image_size, rng, settings.data_flip, shard)
        else:
            crops = rng.integers(settings.sen_crops, size=len(chosen))
            images = crop_features[np.searchsorted(image_ids, chosen[shard]), crops[shard]]
        labels = targets[torch.as_tensor(store.image_class[chosen[shard]])]
        return SENBatch(images, *caption_batch(encoder, store, caption_ids[shard]), labels)

    return batch_of


def rdg_batches(
    settings: Settings,
    store: Store,
    image_ids: np.ndarray,
    encoder: SpeechEncoder | TextEncoder | None,
    pin: bool,
) -> Callable[[int], RDGBatch]:
    """RDG's batch of a step, as a function of the step.

    Args:
        image_ids: the training images.
        encoder: what takes the captions where it learns in RDG's training, else None.
        pin: whether the pixels go to pinned memory, from which a copy to a GPU does not wait.
    """
    shard = processes.local_shard()
    per_epoch = len(image_ids) // settings.rdg_batch
    class_of = store.image_class[image_ids]
    ids_by_class = {k: image_ids[class_of == k] for k in np.unique(class_of)}

    @functools.lru_cache(maxsize=2)
    def batches_of(epoch: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return plan_epoch(settings, store, image_ids, epoch, by_length=encoder is not None)

    def batch_of(step: int) -> RDGBatch:
        epoch, position = divmod(step, per_epoch)
        chosen, caption_ids = batches_of(epoch)[position]
        rng = np.random.default_rng([settings.seed, 5, step])
        seed = int(rng.integers(2**63))
        same_class, mismatched = draw_image_ids(store, chosen, rng, ids_by_class)
        pixels = torch.stack(
            [
                random_crops(store.images, ids, settings.data_image_size, rng, settings.data_flip, shard)
                for ids in (chosen, same_class, mismatched)
            ]
        )
        captions = caption_batch(encoder, store, caption_ids[shard]) if encoder is not None else None
        return RDGBatch(seed, chosen[shard], caption_ids[shard], pixels.pin_memory() if pin else pixels, captions)

    return batch_of


def plan_epoch(
    settings: Settings, store: Store, image_ids: np.ndarray, epoch: int, by_length: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """RDG's batches (image indices, caption indices) of one epoch: each image once, with one of its captions.

    `by_length`: captions of similar length together, which spares a speech encoder that learns much padding.
    """
    rng = np.random.default_rng([settings.seed, 4, epoch])
    if by_length:
        return list(epoch_batches(image_ids, store, settings.rdg_batch, rng))
    image_ids = rng.permutation(image_ids)
    caption_ids = one_caption_each(image_ids, store, rng)
    starts = range(0, len(image_ids) - settings.rdg_batch + 1, settings.rdg_batch)
    return [(image_ids[k : k + settings.rdg_batch], caption_ids[k : k + settings.rdg_batch]) for k in starts]


def draw_image_ids(
    store: Store, image_ids: np.ndarray, rng: np.random.Generator, ids_by_class: dict[int, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """For each image another one of its class, and one of another class ("mismatched").

    Args: image_ids: [B]; ids_by_class: the training images of each class.
    Returns: indices of same-class and of mismatched images, [B] each.
    """
    all_ids = np.concatenate(list(ids_by_class.values()))
    same_class, mismatched = np.empty_like(image_ids), np.empty_like(image_ids)
    for row, image in enumerate(image_ids):
        of_class = ids_by_class[store.image_class[image]]
        same_class[row] = rng.choice(of_class[of_class != image])
        mismatched[row] = rng.choice(all_ids)
        while store.image_class[mismatched[row]] == store.image_class[image]:
            mismatched[row] = rng.choice(all_ids)
    return same_class, mismatched
