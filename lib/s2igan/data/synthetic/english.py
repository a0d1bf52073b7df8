"""English, which the captions of a synthetic set are in unless `data_language` says otherwise."""

from __future__ import annotations

import re

from s2igan.data.synthetic.birds import BIRDS
from s2igan.data.synthetic.grammar import Grammar, Language, filled, listing


def of_flowers(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    extras = filled(details, words)
    colour, number, shape = words["colour"], words.get("petals", ""), words.get("shape", "")
    petals, bare = f"{number} {shape} {colour} petals", [f"{number} {shape} petals"] if number or shape else []
    starts = ("this flower has", "a flower with", "the flower has", "a blossom with")
    ways = [f"{start} {listing([petals, *extras])}" for start in starts]
    ways += [f"a {colour} flower with {listing(bare + extras)}", f"this {colour} flower has {listing(bare + extras)}"]
    ways += [f"this flower is {colour} with {listing(extras + bare)}"]
    ways += [f"there is a {colour} flower with {listing(bare + extras)}"]
    if extras:
        ways += [f"with {listing(extras)}, this flower has {petals}", f"{petals} on a flower with {listing(extras)}"]
        ways += [f"the flower has {petals} with {listing(extras)}"]
        if shape:
            ways += [f"the {number} petals are {shape} and {colour}, with {listing(extras)}"]
    return ways


def of_birds(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """As `Grammar.sentences`."""
    parts = filled(details, words)
    size, body = words.get("size", ""), words.get("body", "")
    if not parts:
        ways = [f"{start} {size} {body} bird" for start in ("this is a", "there is a", "it is a", "here is a")]
        return [*ways, *([f"the bird is {size} and {body}"] if size and body else [])]
    ways = [f"{start} {size} {body} bird with {listing(parts)}" for start in ("a", "this is a", "there is a")]
    ways += [f"{start} {size} {body} bird has {listing(parts)}" for start in ("this", "the")]
    if body:
        with_body = f"a {body} body"
        ways += [f"this {size} bird is {body} with {listing(parts)}"]
        ways += [f"this {size} bird has {listing([with_body, *parts])}"]
        ways += [f"a {size} bird with {listing([*parts, with_body])}"]
    if size and body:
        ways += [f"the bird is {size} and {body} with {listing(parts)}"]
    if len(parts) > 1:
        ways += [f"with {listing(parts[1:])}, this {size} {body} bird has {parts[0]}"]
    return ways


def articles(sentence: str) -> str:
    """'an' before a vowel, and neither before 'no'."""
    return re.sub(r"\ba(?= [aeiou])", "an", re.sub(r"\ba no\b", "no", sentence))


_BODIES = "|".join(BIRDS.attributes["body"])
ENGLISH = Language(
    sets={
        "mini-flowers": Grammar(
            words={
                "none": ("no",),
                "round": ("round", "rounded"),
                "pointed": ("pointed", "pointy"),
                "narrow": ("narrow", "thin"),
                "broad": ("broad", "wide"),
            },
            details={
                "centre": ("a {} centre", "a {} middle"),
                "ring": ("a {} ring", "a {} inner ring"),
                "stamens": ("{} stamens",),
                "leaves": ("{} leaves",),
            },
            sentences=of_flowers,
            telling={
                "petals": r"\b(four|five|eight)\b",
                "shape": r"\b(round|rounded|pointed|pointy|narrow|thin)\b",
                "colour": "",  # every sentence names it
                "centre": r"\b(centre|middle)\b",
                "ring": r"\bring\b",
                "stamens": r"\bstamens\b",
                "leaves": r"\bleaves\b",
            },
        ),
        "mini-birds": Grammar(
            words={
                "none": ("no",),
                "short": ("short", "stubby"),
                "small": ("small", "little", "tiny"),
                "large": ("large", "big"),
            },
            details={
                "crown": ("a {} crown", "a {} cap"),
                "belly": ("a {} belly", "a {} breast"),
                "bars": ("{} wing bars", "{} wingbars"),
                "beak": ("a {} beak", "a {} bill"),
                "tail": ("a {} tail",),
                "wing": ("{} wings",),
            },
            sentences=of_birds,
            telling={
                "crown": r"\b(crown|cap)\b",
                "body": rf"\b({_BODIES}) (bird|body)\b|\bbird is (\w+ and )?({_BODIES}) with\b",
                "wing": r"\bwings\b",
                "belly": r"\b(belly|breast)\b",
                "bars": r"\bwing ?bars\b",
                "beak": r"\b(beak|bill)\b",
                "tail": r"\btail\b",
                "size": r"\b(small|little|tiny|large|big)\b",
            },
        ),
    },
    finish=articles,
)
