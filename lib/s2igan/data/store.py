"""A built store: images and log-mels in memory-mapped arrays, with classes, splits and captions."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2igan import BadInput


class Store:
    """A built store of N images and M captions; nothing is loaded before it is used.

    Memory maps: images (N, S, S, 3) uint8; mels (frames, 40) float16.
    Lists: classes, class_split, image_name, caption_text, caption_voice; caption_ids_by_image, of N arrays.
    Arrays: image_class (N,), image_split (N,) of 'train', 'val' or 'test', caption_image (M,), mel_offsets (M + 1,),
        mel_lengths (M,) in frames.
    attributes is {class: {name: value}}; dataset, settings and fingerprint say what this store is.
    Raises BadInput if the store is missing, incomplete or its parts do not fit.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            index = json.loads((self.path / "index.json").read_text(encoding="utf-8"))
            self.images = np.load(self.path / "images.npy", mmap_mode="r")
            self.mels = np.load(self.path / "mels.npy", mmap_mode="r")
            self.mel_offsets = np.load(self.path / "mel_offsets.npy")
            self.mel_lengths = np.diff(self.mel_offsets)
            self.dataset: str = index["dataset"]
            self.settings: dict[str, Any] = index["settings"]
            self.fingerprint: str = index["fingerprint"]
            self.attributes: dict[str, dict[str, str]] = index["attributes"]
            self.classes: list[str] = index["classes"]
            self.class_split: list[str] = index["class_split"]
            self.image_name: list[str] = index["image_name"]
            self.image_class = np.array(index["image_class"], np.int64)
            self.image_split = np.array(self.class_split)[self.image_class]
            self.caption_image = np.array(index["caption_image"], np.int64)
            self.caption_text: list[str] = index["caption_text"]
            self.caption_voice: list[str] = index["caption_voice"]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise BadInput(f"there is no whole store in {self.path} ({error}): run 01_data to build it") from None
        sizes = len(self.image_class), len(self.caption_image), self.mel_offsets[-1]
        if sizes != (len(self.images), len(self.mel_lengths), len(self.mels)):
            raise BadInput(
                f"the store in {self.path} has arrays and an index that do not fit: delete it and run 01_data"
            )
        # Captions are in the order of their images.
        starts = np.searchsorted(self.caption_image, np.arange(len(self.images) + 1))
        self.caption_ids_by_image = [np.arange(a, b) for a, b in itertools.pairwise(starts)]

    def mel(self, caption_id: int) -> np.ndarray:
        """(T, 40) float32, the log-mel of one caption."""
        return self.stored_mel(caption_id).astype(np.float32)

    def stored_mel(self, caption_id: int) -> np.ndarray:
        """(T, 40) float16, the same as it lies in the store."""
        return self.mels[self.mel_offsets[caption_id] : self.mel_offsets[caption_id + 1]]

    def image_ids_of(self, split: str) -> np.ndarray:
        """The images of a split ('train', 'val' or 'test'), in file order."""
        return np.flatnonzero(self.image_split == split)

    def caption_ids_of(self, split: str) -> np.ndarray:
        """The captions of a split's images, in file order."""
        return np.flatnonzero(self.image_split[self.caption_image] == split)


def open_store(path: str | Path) -> Store:
    """The store in folder `path`. Raises BadInput if it is missing or not whole."""
    return Store(path)


def some_captions(store: Store, classes: int, each: int) -> np.ndarray:
    """Caption ids: `each` of each of the first `classes` unseen classes, spread over its images, (classes * each,)."""
    caption_ids = store.caption_ids_of("test")
    labels = store.image_class[store.caption_image[caption_ids]]
    by_class = [caption_ids[labels == k] for k in np.unique(labels)[:classes]]
    return np.concatenate([ids[np.linspace(0, len(ids) - 1, each).astype(int)] for ids in by_class])


def training_targets(store: Store) -> Tensor:
    """For each class of the store its number among the training classes, -1 if it is not one of them, (classes,)."""
    target = torch.full((len(store.classes),), -1)
    train = torch.as_tensor(np.unique(store.image_class[store.image_ids_of("train")]))
    target[train] = torch.arange(len(train))
    return target


def attribute_targets(store: Store) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
    """The values of each visible attribute, and the index of each class's value among them.

    Returns: {name: values}, {name: (classes,)}; both empty for a store without attributes.
    """
    values: dict[str, list[str]] = {}
    targets: dict[str, np.ndarray] = {}
    if store.attributes:
        rows = [store.attributes[name] for name in store.classes]
        for name in rows[0]:
            values[name] = sorted({row[name] for row in rows})
            targets[name] = np.array([values[name].index(row[name]) for row in rows])
    return values, targets
