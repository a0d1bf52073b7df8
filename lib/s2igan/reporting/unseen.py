"""How new the unseen classes of a synthetic set are, and how often a guess about them is right."""

from __future__ import annotations

import numpy as np
import pandas as pd

from s2igan.data.store import Store
from s2igan.data.synthetic.captions import named_attributes
from s2igan.evaluation.attributes import attribute_guesses


def nearest_training_classes(store: Store) -> pd.DataFrame:
    """How near each unseen class of a synthetic set is to the training classes.

    Returns: a row an unseen class; none for a data set without attributes. Columns: `nearest`, the training class with
        the fewest different attributes; `different`, how many those are; `also true`, the share of the class's
        captions, in percent, that are literally true of some training class too: every attribute that they name has the
        same value there.
    """
    columns = ["class", "nearest", "different", "also true"]
    caption_ids = store.caption_ids_of("test")
    labels = store.image_class[store.caption_image[caption_ids]]
    training, rows = _attributes_of(store, "train"), []
    for unseen, values in _attributes_of(store, "test").items():
        equal = {seen: {name for name in values if others[name] == values[name]} for seen, others in training.items()}
        nearest = max(equal, key=lambda seen: len(equal[seen]))
        captions = (store.caption_text[i] for i in caption_ids[labels == store.classes.index(unseen)])
        named = [named_attributes(store.dataset, caption) for caption in captions]
        true = [any(names <= same for same in equal.values()) for names in named]
        rows.append((unseen, nearest, len(values) - len(equal[nearest]), 100 * np.mean(true)))
    return pd.DataFrame(rows, columns=columns).set_index("class")


def guesses_table(store: Store) -> pd.DataFrame:
    """How often, in percent, a guess about an attribute of an unseen class is right.

    Of the captions that name the attribute, as in `asked <name>`; where captions are not taken apart, of all.

    Returns: a row an attribute; none for a data set without attributes. Columns: `uniform`, a guess among all its
        values; `most common`, the one answer that is right most often: a system that ignores the captions can reach it.
    """
    guesses = attribute_guesses(store)
    kind = "asked " if any(metric.startswith("asked ") for metric in guesses) else "attribute "
    rows = {metric.removeprefix(kind): found[:2] for metric, found in guesses.items() if metric.startswith(kind)}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["uniform", "most common"])


def _attributes_of(store: Store, split: str) -> dict[str, dict[str, str]]:
    """The attributes of the classes of a split, {class: {attribute: value}}; {} for a data set without attributes."""
    of_split = [name for name, s in zip(store.classes, store.class_split, strict=True) if s == split]
    return {name: store.attributes[name] for name in of_split} if store.attributes else {}
