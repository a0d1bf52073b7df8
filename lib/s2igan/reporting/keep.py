"""What the README shows of finished studies, copied to results/reference."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import yaml

from s2igan import BadInput
from s2igan.config import SYNTHETIC
from s2igan.files import replacing, write_atomic
from s2igan.reporting.collect import COLUMNS, collect, finished, in_order, parameters_of

# And params.yaml. From these every table and curve can be made again.
KEPT_OF_A_RUN = ("metrics.json", "timing.json", "log.jsonl")


def keep(study: Path, out: Path, dataset: str = "") -> None:
    """What the README shows of a finished study on one data set, and what its numbers are traced by.

    `metrics.csv` takes its rows, in place of those of the same data set, system and seed; `runs/<dataset>/<run>/` gets
    each run's settings, metrics and log. Figures are copied of the synthetic sets alone: others show images that are
    not ours to pass on.

    Args: study: folder `results/<study>/<dataset>`. dataset: another name for it in `out`.
    Raises: BadInput for a folder without an analysis.
    """
    if not (study / "analysis" / "runs.csv").is_file():
        raise BadInput(f"{study} has no analysis/runs.csv: run `make study` first")
    dataset = dataset or study.name
    analysed = set(pd.read_csv(study / "analysis" / "runs.csv").run)  # not what an earlier study left beside them
    folders = finished(study, analysed)
    for run in folders:
        target = out / "runs" / dataset / run.name
        target.mkdir(parents=True, exist_ok=True)
        for name in KEPT_OF_A_RUN:
            if (run / name).is_file():
                shutil.copyfile(run / name, target / name)
        write_atomic(target / "params.yaml", yaml.safe_dump(parameters_of(run), sort_keys=False))
    table = collect(folders)[COLUMNS].assign(dataset=dataset)
    if (out / "metrics.csv").is_file():
        old = pd.read_csv(out / "metrics.csv")
        key = ["dataset", "system", "seed"]
        replaced = old.set_index(key).index.isin(table.set_index(key).index)
        table = pd.concat([old[~replaced], table])
    table["place"] = in_order(table.system)
    table = table.sort_values(["dataset", "place", "seed"], kind="stable").drop(columns="place")
    with replacing(out / "metrics.csv") as temporary:
        table.to_csv(temporary, index=False)
    if study.name in SYNTHETIC:
        # The executed notebook, and the figures of the tables, show what is left out.
        _copy_figures(study / "analysis", out / dataset, "samples.*", "tsne.*", "map.*", "curves_*")


# What `keep_tables` copies: the name there, a file that it must hold, and what makes it.
KEPT_TABLES = {
    "tables": ("table1.md", "make study-full"),
    "distinctive": ("gains.md", "make distinctive"),
    "cost": ("cost.md", "python -m s2igan cost"),
}


def keep_tables(tables: Path, out: Path) -> None:
    """Tables and figures over all systems, from `results/<study>/tables`, in place of those in `out`.

    So with `results/distinctive/tables`, which becomes `distinctive/` and keeps its metrics.csv, and with
    `results/<study>/cost`.

    Raises: BadInput for a folder without tables, and where they show images of a data set that is not synthetic.
    """
    name = "distinctive" if tables.parent.name == "distinctive" else tables.name
    must, command = KEPT_TABLES[name]
    if not (tables / must).is_file():
        raise BadInput(f"{tables} has no {must}: run `{command}` first")
    if name != "tables":
        _copy_figures(tables, out / name)
        if (tables / "metrics.csv").is_file():
            shutil.copyfile(tables / "metrics.csv", out / name / "metrics.csv")
        return
    datasets = pd.read_csv(tables / "metrics.csv").dataset.unique()
    if others := [name for name in datasets if name not in SYNTHETIC]:
        raise BadInput(
            f"{tables} shows images of {others[0]}, which are not ours to pass on: make tables of synthetic sets alone"
        )
    _copy_figures(tables, out / tables.name)


def _copy_figures(source: Path, target: Path, *without: str) -> None:
    """Copies a folder without what `keep` has elsewhere, PNGs beside an SVG, and this machine's paths in notebooks."""
    twins = [path.with_suffix(".png").name for path in source.glob("*.svg")]
    shutil.rmtree(target, ignore_errors=True)
    left = ("metrics.csv", "params.yaml", "timing.json", "benchmark*.tsv", ".*", *twins, *without)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns(*left))
    for path in target.glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        of_papermill = notebook["metadata"].get("papermill", {})
        for name in ("input_path", "output_path"):
            if name in of_papermill:
                of_papermill[name] = Path(of_papermill[name]).name
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
