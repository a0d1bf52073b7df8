"""Reading what runs left: one table of all figures, tables in the paper's form, generators to sample from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from s2igan import BadInput, embedded, rdg_training, runs, sen, speech
from s2igan.backbone import attribute_targets, load_network
from s2igan.data import Store, pad_mels
from s2igan.rdg import Generator
from s2igan.settings import EMBEDDED, RDG_SYSTEMS, SEN_SYSTEMS, Settings, of_stage, resolve, run_dir
from s2igan.tables import METRICS
from s2igan.text import TextEncoder, characters

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


def studied(settings: Settings, root: Path) -> dict[str, Settings]:
    """The settings of each data set of a study that has finished runs, {data set: settings}: of those named, or of all.

    They are read from the data run's params.yaml. Raises BadInput if there is none, or none of one that is named.
    """
    study = root / "results" / settings.study
    names = settings.analysis_datasets or tuple(path.name for path in sorted(study.glob("*")) if path.is_dir())
    found = {}
    for name in names:
        for path in sorted((study / name).glob("data-store-seed*/params.yaml")):
            if (path.parent / "metrics.json").is_file() and path.parent.name in (settings.analysis_runs or [path.parent.name]):
                found[name] = resolve(yaml.safe_load(path.read_text()))
    if lacking := [name for name in settings.analysis_datasets if name not in found] or ([] if found else ["*"]):
        raise BadInput(f"there is no finished run in {study / lacking[0]}: `make study` makes them")
    return found


def with_kept(folders: list[Path], kept: Path, dataset: str) -> list[Path]:
    """`folders` and, from `kept` (results/reference/runs), the runs of the same systems with other seeds: figures of a study made in
    several sittings, or on several machines. Raises BadInput for one that was made with other settings or on other data."""
    if not (kept / dataset).is_dir():
        raise BadInput(f"analysis_kept: {kept / dataset} does not exist; it should be like results/reference/runs")
    where = ("system", "seed", "study", "dataset", "data_dir")  # what may differ

    def made_with(folder: Path) -> dict[str, object]:
        stage = folder.name.split("-")[0]
        try:
            values = resolve(_parameters(folder))
        except BadInput as error:  # of a version with other parameters
            raise BadInput(f"analysis_kept: {folder} cannot be compared: {error}") from None
        values = values.model_copy(update={"system": runs.read_metrics(folder)["system"]})
        found = {**of_stage(values, "data"), **(of_stage(values, stage) if stage in ("sen", "rdg") else {})}
        return {name: value for name, value in found.items() if name not in where}

    def system_of(folder: Path) -> str:
        return folder.name.rpartition("-seed")[0]

    here = {system_of(folder): folder for folder in folders}
    names = {folder.name for folder in folders}
    others = [f for f in finished(kept / dataset) if f.name not in names and system_of(f) in here and not f.name.startswith("data-")]
    for folder in others:
        if made_with(folder) != made_with(here[system_of(folder)]):
            raise BadInput(f"analysis_kept: {folder} was made with other settings or data than {here[system_of(folder)]}: "
                           "their figures cannot share a table")  # fmt: skip
    stores = [folder for folder in (*folders, *finished(kept / dataset)) if folder.name.startswith("data-")]
    prints = {runs.read_metrics(folder).get("fingerprint", "unknown") for folder in stores}
    if len(prints - {"unknown"}) > 1:
        raise BadInput(f"analysis_kept: the runs in {kept / dataset} were made on other pictures or speech than those of this study")
    return folders + others


def first_runs(folders: list[Path], systems: Iterable[str]) -> dict[str, Path]:
    """Of the given runs that of the lowest seed of each system, in the order of `systems`; systems without one are left out, and runs of
    which only the figures were kept."""
    about = {folder: runs.read_metrics(folder) for folder in folders if (folder / "weights.safetensors").is_file()}
    found = {}
    for system in systems:
        if mine := [folder for folder in about if about[folder]["system"] == system]:
            found[system] = min(mine, key=lambda folder: about[folder]["seed"])
    return found


def load_generator(settings: Settings, run: Path, store: Store, root: Path) -> tuple[Generator, Tensor]:
    """The generator that an RDG run left, and all captions' embeddings as it wants them, [M, speech_size]."""
    path = run / "params.yaml"
    own = resolve(yaml.safe_load(path.read_text())) if path.is_file() else settings
    about = runs.read_metrics(run)
    if of_sen := RDG_SYSTEMS[about["system"]]["sen"]:
        heard = load_file(run_dir(own, "sen", of_sen, about["seed"], root) / "embeddings.safetensors")["speech"]
        heard = sen.standardised(heard, store)[0] if own.rdg_standardise else heard
    else:  # the encoder learned in this run, and left its embeddings as the generator wants them
        heard = load_file(run / "embeddings.safetensors")["speech"]
    generator = rdg_training.make_generator(own.model_copy(update={"system": about["system"]}), heard.shape[1])
    generator.load_state_dict(load_file(run / "weights.safetensors"))
    return generator.eval(), heard


def load_listener(run: Path, store: Store, root: Path) -> Callable[[list[str], list[Tensor]], Tensor]:
    """What embeds new captions for an RDG run's generator: (texts, their log-mels [T_i, 40]) -> [N, speech_size].

    The text baseline reads the texts, every other system hears the log-mels.
    """
    own = resolve(yaml.safe_load((run / "params.yaml").read_text()))
    about = runs.read_metrics(run)
    backbone = load_network(run_dir(own, "data", root=root) / "backbone.safetensors")
    if of_sen := RDG_SYSTEMS[about["system"]]["sen"]:
        folder = run_dir(own, "sen", of_sen, about["seed"], root)
        of_run = own.model_copy(update={"system": of_sen, "seed": about["seed"]})
        encoder = sen.load_sen(of_run, store, backbone, folder / "weights.safetensors").caption_encoder
        kept = load_file(folder / "embeddings.safetensors")
        mean, deviation = (kept["mean"], kept["deviation"]) if own.rdg_standardise else (0.0, 1.0)
    else:
        net = sen.fresh_sen(own, store, backbone)
        encoder = rdg_training.LearningSpeech(net.caption_encoder, net.images.linear.out_features, own.rdg_standardise)
        encoder.load_state_dict(load_file(run / "hearing.safetensors"))
        mean, deviation = 0.0, 1.0
    encoder.eval()

    @torch.no_grad()
    def listen(texts: list[str], mels: list[Tensor]) -> Tensor:
        rows = []
        for start in range(0, len(texts), 64):
            part = slice(start, start + 64)
            given = characters(texts[part]) if isinstance(encoder, TextEncoder) else pad_mels([mel.numpy() for mel in mels[part]])
            rows.append(encoder(*given))
        return (torch.cat(rows) - mean) / deviation

    return listen


def one_word_changed(store: Store, settings: Settings, seed: int = 0) -> tuple[pd.DataFrame, list[Tensor]]:
    """Descriptions of the unseen classes of an embedded set that differ in one word, and their log-mels [T_i, 40], the first voice's.

    For each class and attribute one sentence that names it, said with every value that can be seen beside the class's other values: a
    table with columns class, attribute, value, text.
    """
    rows = []
    known, _ = attribute_targets(store)  # a small set need not hold every value
    for k in np.unique(store.image_class[store.images_of("test")]):
        own = store.attributes[store.classes[k]]
        for number, (name, values) in enumerate(embedded.ATTRIBUTES[store.dataset].items()):
            for value in (value for value in values if value in known[name]):
                changed = {**own, name: value}
                if any(changed[a] == changed[b] != "none" for a, b in embedded.CONTRASTS[store.dataset] if name in (a, b)):
                    continue
                rng = np.random.default_rng([seed, int(k), number])
                text = embedded.describe(store.dataset, changed, rng, must=(name,), naming=settings.data_naming)
                rows.append({"class": int(k), "attribute": name, "value": value, "text": text})
    table = pd.DataFrame(rows)
    waveforms = speech.speak(list(table.text), settings.data_voices[0], settings.data_engine, settings.data_words_per_minute)
    if settings.data_noise_db is not None:
        waveforms = [speech.with_noise(waveform, settings.data_noise_db, row) for row, waveform in enumerate(waveforms)]
    return table, [speech.log_mel(waveform) for waveform in waveforms]


def follows(changed: pd.DataFrame, store: Store, seen: dict[str, np.ndarray]) -> np.ndarray:
    """For each row of `one_word_changed` whether the evaluator sees the word's value in its image; `seen` from `attributes_seen`."""
    values, _ = attribute_targets(store)
    asked = [values[name].index(value) for name, value in zip(changed.attribute, changed.value, strict=True)]
    return np.array([seen[name][row] == number for row, (name, number) in enumerate(zip(changed.attribute, asked, strict=True))])


def one_word_chance(dataset: str, changed: pd.DataFrame) -> pd.Series:
    """Of the sentences of `one_word_changed`, per attribute, how often a guess among the values said there is right, in percent."""
    # Of each sentence's variants a guess gets one right.
    chance = 100 * changed.groupby("attribute")["class"].nunique() / changed.groupby("attribute").size()
    chance.index = pd.MultiIndex.from_product([[dataset], chance.index], names=["data set", "attribute"])
    return chance


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
    lines: list[str] = []  # the text baseline is found by and painted from what is written, as its name says
    if body := [[s, cell(s, "mAP"), cell(s, "mAP released"), cell(s, "mAP chance")] for s in SEN_SYSTEMS if s in present]:
        lines += [*rows(["descriptions retrieve images", "mAP", "one query a class", "chance"], body), ""]
    painted = table[table.system.isin(RDG_SYSTEMS)]
    metrics = [metric for metric in METRICS if metric in set(painted.metric)]
    if body := [[s, *(cell(s, m) for m in metrics)] for s in RDG_SYSTEMS if s in present]:
        floors = {"real images, one half against the other": "real", "chance": "chance", "training classes' images": "training"}
        for name, suffix in floors.items():
            body.append([f"*{name}*", *(cell("real", f"{m} {suffix}") for m in metrics)])
        lines += rows(["images from descriptions", *metrics], body)
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


PLACES = ("data_dir", "data_backbone_weights", "data_fid_weights")  # parameters that may be paths


def _parameters(run: Path) -> dict[str, Any]:
    """What params.yaml of a run says, without where things lie on this machine."""
    parameters = yaml.safe_load((run / "params.yaml").read_text())
    return parameters | {name: Path(parameters[name]).name for name in PLACES if parameters.get(name)}


KEPT_OF_A_RUN = ("metrics.json", "timing.json", "log.jsonl")  # and params.yaml: from these every table and curve can be made again


def keep(study: Path, out: Path, dataset: str = "") -> None:
    """What the README shows of a finished study on one data set, and what its numbers are traced by.

    `metrics.csv` takes its rows, in place of those of the same data set, system and seed; `runs/<dataset>/<run>/` gets each run's settings,
    metrics and log; of the embedded sets the analysis' figures are copied too (others' show pictures that are not ours to pass on).

    Args: study: folder `results/<study>/<dataset>`. dataset: another name for it in `out`.
    Raises: BadInput for a folder without an analysis.
    """
    if not (study / "analysis" / "runs.csv").is_file():
        raise BadInput(f"{study} has no analysis/runs.csv: run `make study` first")
    dataset = dataset or study.name
    folders = finished(study, set(pd.read_csv(study / "analysis" / "runs.csv").run))  # not what an earlier study left beside them
    for run in folders:
        target = out / "runs" / dataset / run.name
        target.mkdir(parents=True, exist_ok=True)
        for name in KEPT_OF_A_RUN:
            if (run / name).is_file():
                shutil.copyfile(run / name, target / name)
        runs.write_atomic(target / "params.yaml", yaml.safe_dump(_parameters(run), sort_keys=False))
    table = collect(folders)[COLUMNS].assign(dataset=dataset)
    if (out / "metrics.csv").is_file():
        old = pd.read_csv(out / "metrics.csv")
        key = ["dataset", "system", "seed"]
        replaced = old.set_index(key).index.isin(table.set_index(key).index)
        table = pd.concat([old[~replaced], table])
    order = ["real", *SEN_SYSTEMS, *RDG_SYSTEMS]
    table = table.assign(place=table.system.map(order.index)).sort_values(["dataset", "place", "seed"], kind="stable").drop(columns="place")
    with runs.replacing(out / "metrics.csv") as temporary:
        table.to_csv(temporary, index=False)
    if study.name in EMBEDDED:
        # Its notebook, and the tables' figures, show what is left out.
        _copy_figures(study / "analysis", out / dataset, "samples.*", "tsne.*", "map.*", "curves_*")


# What `keep_tables` copies: the name there, a file that it must hold, and what makes it.
TABLES = {
    "tables": ("table1.md", "make study-full"),
    "distinctive": ("gains.md", "make distinctive"),
    "cost": ("cost.md", "python -m s2igan cost"),
}


def keep_tables(tables: Path, out: Path) -> None:
    """Tables and figures over all systems, from `results/<study>/tables`; in `out` they take the place of those of the same name.

    So with `results/distinctive/tables`, which becomes `distinctive/` and keeps its metrics.csv, and with `results/<study>/cost`.

    Raises: BadInput for a folder without them, and where they show pictures of a data set that is not embedded.
    """
    name = "distinctive" if tables.parent.name == "distinctive" else tables.name
    must, command = TABLES[name]
    if not (tables / must).is_file():
        raise BadInput(f"{tables} has no {must}: run `{command}` first")
    if name != "tables":
        _copy_figures(tables, out / name)
        if (tables / "metrics.csv").is_file():
            shutil.copyfile(tables / "metrics.csv", out / name / "metrics.csv")
        return
    datasets = pd.read_csv(tables / "metrics.csv").dataset.unique()
    if others := [name for name in datasets if name not in EMBEDDED]:
        raise BadInput(f"{tables} shows pictures of {others[0]}, which are not ours to pass on: make tables of the embedded sets alone")
    _copy_figures(tables, out / tables.name)


def _copy_figures(source: Path, target: Path, *without: str) -> None:
    """Copies all but what `keep` has elsewhere, PNGs of plots that are there as SVG, and the paths of this machine in notebooks."""
    twins = [path.with_suffix(".png").name for path in source.glob("*.svg")]
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("metrics.csv", "params.yaml", "timing.json", ".*", *twins, *without))
    for path in target.glob("*.ipynb"):
        notebook = json.loads(path.read_text())
        of_papermill = notebook["metadata"].get("papermill", {})
        for name in ("input_path", "output_path"):
            if name in of_papermill:
                of_papermill[name] = Path(of_papermill[name]).name
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
