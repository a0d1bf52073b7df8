"""The metrics on the cards of packed networks: those of the finished runs beside those measured from the packed
files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2igan.config import SYNTHETIC, resolve
from s2igan.data.audio import SAMPLE_RATE
from s2igan.data.store import Store
from s2igan.data.synthetic.captions import describe
from s2igan.data.synthetic.classes import choose_classes
from s2igan.demo import packed_weights, sentences
from s2igan.demo.load import load
from s2igan.demo.measure import attribute_hits
from s2igan.demo.packed_weights import NETWORKS
from s2igan.demo.pipeline import Pipeline, SpeechInput
from s2igan.evaluation.attributes import attribute_accuracy
from s2igan.evaluation.evaluator import FeatureNetworks
from s2igan.evaluation.feature_networks import extract, fold_norms, load_network, real_features
from s2igan.evaluation.images import evaluate_rdg
from s2igan.evaluation.retrieval import evaluate_sen
from s2igan.training.embeddings import embed_captions
from s2igan.training.rdg_networks import make_generator
from s2igan.training.sen import fresh_sen

OOD = "out of distribution"  # names the second table of sen's card
TYPED_SEEDS = range(4)


def measure(part: Path, folders: dict[str, Path], store: Store) -> dict[str, dict[str, Any]]:
    """The metrics of each network on the unseen classes, {network: {metric: (as trained, packed)}}; for `sen` also,
    under `OOD`, {kind of input: (count, percent out of distribution)}."""
    states = {name: packed_weights.read(part / f"{name}.safetensors") for name in NETWORKS}
    trained_features = real_features(folders["backbone"], store, "backbone", "evaluator")
    settings = resolve(states["s2igan"][1]["settings"])
    metrics: dict[str, dict[str, Any]] = {}
    packed_features = {}
    for name in ("backbone", "evaluator"):
        network = fold_norms(packed_weights.proxy_of(states[name][0], part / f"{name}.safetensors"))
        packed_features[name] = extract(network, store.images, settings.data_image_size)
        was = attribute_accuracy(
            load_network(folders[name] / f"{name}.safetensors"), store, trained_features[name], "test"
        )
        now = attribute_accuracy(network, store, packed_features[name], "test")
        metrics[name] = {f"attribute {key}": (100 * was[key], 100 * now[key]) for key in was}
    embeddings = {}
    for name, (stage, system) in NETWORKS.items():
        if stage == "sen":
            metrics[name], embeddings[name] = _measure_sen(states, name, system, store, packed_features["backbone"])
    x = (embeddings["sen"] - states["sen"][0]["mean"]) / states["sen"][0]["std"]
    generator = make_generator(settings.model_copy(update={"system": "S2IGAN"}), x.shape[1])
    generator.load_state_dict(states["s2igan"][0])
    net = load_network(folders["evaluator"] / "evaluator.safetensors")
    evaluator = FeatureNetworks(net, net, net, trained_features["evaluator"], trained_features["evaluator"])
    rows = evaluate_rdg(generator.to(memory_format=torch.channels_last), store, x, evaluator, settings)
    metrics["s2igan"] = _beside(states["s2igan"][1], [row for row in rows if not row["metric"].startswith("attribute")])
    pipeline = load(part)
    if store.dataset == "mini-flowers":
        metrics["s2igan"] |= _typed_sentences(load(folders["sen"].parent), pipeline)
    metrics["sen"][OOD] = out_of_distribution_rates(pipeline, x[torch.as_tensor(store.caption_ids_of("test"))])
    return metrics


def _measure_sen(
    states: dict[str, Any], name: str, system: str, store: Store, features: Tensor
) -> tuple[dict[str, Any], Tensor]:
    """Metrics of a packed SEN or text baseline, and its embeddings of the test captions (other rows are 0), [M, D]."""
    state, about = states[name]
    backbone = fold_norms(packed_weights.proxy_of(states["backbone"][0], Path("backbone.safetensors")))
    net = fresh_sen(resolve(about["settings"]).model_copy(update={"system": system}), store, backbone).eval()
    net.load_state_dict({key: t for key, t in state.items() if key in net.state_dict()}, strict=False)
    embeddings = torch.zeros(len(store.caption_image), net.image_encoder.linear.out_features)
    test = store.caption_ids_of("test")
    embeddings[torch.as_tensor(test)] = embed_captions(net.caption_encoder, store, test)
    return _beside(about, evaluate_sen(net, store, features, embeddings)), embeddings


def _typed_sentences(trained: Pipeline, packed: Pipeline) -> dict[str, tuple[float, float]]:
    """In how many images, in percent, the evaluator recognises the petal colour of the typed sentences: {metric: (as
    trained, packed)}."""

    def rate(pipeline: Pipeline, *voices: str) -> float:
        return 100 * float(
            np.mean(
                [attribute_hits(pipeline, sentences.TYPED, "colour", TYPED_SEEDS, voice).mean() for voice in voices]
            )
        )

    unseen = sentences.UNSEEN_VOICES
    return {
        f"petal colour of {len(sentences.TYPED)} typed sentences, {len(TYPED_SEEDS)} images each": (
            rate(trained, ""),
            rate(packed, ""),
        ),
        f"the same by {len(unseen)} unseen voices": (rate(trained, *unseen), rate(packed, *unseen)),
    }


def _beside(about: dict[str, Any], rows: list[dict]) -> dict[str, tuple[float, float]]:
    """{metric: (value of the finished run, value of these rows)} of the metrics that both have."""
    was = {row["metric"]: row["value"] for row in about["metrics"]}
    return {row["metric"]: (was[row["metric"]], row["value"]) for row in rows if row["metric"] in was}


def out_of_distribution_rates(pipeline: Pipeline, unseen: Tensor) -> dict[str, tuple[int, float]]:
    """For each kind of input its number, and the percentage that counts as out of distribution: {kind: (n, percent)}.

    Args: unseen: standardised speech embeddings of the captions of the unseen classes, [N, D]; their rate is that of
    false alarms.
    """
    settings = pipeline.settings
    other = next(name for name in SYNTHETIC if name != settings.dataset)
    rng = np.random.default_rng(0)
    foreign = [describe(other, attributes, rng) for attributes in choose_classes(other, 100, rng)]
    high = (pipeline.detector.score(unseen) > pipeline.detector.threshold).numpy()
    rates = {"captions of unseen classes": (len(high), 100 * float(high.mean()))}

    def rate(name: str, inputs: list[SpeechInput]) -> None:
        rates[name] = (len(inputs), 100 * float(np.mean([one.is_out_of_distribution for one in inputs])))

    voices = settings.data_voices
    rate("typed captions of flowers", [pipeline.encode_text(text) for _, text in sentences.TYPED])
    for voice in sentences.UNSEEN_VOICES:
        rate(
            f"the same by {voice}, an unseen voice", [pipeline.encode_text(text, voice) for _, text in sentences.TYPED]
        )
    rate(
        f"captions of {other}", [pipeline.encode_text(text, voices[k % len(voices)]) for k, text in enumerate(foreign)]
    )
    for name, (voice, texts) in sentences.STRANGE.items():
        rate(name, [pipeline.encode_text(text, voice) for text in texts])
    rate("noise and tones", [pipeline.encode(sound) for sound in noises()])
    return rates


def noises() -> list[Tensor]:
    """Sounds other than speech, of one to four seconds: white and brown noise, tones, a pulsing hiss."""
    rng = np.random.default_rng(0)
    sounds = []
    for seconds in (1, 2, 3, 4):
        t = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
        hiss = rng.standard_normal(len(t))
        for sound in (
            hiss,
            np.cumsum(hiss),
            np.sin(2 * np.pi * 440 * t),
            np.sin(2 * np.pi * 120 * t) * np.sin(2 * np.pi * 3 * t),
            hiss * (np.sin(4 * np.pi * t) > 0),
        ):
            sounds.append(torch.from_numpy((0.5 * sound / np.abs(sound).max()).astype(np.float32)))
    return sounds
