"""Visible attributes of the synthetic sets, and the classes that are combinations of them."""

from __future__ import annotations

from numpy.random import Generator

from s2igan import BadInput

ATTRIBUTES: dict[str, dict[str, tuple[str, ...]]] = {
    "mini-flowers": {
        "petals": ("four", "five", "eight"),
        "shape": ("round", "pointed", "narrow"),
        "colour": ("red", "orange", "yellow", "white", "pink", "purple", "blue", "turquoise", "maroon"),
        "centre": ("yellow", "white", "green", "black"),
        "ring": ("none", "white", "red"),
        "stamens": ("none", "black"),
        "leaves": ("broad", "slender"),
    },
    "mini-birds": {
        "crown": ("red", "yellow", "white", "black"),
        "body": ("red", "yellow", "green", "blue", "purple", "brown"),
        "wing": ("red", "yellow", "green", "blue", "grey", "black"),
        "belly": ("orange", "yellow", "white", "black"),
        "bars": ("none", "white"),
        "beak": ("short", "long"),
        "tail": ("short", "long"),
        "size": ("small", "large"),
    },
}
# Neighbouring parts of one colour would hide an attribute; such pairs never share a value.
CONTRASTS = {
    "mini-flowers": (
        ("colour", "centre"),
        ("colour", "ring"),
        ("centre", "ring"),
        ("colour", "stamens"),
        ("ring", "stamens"),
    ),
    "mini-birds": (("crown", "body"), ("body", "wing"), ("body", "belly"), ("wing", "belly"), ("wing", "bars")),
}
CLASS_NAME = {"mini-flowers": ("colour", "shape", "petals"), "mini-birds": ("size", "body", "wing")}
# Attributes in which any two classes differ, and any two unseen ones. Many classes that lie close, rather than few that lie far apart:
# where every other attribute gives one away, a network need not see it, and cannot on a class that it never met.
LEAST_DIFFERENCE = 1
LEAST_DIFFERENCE_UNSEEN = 3
LEAST_CLASSES = 5  # so that a fifth is at least one
MOST_UNSEEN = 20
MOST_CLASSES = 999  # their numbers have three digits
TRIES = 2_000  # combinations drawn for one class before giving up


def unseen_count(classes: int) -> int:
    """How many of `classes` are test classes: a fifth, at most 20."""
    return min(classes // 5, MOST_UNSEEN)


def choose_classes(dataset: str, count: int, rng: Generator, most_values: int | None = None) -> list[dict[str, str]]:
    """`count` combinations of attributes, any two `LEAST_DIFFERENCE` apart or more, any two unseen ones `LEAST_DIFFERENCE_UNSEEN`.

    `most_values`: an attribute takes only its first so many values, so that as many classes lie closer together.
    The last `unseen(count)` are meant as test classes: they use only values that occur in the ones before them.
    """
    check_attributes(dataset)
    if count < LEAST_CLASSES:
        raise BadInput(f"classes: {count} is too few; {LEAST_CLASSES} or more are needed, a fifth of them for testing")
    if count > MOST_CLASSES:
        raise BadInput(f"classes: {count} is too many; ask for fewer, at most {MOST_CLASSES}")
    values = {name: list(options)[:most_values] for name, options in ATTRIBUTES[dataset].items()}
    chosen: list[dict[str, str]] = []
    first_unseen = count - unseen_count(count)
    for index in range(count):
        if index == first_unseen:
            values = {
                name: [value for value in options if any(c[name] == value for c in chosen)]
                for name, options in values.items()
            }
        for _ in range(TRIES):
            picks = rng.random(len(values))
            candidate = {
                name: options[int(u * len(options))] for (name, options), u in zip(values.items(), picks, strict=True)
            }
            visible = all(candidate[a] != candidate[b] or candidate[a] == "none" for a, b in CONTRASTS[dataset])
            apart = [sum(candidate[name] != c[name] for name in values) for c in chosen]
            among_unseen = apart[first_unseen:] if index > first_unseen else []
            if (
                visible
                and min(apart, default=99) >= LEAST_DIFFERENCE
                and min(among_unseen, default=99) >= LEAST_DIFFERENCE_UNSEEN
            ):
                chosen.append(candidate)
                break
        else:
            raise BadInput(
                f"classes: {dataset} has no room for {count} classes {LEAST_DIFFERENCE} attributes apart; ask for fewer"
            )
    return chosen


def check_attributes(dataset: str, attributes: dict[str, str] | None = None) -> None:
    if dataset not in ATTRIBUTES:
        raise BadInput(f"dataset: {dataset!r} is not embedded; choose one of {', '.join(ATTRIBUTES)}")
    for name, values in ATTRIBUTES[dataset].items() if attributes is not None else ():
        if attributes.get(name) not in values:
            raise BadInput(
                f"attributes: {name} of {dataset} is {attributes.get(name)!r}; it must be one of {', '.join(values)}"
            )
