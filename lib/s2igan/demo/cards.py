"""`python -m s2igan weights`: the networks of a finished study as the small files of results/reference/weights, each with its card.

A card says what a network learned from, with which seed and for how long, and what it is worth, as it was trained and as it is kept here:
the kept one is measured anew, from the file.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from s2igan import BadInput
from s2igan.config import SYNTHETIC, Settings, resolve, slug
from s2igan.data.audio import SAMPLE_RATE
from s2igan.data.files import write_atomic
from s2igan.data.store import Store, attribute_targets, open_store
from s2igan.data.synthetic.captions import describe
from s2igan.data.synthetic.classes import choose_classes
from s2igan.demo import packed_weights, sentences
from s2igan.demo.load import load
from s2igan.demo.out_of_distribution import OUTSIDE, fit_out_of_distribution
from s2igan.demo.packed_weights import NETWORKS
from s2igan.demo.pipeline import Pipeline, SpeechInput
from s2igan.demo.speak import said_and_seen
from s2igan.evaluation.attributes import attribute_accuracy
from s2igan.evaluation.evaluator import FeatureNetworks
from s2igan.evaluation.feature_networks import extract, fold_norms, load_network
from s2igan.evaluation.images import evaluate_rdg
from s2igan.evaluation.retrieval import evaluate_sen
from s2igan.reporting.collect import PLACES
from s2igan.training.embeddings import embed_captions
from s2igan.training.logs import read_log
from s2igan.training.rdg_networks import make_generator
from s2igan.training.records import read_metrics
from s2igan.training.sen import fresh_sen

WHOLE = ("sen", "sen-wo-ld", "text-encoder", "s2igan")  # whose large matrices are kept as eight-bit numbers; those that judge are not
WHAT = {
    "sen": "SEN, the speech embedding network: speech encoder, and the linear layer of the image encoder that sits on `backbone`.",
    "sen-wo-ld": "SEN trained without the distinctive loss L_d, else the same.",
    "text-encoder": "The text baseline's char-CNN-RNN in the place of the speech encoder, and the image encoder's linear layer.",
    "s2igan": "The generator of S2IGAN (the moving average of its weights), which paints from the embeddings of `sen`.",
    "backbone": "The stand-in image network that SEN's image encoder and the relation supervisor look through: training classes only.",
    "evaluator": "The stand-in image network that judges: trained on all classes, so it serves evaluation and nothing else.",
}
TYPED_NOISES = range(4)


def export(study: Path, out: Path, seed: int = 0) -> Path:
    """Packs the networks of one seed of `results/<study>/<dataset>` into `<out>/<dataset>/`, which afterwards holds all of them with their
    cards, or what it held before.

    Raises: BadInput where the data set is not embedded, or runs are missing.
    """
    study = study.absolute()
    folders = runs_of(study, seed)
    store = open_store(study.parents[2] / "data" / study.parent.name / study.name)
    part = out / f".{study.name}.part-{os.getpid()}"
    try:
        for name, folder in folders.items():
            packed_weights.write(part / f"{name}.safetensors", *_pack(name, folder, store))
            if (folder / "log.jsonl").is_file():
                shutil.copyfile(folder / "log.jsonl", part / f"{name}.jsonl")
        kept = _measure(part, folders, store)
        for name, folder in folders.items():
            write_atomic(part / f"{name}.md", _card(name, part, folder, store, kept))
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
        raise BadInput(f"{study}: only networks of the embedded sets {', '.join(SYNTHETIC)} are kept, whose pictures are ours to pass on")
    data = next((path.name for path in sorted(study.glob("data-store-seed*"))), "data-store-seed0")
    folders = {name: study / (f"{stage}-{slug(system)}-seed{seed}" if system else data) for name, (stage, system) in NETWORKS.items()}
    if lacking := [folder.name for folder in dict.fromkeys(folders.values()) if not (folder / "metrics.json").is_file()]:
        raise BadInput(f"{study} lacks {', '.join(lacking)}: `make study-full DATASETS={study.name} SEEDS={seed}` makes them")
    if yaml.safe_load((folders["backbone"] / "params.yaml").read_text()).get("data_backbone", "proxy") != "proxy":
        raise BadInput(f"{study}: its image network is Inception-v3, whose weights are not ours to pass on")
    return folders


def _pack(name: str, folder: Path, store: Store) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A run's tensors as they are kept, and what the file says of them."""
    stage, system = NETWORKS[name]
    read = read_metrics(folder)
    parameters = {key: value for key, value in yaml.safe_load((folder / "params.yaml").read_text()).items() if key not in PLACES}
    log = read_log(folder / "log.jsonl")
    about = {
        "network": system or name, "dataset": read["dataset"], "seed": read["seed"], "settings": parameters,
        "steps": int(log[-1]["step"]) if log else parameters["data_backbone_steps"], "commit": read["commit"], "device": read["device"],
        "precision": read["precision"], "versions": read["versions"], "metrics": read["metrics"], "licence": packed_weights.LICENCE,
    }  # fmt: skip
    state = load_file(folder / f"{name if stage == 'data' else 'weights'}.safetensors")
    small = packed_weights.pack({key: t for key, t in state.items() if stage != "sen" or not key.startswith("classifier.")}, name in WHOLE)
    if stage == "sen":
        embeddings = load_file(folder / "embeddings.safetensors")
        small |= {"mean": embeddings["mean"], "std": embeddings["std"]}
    if name == "sen":
        x = (embeddings["speech"] - embeddings["mean"]) / embeddings["std"]
        novelty = fit_out_of_distribution(x, store.caption_ids_of("train"), store.caption_ids_of("val"))
        small |= {"out_of_distribution.inverse": novelty.inverse.half().contiguous(), "out_of_distribution.scores": novelty.scores}
    if name == "evaluator":
        about["values"] = attribute_targets(store)[0]
    return small, about


def _measure(part: Path, folders: dict[str, Path], store: Store) -> dict[str, dict[str, Any]]:
    """For each network its figures {metric: (as trained, as kept)} on the unseen classes; for `sen` also, under `novelty`,
    {what was said: (sentences, percent outside)}."""
    figures: dict[str, dict[str, Any]] = {name: {} for name in NETWORKS}
    states = {name: packed_weights.read(part / f"{name}.safetensors") for name in NETWORKS}
    features = load_file(folders["backbone"] / "features.safetensors")
    own = resolve(states["s2igan"][1]["settings"])
    seen = {}
    for name in ("backbone", "evaluator"):
        network = fold_norms(packed_weights.proxy_of(states[name][0]))
        seen[name] = extract(network, store.images, own.data_image_size)
        was = attribute_accuracy(load_network(folders[name] / f"{name}.safetensors"), store, features[name], "test")
        now = attribute_accuracy(network, store, seen[name], "test")
        figures[name] = {f"attribute {key}": (100 * was[key], 100 * now[key]) for key in was}
    backbone = fold_norms(packed_weights.proxy_of(states["backbone"][0]))
    test = store.caption_ids_of("test")
    for name, (stage, system) in NETWORKS.items():
        if stage == "sen":
            net = fresh_sen(resolve(states[name][1]["settings"]).model_copy(update={"system": system}), store, backbone).eval()
            net.load_state_dict({key: t for key, t in states[name][0].items() if key in net.state_dict()}, strict=False)
            heard = torch.zeros(len(store.caption_image), net.image_encoder.linear.out_features)
            heard[torch.as_tensor(test)] = embed_captions(net.caption_encoder, store, test)
            figures[name] = _beside(states[name][1], evaluate_sen(net, store, seen["backbone"], heard))
            if name == "sen":
                x = (heard - states[name][0]["mean"]) / states[name][0]["std"]
    generator = make_generator(own.model_copy(update={"system": "S2IGAN"}), x.shape[1])
    generator.load_state_dict(states["s2igan"][0])
    judge = load_network(folders["evaluator"] / "evaluator.safetensors")
    judges = FeatureNetworks(judge, judge, judge, features["evaluator"], features["evaluator"])
    rows = evaluate_rdg(generator.to(memory_format=torch.channels_last), store, x, judges, own)
    figures["s2igan"] = _beside(states["s2igan"][1], [row for row in rows if not row["metric"].startswith("attribute")])
    painter = load(part)
    if store.dataset == "mini-flowers":
        trained = load(folders["sen"].parent)
        both = [said_and_seen(p, sentences.TYPED, "colour", TYPED_NOISES) for p in (trained, painter)]
        said = f"petal colour of {len(sentences.TYPED)} typed sentences, {len(TYPED_NOISES)} images each"
        figures["s2igan"][said] = tuple(100 * float(right.mean()) for right in both)
        both = [
            [said_and_seen(p, sentences.TYPED, "colour", TYPED_NOISES, voice).mean() for voice in sentences.UNSEEN_VOICES]
            for p in (trained, painter)
        ]
        said = f"the same by {len(sentences.UNSEEN_VOICES)} voices not trained on"
        figures["s2igan"][said] = tuple(100 * float(np.mean(part)) for part in both)
    figures["sen"]["novelty"] = out_of_distribution_rates(painter, x[torch.as_tensor(test)])
    return figures


def _beside(about: dict[str, Any], rows: list[dict]) -> dict[str, tuple[float, float]]:
    was = {row["metric"]: row["value"] for row in about["metrics"]}
    return {row["metric"]: (was[row["metric"]], row["value"]) for row in rows if row["metric"] in was}


def out_of_distribution_rates(painter: Pipeline, unseen: Tensor) -> dict[str, tuple[int, float]]:
    """How many sentences of each kind, and the percentage of them that counts as outside: {what was said: (n, percent)}.

    Args: unseen: standardised embeddings of the descriptions of the unseen classes, [N, D]: there it is the rate of false alarms.
    """
    own = painter.settings
    (other,) = (name for name in SYNTHETIC if name != own.dataset)
    rng = np.random.default_rng(0)
    foreign = [describe(other, attributes, rng) for attributes in choose_classes(other, 100, rng)]
    outside = (painter.novelty.score(unseen) > painter.novelty.threshold).numpy()
    rates = {"descriptions of unseen kinds": (len(outside), 100 * float(outside.mean()))}

    def rate(name: str, heard: list[SpeechInput]) -> None:
        rates[name] = (len(heard), 100 * float(np.mean([one.outside for one in heard])))

    voices = own.data_voices
    rate("typed descriptions of flowers", [painter.say(text) for _, text in sentences.TYPED])
    for voice in sentences.UNSEEN_VOICES:
        rate(f"the same by {voice}, a voice not trained on", [painter.say(text, voice) for _, text in sentences.TYPED])
    rate(f"descriptions of {other}", [painter.say(text, voices[k % len(voices)]) for k, text in enumerate(foreign)])
    for name, (voice, texts) in sentences.STRANGE.items():
        rate(name, [painter.say(text, voice) for text in texts])
    rate("noise and tones", [painter.hear(sound) for sound in noises()])
    return rates


def noises() -> list[Tensor]:
    """Sounds that are no speech, of one to four seconds: white and brown noise, tones, a pulsing hiss."""
    rng = np.random.default_rng(0)
    sounds = []
    for seconds in (1, 2, 3, 4):
        t = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
        hiss = rng.standard_normal(len(t))
        for sound in (hiss, np.cumsum(hiss), np.sin(2 * np.pi * 440 * t), np.sin(2 * np.pi * 120 * t) * np.sin(2 * np.pi * 3 * t),
                      hiss * (np.sin(4 * np.pi * t) > 0)):  # fmt: skip
            sounds.append(torch.from_numpy((0.5 * sound / np.abs(sound).max()).astype(np.float32)))
    return sounds


def _card(name: str, part: Path, folder: Path, store: Store, kept: dict[str, dict[str, Any]]) -> str:
    """A network's card, as Markdown."""
    _, about = packed_weights.read(part / f"{name}.safetensors")
    own, seconds = resolve(about["settings"]), read_metrics(folder)["timing"].get("seconds")
    table = {
        "what": WHAT[name],
        "data": _data(own, store),
        "seed": f"{about['seed']} (of the data {own.data_seed})",
        "steps": f"{about['steps']:,}, batches of {_batch(name, own)}",
        "trained": f"on {about['device']}, {about['precision']}" + (f", the run took {seconds:.0f} s" if seconds else "")
        + f"; commit {about['commit'][:12]}, torch {about['versions']['torch']}",
        "file": f"{(part / f'{name}.safetensors').stat().st_size / 1e6:.2f} MB; {_form(name)}",
        "licence": packed_weights.LICENCE,
    }
    lines = [f"# {about['network']}, {about['dataset']}", "", "| | |", "| --- | --- |"]
    lines += [f"| {key} | {value} |" for key, value in table.items()]
    where = "On the images of the unseen classes, which it was trained on" if name == "evaluator" else "On the unseen classes"
    lines += ["", f"{where}, as it was trained and as it is kept here, measured from this file"
              + (" (with `backbone` as kept)" if name in ("sen", "sen-wo-ld", "text-encoder") else "")
              + (" (with `sen` as kept; judged by the evaluator as trained)" if name == "s2igan" else "") + ":", ""]  # fmt: skip
    lines += ["| metric | as trained | as kept |", "| --- | ---: | ---: |"]
    figures = {metric: pair for metric, pair in kept[name].items() if metric != "novelty"}
    lines += [f"| {metric} | {was:.{_digits(metric)}f} | {now:.{_digits(metric)}f} |" for metric, (was, now) in figures.items()]
    if rates := kept[name].get("novelty"):
        lines += ["", f"A sentence counts as outside where its embedding lies farther from those of the training descriptions than "
                  f"{OUTSIDE:g} % of the validation descriptions' do (`speaking.Novelty`). Of each kind of sentence so many "
                  "counted as outside; for the descriptions of this set that is the rate of false alarms:", ""]  # fmt: skip
        lines += ["| what was said | sentences | outside, percent |", "| --- | ---: | ---: |"]
        lines += [f"| {said} | {count} | {share:.1f} |" for said, (count, share) in rates.items()]
        lines += ["", "Silence, and sound shorter than 150 ms, is refused before any network hears it."]
    return "\n".join(lines) + "\n"


def _data(own: Settings, store: Store) -> str:
    counts = pd.Series(store.class_split).value_counts()
    train, val, test = (counts.get(split, 0) for split in ("train", "val", "test"))
    return (f"{own.dataset}, drawn and spoken by this code: {train} training, {val} validation and {test} unseen classes, "
            f"{len(store.images):,} images, {len(store.caption_image):,} spoken descriptions")  # fmt: skip


def _batch(name: str, own: Settings) -> int:
    return {"s2igan": own.rdg_batch, "backbone": own.data_backbone_batch, "evaluator": own.data_backbone_batch}.get(name, own.sen_batch)


def _form(name: str) -> str:
    large = f"matrices of {packed_weights.LARGE:,} values and more as eight-bit numbers with a factor a row, others"
    return f"{large if name in WHOLE else 'matrices'} in half precision, biases and BatchNorm's statistics in single"


def _digits(metric: str) -> int:
    return 3 if metric == "KID" else 2
