"""What the README shows of finished studies, copied to results/reference."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import yaml

from s2igan import BadInput
from s2igan.config import SYNTHETIC
from s2igan.files import (
    copy_file,
    read_bytes,
    read_json,
    replacing,
    replacing_folder,
    write_atomic,
    write_json,
    writing,
)
from s2igan.reporting.collect import COLUMNS, collect, finished, in_order, parameters_of, read_table
from s2igan.training.records import AGAIN

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
    analysed = set(read_table(study / "analysis" / "runs.csv", "run").run)  # not what an earlier study left beside them
    folders = finished(study, analysed)
    contents: dict[Path, bytes | str] = {}  # all is read before anything is written
    for run in folders:
        target = out / "runs" / dataset / run.name
        kept = [name for name in KEPT_OF_A_RUN if (run / name).is_file()]
        contents |= {target / name: read_bytes(run / name) for name in kept}
        contents[target / "params.yaml"] = yaml.safe_dump(parameters_of(run), sort_keys=False)
    table = collect(folders)[COLUMNS].assign(dataset=dataset)
    if (out / "metrics.csv").is_file():
        key = ["dataset", "system", "seed"]
        old = read_table(out / "metrics.csv", *key)
        replaced = old.set_index(key).index.isin(table.set_index(key).index)
        table = pd.concat([old[~replaced], table])
    table["place"] = in_order(table.system)
    table = table.sort_values(["dataset", "place", "seed"], kind="stable").drop(columns="place")
    for path, content in contents.items():
        write_atomic(path, content)
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
            copy_file(tables / "metrics.csv", out / name / "metrics.csv")
        return
    datasets = read_table(tables / "metrics.csv", "dataset").dataset.unique()
    if others := [name for name in datasets if name not in SYNTHETIC]:
        raise BadInput(
            f"{tables} shows images of {others[0]}, which are not ours to pass on: make tables of synthetic sets alone"
        )
    _copy_figures(tables, out / tables.name)


def _copy_figures(source: Path, target: Path, *without: str) -> None:
    """Copies a folder without what `keep` has elsewhere, PNGs beside an SVG, and this machine's paths in notebooks."""
    twins = [path.with_suffix(".png").name for path in source.glob("*.svg")]
    left = ("metrics.csv", "params.yaml", "timing.json", "benchmark*.tsv", ".*", *twins, *without)
    with writing(target), replacing_folder(target) as part:
        left_out = shutil.ignore_patterns(*left)
        shutil.copytree(source, part, ignore=left_out, copy_function=copy_file, dirs_exist_ok=True)
        for path in part.glob("*.ipynb"):
            notebook = read_json(path)
            try:
                of_papermill = notebook["metadata"].get("papermill", {})
                for name in ("input_path", "output_path"):
                    if name in of_papermill:
                        of_papermill[name] = Path(of_papermill[name]).name
            except (TypeError, KeyError, AttributeError):
                raise BadInput(f"{source / path.name} is no notebook: {AGAIN}") from None
            write_json(path, notebook)
