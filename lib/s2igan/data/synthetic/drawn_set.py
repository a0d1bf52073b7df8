"""What a synthetic set is made of, but for its captions, which are a matter of languages (`grammar.py`).

A new set is a module like `flowers` with a `DrawnSet`, a row of `sets.SETS` and a row of `sets` of a language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator


@dataclass(frozen=True)
class DrawnSet:
    """A synthetic set: its visible attributes, how often captions name them, and how an image is drawn."""

    # {attribute: its values}; a value is one word
    attributes: dict[str, tuple[str, ...]]
    # Neighbouring parts of one colour would hide an attribute: a class never has one value for both (but "none").
    contrasts: tuple[tuple[str, str], ...]
    class_name: tuple[str, ...]  # attributes whose values name a class
    # {attribute: the probability that a caption names it}, before some of the others, as far as the sentence has room
    usual: dict[str, float]
    # {attribute: how likely it is to be named against the others}, of those that are not always named
    weights: dict[str, float]
    # (attributes, random state, size) -> [size, size, 3], 0..255; what is drawn from the random state does not depend
    # on the attributes
    draw: Callable[[dict[str, str], Generator, int], np.ndarray]

