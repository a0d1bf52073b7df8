"""Reading what runs left: one table of all figures, tables in the paper's form, generators to sample from."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import yaml
from safetensors.torch import load_file
from torch import Tensor

from s2igan import BadInput, rdg_training, runs, sen
from s2igan.data import Store
from s2igan.rdg import Generator
from s2igan.settings import EMBEDDED, RDG_SYSTEMS, SEN_SYSTEMS, Settings, resolve, run_dir

COLUMNS = ["dataset", "preset", "system", "seed", "metric", "value", "n"]


def finished(study: str | Path, names: Iterable[str] = ()) -> list[Path]:
    """Folders of the finished runs below `results/<study>/<dataset>`; of those in `names` alone, where any are named."""
    folders = [path.parent for path in sorted(Path(study).glob("*/metrics.json"))]
    return [folder for folder in folders if folder.name in names] if names else folders


def collect(folders: list[Path]) -> pd.DataFrame:
    """Every figure of the given runs: COLUMNS, and split, commit and run. Raises BadInput when there is none."""
    rows = []
    for folder in folders:
        run = runs.read_metrics(folder)
        about = {key: run[key] for key in ("dataset", "preset", "system", "seed", "commit")}
        rows += [{**about, "run": folder.name, **row} for row in run["metrics"]]
    if not rows:
        raise BadInput("there is no finished run to analyse: `make study` makes them")
    order = ["real", *SEN_SYSTEMS, *RDG_SYSTEMS]
    table = pd.DataFrame(rows)
    table = table.sort_values("system", key=lambda column: column.map(order.index), kind="stable")
    return table[[*COLUMNS, "split", "commit", "run"]].reset_index(drop=True)


def first_runs(folders: list[Path], systems: Iterable[str]) -> dict[str, Path]:
    """Of the given runs that of the lowest seed of each system, in the order of `systems`; systems without one are left out."""
    about = {folder: runs.read_metrics(folder) for folder in folders}
    found = {}
    for system in systems:
        if mine := [folder for folder in folders if about[folder]["system"] == system]:
            found[system] = min(mine, key=lambda folder: about[folder]["seed"])
    return found


def load_generator(settings: Settings, run: Path, store: Store, root: Path) -> tuple[Generator, Tensor]:
    """The generator that an RDG run left, and all captions' embeddings as it wants them, [M, speech_size]."""
    path = run / "params.yaml"
    own = resolve(yaml.safe_load(path.read_text())) if path.is_file() else settings
    about = runs.read_metrics(run)
    folder = run_dir(own, "sen", RDG_SYSTEMS[about["system"]]["sen"], about["seed"], root)
    speech = load_file(folder / "embeddings.safetensors")["speech"]
    if own.rdg_standardise:
        speech = sen.standardised(speech, store)[0]
    generator = rdg_training.make_generator(own.model_copy(update={"system": about["system"]}), speech.shape[1])
    generator.load_state_dict(load_file(run / "weights.safetensors"))
    return generator.eval(), speech


def markdown_table(table: pd.DataFrame) -> str:
    """Tables of SEN and RDG as Markdown: mean over seeds, ± standard deviation where there are several, chance and real beside."""

    def cell(system: str, metric: str) -> str:
        values = table[(table.system == system) & (table.metric == metric)].value
        if values.empty:
            return ""
        digits = 4 if metric.startswith("KID") else 2
        spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
        return f"{values.mean():.{digits}f}{spread}"

    def rows(header: list[str], body: list[list[str]]) -> list[str]:
        return [" | ".join(["", *line, ""]).strip() for line in (header, ["---", *["---:"] * (len(header) - 1)], *body)]

    present = set(table.system)
    lines: list[str] = []
    if body := [[s, cell(s, "mAP"), cell(s, "mAP released"), cell(s, "mAP chance")] for s in SEN_SYSTEMS if s in present]:
        lines += [*rows(["speech retrieves images", "mAP", "one query a class", "chance"], body), ""]
    metrics = ["mAP", "FID", "KID", "IS"]
    if body := [[s, *(cell(s, m) for m in metrics)] for s in RDG_SYSTEMS if s in present]:
        floors = {"real images, one half against the other": "real", "chance": "chance", "training classes' images": "training"}
        for name, suffix in floors.items():
            body.append([f"*{name}*", *(cell("real", f"{m} {suffix}") for m in metrics)])
        lines += rows(["generated from speech", *metrics], body)
    return "\n".join(lines).strip() + "\n"


def provenance(folders: list[Path]) -> pd.DataFrame:
    """For each run its system, seed, device, precision, threads, seconds (of a resumed run: since it was resumed), torch and commit."""
    rows = []
    for folder in folders:
        run = runs.read_metrics(folder)
        row = {key: run[key] for key in ("system", "seed", "device", "precision", "threads")}
        rows.append({"run": folder.name, **row, "seconds_of_last_call": run["timing"].get("seconds"), "torch": run["versions"]["torch"],
                     "commit": run["commit"]})  # fmt: skip
    return pd.DataFrame(rows)


def keep(studies: list[Path], out: Path) -> None:
    """What the README shows of finished studies: `metrics.csv` of all of them; of the embedded sets table, figures and notebook too.

    Args: studies: folders `results/<study>/<dataset>` with an analysis. A data set found in `out` already is replaced, others stay.
    Raises: BadInput for a folder without an analysis.
    """
    tables = []
    for study in studies:
        if not (study / "analysis" / "metrics.csv").is_file():
            raise BadInput(f"{study} has no analysis/metrics.csv: run `make study` first")
        tables.append(pd.read_csv(study / "analysis" / "metrics.csv"))
        if study.name not in EMBEDDED:
            continue  # its figures show pictures that are not ours to pass on
        shutil.rmtree(out / study.name, ignore_errors=True)
        shutil.copytree(study / "analysis", out / study.name, ignore=shutil.ignore_patterns("metrics.csv", "params.yaml", ".*"))
    if (out / "metrics.csv").is_file():
        new = pd.concat(tables).dataset.unique()
        old = pd.read_csv(out / "metrics.csv")
        tables.insert(0, old[~old.dataset.isin(new)])
    with runs.replacing(out / "metrics.csv") as temporary:
        pd.concat(tables).sort_values("dataset", kind="stable").to_csv(temporary, index=False)
