"""Classes of a synthetic set: combinations of its visible attributes."""

from __future__ import annotations

from numpy.random import Generator

from s2igan import BadInput
from s2igan.data.synthetic.drawn_set import DrawnSet
from s2igan.data.synthetic.sets import drawn_set

# Attributes in which any two classes differ, and any two unseen ones. Many classes that lie close, rather than few that
# lie far apart: where every other attribute gives one away, a network need not see it, and cannot on an unseen class.
LEAST_DIFFERENCE = 1
LEAST_DIFFERENCE_UNSEEN = 3
LEAST_CLASSES = 5  # so that a fifth is at least one
MOST_UNSEEN = 20
MOST_CLASSES = 999  # their numbers have three digits
TRIES = 2_000  # combinations drawn for one class before giving up


def unseen_count(classes: int) -> int:
    """How many of `classes` are test classes: a fifth, at most 20."""
    return min(classes // 5, MOST_UNSEEN)


def class_folder(dataset: str, number: int, attributes: dict[str, str]) -> str:
    """The folder of class `number` (from 0), such as 007.blue-round-five."""
    return f"{number + 1:03d}." + "-".join(attributes[name] for name in drawn_set(dataset).class_name)


def choose_classes(dataset: str, count: int, rng: Generator, most_values: int | None = None) -> list[dict[str, str]]:
    """`count` combinations {attribute: value} that differ in `LEAST_DIFFERENCE` attributes or more, unseen ones in
    `LEAST_DIFFERENCE_UNSEEN`.

    The last `unseen_count(count)` are meant as test classes: they use only values that occur in the ones before them.
    `most_values`: an attribute takes only its first so many values, so that as many classes lie closer together.
    Raises BadInput for a set that does not exist, fewer than 5 or more than 999 classes, or more than there is room
    for.
    """
    of_set = drawn_set(dataset)
    if count < LEAST_CLASSES:
        raise BadInput(f"classes: {count} is too few; {LEAST_CLASSES} or more are needed, a fifth of them for testing")
    if count > MOST_CLASSES:
        raise BadInput(f"classes: {count} is too many; ask for fewer, at most {MOST_CLASSES}")
    values = {name: list(options)[:most_values] for name, options in of_set.attributes.items()}
    chosen: list[dict[str, str]] = []
    first_unseen = count - unseen_count(count)
    for index in range(count):
        if index == first_unseen:
            values = {
                name: [value for value in options if any(c[name] == value for c in chosen)]
                for name, options in values.items()
            }
        candidate = _another(of_set, values, chosen, first_unseen, rng)
        if candidate is None:
            raise BadInput(
                f"classes: {dataset} has no room for {count} classes {LEAST_DIFFERENCE} attributes apart; ask for fewer"
            )
        chosen.append(candidate)
    return chosen


def _another(
    of_set: DrawnSet, values: dict[str, list[str]], chosen: list[dict[str, str]], first_unseen: int, rng: Generator
) -> dict[str, str] | None:
    """A combination of `values` whose parts can be seen, far enough from `chosen`; None if `TRIES` draws find none."""
    for _ in range(TRIES):
        picks = rng.random(len(values))
        candidate = {
            name: options[int(u * len(options))] for (name, options), u in zip(values.items(), picks, strict=True)
        }
        visible = all(candidate[a] != candidate[b] or candidate[a] == "none" for a, b in of_set.contrasts)
        apart = [sum(candidate[name] != c[name] for name in values) for c in chosen]
        far = min(apart, default=99) >= LEAST_DIFFERENCE
        if visible and far and min(apart[first_unseen:], default=99) >= LEAST_DIFFERENCE_UNSEEN:
            return candidate
    return None
