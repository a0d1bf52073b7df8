"""Which runs a study consists of, from the names and values that a user gave: read by `python -m s2igan study` and the Snakefile."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from pathlib import Path
from typing import Any

import yaml

from s2igan import BadInput, config
from s2igan.config import DEFAULT_SYSTEMS, PAPER_SYSTEMS, RDG_SYSTEMS, SEN_SYSTEMS, Settings

DEFAULTS = {"datasets": "mini-flowers", "seeds": "0", "systems": ",".join(DEFAULT_SYSTEMS)}
DEFAULTS_FULL = {"datasets": "mini-birds,mini-flowers", "seeds": "0,1,2", "systems": ",".join(PAPER_SYSTEMS), "tables": "1"}
# What DRY=1 lays over a preset: every notebook at the preset's sizes, with a few images and steps, and random weights in place of fetched
# ones.
DRY = {
    "data_classes": 60, "data_images": 3, "data_captions": 1, "data_backbone_steps": 3, "data_backbone_weights": "random",
    "data_fid_weights": "random", "classifier_epochs": 1, "rdg_recalibration_images": 16,
    "sen_steps": 2, "sen_text_steps": 2, "sen_validate_every": 1, "rdg_steps": 2, "rdg_log_every": 1, "rdg_sample_every": 2,
    "rdg_checkpoint_every": 1, "eval_batch": 16, "threads": os.cpu_count() or 1,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Study:
    """Every system with every seed on every data set."""

    name: str  # the folder below results/ and data/
    of: dict[str, Settings]  # a data set's settings; system and seed are those of the single run
    seeds: tuple[int, ...]
    sen: tuple[str, ...]  # systems, as named in SEN_SYSTEMS
    rdg: tuple[str, ...]  # and in RDG_SYSTEMS
    tables: bool  # whether 05_tables and 05_figures end it


def plan(given: dict[str, Any]) -> Study:
    """Reads datasets, seeds, systems (one or several, in any case) and tables (0 or 1), and hands the rest to settings.resolve.

    Raises BadInput, one line for the first fault.
    """
    given = {**DEFAULTS, **in_plural(given)}
    tables = str(given.pop("tables", "0")).lower() not in ("", "0", "no", "false")
    datasets, seeds, systems = (as_list(given.pop(name)) for name in ("datasets", "seeds", "systems"))
    by_slug = {config.slug(system): system for system in [*SEN_SYSTEMS, *RDG_SYSTEMS]}
    for system in systems:
        if config.slug(system) not in by_slug:
            raise BadInput(f"system {system!r} does not exist: choose some of {', '.join(by_slug.values())}")
    if not systems:
        raise BadInput("parameter 'systems' is empty")
    chosen = {by_slug[config.slug(system)] for system in systems}
    chosen |= {RDG_SYSTEMS[system]["sen"] for system in chosen if system in RDG_SYSTEMS}  # None among them is no SEN's name
    if given.get("weights") and (untrained := chosen - {None, *config.REFERENCE_SYSTEMS}):
        raise BadInput(f"there are no reference weights of {sorted(untrained)[0]!r}: give SYSTEMS=S2IGAN")
    of = {}
    for dataset in datasets:
        values = {**given, "dataset": dataset}
        if dataset in config.SYNTHETIC:
            values.pop("data_dir", None)
        of[dataset] = config.resolve(values)
    for seed in seeds:
        if not (seed.isdecimal() and len(seed) < 10):
            raise BadInput(f"parameter 'seeds' is {seed[:40]!r}: it must be whole numbers from 0 to 999999999, such as 0,1,2")
    if not of or not seeds:
        raise BadInput(f"parameter {'seeds' if of else 'datasets'!r} is empty")
    numbers = tuple(dict.fromkeys(int(seed) for seed in seeds))
    sen, rdg = (tuple(system for system in known if system in chosen) for known in (SEN_SYSTEMS, RDG_SYSTEMS))
    # The analysis reads the runs of this study alone, not what an earlier one with other seeds or systems left beside them.
    for dataset, values in of.items():
        folders = [config.run_dir(values, "data").name]
        if values.data_backbone == "inception":
            folders.append(config.run_dir(values, "classifier").name)
        for stage, systems in (("sen", sen), ("rdg", rdg)):
            folders += [config.run_dir(values, stage, system, seed).name for system in systems for seed in numbers]
        of[dataset] = values.model_copy(update={"analysis_runs": tuple(folders)})
    return Study(next(iter(of.values())).study, of, numbers, sen, rdg, tables)


def in_plural(given: dict[str, Any]) -> dict[str, Any]:
    """Names in lower case; dataset, seed and system count as datasets, seeds and systems, so that one overrides the other."""
    plural = {"dataset": "datasets", "seed": "seeds", "system": "systems"}
    return {plural.get(name.lower(), name.lower()): value for name, value in given.items()}


def as_list(value: Any) -> list[str]:
    """'a, b' or ['a', 'b'] or 0 as a list of strings."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
    return [str(part).strip() for part in parts if str(part).strip()]


def check_folders(study: Study) -> None:
    """Raises BadInput if a data set that is not built in has no folder, or there are no kept runs of it where they should be."""
    for dataset, values in study.of.items():
        if dataset not in config.SYNTHETIC and not values.data_dir:
            raise BadInput(f"data set {dataset} needs its folder: give DATA_DIR=path (data/README.md says what it must hold)")
        fetched = dataset in config.DOWNLOADABLE
        if values.data_dir and not Path(values.data_dir).expanduser().is_dir() and not (fetched and values.download):
            more = ": give DATA_DIR=path if you have it, or DOWNLOAD=1 to fetch it" if fetched else ""
            raise BadInput(f"data folder {values.data_dir} does not exist{more}")
        if values.analysis_kept and not (Path(values.analysis_kept).expanduser() / dataset).is_dir():
            raise BadInput(f"analysis_kept: {values.analysis_kept}/{dataset} does not exist; it should be like results/reference/runs")


def runs_with_other_settings(study: Study, root: Path) -> list[Path]:
    """Folders of finished runs of `study` whose params.yaml says that they were made with other values: by hand, in a notebook."""
    runs = [("data", values) for values in study.of.values()]
    runs += [("classifier", values) for values in study.of.values() if values.data_backbone == "inception"]
    for stage, systems in (("sen", study.sen), ("rdg", study.rdg)):
        for values, seed, system in itertools.product(study.of.values(), study.seeds, systems):
            runs.append((stage, values.model_copy(update={"system": system, "seed": seed})))
    found = []
    for stage, values in runs:
        folder = config.run_dir(values, stage, root=root)
        if (folder / "metrics.json").is_file() and (folder / "params.yaml").is_file():
            kept = yaml.safe_load((folder / "params.yaml").read_text()) or {}
            if any(kept.get(name) != value for name, value in config.of_stage(values, stage).items()):
                found.append(folder)
    return found


def folder_digest(folder: str) -> str:
    """Changes when a file below `folder` is added, removed or written; '' for no folder."""
    digest = hashlib.sha256()
    for where, folders, names in os.walk(folder) if folder else ():
        folders.sort()
        for name in sorted(names):
            state = os.stat(os.path.join(where, name))
            digest.update(f"{os.path.relpath(where, folder)}/{name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest() if folder else ""
