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


def choose_classes(
    dataset: str, count: int, rng: Generator, most_values: int | None = None, unseen_distance: int = 1
) -> list[dict[str, str]]:
    """`count` combinations {attribute: value} that differ in `LEAST_DIFFERENCE` attributes or more, unseen ones in
    `LEAST_DIFFERENCE_UNSEEN`.

    The last `unseen_count(count)` are meant as test classes: they use only values that occur in the ones before them.
    `most_values`: an attribute takes only its first so many values, so that as many classes lie closer together.
    `unseen_distance`: attributes in which an unseen class differs at least from every training class.
    Raises BadInput for a set that does not exist, fewer than 5 or more than 999 classes, or more than there is room
    for.
    """
    of_set = drawn_set(dataset)
    if count < LEAST_CLASSES:
        raise BadInput(f"classes: {count} is too few; {LEAST_CLASSES} or more are needed, a fifth of them for testing")
    if count > MOST_CLASSES:
        raise BadInput(f"classes: {count} is too many; ask for fewer, at most {MOST_CLASSES}")
    values = {name: list(options)[:most_values] for name, options in of_set.attributes.items()}
    training: list[dict[str, str]] = []
    unseen: list[dict[str, str]] = []
    for_unseen = unseen_count(count)
    # Far unseen classes come first, since no combination is far from 300 training classes that are drawn at random.
    parts = [(training, count - for_unseen), (unseen, for_unseen)]
    for part, size in parts if unseen_distance <= LEAST_DIFFERENCE else reversed(parts):
        if part is unseen and training:
            values = {
                name: [value for value in options if any(c[name] == value for c in training)]
                for name, options in values.items()
            }
        other = unseen if part is training else training
        least_of_part = LEAST_DIFFERENCE if part is training else LEAST_DIFFERENCE_UNSEEN
        for _ in range(size):
            candidate = _another(of_set, values, (part, least_of_part), (other, unseen_distance), rng=rng)
            if candidate is None:
                raise BadInput(
                    f"classes: {dataset} has no room for {count} classes {LEAST_DIFFERENCE} attributes apart"
                    + (f", unseen ones {unseen_distance} from the others" if unseen_distance > 1 else "")
                    + "; ask for fewer"
                )
            part.append(candidate)
    for name in values:
        if missing := {c[name] for c in unseen} - {c[name] for c in training}:
            raise BadInput(
                f"classes: no training class has the {name} {sorted(missing)[0]!r} of an unseen one; ask for more "
                "classes, or for unseen ones that differ in fewer attributes"
            )
    return training + unseen


def _another(
    of_set: DrawnSet,
    values: dict[str, list[str]],
    *apart: tuple[list[dict[str, str]], int],
    rng: Generator,
) -> dict[str, str] | None:
    """A combination of `values` whose parts can be seen, as far from each list of classes as `apart` says.

    None if `TRIES` draws find none.
    """
    for _ in range(TRIES):
        picks = rng.random(len(values))
        candidate = {
            name: options[int(u * len(options))] for (name, options), u in zip(values.items(), picks, strict=True)
        }
        visible = all(candidate[a] != candidate[b] or candidate[a] == "none" for a, b in of_set.contrasts)
        if visible and all(distance(candidate, c) >= least for classes, least in apart for c in classes):
            return candidate
    return None


def distance(a: dict[str, str], b: dict[str, str]) -> int:
    """The number of attributes in which two classes differ."""
    return sum(a[name] != b[name] for name in a)
