"""Finished runs of a study collected into one table."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from s2igan import BadInput
from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS, Settings, of_stage, resolve
from s2igan.files import read_text
from s2igan.training.logs import read_log
from s2igan.training.records import AGAIN, read_metrics, read_parameters, read_settings

# `per_split`: images in a split of the Inception Score; nothing for other metrics.
COLUMNS = ["dataset", "preset", "system", "seed", "metric", "value", "n", "per_split"]


def read_table(path: Path, *columns: str) -> pd.DataFrame:
    """The table in CSV file `path`, which must have `columns`. Raises BadInput."""
    text = read_text(path)
    try:
        table = pd.read_csv(io.StringIO(text))
    except (ValueError, OverflowError, RecursionError) as error:  # pandas' own errors are ValueErrors
        raise BadInput(f"file {path} is no table: {(str(error) or 'it is empty').splitlines()[0]}; {AGAIN}") from None
    if lacking := [name for name in columns if name not in table]:
        raise BadInput(f"file {path} has no column {lacking[0]!r}: {AGAIN}")
    return table


def finished(study: str | Path, names: Iterable[str] = ()) -> list[Path]:
    """Folders of the finished runs below `results/<study>/<dataset>`; only those in `names`, where any are named."""
    folders = [path.parent for path in sorted(Path(study).glob("*/metrics.json"))]
    return [folder for folder in folders if folder.name in names] if names else folders


def collect(folders: list[Path]) -> pd.DataFrame:
    """Every metric of the given runs, a row each: COLUMNS, and split, commit and run.

    Raises: BadInput when there is no run.
    """
    rows = []
    for folder in folders:
        run = read_metrics(folder)
        about = {key: run[key] for key in ("dataset", "preset", "system", "seed", "commit")}
        rows += [{**about, "run": folder.name, **row} for row in run["metrics"]]
    if not rows:
        raise BadInput("there is no finished run to analyse: `make study` makes them")
    table = pd.DataFrame(rows).sort_values("system", key=in_order, kind="stable")
    return table.reindex(columns=[*COLUMNS, "split", "commit", "run"]).reset_index(drop=True)


def in_order(systems: pd.Series) -> pd.Series:
    """Systems as numbers to sort by: real images, SEN systems, RDG systems, then those that config/systems.py lacks."""
    order = {system: place for place, system in enumerate(["real", *SEN_SYSTEMS, *RDG_SYSTEMS])}
    return systems.map(lambda system: order.get(system, len(order)))


def studied(settings: Settings, root: Path) -> dict[str, Settings]:
    """The settings of each data set of a study that has finished runs, {data set: settings}: of those named, or of all.

    They are those of the data run, under this study's name: its runs may have been made under another.

    Raises: BadInput where there is no run, or none of a data set that is named.
    """
    study = root / "results" / settings.study
    names = settings.analysis_datasets or tuple(path.name for path in sorted(study.glob("*")) if path.is_dir())
    found = {}
    for name in names:
        for path in sorted((study / name).glob("data-store-seed*/params.yaml")):
            wanted = not settings.analysis_runs or path.parent.name in settings.analysis_runs
            if wanted and (path.parent / "metrics.json").is_file():
                found[name] = read_settings(path.parent, study=settings.study)
    if lacking := [name for name in settings.analysis_datasets if name not in found] or ([] if found else ["*"]):
        raise BadInput(f"there is no finished run in {study / lacking[0]}: `make study` makes them")
    return found


def with_kept(folders: list[Path], kept: Path, dataset: str) -> list[Path]:
    """`folders` and the runs of the same systems with other seeds in `kept`, a folder like results/reference/runs.

    So a table can hold the metrics of a study that was made in several sittings, or on several machines.

    Raises: BadInput for a run that was made with other settings or on other data.
    """
    if not (kept / dataset).is_dir():
        raise BadInput(f"analysis_kept: {kept / dataset} does not exist; it should be like results/reference/runs")
    here = {_system_of(folder): folder for folder in folders}
    names = {folder.name for folder in folders}
    found = finished(kept / dataset)
    others = [f for f in found if f.name not in names and _system_of(f) in here and not f.name.startswith("data-")]
    for folder in others:
        if made_with(folder) != made_with(here[_system_of(folder)]):
            raise BadInput(
                f"analysis_kept: {folder} was made with other settings or data than {here[_system_of(folder)]}: "
                "their metrics cannot share a table"
            )
    stores = [folder for folder in (*folders, *found) if folder.name.startswith("data-")]
    prints = {read_metrics(folder).get("fingerprint", "unknown") for folder in stores}
    if len(prints - {"unknown"}) > 1:
        raise BadInput(
            f"analysis_kept: the runs in {kept / dataset} were made on other images or speech than those of this study"
        )
    return folders + others


def _system_of(folder: Path) -> str:
    return folder.name.rpartition("-seed")[0]


def made_with(folder: Path) -> dict[str, object]:
    """The settings that decide a run's metrics, without those that may differ between runs of a table."""
    stage = folder.name.split("-")[0]
    try:
        values = resolve(parameters_of(folder))
    except BadInput as error:  # of a version with other parameters
        raise BadInput(f"{folder} cannot be compared: {error}") from None
    values = values.model_copy(update={"system": read_metrics(folder)["system"]})
    found = {**of_stage(values, "data"), **(of_stage(values, stage) if stage in ("sen", "rdg") else {})}
    may_differ = ("system", "seed", "study", "dataset", "data_dir")
    return {name: value for name, value in found.items() if name not in may_differ}


def first_runs(folders: list[Path], systems: Iterable[str]) -> dict[str, Path]:
    """The run of the lowest seed of each system, in the order of `systems`, among runs that still have their weights.

    Systems without one are left out.
    """
    about = {folder: read_metrics(folder) for folder in folders if (folder / "weights.safetensors").is_file()}
    found = {}
    for system in systems:
        if runs := [folder for folder in about if about[folder]["system"] == system]:
            found[system] = min(runs, key=lambda folder: about[folder]["seed"])
    return found


def first_logs(folders: list[Path], systems: Iterable[str]) -> dict[str, list[dict[str, float]]]:
    """What the runs of `first_runs` logged: {system: records of log.jsonl}."""
    return {system: read_log(folder / "log.jsonl") for system, folder in first_runs(folders, systems).items()}


PLACES = ("data_dir", "data_backbone_weights", "data_fid_weights")  # parameters that may be paths


def parameters_of(run: Path) -> dict[str, Any]:
    """What params.yaml of a run says, without where things lie on this machine."""
    parameters = read_parameters(run)
    return parameters | {name: Path(str(parameters[name])).name for name in PLACES if parameters.get(name)}


def run_provenance(folders: list[Path]) -> pd.DataFrame:
    """For each run: system, seed, device, precision, threads, seconds, torch and commit.

    The seconds of a run that was resumed are those since then.
    """
    rows = []
    for folder in folders:
        run = read_metrics(folder)
        row = {key: run[key] for key in ("system", "seed", "device", "precision", "threads")}
        seconds, torch = run["timing"].get("seconds"), run["versions"].get("torch", "unknown")
        rows.append(
            {"run": folder.name, **row, "seconds_of_last_call": seconds, "torch": torch, "commit": run["commit"]}
        )
    return pd.DataFrame(rows)
