"""How new the unseen classes of a synthetic set are, and how often a guess about them is right."""

from __future__ import annotations

import numpy as np
import pandas as pd

from s2igan.data.store import Store
from s2igan.data.synthetic.captions import named_attributes


def nearest_training_classes(store: Store) -> pd.DataFrame:
    """How near each unseen class of a synthetic set is to the training classes. Empty for a data set without attributes.

    Index: unseen class. Columns: `nearest`, the training class with the fewest different attributes; `different`, how many
    those are; `also true`, the share of the class's captions, in percent, that are literally true of some training class
    too: every attribute that they name has the same value there.
    """
    of_split = {split: [name for name, s in zip(store.classes, store.class_split, strict=True) if s == split] for split in ("train", "test")}
    if not store.attributes:
        return pd.DataFrame(columns=["nearest", "different", "also true"])
    captions = store.caption_ids_of("test")
    of_caption = store.image_class[store.caption_image]
    rows = []
    for unseen in of_split["test"]:
        own = store.attributes[unseen]
        equal = {seen: {name for name in own if store.attributes[seen][name] == own[name]} for seen in of_split["train"]}
        nearest = max(equal, key=lambda seen: len(equal[seen]))
        named = [named_attributes(store.dataset, store.caption_text[i]) for i in captions[of_caption[captions] == store.classes.index(unseen)]]
        true = [any(names <= same for same in equal.values()) for names in named]
        rows.append({"class": unseen, "nearest": nearest, "different": len(own) - len(equal[nearest]), "also true": 100 * np.mean(true)})
    return pd.DataFrame(rows).set_index("class")


def attribute_guesses(store: Store) -> pd.DataFrame:
    """How often, in percent, a guess about an attribute of an unseen class is right. Empty for a data set without attributes.

    Index: attribute. Columns: `uniform`, a guess among all its values; `most common`, always the value that most unseen
    classes have: a system that ignores the captions can reach this one.
    """
    unseen = [store.attributes[name] for name, split in zip(store.classes, store.class_split, strict=True) if split == "test" and store.attributes]
    rows = {}
    for name in unseen[0] if unseen else ():
        values = {row[name] for row in store.attributes.values()}
        shares = pd.Series([row[name] for row in unseen]).value_counts(normalize=True)
        rows[name] = {"uniform": 100 / len(values), "most common": 100 * shares.iloc[0]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["uniform", "most common"])
