"""Captions of the synthetic sets: some of the attributes, in varied wording."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from s2igan import BadInput
from s2igan.data.synthetic.classes import ATTRIBUTES, check_attributes

# What people say for a value; the first is the value itself unless it cannot be said so. One word each: see `describe`.
SYNONYMS = {
    "none": ("no",), "round": ("round", "rounded"), "pointed": ("pointed", "pointy"),
    "narrow": ("narrow", "thin"), "broad": ("broad", "wide"), "short": ("short", "stubby"), "small": ("small", "little", "tiny"),
    "large": ("large", "big"),
}  # fmt: skip
# attribute -> how likely it is to be named against the others, and its wordings (none where it is an adjective of a sentence)
PHRASES: dict[str, dict[str, tuple[float, tuple[str, ...]]]] = {
    "mini-flowers": {
        "petals": (3.0, ()), "shape": (3.0, ()), "centre": (2.0, ("a {} centre", "a {} middle")),
        "ring": (1.2, ("a {} ring", "a {} inner ring")), "stamens": (1.2, ("{} stamens",)), "leaves": (1.0, ("{} leaves",)),
    },
    "mini-birds": {
        "crown": (2.0, ("a {} crown", "a {} cap")), "belly": (2.0, ("a {} belly", "a {} breast")), "size": (1.5, ()),
        "bars": (1.2, ("{} wing bars", "{} wingbars")), "beak": (1.2, ("a {} beak", "a {} bill")), "tail": (1.0, ("a {} tail",)),
        "wing": (1.0, ("{} wings",)),
    },
}  # fmt: skip
# Attributes named with this probability, before some others (`NAMED`, and now and then one more), as far as the sentence has room.
USUAL = {"mini-flowers": {"colour": 1.0}, "mini-birds": {"body": 0.95, "wing": 0.9}}
NAMED = 4
WORDS = (7, 16)
WORDS_OF_VAGUE = (5, 16)  # where fewer than `NAMED` others are named


def describe(
    dataset: str, attributes: dict[str, str], rng: Generator, must: tuple[str, ...] = (), naming: int = NAMED
) -> str:
    """One caption of 7 to 16 words (more only if `must` asks for much), lower case, that names some attributes and all in `must`.

    `naming`: how many attributes beside the usual ones, at least 1; below 4 the captions are vaguer, and shorter.
    What is drawn from `rng`, and every choice, depends on the names of the attributes and never on their values. The same state of
    `rng` with one value changed gives the same sentence but for that word (and 'a', 'an' or, before 'no', neither).
    """
    check_attributes(dataset, attributes)
    if unknown := [name for name in must if name not in ATTRIBUTES[dataset]]:
        raise BadInput(f"must: {dataset} has no attribute {unknown[0]!r}; it has {', '.join(ATTRIBUTES[dataset])}")
    names = list(ATTRIBUTES[dataset])
    chance, order, word, phrase = (dict(zip(names, row, strict=True)) for row in rng.random((4, len(names))))
    how_many, which = rng.random(2)

    usual = [name for name, probability in USUAL[dataset].items() if name in must or chance[name] < probability]
    weights = {name: weight for name, (weight, _) in PHRASES[dataset].items() if name not in USUAL[dataset]}
    # Weighted sampling without replacement: the largest u ** (1 / weight) first.
    ranked = sorted(weights, key=lambda name: (name not in must, -(chance[name] ** (1 / weights[name]))))
    needed = sum(name in must for name in ranked)
    write = _flower_sentences if dataset == "mini-flowers" else _bird_sentences
    shortest, longest = WORDS if naming >= NAMED else WORDS_OF_VAGUE
    for extra in range(max(naming + (how_many < 0.3), needed), max(needed, 1) - 1, -1):
        naming_these = sorted(usual + ranked[:extra], key=lambda name: order[name])
        wordings = {name: PHRASES[dataset][name][1] for name in naming_these if name in PHRASES[dataset]}
        details = {name: options[int(phrase[name] * len(options))] for name, options in wordings.items() if options}
        # Lengths are judged on a stand-in value, so that they choose the same sentence for every value.
        lengths = [len(sentence.split()) for sentence in write(dict.fromkeys(naming_these, "blue"), details)]
        fitting = [i for i, length in enumerate(lengths) if shortest <= length <= longest]
        if fitting:
            break
    chosen = fitting[int(which * len(fitting))] if fitting else int(np.argmin(lengths))
    said = {name: SYNONYMS.get(attributes[name], (attributes[name],)) for name in naming_these}
    return write({name: options[int(word[name] * len(options))] for name, options in said.items()}, details)[chosen]


def _flower_sentences(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """Every way to say this; how many there are depends on which attributes are named, not on their values."""
    extras = [phrase.format(words[name]) for name, phrase in details.items()]
    colour, number, shape = words["colour"], words.get("petals", ""), words.get("shape", "")
    petals, bare = f"{number} {shape} {colour} petals", [f"{number} {shape} petals"] if number or shape else []
    ways = [
        f"{start} {_listing([petals, *extras])}"
        for start in ("this flower has", "a flower with", "the flower has", "a blossom with")
    ]
    ways += [f"a {colour} flower with {_listing(bare + extras)}", f"this {colour} flower has {_listing(bare + extras)}"]
    ways += [
        f"this flower is {colour} with {_listing(extras + bare)}",
        f"there is a {colour} flower with {_listing(bare + extras)}",
    ]
    if extras:
        ways += [f"with {_listing(extras)}, this flower has {petals}", f"{petals} on a flower with {_listing(extras)}"]
        ways += [f"the flower has {petals} with {_listing(extras)}"]
        if shape:
            ways += [f"the {number} petals are {shape} and {colour}, with {_listing(extras)}"]
    return [_tidy(way) for way in ways]


def _bird_sentences(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """Every way to say this; how many there are depends on which attributes are named, not on their values."""
    parts = [phrase.format(words[name]) for name, phrase in details.items()]
    size, body = words.get("size", ""), words.get("body", "")
    if not parts:
        ways = [f"{start} {size} {body} bird" for start in ("this is a", "there is a", "it is a", "here is a")]
        return [_tidy(way) for way in (*ways, *([f"the bird is {size} and {body}"] if size and body else []))]
    ways = [f"{start} {size} {body} bird with {_listing(parts)}" for start in ("a", "this is a", "there is a")]
    ways += [f"{start} {size} {body} bird has {_listing(parts)}" for start in ("this", "the")]
    if body:
        ways += [
            f"this {size} bird is {body} with {_listing(parts)}",
            f"this {size} bird has {_listing([f'a {body} body', *parts])}",
        ]
        ways += [f"a {size} bird with {_listing([*parts, f'a {body} body'])}"]
    if size and body:
        ways += [f"the bird is {size} and {body} with {_listing(parts)}"]
    if len(parts) > 1:
        ways += [f"with {_listing(parts[1:])}, this {size} {body} bird has {parts[0]}"]
    return [_tidy(way) for way in ways]


def _listing(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


# Words that give away which attribute a caption names; every wording of PHRASES and every sentence has exactly one of them.
_TELLING = {
    "mini-flowers": {
        "petals": r"\b(four|five|eight)\b", "shape": r"\b(round|rounded|pointed|pointy|narrow|thin)\b", "centre": r"\b(centre|middle)\b",
        "ring": r"\bring\b", "stamens": r"\bstamens\b", "leaves": r"\bleaves\b",
    },
    "mini-birds": {
        "crown": r"\b(crown|cap)\b", "belly": r"\b(belly|breast)\b", "size": r"\b(small|little|tiny|large|big)\b",
        "bars": r"\bwing ?bars\b", "beak": r"\b(beak|bill)\b", "tail": r"\btail\b", "wing": r"\bwings\b",
    },
}  # fmt: skip


def named_attributes(dataset: str, caption: str) -> set[str]:
    """The attributes that a caption made by `describe` names."""
    found = {name for name, pattern in _TELLING[dataset].items() if re.search(pattern, caption)}
    if dataset == "mini-flowers":
        return found | {"colour"}
    colours = "|".join(ATTRIBUTES[dataset]["body"])
    body = rf"\b({colours}) (bird|body)\b|\bbird is (\w+ and )?({colours}) with\b"
    return found | ({"body"} if re.search(body, caption) else set())


def _tidy(sentence: str) -> str:
    """Articles as they should be, and no gaps where an attribute is not named."""
    return re.sub(r"\ba(?= [aeiou])", "an", re.sub(r"\ba no\b", "no", " ".join(sentence.split())))
