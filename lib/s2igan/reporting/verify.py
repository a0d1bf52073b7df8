"""A finished study compared with the reference, figure by figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from s2igan import BadInput
from s2igan.files import file_sha256
from s2igan.reporting.collect import finished, made_with
from s2igan.training.records import read_metrics

LEVEL = 0.99  # of the interval in which another seed's figure is expected
EXACT = (" chance", " uniform", " class")  # ends of the names of metrics that are computed: training cannot move them
VERDICTS = ("equal", "within", "outside", "no spread", "not in the reference")


class Verified(NamedTuple):
    """What `verify` found."""

    figures: pd.DataFrame  # a row a figure: run, metric, here, reference, verdict (one of VERDICTS)
    runs: pd.DataFrame  # a row a run: how many figures got each verdict, its files, what it was made on

    @property
    def agrees(self) -> bool:
        """Whether nothing lies outside, and every file is the one that its run wrote."""
        faulty = self.runs.files.str.startswith(("changed", "missing")).any()
        return not faulty and not (self.figures.verdict == "outside").any()


def verify(study: Path, reference: Path) -> Verified:
    """Compares the finished runs of `results/<study>/<dataset>` with those of `results/reference/runs/<dataset>`.

    A figure is one metric of one run. `equal`: the reference has the same value for the same seed, to six digits.
    `within`: it lies where a seed more is expected to lie, in the 99 % prediction interval of the n seeds of the
    reference, mean +- t(n - 1) std sqrt(1 + 1 / n). `outside`: it does not, or it is chance, which is computed, and is
    not equal. `no spread`: it is not equal, and the reference has a single run. `not in the reference`: no run of the
    reference has this metric of this system, with the same number of images in a split.

    The files of a run are those whose checksums its record holds: the weights that its figures were measured with.

    Raises: BadInput where either has no run, or a run was made with other settings than the reference's.
    """
    ours, theirs = finished(study), finished(reference)
    for folders, path in ((ours, study), (theirs, reference)):
        if not folders:
            raise BadInput(f"there is no finished run in {path}")
    kept = {folder.name: read_metrics(folder) for folder in theirs}
    figures, runs = [], []
    for folder in ours:
        record = read_metrics(folder)
        same_system = [name for name in kept if name.rpartition("-seed")[0] == folder.name.rpartition("-seed")[0]]
        if same_system:
            _check_settings(folder, reference / same_system[0])
        rows = [_figure(folder.name, row, kept, same_system) for row in record["metrics"]]
        counts = pd.Series([row["verdict"] for row in rows]).value_counts()
        same_seed = kept.get(folder.name, {})
        runs.append(
            {"run": folder.name, **{verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS},
             "files": _files(folder, record, same_seed), "made": _made(record, same_seed)}
        )  # fmt: skip
        figures += rows
    return Verified(pd.DataFrame(figures), pd.DataFrame(runs))


def _check_settings(folder: Path, of_reference: Path) -> None:
    ours, theirs = made_with(folder), made_with(of_reference)
    for name in ours.keys() | theirs.keys():
        if name not in ("weights", "preset") and ours.get(name) != theirs.get(name):
            raise BadInput(
                f"{folder} was made with {name} = {ours.get(name)!r}, the reference with {theirs.get(name)!r}: "
                "their figures cannot be compared"
            )


def _figure(run: str, row: dict[str, Any], kept: dict[str, Any], same_system: list[str]) -> dict[str, Any]:
    """A metric of a run, what the reference has of it, and the verdict."""

    def key(of: dict[str, Any]) -> tuple[str, Any, Any]:
        return of["metric"], of["split"], of.get("per_split")

    values = {
        name: found["value"] for name in same_system for found in kept[name]["metrics"] if key(found) == key(row)
    }
    numbers = np.array(list(values.values()), float)
    verdict = verdict_of(row["metric"], row["value"], values.get(run), numbers)
    return {"run": run, "metric": row["metric"], "here": row["value"], "reference": _shown(numbers), "verdict": verdict}


def verdict_of(metric: str, value: float, same_seed: float | None, values: np.ndarray) -> str:
    """The verdict on a figure: its value here, the reference's of the same seed, and those of all its seeds [n]."""
    if len(values) == 0:
        return "not in the reference"
    if same_seed is not None and np.isclose(value, same_seed, rtol=1e-6, atol=1e-9):
        return "equal"
    if metric.endswith(EXACT):
        return "outside"
    if len(values) < 2:
        return "no spread"
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / len(values))
    half = max(half, 1e-3 * abs(values.mean()))  # where all seeds agree, as on 100 %, rounding decides
    return "within" if abs(value - values.mean()) <= half else "outside"


def _shown(values: np.ndarray) -> str:
    if len(values) == 0:
        return ""
    return f"{values.mean():.4g}" + (f" ± {values.std(ddof=1):.2g} ({len(values)} seeds)" if len(values) > 1 else "")


def _files(folder: Path, record: dict[str, Any], same_seed: dict[str, Any]) -> str:
    """Whether the run's files are those that it wrote, and whether the reference's run wrote the same."""
    recorded = record.get("checksums")
    if not recorded:
        return "not recorded"
    for name, checksum in recorded.items():
        if not (folder / name).is_file():
            return f"missing: {name}"
        if file_sha256(folder / name) != checksum:
            return f"changed: {name}"
    return "those of the reference" if recorded == same_seed.get("checksums") else "as recorded"


def _made(record: dict[str, Any], same_seed: dict[str, Any]) -> str:
    """On what the run was made, and the reference's where that differs."""
    here, there = (f"{of['device']}, {of['precision']}" if "device" in of else "" for of in (record, same_seed))
    return here if here == there or not there else f"{here}; reference: {there}"


def report(found: Verified, title: str) -> str:
    """Both tables as text: each run, and each figure that is not equal."""
    runs = found.runs.rename(columns={"not in the reference": "new"})
    parts = [title, runs.drop(columns="made").to_string(index=False)]
    for made, of_device in runs.groupby("made", sort=False):
        parts.append(f"{len(of_device)} runs made on {made}")
    others = found.figures[found.figures.verdict != "equal"]
    if len(others):
        shown = others.assign(here=others.here.map("{:.4g}".format))
        parts.append("Figures that are not equal:\n" + shown.to_string(index=False))
    counts = found.figures.verdict.value_counts()
    total = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if verdict in counts)
    faulty = found.runs[found.runs.files.str.startswith(("changed", "missing"))]
    parts.append(f"{len(found.figures)} figures: {total}")
    parts += [f"{row.run}: {row.files}" for row in faulty.itertuples()]
    return "\n\n".join(parts)
