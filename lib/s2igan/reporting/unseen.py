"""How new the unseen classes of a synthetic set are, and how often a guess about them is right."""

from __future__ import annotations

import numpy as np
import pandas as pd

from s2igan.data.store import Store
from s2igan.data.synthetic.meaning import named_in
from s2igan.data.synthetic.sets import SETS
from s2igan.evaluation.attributes import attribute_guesses, nearest_classes


def nearest_training_classes(store: Store) -> pd.DataFrame:
    """How near each unseen class of a synthetic set is to the training classes.

    Returns: a row an unseen class; none for a set without attributes, and for one that is not synthetic, whose captions
        are not taken apart. Columns: `nearest`, the training class with the fewest different attributes; `different`,
        how many those are; `also true`, the share of the class's captions, in percent, that are literally true of some
        training class too: every attribute that they name has the same value there.
    """
    columns = ["class", "nearest", "different", "also true"]
    caption_ids = store.caption_ids_of("test")
    labels = store.image_class[store.caption_image[caption_ids]]
    splits = zip(store.classes, store.class_split, strict=True)
    training = [store.attributes[name] for name, split in splits if split == "train"] if store.attributes else []
    rows = []
    near = nearest_classes(store) if store.dataset in SETS else {}
    for unseen, (nearest, different) in near.items():
        values = store.attributes[store.classes[unseen]]
        equal = [{name for name in values if others[name] == values[name]} for others in training]
        named = [named_in(store, i) for i in caption_ids[labels == unseen]]
        true = [any(names <= same for same in equal) for names in named]
        rows.append((store.classes[unseen], store.classes[nearest[0]], different, 100 * np.mean(true)))
    return pd.DataFrame(rows, columns=columns).set_index("class")


def shares_by_distance(nearest: pd.DataFrame) -> str:
    """How many unseen classes differ from the nearest training class in one attribute, in two, ..., in words.

    Args: nearest: what `nearest_training_classes` gives.
    """
    classes = len(nearest)
    counts = nearest.different.value_counts().sort_index()
    return ", ".join(f"{n} of {classes} ({100 * n / classes:.0f} %) in {number}" for number, n in counts.items())


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
