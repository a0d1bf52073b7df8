"""Which runs a study consists of, from the names and values that a user gave.

`python -m s2igan study` and the Snakefile both read it.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from s2igan import BadInput, config
from s2igan.config import DEFAULT_SYSTEMS, PAPER_SYSTEMS, RDG_SYSTEMS, SEN_SYSTEMS, Settings
from s2igan.workflow.machine import usable_cores
from s2igan.workflow.words import as_list, in_plural, is_on

DEFAULTS = {"datasets": "mini-flowers", "seeds": "0", "systems": ",".join(DEFAULT_SYSTEMS)}
DEFAULTS_FULL = {
    "datasets": "mini-birds,mini-flowers", "seeds": "0,1,2", "systems": ",".join(PAPER_SYSTEMS), "tables": "1",
}  # fmt: skip
# What DRY=1 lays over a preset: every notebook at the preset's sizes, with a few images and steps, and random weights
# in place of downloaded ones.
DRY = {
    "data_classes": 60, "data_images": 3, "data_captions": 1, "data_backbone_steps": 3,
    "data_backbone_weights": "random", "data_fid_weights": "random", "classifier_epochs": 1,
    "rdg_recalibration_images": 16,
    "sen_steps": 2, "sen_text_steps": 2, "sen_validate_every": 1, "rdg_steps": 2, "rdg_log_every": 1,
    "rdg_sample_every": 2, "rdg_checkpoint_every": 1, "eval_batch": 16, "threads": usable_cores(),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Study:
    """Every system with every seed on every data set."""

    name: str  # the folder below results/ and data/
    of: dict[str, Settings]  # the settings of each data set; a single run adds its system and seed
    seeds: tuple[int, ...]
    sen: tuple[str, ...]  # systems, as named in SEN_SYSTEMS
    rdg: tuple[str, ...]  # and in RDG_SYSTEMS
    tables: bool  # whether tables and figures over all systems end it

    def runs(self) -> Iterator[tuple[str, Settings]]:
        """Each run whose result the study keeps: its stage (data, classifier, sen or rdg) and its settings."""
        for values in self.of.values():
            yield "data", values
            if values.data_backbone == "inception":
                yield "classifier", values
            for stage, systems in (("sen", self.sen), ("rdg", self.rdg)):
                for system, seed in itertools.product(systems, self.seeds):
                    yield stage, values.model_copy(update={"system": system, "seed": seed})


def plan(given: dict[str, Any]) -> Study:
    """Reads datasets, seeds, systems (one or several, in any case) and tables (0 or 1); config.resolve reads the rest.

    Raises BadInput, one line for the first fault.
    """
    given = {**DEFAULTS, **in_plural(given)}
    tables = is_on("tables", given.pop("tables", "0"))
    datasets, seeds, systems = (as_list(given.pop(name)) for name in ("datasets", "seeds", "systems"))
    sen, rdg = systems_of(systems)
    if given.get("weights") and (untrained := {*sen, *rdg} - {*config.REFERENCE_SYSTEMS}):
        raise BadInput(f"there are no reference weights of {sorted(untrained)[0]!r}: give SYSTEMS=S2IGAN")
    of = {dataset: _settings_of(dataset, given) for dataset in datasets}
    numbers = _numbers(seeds)
    if not of or not numbers:
        raise BadInput(f"parameter {'seeds' if of else 'datasets'!r} is empty")
    study = Study(next(iter(of.values())).study, of, numbers, sen, rdg, tables)
    return dataclasses.replace(study, of=_with_runs_named(study))


def systems_of(names: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The SEN and RDG systems that a study of `names` trains: these, and the embeddings that they start from."""
    by_slug = {config.slug(system): system for system in [*SEN_SYSTEMS, *RDG_SYSTEMS]}
    for name in names:
        if config.slug(name) not in by_slug:
            raise BadInput(f"system {config.quoted(name)} does not exist: choose some of {', '.join(by_slug.values())}")
    if not names:
        raise BadInput("parameter 'systems' is empty")
    chosen = {by_slug[config.slug(name)] for name in names}
    chosen |= {RDG_SYSTEMS[system]["sen"] for system in chosen if system in RDG_SYSTEMS}
    sen, rdg = (tuple(system for system in known if system in chosen) for known in (SEN_SYSTEMS, RDG_SYSTEMS))
    return sen, rdg


def _settings_of(dataset: str, given: dict[str, Any]) -> Settings:
    """The settings of one data set. A synthetic set needs no folder: a given folder is for the other data sets."""
    values = {**given, "dataset": dataset}
    if dataset in config.SYNTHETIC:
        values.pop("data_dir", None)
    return config.resolve(values)


def _numbers(seeds: list[str]) -> tuple[int, ...]:
    for seed in seeds:
        if not (seed.isascii() and seed.isdecimal() and len(seed) < 10):
            raise BadInput(
                f"parameter 'seeds' is {config.quoted(seed)}: "
                "it must be whole numbers from 0 to 999999999, such as 0,1,2"
            )
    return tuple(dict.fromkeys(int(seed) for seed in seeds))


def _with_runs_named(study: Study) -> dict[str, Settings]:
    """The settings of each data set with the folders of its runs. The analysis reads these alone, not what an earlier
    study with other seeds or systems left beside them."""
    folders: dict[str, list[str]] = {dataset: [] for dataset in study.of}
    for stage, values in study.runs():
        folders[values.dataset].append(config.run_dir(values, stage).name)
    return {
        dataset: values.model_copy(update={"analysis_runs": tuple(folders[dataset])})
        for dataset, values in study.of.items()
    }


def check_folders(study: Study) -> None:
    """Raises BadInput if the folder of a data set, or of kept runs, is not there."""
    for dataset, values in study.of.items():
        if dataset not in config.SYNTHETIC and not values.data_dir:
            raise BadInput(
                f"data set {dataset} needs its folder: give DATA_DIR=path (data/README.md says what it must hold)"
            )
        downloadable = dataset in config.DOWNLOADABLE
        there = _is_folder(values.data_dir)
        if values.data_dir and not there and not (downloadable and values.download):
            more = ": give DATA_DIR=path if you have it, or DOWNLOAD=1 to download it" if downloadable else ""
            raise BadInput(f"data folder {values.data_dir} does not exist{more}")
        if values.analysis_kept and not _is_folder(f"{values.analysis_kept}/{dataset}"):
            raise BadInput(
                f"analysis_kept: {values.analysis_kept}/{dataset} does not exist; "
                "it should be like results/reference/runs"
            )


def not_read(study: Study, names: Collection[str]) -> list[str]:
    """A line for each of the `names` that a user gave which none of the study's stages reads."""
    sets = [config.unread(values, study.sen, study.rdg, study.tables, names) for values in study.of.values()]
    chosen = ", ".join([*study.sen, *study.rdg])
    return [
        f"parameter {name!r} changes nothing here: nothing reads it for {', '.join(study.of)} with {chosen}"
        for name in sorted(set.intersection(*sets) - {"datasets", "seeds", "systems", "tables"})
    ]


def _is_folder(path: str) -> bool:
    try:
        return Path(path).expanduser().is_dir()
    except (OSError, RuntimeError, ValueError):  # too long; ~ of nobody; a zero byte
        return False


def runs_with_other_settings(study: Study, root: Path) -> list[Path]:
    """Folders of finished runs whose params.yaml has other values than the study: made by hand, in a notebook."""
    found = []
    for stage, values in study.runs():
        folder = config.run_dir(values, stage, root=root)
        if (folder / "metrics.json").is_file() and (folder / "params.yaml").is_file():
            kept = config.from_yaml(folder / "params.yaml")
            if any(kept.get(name) != value for name, value in config.of_stage(values, stage).items()):
                found.append(folder)
    return found
