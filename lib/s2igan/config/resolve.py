"""From what a user gave to `Settings`: defaults, then the preset's values, then the user's.

Unknown names and wrong values are refused.
"""

from __future__ import annotations

import difflib
import itertools
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from s2igan import BadInput
from s2igan.config.datasets import DATASETS, DOWNLOADABLE, SYNTHETIC
from s2igan.config.engines import ENGINE_VOICES
from s2igan.config.languages import LANGUAGE_VOICES
from s2igan.config.settings import PRESETS, Settings
from s2igan.config.systems import RDG_SYSTEMS, SEN_SYSTEMS
from s2igan.files import read_yaml

WHERE = "lib/s2igan/config/settings.py"


def resolve(parameters: dict[str, Any]) -> Settings:
    """Defaults, then the preset's values, then `parameters`; values may be strings as they come from a command line.

    Raises BadInput, one line for the first fault: an unknown name (with the nearest known one) or a value out of range.
    """
    _check_names(parameters)
    for name, value in parameters.items():
        _check_kind(name, value)
    preset = _one_of(PRESETS, "preset", parameters.get("preset", Settings.model_fields["preset"].default))
    values = {**PRESETS[preset], **parameters}
    _one_of(DATASETS, "dataset", values.get("dataset", Settings.model_fields["dataset"].default))
    _one_of(ENGINE_VOICES, "speech engine", values.get("data_engine", Settings.model_fields["data_engine"].default))
    values = {name: _from_text(name, value) for name, value in values.items()}
    for language in _languages(values):
        _one_of(LANGUAGE_VOICES, "language", language)
    settings = _validated(_with_derived(values))
    _check_sizes(settings)
    _check_processes(settings)
    _check_study(settings)
    return settings


def _check_names(parameters: dict[str, Any]) -> None:
    for name in parameters:
        if not isinstance(name, str):
            raise BadInput(f"parameter name {quoted(name)} is no text: write it as in {WHERE}")
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"{WHERE} lists all parameters"
            raise BadInput(f"unknown parameter {quoted(name)}: {hint}")


def _check_kind(name: str, value: Any) -> None:
    """Raises BadInput unless `value` is a number, a text of one line, true, false or none, or a list of such."""
    for part in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(part, bool | int | float | str | None):
            kind = type(part).__name__
            raise BadInput(f"parameter {name!r} has a value of type {kind}: give a number, a text or a list of them")
        if isinstance(part, str) and any(ord(sign) < 32 or ord(sign) == 127 for sign in part):
            raise BadInput(f"parameter {name!r} is {quoted(part)}: it has a line break or another control character")
        if isinstance(part, bool) and "bool" not in (annotation := str(Settings.model_fields[name].annotation)):
            wanted = "a text" if "str" in annotation else "a number"
            raise BadInput(f"parameter {name!r} is {'true' if part else 'false'}: it must be {wanted}")


def quoted(value: Any) -> str:
    """`value` as it stands in a message: in one line, of 60 characters at most."""
    try:
        text = repr(value[:60] if isinstance(value, str | bytes) else value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; lists in lists in lists
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 and not (isinstance(value, str) and len(value) > 60) else f"{text[:57]}..."


def _one_of(known: Iterable[str], name: str, value: Any) -> str:
    if not isinstance(value, str) or value not in known:
        raise BadInput(f"{name} {quoted(value)} does not exist: choose one of {', '.join(known)}")
    return value


def _from_text(name: str, value: Any) -> Any:
    """A value given as text in a form that pydantic converts further."""
    if not isinstance(value, str):
        return value
    kind = str(Settings.model_fields[name].annotation)
    if "tuple" in kind:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if "None" in kind and value.lower() in ("none", "null"):
        return None
    if name == "data_image_size" and value.isascii() and value.isdecimal() and len(value) < 5:
        return int(value)  # pydantic turns texts into numbers, but not into one of a list of numbers
    return value


def _with_derived(values: dict[str, Any]) -> dict[str, Any]:
    """`values` with what follows from others where the user said nothing: the study's name, the data folder, mirroring,
    the voice."""
    dataset = values.get("dataset", Settings.model_fields["dataset"].default)
    preset = values.get("preset", Settings.model_fields["preset"].default)
    more = {"study": values.get("study") or (f"{preset}-reference" if values.get("weights") else preset)}
    if dataset in DOWNLOADABLE and not values.get("data_dir"):
        more["data_dir"] = f"data/{dataset}"
    if values.get("data_flip") is None:
        more["data_flip"] = dataset not in SYNTHETIC
    if "data_voices" not in values and values.get("data_engine", "espeak") != "espeak":
        more["data_voices"] = ENGINE_VOICES[values["data_engine"]]
    elif "data_voices" not in values and "data_language" in values:
        of_each = (LANGUAGE_VOICES[language] for language in _languages(values))
        more["data_voices"] = tuple(dict.fromkeys(itertools.chain.from_iterable(of_each)))
    return {**values, **more}


def _languages(values: dict[str, Any]) -> tuple[Any, ...]:
    """The languages given; none where they are no list, which `Settings` refuses."""
    given = values.get("data_language", ())
    return tuple(given) if isinstance(given, list | tuple) else ()


def _validated(values: dict[str, Any]) -> Settings:
    try:
        return Settings(**values)
    except ValidationError as error:
        fault = error.errors()[0]
        said = fault["msg"][0].lower() + fault["msg"][1:]
        raise BadInput(f"parameter {fault['loc'][0]!r} is {quoted(fault['input'])}: {said}") from None


def _check_sizes(settings: Settings) -> None:
    size, stages = settings.data_image_size, settings.rdg_stages
    if settings.data_crop_from < size:
        raise BadInput(
            f"parameter 'data_crop_from' is {settings.data_crop_from}: it must be at least data_image_size, {size}"
        )
    halvings = 2 ** (stages - 1)
    if size < 8 * halvings:
        raise BadInput(
            f"parameter 'rdg_stages' is {stages}: too many for data_image_size {size}, "
            "whose smallest stage must have at least 8 pixels"
        )
    if settings.rdg_width < halvings:
        raise BadInput(
            f"parameter 'rdg_width' is {settings.rdg_width}: {stages} stages halve it, "
            f"so that it must be at least {halvings}"
        )


def _check_processes(settings: Settings) -> None:
    count = settings.processes
    for name in ("sen_batch", "rdg_batch"):
        batch = getattr(settings, name)
        if count > 1 and (batch % count or batch < 2 * count):
            raise BadInput(
                f"parameter 'processes' is {count}: {name}, {batch}, "
                "cannot be split evenly among them in parts of two or more"
            )


def _check_study(settings: Settings) -> None:
    if settings.study == "reference":
        raise BadInput(
            "parameter 'study' is 'reference': results/reference is for results that are kept, choose another name"
        )
    if settings.weights and settings.dataset not in SYNTHETIC:
        raise BadInput(
            f"parameter 'weights' is {settings.weights!r}: "
            f"there are none of {settings.dataset}, only of {', '.join(SYNTHETIC)}"
        )
    if settings.system:
        _one_of([*SEN_SYSTEMS, *RDG_SYSTEMS], "system", settings.system)
    for system in settings.cost_systems:
        _one_of(RDG_SYSTEMS, "system", system)


def from_notebook(namespace: dict[str, Any], systems: Iterable[str] = ()) -> Settings:
    """Settings from a notebook's globals, once its parameters cell (and papermill's injected one) has run.

    Every plain value in the namespace counts as a parameter, so a mistyped name is refused and not silently ignored.

    Args: systems: the systems that the notebook can train, if it trains one. Raises BadInput for another, and as
    `resolve`.
    """
    plain = (bool, int, float, str, list, tuple, dict, types.NoneType)
    jupyter = {"In", "Out", "exit", "quit"} | (_of_start_up(namespace) - Settings.model_fields.keys())
    given = {
        name: value for name, value in namespace.items()
        if isinstance(value, plain) and not name.startswith("_") and name not in jupyter and not name.isupper()
    }  # fmt: skip
    if isinstance(namespace.get("settings"), Settings):  # the cell runs again, after later cells
        given = {name: value for name, value in given.items() if name in Settings.model_fields}
    elif hidden := [name for name in Settings.model_fields if not isinstance(namespace.get(name), plain)]:
        raise BadInput(f"parameter {hidden[0]!r} is hidden by an import of the same name: import it by another name")
    settings = resolve(given)
    if systems and settings.system not in systems:
        known = ", ".join(systems)
        raise BadInput(f"system {settings.system!r} is not trained in this notebook: choose one of {known}")
    return settings


def _of_start_up(namespace: dict[str, Any]) -> set[str]:
    """The names that were there before the first cell, such as those of a start-up file of the user's IPython."""
    shell = namespace.get("get_ipython")
    hidden = getattr(shell() if callable(shell) else None, "user_ns_hidden", {})
    return {name for name, value in hidden.items() if namespace.get(name) is value}


def from_yaml(path: str | Path) -> dict[str, Any]:
    """Parameters written as `name: value` lines. Raises BadInput if the file is missing or is no such mapping."""
    values = read_yaml(path)
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise BadInput(f"parameter file {path} must hold 'name: value' lines")
    return values
