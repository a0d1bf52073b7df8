"""Captions of the synthetic sets: some of the attributes, in varied wording."""

from __future__ import annotations

import re

import numpy as np
from numpy.random import Generator

from s2igan import BadInput
from s2igan.data.synthetic.drawn_set import DrawnSet
from s2igan.data.synthetic.sets import check_attributes, drawn_set

NAMED = 4  # attributes named beside the usual ones, and now and then one more
WORDS = (7, 16)
WORDS_OF_VAGUE = (5, 16)  # where fewer than `NAMED` others are named


def describe(
    dataset: str, attributes: dict[str, str], rng: Generator, must: tuple[str, ...] = (), naming: int = NAMED
) -> str:
    """One caption of 7 to 16 words (more only if `must` asks for much), lower case, that names some attributes.

    What is drawn from `rng`, and every choice, depends on the names of the attributes and never on their values. The
    same state of `rng` with one value changed gives the same sentence but for that word (and 'a', 'an' or, before 'no',
    neither).

    Args:
        attributes: {attribute: value}, all of the set's.
        must: attributes that are named in any case.
        naming: how many attributes beside the usual ones, at least 1; below 4 the captions are vaguer, and shorter.
    Raises BadInput for a set, an attribute or a value that does not exist.
    """
    check_attributes(dataset, attributes)
    of_set = drawn_set(dataset)
    if unknown := [name for name in must if name not in of_set.attributes]:
        raise BadInput(f"must: {dataset} has no attribute {unknown[0]!r}; it has {', '.join(of_set.attributes)}")
    names = list(of_set.attributes)
    chance, order, word, phrase = (dict(zip(names, row, strict=True)) for row in rng.random((4, len(names))))
    how_many, which = rng.random(2)

    usual = [name for name, probability in of_set.usual.items() if name in must or chance[name] < probability]
    ranked = _ranked(of_set, must, chance)
    needed = sum(name in must for name in ranked)
    shortest, longest = WORDS if naming >= NAMED else WORDS_OF_VAGUE
    # Fewer attributes until a sentence has room for them.
    for extra in range(max(naming + (how_many < 0.3), needed), max(needed, 1) - 1, -1):
        named = sorted(usual + ranked[:extra], key=lambda name: order[name])
        details = _details(of_set, named, phrase)
        # Lengths are taken with one value for all, so that they choose the same sentence for every value.
        lengths = [len(way.split()) for way in _ways(of_set, dict.fromkeys(named, "blue"), details)]
        fitting = [i for i, length in enumerate(lengths) if shortest <= length <= longest]
        if fitting:
            break
    chosen = fitting[int(which * len(fitting))] if fitting else int(np.argmin(lengths))
    options = {name: of_set.synonyms.get(attributes[name], (attributes[name],)) for name in named}
    return _ways(of_set, {name: _pick(said, word[name]) for name, said in options.items()}, details)[chosen]


def named_attributes(dataset: str, caption: str) -> set[str]:
    """The attributes that a caption made by `describe` names. Raises BadInput for a set that does not exist."""
    return {name for name, pattern in drawn_set(dataset).telling.items() if re.search(pattern, caption)}


def _ranked(of_set: DrawnSet, must: tuple[str, ...], chance: dict[str, float]) -> list[str]:
    """The attributes beside the usual ones, those that must be named first, then by weighted sampling without
    replacement: the largest u ** (1 / weight) first."""
    weights = {name: weight for name, (weight, _) in of_set.phrases.items() if name not in of_set.usual}
    return sorted(weights, key=lambda name: (name not in must, -(chance[name] ** (1 / weights[name]))))


def _details(of_set: DrawnSet, named: list[str], phrase: dict[str, float]) -> dict[str, str]:
    """{attribute: wording} of those that have a wording of their own."""
    wordings = {name: of_set.phrases[name][1] for name in named if name in of_set.phrases}
    return {name: _pick(options, phrase[name]) for name, options in wordings.items() if options}


def _pick(options: tuple[str, ...], u: float) -> str:
    return options[int(u * len(options))]


def _ways(of_set: DrawnSet, words: dict[str, str], details: dict[str, str]) -> list[str]:
    """Every sentence, with articles as they should be and no gaps where an attribute is not named."""
    return [
        re.sub(r"\ba(?= [aeiou])", "an", re.sub(r"\ba no\b", "no", " ".join(way.split())))
        for way in of_set.sentences(words, details)
    ]
