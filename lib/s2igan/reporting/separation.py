"""How far the spoken captions of different classes lie apart in the space of an embedding network."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

from s2igan import BadInput
from s2igan.data.store import Store
from s2igan.training.weights import AGAIN, read_weights


class Separation(NamedTuple):
    """Embeddings [N, D] of captions, the class of each, and the silhouette of the classes (cosine distance)."""

    embeddings: np.ndarray
    labels: list[str]
    silhouette: float  # -1 to 1; 1: classes far apart, 0: they touch; nan with a single class


def separation(store: Store, run: Path, classes: int = 10) -> Separation:
    """The embeddings that a SEN run left of captions of the first unseen classes, and how well these are separated."""
    caption_ids = store.caption_ids_of("test")
    labels = store.image_class[store.caption_image[caption_ids]]
    shown = np.isin(labels, np.unique(labels)[:classes])
    caption_ids, labels = caption_ids[shown], labels[shown]
    path = run / "embeddings.safetensors"
    speech = read_weights(path, "speech")[0]["speech"]
    if speech.ndim != 2 or len(speech) != len(store.caption_image):
        raise BadInput(f"{path} is of another store: {AGAIN}")
    embeddings = speech[caption_ids].numpy()
    value = silhouette_score(embeddings, labels, metric="cosine") if len(set(labels)) > 1 else float("nan")
    return Separation(embeddings, [store.classes[k] for k in labels], float(value))


def on_a_plane(embeddings: np.ndarray) -> np.ndarray:
    """t-SNE of embeddings [N, D]: points [N, 2], near each other where the embeddings are. The same every time."""
    perplexity = min(30, (len(embeddings) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(embeddings)
