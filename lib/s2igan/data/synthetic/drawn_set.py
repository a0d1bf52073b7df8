"""What a synthetic set is made of. A new one is a module like `flowers` with a `DrawnSet`, and a row of `sets.SETS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator


@dataclass(frozen=True)
class DrawnSet:
    """A synthetic set: its visible attributes, how captions name them, and how an image is drawn."""

    # {attribute: its values}; a value is one word
    attributes: dict[str, tuple[str, ...]]
    # Neighbouring parts of one colour would hide an attribute: a class never has one value for both (but "none").
    contrasts: tuple[tuple[str, str], ...]
    class_name: tuple[str, ...]  # attributes whose values name a class
    # {attribute: the probability that a caption names it}, before some of the others, as far as the sentence has room
    usual: dict[str, float]
    # {attribute: (how likely it is to be named against the others, its wordings)}; no wordings: `sentences` has a place
    # for it
    phrases: dict[str, tuple[float, tuple[str, ...]]]
    # {value: the words that people say for it}, the value itself where it is not listed; one word each: see `describe`
    synonyms: dict[str, tuple[str, ...]]
    # {attribute: pattern} of the words that tell that a caption names it; every wording has exactly one of them
    telling: dict[str, str]
    # ({attribute: word} of those named, {attribute: phrase with a place for the word}) -> every way to say this; how
    # many there are depends on which attributes are named, not on their values
    sentences: Callable[[dict[str, str], dict[str, str]], list[str]]
    # (attributes, random state, size) -> [size, size, 3], 0..255; what is drawn from the random state does not depend
    # on the attributes
    draw: Callable[[dict[str, str], Generator, int], np.ndarray]


def listing(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
