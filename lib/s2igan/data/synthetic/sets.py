"""The synthetic sets by name; `config.SYNTHETIC` has the same names."""

from __future__ import annotations

from s2igan import BadInput
from s2igan.data.synthetic.birds import BIRDS
from s2igan.data.synthetic.drawn_set import DrawnSet
from s2igan.data.synthetic.flowers import FLOWERS

SETS: dict[str, DrawnSet] = {"mini-flowers": FLOWERS, "mini-birds": BIRDS}


def drawn_set(dataset: str) -> DrawnSet:
    """The synthetic set of that name. Raises BadInput, listing the names, where there is none."""
    if dataset not in SETS:
        raise BadInput(f"dataset: {dataset!r} is not synthetic; choose one of {', '.join(SETS)}")
    return SETS[dataset]


def check_attributes(dataset: str, attributes: dict[str, str]) -> None:
    """Raises BadInput unless `attributes` has a value of the set for each attribute."""
    for name, values in drawn_set(dataset).attributes.items():
        if attributes.get(name) not in values:
            raise BadInput(
                f"attributes: {name} of {dataset} is {attributes.get(name)!r}; it must be one of {', '.join(values)}"
            )
