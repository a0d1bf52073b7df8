"""Images and log-mels as batches of tensors: padding, crops, sizes, and the next batch made while the last one is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def pad_mels(mels: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Log-mels (T_i, 40) as one batch (B, T, 40) float32, zeros after the end of the shorter ones, and their lengths (B,) int64."""
    lengths = torch.tensor([len(mel) for mel in mels])
    # Put together as they are stored, in half precision, and converted at once by torch: half the time of converting each in numpy.
    batch = np.zeros((len(mels), int(lengths.max()), mels[0].shape[1]), mels[0].dtype)
    for row, mel in zip(batch, mels, strict=True):
        row[: len(mel)] = mel
    return torch.from_numpy(batch).float(), lengths


def random_crops(
    images: np.ndarray, chosen: np.ndarray, size: int, rng: np.random.Generator, flip: bool, own: slice = slice(None)
) -> Tensor:
    """For training: a random crop of each chosen image, mirrored with probability 1/2 if `flip`.

    Args: images: of a store, (N, S, S, 3) uint8. chosen: their numbers, (B,). own: the rows of the batch that are wanted; the crops are
        drawn for all of it.
    Returns: (b, size, size, 3) uint8, for `to_float`.
    """
    corners = rng.integers(0, images.shape[1] - size + 1, (len(chosen), 2))[own]
    mirrored = (rng.random(len(chosen)) < 0.5 if flip else np.zeros(len(chosen), bool))[own]
    crops = np.stack([images[k, y : y + size, x : x + size] for k, (y, x) in zip(chosen[own], corners, strict=True)])
    crops[mirrored] = crops[mirrored, :, ::-1]
    return torch.from_numpy(crops)


def augment(images: np.ndarray, size: int, rng: np.random.Generator, flip: bool) -> Tensor:
    """`random_crops` of all images (B, S, S, 3) as (B, 3, size, size) float32 in [-1, 1]."""
    return to_float(random_crops(images, np.arange(len(images)), size, rng, flip))


def to_float(images: Tensor) -> Tensor:
    """(B, s, s, 3) uint8 -> (B, 3, s, s) float32 in [-1, 1], channels last; where the images are: to a GPU, bytes move."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def prefetch(make: Callable[[int], Any], items: range, beside: bool) -> Iterator[Any]:
    """make(item) of each item; `beside`: in a thread, the next one while the caller works with the last."""
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
    """For evaluation: the middle of each image. images (B, S, S, 3) uint8 -> (B, 3, size, size) float32 in [-1, 1]."""
    start = (images.shape[1] - size) // 2
    return to_float(torch.from_numpy(np.ascontiguousarray(images[:, start : start + size, start : start + size])))


def pyramid(images: Tensor, sizes: list[int] | tuple[int, ...]) -> list[Tensor]:
    """Each size asked for, (B, 3, s, s), of images (B, 3, S, S): the crop itself resized with antialiasing, as the authors do."""
    return [
        images
        if size == images.shape[-1]
        else F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
        for size in sizes
    ]
