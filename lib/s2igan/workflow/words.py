"""Words of a command line: NAME=value, switches, lists."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from s2igan import BadInput, config

PLURAL = {"dataset": "datasets", "seed": "seeds", "system": "systems"}
ON, OFF = ("1", "yes", "true", "on"), ("", "0", "no", "false", "off", "none")


def in_plural(given: dict[str, Any]) -> dict[str, Any]:
    """Names in lower case; dataset, seed and system count as datasets, seeds and systems.

    Raises BadInput for a name that is no text, or that stands there twice once it is written so.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if not isinstance(name, str):
            raise BadInput(f"parameter name {config.quoted(name)} is no text")
        plural = PLURAL.get(name.lower(), name.lower())
        if plural in found:
            raise BadInput(f"parameter {config.quoted(plural)} is given twice: leave one out")
        found[plural] = value
    return found


def as_list(value: Any) -> list[str]:
    """'a, b' or ['a', 'b'] or 0 as a list of strings."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    return [text for part in parts if (text := (part if isinstance(part, str) else config.quoted(part)).strip())]


def is_on(name: str, value: Any) -> bool:
    """Whether a switch such as DRY is on: 1, yes, true and on are; 0, no, false, off and nothing are not.

    Raises BadInput for anything else.
    """
    text = value.strip().lower() if isinstance(value, str) else config.quoted(value).lower()
    if text not in ON + OFF:
        raise BadInput(f"parameter {name!r} is {config.quoted(value)}: it must be 1 or 0")
    return text in ON


def whole_number(name: str, value: Any) -> int:
    """A number from 1 to 99999. Raises BadInput for anything else."""
    text = value.strip() if isinstance(value, str) else config.quoted(value)
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text)):
        raise BadInput(f"parameter {name!r} is {config.quoted(value)}: it must be a whole number from 1 to 99999")
    return int(text)


def read_words(words: Iterable[str]) -> dict[str, Any]:
    """The values of words NAME=value, or NAME whose value the environment holds. Raises BadInput for other words, and
    for a name that is given twice."""
    given: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            if not name or "\0" in name or name not in os.environ:
                raise BadInput(f"{config.quoted(word)} is no NAME=value")
            value = os.environ[name]
        if name in given:
            raise BadInput(f"parameter {config.quoted(name)} is given twice: leave one out")
        given[name] = value
    return in_plural(given)


def with_file(given: dict[str, Any]) -> dict[str, Any]:
    """`given` over the values of the file that PARAMS names, if it names one."""
    if "params" not in given:
        return given
    more = dict(given)
    path = more.pop("params")
    if not isinstance(path, str) or any(ord(sign) < 32 or ord(sign) == 127 for sign in path):
        raise BadInput(f"parameter 'params' is {config.quoted(path)}: it must be the name of a file")
    return {**in_plural(config.from_yaml(os.path.expanduser(path))), **more}
