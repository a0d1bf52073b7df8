"""Captions of the synthetic sets: some of the attributes, in varied wording, in one of several languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.random import Generator

from s2igan import BadInput
from s2igan.config import DEFAULT_LANGUAGE
from s2igan.data.layout import Wording
from s2igan.data.synthetic.drawn_set import DrawnSet
from s2igan.data.synthetic.grammar import Grammar, Language
from s2igan.data.synthetic.languages import grammar_of, language_of
from s2igan.data.synthetic.sets import check_attributes, drawn_set

Choice = TypeVar("Choice")
NAMED = 4  # attributes named beside the usual ones, and now and then one more
WORDS = (7, 16)
WORDS_OF_VAGUE = (5, 16)  # where fewer than `NAMED` others are named


def describe(
    dataset: str,
    attributes: dict[str, str],
    rng: Generator,
    must: tuple[str, ...] = (),
    naming: int = NAMED,
    language: str = DEFAULT_LANGUAGE,
) -> str:
    """One caption of 7 to 16 words (more only if `must` asks for much), lower case, that names some attributes.

    What is drawn from `rng`, and every choice, depends on the names of the attributes and never on their values. The
    same state of `rng` with one value changed gives the same sentence but for that word (and 'a', 'an' or, before 'no',
    neither; in other languages the form of the word). In every language it names the same attributes, as many as an
    English sentence has room for.

    Args:
        attributes: {attribute: value}, all of the set's.
        must: attributes that are named in any case.
        naming: how many attributes beside the usual ones, at least 1; below 4 the captions are vaguer, and shorter.
        language: a row of `languages.LANGUAGES`. A caption in one without writing has no text: '', see `wording`.
    Raises BadInput for a set, an attribute, a value or a language that does not exist.
    """
    return wording(dataset, attributes, rng, must, naming, language).text


def wording(
    dataset: str,
    attributes: dict[str, str],
    rng: Generator,
    must: tuple[str, ...] = (),
    naming: int = NAMED,
    language: str = DEFAULT_LANGUAGE,
) -> Wording:
    """A caption as `describe` gives it, with the attributes that it names; in a language without writing its phonemes
    stand in place of its text."""
    check_attributes(dataset, attributes)
    of_set, grammar, english = drawn_set(dataset), grammar_of(language, dataset), grammar_of(DEFAULT_LANGUAGE, dataset)
    if unknown := [name for name in must if name not in of_set.attributes]:
        raise BadInput(f"must: {dataset} has no attribute {unknown[0]!r}; it has {', '.join(of_set.attributes)}")
    names = list(of_set.attributes)
    chance, order, word, phrase = (dict(zip(names, row, strict=True)) for row in rng.random((4, len(names))))
    how_many, which = rng.random(2)

    usual = [name for name, probability in of_set.usual.items() if name in must or chance[name] < probability]
    ranked = _ranked(of_set, must, chance)
    needed = sum(name in must for name in ranked)
    shortest, longest = WORDS if naming >= NAMED else WORDS_OF_VAGUE
    # Fewer attributes until an English sentence has room for them.
    for extra in range(max(naming + (how_many < 0.3), needed), max(needed, 1) - 1, -1):
        named = sorted(usual + ranked[:extra], key=lambda name: order[name])
        # Lengths are taken with one value for all, so that they choose the same sentence for every value.
        ways = _ways(english, dict.fromkeys(named, "blue"), _details(english, named, phrase))
        lengths = [len(way.split()) for way in ways]
        fitting = [i for i, length in enumerate(lengths) if shortest <= length <= longest]
        if fitting:
            break
    options = {name: grammar.words.get(attributes[name], (attributes[name],)) for name in named}
    words = {name: _pick(known, word[name]) for name, known in options.items()}
    ways = _ways(grammar, words, _details(grammar, named, phrase))
    choice = (fitting or [int(np.argmin(lengths))]) if grammar is english else range(len(ways))
    said = finished(language_of(language), ways[_pick(choice, which)])
    texts = {"text": said} if language_of(language).written else {"phonemes": said}
    return Wording(language, tuple(name for name in names if name in named), **texts)


def named_attributes(dataset: str, caption: str) -> set[str]:
    """The attributes that a caption made by `describe` in English names; `meaning.named_in` knows of all languages.

    Raises BadInput for a set that does not exist.
    """
    drawn_set(dataset)
    telling = grammar_of(DEFAULT_LANGUAGE, dataset).telling
    return {name for name, pattern in telling.items() if re.search(pattern, caption)}


def _ranked(of_set: DrawnSet, must: tuple[str, ...], chance: dict[str, float]) -> list[str]:
    """The attributes beside the usual ones, those that must be named first, then by weighted sampling without
    replacement: the largest u ** (1 / weight) first."""
    weights = {name: weight for name, weight in of_set.weights.items() if name not in of_set.usual}
    return sorted(weights, key=lambda name: (name not in must, -(chance[name] ** (1 / weights[name]))))


def _details(grammar: Grammar, named: list[str], phrase: dict[str, float]) -> dict[str, str]:
    """{attribute: wording} of those that have a wording of their own."""
    return {name: _pick(grammar.details[name], phrase[name]) for name in named if name in grammar.details}


def _pick(options: Sequence[Choice], u: float) -> Choice:
    return options[int(u * len(options))]


def _ways(grammar: Grammar, words: dict[str, str], details: dict[str, str]) -> list[str]:
    """Every sentence, with no gaps where an attribute is not named."""
    return [" ".join(way.split()).replace(" ,", ",") for way in grammar.sentences(words, details)]


def finished(language: Language, sentence: str) -> str:
    """A sentence of `Grammar.sentences` as it is said, its words in their forms."""
    return language.finish(re.sub(r"(\w+)~(\w+)", lambda match: language.agree(match[1], match[2]), sentence))
