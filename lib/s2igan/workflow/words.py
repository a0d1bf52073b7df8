"""Words of a command line: NAME=value, switches, lists."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from s2igan import BadInput, config


def in_plural(given: dict[str, Any]) -> dict[str, Any]:
    """Names in lower case; dataset, seed and system count as datasets, seeds and systems."""
    plural = {"dataset": "datasets", "seed": "seeds", "system": "systems"}
    return {plural.get(name.lower(), name.lower()): value for name, value in given.items()}


def as_list(value: Any) -> list[str]:
    """'a, b' or ['a', 'b'] or 0 as a list of strings."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    return [str(part).strip() for part in parts if str(part).strip()]


def is_on(value: Any) -> bool:
    """Whether a switch such as DRY is on: 1, yes and true are; 0, no, false and nothing are not."""
    return str(value).lower() not in ("", "0", "no", "false")


def read_words(words: Iterable[str]) -> dict[str, Any]:
    """The values of words NAME=value, or NAME whose value the environment holds. Raises BadInput for other words."""
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            if name not in os.environ:
                raise BadInput(f"{word!r} is no NAME=value")
            value = os.environ[name]
        given[name] = value
    return in_plural(given)


def with_file(given: dict[str, Any]) -> dict[str, Any]:
    """`given` over the values of the file that PARAMS names, if it names one."""
    if "params" not in given:
        return given
    more = dict(given)
    return {**in_plural(config.from_yaml(more.pop("params"))), **more}
