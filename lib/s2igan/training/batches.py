"""Which images and captions a training step sees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from s2igan.config import Settings
from s2igan.data.batches import pad_mels
from s2igan.data.store import Store
from s2igan.sen import SpeechEncoder, TextEncoder, characters


def epoch_batches(images: np.ndarray, store: Store, batch: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch: every image once in random order with one of its captions, drawn uniformly; an incomplete batch is dropped.

    Fewer images than a batch make one batch of all of them. Batches hold captions of similar length (sorted within eight
    batches' worth of the shuffled images), which halves the padding; their order is then shuffled.
    Yields (image indices [batch], caption indices [batch]).
    """
    batch = min(batch, len(images))
    order = rng.permutation(images)
    captions = np.array([rng.choice(store.caption_ids_by_image[i]) for i in order])
    lengths = store.mel_lengths[captions]
    pool = 8 * batch
    position = np.concatenate([start + np.argsort(lengths[start : start + pool], kind="stable") for start in range(0, len(order), pool)])
    starts = rng.permutation(np.arange(0, len(order) - batch + 1, batch))
    for start in starts:
        chosen = position[start : start + batch]
        yield order[chosen], captions[chosen]


def caption_batch(encoder: SpeechEncoder | TextEncoder, store: Store, captions: np.ndarray) -> tuple[Tensor, Tensor]:
    """Captions as `encoder` takes them: zero-padded log-mels [B, T, 40], or characters [B, 201]; and their lengths [B]."""
    if isinstance(encoder, TextEncoder):
        return characters([store.caption_text[i] for i in captions])
    return pad_mels([store.stored_mel(i) for i in captions])


def plan_epoch(settings: Settings, store: Store, images: np.ndarray, epoch: int, by_length: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches (image indices, caption indices) of one epoch: each image once in random order, with one of its captions.

    `by_length`: captions of similar length together, which spares a speech encoder that learns much padding.
    """
    rng = np.random.default_rng([settings.seed, 4, epoch])
    if by_length:
        return list(epoch_batches(images, store, settings.rdg_batch, rng))
    order = rng.permutation(images)
    captions = np.array([rng.choice(store.caption_ids_by_image[i]) for i in order])
    size = settings.rdg_batch
    return [(order[k : k + size], captions[k : k + size]) for k in range(0, len(order) - size + 1, size)]


def draw_image_ids(
    store: Store, images: np.ndarray, rng: np.random.Generator, by_class: dict[int, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """For each image another one of its class (similar), and one of another class (wrong).

    Args: images: [B], indices; by_class: training images of each class. Returns: similar and wrong indices, [B] each.
    """
    everything = np.concatenate(list(by_class.values()))
    similar, wrong = np.empty_like(images), np.empty_like(images)
    for row, image in enumerate(images):
        own = by_class[store.image_class[image]]
        similar[row] = rng.choice(own[own != image])
        wrong[row] = rng.choice(everything)
        while store.image_class[wrong[row]] == store.image_class[image]:
            wrong[row] = rng.choice(everything)
    return similar, wrong
