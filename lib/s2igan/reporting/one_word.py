"""Descriptions that differ in one word, and whether the images follow."""

from __future__ import annotations

import numpy as np
import pandas as pd
from torch import Tensor

from s2igan import speech
from s2igan.config import Settings, voices_of
from s2igan.data.audio import with_noise
from s2igan.data.store import Store, attribute_targets
from s2igan.data.synthetic.captions import wording
from s2igan.data.synthetic.languages import language_of
from s2igan.data.synthetic.meaning import gloss_of
from s2igan.data.synthetic.sets import SETS
from s2igan.data.text_to_speech import speak


def one_word_changed(
    store: Store, settings: Settings, seed: int = 0, language: str | None = None
) -> tuple[pd.DataFrame, list[Tensor]]:
    """Descriptions of the unseen classes of a synthetic set that differ in one word, and their speech by one voice.

    For each class and attribute there is one sentence that names the attribute, said with every value that can be seen
    beside the class's other values.

    Args: language: of the sentences; by default the first of `data_language`.
    Returns: a table with columns class, attribute, value, text ('' in a language without writing), gloss (in English,
        for the reader); the log-mels of its rows, [T_i, 40].
    """
    rows, said, language = [], [], language or settings.data_language[0]
    known, _ = attribute_targets(store)  # a small set need not hold every value
    for k in np.unique(store.image_class[store.image_ids_of("test")]):
        attributes = store.attributes[store.classes[k]]
        for number, (name, values) in enumerate(SETS[store.dataset].attributes.items()):
            for value in (value for value in values if value in known[name]):
                changed = {**attributes, name: value}
                if any(changed[a] == changed[b] != "none" for a, b in SETS[store.dataset].contrasts if name in (a, b)):
                    continue
                rng = np.random.default_rng([seed, int(k), number])
                sentence = wording(store.dataset, changed, rng, (name,), settings.data_naming, language)
                meaning = gloss_of(store.dataset, changed, sentence.named)
                row = {"class": int(k), "attribute": name, "value": value, "text": sentence.text, "gloss": meaning}
                rows.append(row)
                said.append(sentence.text or sentence.phonemes)
    table, written = pd.DataFrame(rows), language_of(language).written
    voice = voices_of(language, settings.data_voices)[0]
    waveforms = speak(said, voice, settings.data_engine, settings.data_words_per_minute, phonemes=not written)
    if settings.data_noise_db is not None:
        waveforms = [with_noise(waveform, settings.data_noise_db, row) for row, waveform in enumerate(waveforms)]
    return table, [speech.log_mel(waveform) for waveform in waveforms]


def follows(changed: pd.DataFrame, store: Store, seen: dict[str, np.ndarray]) -> np.ndarray:
    """For each row of `one_word_changed` whether the evaluator sees the word's value in its image.

    Args: seen: what `attributes_seen` gives of the images.
    """
    values, _ = attribute_targets(store)
    said = zip(changed.attribute, changed.value, strict=True)
    return np.array([seen[name][row] == values[name].index(value) for row, (name, value) in enumerate(said)])


def one_word_chance(dataset: str, changed: pd.DataFrame) -> pd.Series:
    """How often a guess among the values said is right, in percent, for each attribute of `one_word_changed`."""
    # Of each sentence's variants a guess gets one right.
    chance = 100 * changed.groupby("attribute")["class"].nunique() / changed.groupby("attribute").size()
    chance.index = pd.MultiIndex.from_product([[dataset], chance.index], names=["data set", "attribute"])
    return chance
