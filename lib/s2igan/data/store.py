"""A built store: images and log-mels in memory-mapped arrays, with classes, splits and captions."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, Field, TypeAdapter
from torch import Tensor

from s2igan import BadInput
from s2igan.config import DEFAULT_LANGUAGE, SYNTHETIC
from s2igan.files import check_form, read_array, read_json

AGAIN = "delete the folder and run 01_data"
MOST_INDEX = 2**30  # bytes of index.json, which grows with the captions


class Index(BaseModel):
    """What index.json holds."""

    dataset: str
    settings: dict[str, Any]
    fingerprint: str
    classes: list[str]
    class_split: list[Literal["train", "val", "test"]]
    attributes: dict[str, dict[str, str]]
    image_name: list[str]
    image_class: list[Annotated[int, Field(ge=0, lt=2**31)]]
    caption_image: list[Annotated[int, Field(ge=0, lt=2**31)]]
    caption_text: list[str]
    caption_voice: list[str]
    # Of synthetic sets that are not in English alone: the language of each caption, and the attributes that it names.
    caption_language: list[str] | None = None
    caption_named: list[list[str]] | None = None


INDEX = TypeAdapter(Index)


class Store:
    """A built store of N images and M captions; nothing is loaded before it is used.

    Memory maps: images (N, S, S, 3) uint8; mels (frames, 40) float16.
    Lists: classes, class_split, image_name, caption_text ('' where there is no text), caption_voice, caption_language
        ('' where nothing says it); caption_ids_by_image, of N arrays.
    caption_named is of each caption the attributes that it names, None where only its text says so.
    Arrays: image_class (N,), image_split (N,) of 'train', 'val' or 'test', caption_image (M,), mel_offsets (M + 1,),
        mel_lengths (M,) in frames.
    attributes is {class: {name: value}}; dataset, settings and fingerprint say what this store is.
    Raises BadInput if the store is missing, incomplete or its parts do not fit. Images and mels are not read here, so
    that opening takes no time: `verify` compares their checksum.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            index = read_json(self.path / "index.json", MOST_INDEX)
            self.images = read_array(self.path / "images.npy", mapped=True)
            self.mels = read_array(self.path / "mels.npy", mapped=True)
            # Mapped first: its header may state more than there is.
            self.mel_offsets = np.array(read_array(self.path / "mel_offsets.npy", mapped=True))
        except BadInput as error:
            raise BadInput(f"there is no whole store in {self.path}: {error}; run 01_data to build it") from None
        check_form(INDEX, index, self.path / "index.json", AGAIN)
        self._index = index
        self.dataset: str = index["dataset"]
        self.settings: dict[str, Any] = index["settings"]
        self.fingerprint: str = index["fingerprint"]
        self.attributes: dict[str, dict[str, str]] = index["attributes"]
        self.classes: list[str] = index["classes"]
        self.class_split: list[str] = index["class_split"]
        self.image_name: list[str] = index["image_name"]
        self.image_class = np.array(index["image_class"], np.int64)
        self.caption_image = np.array(index["caption_image"], np.int64)
        self.caption_text: list[str] = index["caption_text"]
        self.caption_voice: list[str] = index["caption_voice"]
        of_all = DEFAULT_LANGUAGE if self.dataset in SYNTHETIC else ""
        self.caption_language: list[str] = index.get("caption_language") or [of_all] * len(self.caption_text)
        self.caption_named: list[list[str]] | None = index.get("caption_named")
        if fault := self._fault():
            raise BadInput(f"the store in {self.path} has arrays and an index that do not fit, {fault}: {AGAIN}")
        self.image_split = np.array(self.class_split)[self.image_class]
        self.mel_lengths = np.diff(self.mel_offsets)
        # Captions are in the order of their images.
        starts = np.searchsorted(self.caption_image, np.arange(len(self.images) + 1))
        self.caption_ids_by_image = [np.arange(a, b) for a, b in itertools.pairwise(starts)]

    def _fault(self) -> str:
        """What does not fit in the index and the arrays; '' where all does."""
        images, captions, offsets = len(self.image_class), len(self.caption_image), self.mel_offsets
        of_captions = [self.caption_text, self.caption_voice, self.caption_language]
        of_captions += [] if self.caption_named is None else [self.caption_named]
        values = [set(self.attributes.get(name, {})) for name in self.classes] if self.attributes else []
        checks = {
            "images.npy is not (N, S, S, 3) uint8 of all images": self.images.dtype == np.uint8
            and self.images.ndim == 4
            and self.images.shape == (images, *self.images.shape[1:2] * 2, 3),
            "mels.npy is not (frames, 40) float16": self.mels.dtype == np.float16 and self.mels.ndim == 2,
            "mel_offsets.npy is not (M + 1,) int64 of all captions": offsets.dtype == np.int64
            and offsets.shape == (captions + 1,),
            "there is no image": images > 0 and captions > 0,
            "classes and their splits differ in number": len(self.class_split) == len(self.classes),
            "a class stands there twice": len(set(self.classes)) == len(self.classes),
            "images differ in number": len(self.image_name) == images,
            "captions differ in number": all(len(of_each) == captions for of_each in of_captions),
            "attributes are not of all classes": all(names == values[0] for names in values)
            and set(self.attributes) <= set(self.classes),
        }
        if faults := [what for what, right in checks.items() if not right]:
            return faults[0]
        checks = {
            "an image is of a class that is not there": self.image_class.max() < len(self.classes),
            "a caption is of an image that is not there": self.caption_image.max() < images,
            "captions are not in the order of the images": bool((np.diff(self.caption_image) >= 0).all()),
            "mel_offsets.npy does not rise from 0 to the length of mels.npy": offsets[0] == 0
            and offsets[-1] == len(self.mels)
            and bool((offsets[1:] > offsets[:-1]).all()),
        }
        return next((what for what, right in checks.items() if not right), "")

    def verify(self) -> None:
        """Compares images, mels and index with their checksum. Raises BadInput where they differ.

        It reads them all: a training does it once, before it starts.
        """
        digests = [_digest(array) for array in (self.images, self.mels, self.mel_offsets)]
        index = {name: value for name, value in self._index.items() if name != "fingerprint"}
        if store_fingerprint(digests, index) != self.fingerprint:
            raise BadInput(f"the store in {self.path} is damaged (its checksum differs): {AGAIN}")

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


def _digest(array: np.ndarray, rows: int = 1 << 12) -> str:
    digest = hashlib.sha256()
    for start in range(0, len(array), rows):  # a part of a mapped file at a time
        digest.update(np.ascontiguousarray(array[start : start + rows]))
    return digest.hexdigest()


def store_fingerprint(digests: list[str], index: dict[str, Any]) -> str:
    """SHA-256 of a store: of the digests of its three arrays' data, and of index.json but for the fingerprint."""
    return hashlib.sha256(json.dumps([*digests, index]).encode()).hexdigest()


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
