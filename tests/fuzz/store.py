"""A store: index.json, images.npy, mels.npy, mel_offsets.npy."""

import json
import shutil

import numpy as np
from mutations import damaged, damaged_text

from s2igan.data.store import attribute_targets, open_store, store_fingerprint
from s2igan.files import write_array

INDEX = {
    "dataset": "folder", "settings": {"captions": 1}, "sample_rate": 22050,
    "classes": ["oak", "ash", "yew"], "class_split": ["train", "val", "test"],
    "attributes": {name: {"leaf": leaf} for name, leaf in (("oak", "lobed"), ("ash", "long"), ("yew", "needle"))},
    "image_name": ["oak/a", "oak/b", "ash/a", "yew/a"], "image_class": [0, 0, 1, 2], "caption_image": [0, 1, 1, 2, 3],
    "caption_text": ["an oak", "oak", "a tree", "ash", "yew"], "caption_voice": ["en-us"] * 5,
}  # fmt: skip


def originals(folder):
    offsets = np.array([0, 3, 5, 6, 9, 12], np.int64)
    pixels = np.arange(4 * 6 * 6 * 3, dtype=np.uint8).reshape(4, 6, 6, 3)
    mels = np.linspace(-8, 2, 12 * 40).reshape(12, 40)
    digests = [
        write_array(folder / "images.npy", pixels.shape, np.uint8, [pixels]),
        write_array(folder / "mels.npy", mels.shape, np.float16, [mels]),
        write_array(folder / "mel_offsets.npy", offsets.shape, np.int64, [offsets]),
    ]
    index = {**INDEX, "fingerprint": store_fingerprint(digests, INDEX)}
    (folder / "index.json").write_text(json.dumps(index, indent=0), encoding="utf-8")
    return folder


def attempt(folder_of, random, folder):
    for path in folder_of.iterdir():
        shutil.copy(path, folder)
    path = folder / random.choice(["index.json", "index.json", "images.npy", "mels.npy", "mel_offsets.npy"])
    text = path.suffix == ".json" and random.random() < 0.7
    path.write_bytes(damaged_text(path.read_text(), random) if text else damaged(path.read_bytes(), random))
    store = open_store(folder)
    assert len(store.images[-1]) == store.images.shape[1]
    assert all(store.mel(k).shape[1] == store.mels.shape[1] for k in range(len(store.caption_text)))
    attribute_targets(store)
    for split in ("train", "val", "test"):
        store.caption_ids_of(split), store.image_ids_of(split)
    store.verify()
