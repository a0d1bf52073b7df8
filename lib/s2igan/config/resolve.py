"""From what a user gave to `Settings`: defaults, then the preset's values, then the user's; unknown names and wrong values are refused."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from s2igan import BadInput
from s2igan.config.settings import PRESETS, Settings
from s2igan.config.systems import DATASETS, DOWNLOADABLE, RDG_SYSTEMS, SEN_SYSTEMS, SYNTHETIC


def resolve(parameters: dict[str, Any]) -> Settings:
    """Defaults, then the preset's values, then `parameters`; values may be strings as they come from a command line.

    Raises BadInput, one line for the first fault: an unknown name (with the nearest known one) or a value out of range.
    """
    for name in parameters:
        if not isinstance(name, str):
            raise BadInput(f"parameter name {name!r} is no text: write it as in lib/s2igan/settings.py")
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "lib/s2igan/settings.py lists all parameters"
            raise BadInput(f"unknown parameter {name!r}: {hint}")
    preset = parameters.get("preset", Settings.model_fields["preset"].default)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise BadInput(f"preset {preset!r} does not exist: choose one of {', '.join(PRESETS)}")
    values = {**PRESETS[preset], **parameters}
    dataset = values.get("dataset", Settings.model_fields["dataset"].default)
    if not isinstance(dataset, str) or dataset not in DATASETS:
        raise BadInput(f"dataset {dataset!r} does not exist: choose one of {', '.join(DATASETS)}")
    for name, value in values.items():
        if isinstance(value, str) and "tuple" in str(Settings.model_fields[name].annotation):
            values[name] = tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, str) and value.lower() in ("none", "null") and "None" in str(Settings.model_fields[name].annotation):
            values[name] = None
        if name == "data_image_size" and isinstance(value, str) and value.isdecimal():
            values[name] = int(value)  # pydantic turns texts into numbers, but not into one of a list of numbers
    values["study"] = values.get("study") or (f"{preset}-reference" if values.get("weights") else preset)
    if dataset in DOWNLOADABLE and not values.get("data_dir"):
        values["data_dir"] = f"data/{dataset}"
    if values.get("data_flip") is None:
        values["data_flip"] = dataset not in SYNTHETIC
    if values.get("data_engine") == "tacotron2" and "data_voices" not in parameters:
        values["data_voices"] = ("en-us",)  # it has no other
    try:
        settings = Settings(**values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadInput(f"parameter {fault['loc'][0]!r} is {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}") from None
    if settings.data_crop_from < settings.data_image_size:
        raise BadInput(
            f"parameter 'data_crop_from' is {settings.data_crop_from}: it must be at least data_image_size, {settings.data_image_size}"
        )
    if settings.data_image_size < 8 * 2 ** (settings.rdg_stages - 1):
        raise BadInput(f"parameter 'rdg_stages' is {settings.rdg_stages}: too many for data_image_size {settings.data_image_size}, "
                       "whose smallest stage must have at least 8 pixels")  # fmt: skip
    if settings.rdg_width < 2 ** (settings.rdg_stages - 1):
        raise BadInput(f"parameter 'rdg_width' is {settings.rdg_width}: {settings.rdg_stages} stages halve it, so that it must be at least "
                       f"{2 ** (settings.rdg_stages - 1)}")  # fmt: skip
    for name in ("sen_batch", "rdg_batch"):
        batch = getattr(settings, name)
        if settings.processes > 1 and (batch % settings.processes or batch < 2 * settings.processes):
            raise BadInput(f"parameter 'processes' is {settings.processes}: {name}, {batch}, cannot be split evenly among them in parts of "
                           "two or more")  # fmt: skip
    if settings.study == "reference":
        raise BadInput("parameter 'study' is 'reference': results/reference is for results that are kept, choose another name")
    if settings.weights and settings.dataset not in SYNTHETIC:
        raise BadInput(f"parameter 'weights' is {settings.weights!r}: there are none of {settings.dataset}, only of {', '.join(SYNTHETIC)}")
    known_systems = {"", *SEN_SYSTEMS, *RDG_SYSTEMS}
    if settings.system not in known_systems:
        raise BadInput(f"system {settings.system!r} does not exist: choose one of {', '.join([*SEN_SYSTEMS, *RDG_SYSTEMS])}")
    return settings


def from_notebook(namespace: dict[str, Any], systems: Iterable[str] = ()) -> Settings:
    """Settings from a notebook's globals, once its parameters cell (and papermill's injected one) has run.

    Every plain value in the namespace counts as a parameter, so that a mistyped name is refused and not silently ignored.

    Args: systems: those that the notebook trains, if it trains one. Raises BadInput for another, and as `resolve`.
    """
    plain = (bool, int, float, str, list, tuple, dict, types.NoneType)
    jupyter = {"In", "Out", "exit", "quit"}
    given = {k: v for k, v in namespace.items() if isinstance(v, plain) and not k.startswith("_") and k not in jupyter and not k.isupper()}
    if isinstance(namespace.get("settings"), Settings):  # the cell is run again, when later cells have left values of their own
        given = {name: value for name, value in given.items() if name in Settings.model_fields}
    settings = resolve(given)
    if systems and settings.system not in systems:
        raise BadInput(f"system {settings.system!r} is not trained in this notebook: choose one of {', '.join(systems)}")
    return settings


def from_yaml(path: str | Path) -> dict[str, Any]:
    """Parameters written as `name: value` lines. Raises BadInput if the file is missing or is no such mapping."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"parameter file {path} does not exist")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise BadInput(f"parameter file {path} is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise BadInput(f"parameter file {path} must hold 'name: value' lines")
    return values
