"""Images and log-mels as batches of tensors: padding, crops and sizes; the next batch is made while one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def pad_mels(mels: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Log-mels (T_i, 40) as one batch (B, T, 40) float32, padded with zeros, and their lengths (B,) int64."""
    lengths = torch.tensor([len(mel) for mel in mels])
    # Put together in half precision, as the store has them, and converted at once by torch: half the time of numpy.
    batch = np.zeros((len(mels), int(lengths.max()), mels[0].shape[1]), mels[0].dtype)
    for row, mel in zip(batch, mels, strict=True):
        row[: len(mel)] = mel
    return torch.from_numpy(batch).float(), lengths


def random_crops(
    images: np.ndarray,
    image_ids: np.ndarray,
    size: int,
    rng: np.random.Generator,
    flip: bool,
    shard: slice = slice(None),
) -> Tensor:
    """For training: a random crop of each image of a batch, mirrored with probability 1/2 if `flip`.

    Args:
        images: of a store, (N, S, S, 3) uint8.
        image_ids: which of them, (B,).
        size: of the crop, in pixels, at most S.
        shard: the rows of the batch that this process takes. Crops are drawn for the whole batch, so they do not depend
            on the number of processes.
    Returns:
        (b, size, size, 3) uint8, b the length of the shard; `to_float` takes them.
    """
    corners = rng.integers(0, images.shape[1] - size + 1, (len(image_ids), 2))[shard]
    mirrored = (rng.random(len(image_ids)) < 0.5 if flip else np.zeros(len(image_ids), bool))[shard]
    places = zip(image_ids[shard], corners, strict=True)
    crops = np.stack([images[k, y : y + size, x : x + size] for k, (y, x) in places])
    crops[mirrored] = crops[mirrored, :, ::-1]
    return torch.from_numpy(crops)


def augment(images: np.ndarray, size: int, rng: np.random.Generator, flip: bool) -> Tensor:
    """`random_crops` of all `images` (B, S, S, 3) uint8 as (B, 3, size, size) float32 in [-1, 1]."""
    return to_float(random_crops(images, np.arange(len(images)), size, rng, flip))


def to_float(images: Tensor) -> Tensor:
    """(B, s, s, 3) uint8 -> (B, 3, s, s) float32 in [-1, 1], channels last, on the device where the bytes are."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def prefetch(make: Callable[[int], Any], items: range, beside: bool) -> Iterator[Any]:
    """make(item) of each item; if `beside`, a thread makes the next one while the caller works with the last."""
    if not beside or not items:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, items[0])
        for item in items[1:]:
            made = waiting.result()
            waiting = pool.submit(make, item)
            yield made
        yield waiting.result()


def centre_crop(images: np.ndarray, size: int) -> Tensor:
    """For evaluation: the middle of each image. (B, S, S, 3) uint8 -> (B, 3, size, size) float32 in [-1, 1]."""
    start = (images.shape[1] - size) // 2
    middle = images[:, start : start + size, start : start + size]
    return to_float(torch.from_numpy(np.ascontiguousarray(middle)))


def pyramid(images: Tensor, sizes: list[int] | tuple[int, ...]) -> list[Tensor]:
    """`images` (B, 3, S, S) in each of `sizes`, (B, 3, s, s): one crop, resized with antialiasing (released code)."""
    return [
        images
        if size == images.shape[-1]
        else F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
        for size in sizes
    ]
