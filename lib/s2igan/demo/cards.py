"""`python -m s2igan weights`: the networks of a finished study as the small files of results/reference/weights, each
with a card.

A card names the training data, the seed and the number of steps of a network, and its metrics before and after packing:
those after packing are measured from the file.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from s2igan import BadInput
from s2igan.config import SYNTHETIC, Settings, resolve, slug
from s2igan.data.store import Store, attribute_targets, open_store
from s2igan.demo import packed_weights
from s2igan.demo.card_metrics import OOD, measure
from s2igan.demo.out_of_distribution import THRESHOLD_PERCENTILE, fit_out_of_distribution
from s2igan.demo.packed_weights import NETWORKS
from s2igan.files import copy_file, write_atomic
from s2igan.reporting.collect import PLACES
from s2igan.training.logs import read_log
from s2igan.training.records import read_metrics, read_parameters
from s2igan.training.weights import read_weights

# Large matrices of these networks are packed as eight-bit numbers. Feature networks are not: they measure the others.
WHOLE = ("sen", "sen-wo-ld", "text-encoder", "s2igan")
WHAT = {
    "sen": "SEN, the speech embedding network: the speech encoder, and the linear layer on top of `backbone`.",
    "sen-wo-ld": "SEN trained without the distinctive loss L_d, otherwise the same.",
    "text-encoder": "The text baseline: a char-CNN-RNN as caption encoder, and the linear layer of the image encoder.",
    "s2igan": "The generator of S2IGAN (moving average of its weights): images from the speech embeddings of `sen`.",
    "backbone": "The proxy feature network of SEN's image encoder and the relation supervisor: training classes only.",
    "evaluator": "The proxy feature network of the evaluation, trained on all classes and used for evaluation only.",
}
OUT_OF_DISTRIBUTION = (
    "A sentence counts as out of distribution if its score is higher than that of {:g} % of the validation captions "
    "(`demo.out_of_distribution`). For captions of this data set the rate is that of false alarms:"
)
MEASURED_WITH = {
    **dict.fromkeys(("sen", "sen-wo-ld", "text-encoder"), " (with the packed `backbone`)"),
    "s2igan": " (with the packed `sen` and the evaluator as trained)",
}


def export(study: Path, out: Path, seed: int = 0) -> Path:
    """Packs the networks of one seed of `results/<study>/<dataset>` into `<out>/<dataset>/`, with their cards. If it
    fails, the folder stays as it was.

    Raises: BadInput if the data set is not synthetic, or runs are missing.
    """
    study = study.absolute()
    folders = runs_of(study, seed)
    store = open_store(study.parents[2] / "data" / study.parent.name / study.name)
    part = out / f".{study.name}.part-{os.getpid()}"
    try:
        for name, folder in folders.items():
            packed_weights.write(part / f"{name}.safetensors", *_pack(name, folder, store))
            if (folder / "log.jsonl").is_file():
                copy_file(folder / "log.jsonl", part / f"{name}.jsonl")
        metrics = measure(part, folders, store)
        for name, folder in folders.items():
            write_atomic(part / f"{name}.md", _card(name, part, folder, store, metrics))
        old = out / f".{study.name}.old-{os.getpid()}"
        if (out / study.name).exists():
            (out / study.name).rename(old)
        part.rename(out / study.name)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return out / study.name


def runs_of(study: Path, seed: int) -> dict[str, Path]:
    """The run of each of `NETWORKS` in `results/<study>/<dataset>`, {name: folder}. Raises: BadInput as `export`."""
    if study.name not in SYNTHETIC:
        raise BadInput(
            f"{study}: only networks of the synthetic sets {', '.join(SYNTHETIC)} are packed: their data are free"
        )
    data = next((path.name for path in sorted(study.glob("data-store-seed*"))), "data-store-seed0")
    folders = {
        name: study / (f"{stage}-{slug(system)}-seed{seed}" if system else data)
        for name, (stage, system) in NETWORKS.items()
    }
    if lacking := [
        folder.name for folder in dict.fromkeys(folders.values()) if not (folder / "metrics.json").is_file()
    ]:
        raise BadInput(
            f"{study} lacks {', '.join(lacking)}: `make study-full DATASETS={study.name} SEEDS={seed}` makes them"
        )
    if read_parameters(folders["backbone"]).get("data_backbone", "proxy") != "proxy":
        raise BadInput(f"{study}: its backbone was not trained here, so that its weights cannot be packed")
    return folders


def _pack(name: str, folder: Path, store: Store) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The packed tensors of a run, and the description that the file carries."""
    stage, system = NETWORKS[name]
    read = read_metrics(folder)
    parameters = {key: value for key, value in read_parameters(folder).items() if key not in PLACES}
    log = read_log(folder / "log.jsonl")
    about = {
        "network": system or name,
        "dataset": read["dataset"],
        "seed": read["seed"],
        "settings": parameters,
        "steps": int(log[-1]["step"]) if log else parameters["data_backbone_steps"],
        "commit": read["commit"],
        "device": read["device"],
        "precision": read["precision"],
        "versions": read["versions"],
        "metrics": read["metrics"],
        "licence": packed_weights.LICENCE,
    }
    state, _ = read_weights(folder / f"{name if stage == 'data' else 'weights'}.safetensors")
    small = packed_weights.pack(
        {key: t for key, t in state.items() if stage != "sen" or not key.startswith("classifier.")}, name in WHOLE
    )
    if stage == "sen":
        embeddings, _ = read_weights(folder / "embeddings.safetensors", "speech", "mean", "std")
        small |= {"mean": embeddings["mean"], "std": embeddings["std"]}
    if name == "sen":
        x = (embeddings["speech"] - embeddings["mean"]) / embeddings["std"]
        detector = fit_out_of_distribution(x, store.caption_ids_of("train"), store.caption_ids_of("val"))
        small |= {
            "out_of_distribution.inverse": detector.inverse.half().contiguous(),
            "out_of_distribution.scores": detector.scores,
        }
    if name == "evaluator":
        about["values"] = attribute_targets(store)[0]
    return small, about


def _card(name: str, part: Path, folder: Path, store: Store, metrics: dict[str, dict[str, Any]]) -> str:
    """A network's card, as Markdown."""
    _, about = packed_weights.read(part / f"{name}.safetensors")
    settings, seconds = resolve(about["settings"]), read_metrics(folder)["timing"].get("seconds")
    took = f", the run took {seconds:.0f} s" if seconds else ""
    versions = f"commit {about['commit'][:12]}, torch {about['versions']['torch']}"
    table = {
        "what": WHAT[name],
        "data": _data(settings, store),
        "seed": f"{about['seed']} (of the data {settings.data_seed})",
        "steps": f"{about['steps']:,}, batches of {_batch(name, settings)}",
        "trained": f"on {about['device']}, {about['precision']}{took}; {versions}",
        "file": f"{(part / f'{name}.safetensors').stat().st_size / 1e6:.2f} MB; {_form(name)}",
        "licence": packed_weights.LICENCE,
    }
    lines = [f"# {about['network']}, {about['dataset']}", "", "| | |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in table.items()]
    where = (
        "On the images of the unseen classes, which it was trained on"
        if name == "evaluator"
        else "On the unseen classes"
    )
    lines += [
        "",
        f"{where}, as trained and packed; the packed values are measured from this file{MEASURED_WITH.get(name, '')}:",
        "",
    ]
    lines += ["| metric | as trained | packed |", "| --- | ---: | ---: |"]
    pairs = {metric: pair for metric, pair in metrics[name].items() if metric != OOD}
    lines += [
        f"| {metric} | {was:.{_digits(metric)}f} | {now:.{_digits(metric)}f} |" for metric, (was, now) in pairs.items()
    ]
    if rates := metrics[name].get(OOD):
        lines += ["", OUT_OF_DISTRIBUTION.format(THRESHOLD_PERCENTILE), ""]
        lines += ["| input | sentences | out of distribution, percent |", "| --- | ---: | ---: |"]
        lines += [f"| {kind} | {count} | {share:.1f} |" for kind, (count, share) in rates.items()]
        lines += ["", "Silence, and sound shorter than 150 ms, is refused before it is encoded."]
    return "\n".join(lines) + "\n"


def _data(settings: Settings, store: Store) -> str:
    counts = pd.Series(store.class_split).value_counts()
    train, val, test = (counts.get(split, 0) for split in ("train", "val", "test"))
    return (
        f"{settings.dataset}, synthetic: {train} training, {val} validation and {test} unseen classes, "
        f"{len(store.images):,} images, {len(store.caption_image):,} spoken captions"
    )


def _batch(name: str, settings: Settings) -> int:
    if name in ("backbone", "evaluator"):
        return settings.data_backbone_batch
    return settings.rdg_batch if name == "s2igan" else settings.sen_batch


def _form(name: str) -> str:
    large = f"matrices of {packed_weights.LARGE:,} values and more as eight-bit numbers with a factor per row, others"
    return f"{large if name in WHOLE else 'matrices'} in half precision, biases and BatchNorm statistics in single"


def _digits(metric: str) -> int:
    return 3 if metric == "KID" else 2
