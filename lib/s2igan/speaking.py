"""From a sentence to pictures with finished networks: hear it, say whether it is anything they know, find real images near it, paint it.

D embedding size, T frames of log-mel, T' steps of the speech encoder. Everything runs on the CPU, in eval mode and single precision.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from s2igan import BadInput, embedded, evaluate, figures, pretrained, runs, speech
from s2igan.backbone import attribute_targets, extract, fold_norms, load_network
from s2igan.data import centre_crop, open_store
from s2igan.rdg import Generator
from s2igan.rdg_training import make_generator
from s2igan.sen import ImageEncoder, SpeechEncoder
from s2igan.settings import EMBEDDED, RDG_SYSTEMS, SEN_SYSTEMS, Settings, resolve, run_dir, slug, store_dir

LONGEST = 60  # seconds of a recording that is listened to; a description takes some three
OUTSIDE = 99.0  # percent of the held-out descriptions that lie nearer than a sentence from which on it counts as outside
SHRINKAGE = 0.1  # of the correlations towards none


# ---- is it anything the networks know? -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Novelty:
    """How far a sentence lies from the training descriptions, and how far held-out ones lie."""

    inverse: Tensor  # of the shrunk correlations of the training descriptions' embeddings, [D, D]
    scores: Tensor  # of the validation descriptions, ascending, [V]

    def score(self, x: Tensor) -> Tensor:
        """Mahalanobis distance of standardised embeddings x [N, D] from the training descriptions, [N]: sqrt(x^T R^-1 x / D) with their
        correlations R; about 1 is usual."""
        return ((x @ self.inverse * x).sum(1) / x.shape[1]).clamp_min(0).sqrt()

    def percent(self, score: float) -> float:
        """Of the validation descriptions, the percentage that lies nearer than `score`."""
        return 100 * float((self.scores < score).float().mean())

    @property
    def threshold(self) -> float:
        """The score beyond which a sentence counts as outside: that of a validation description than which `OUTSIDE` percent lie nearer."""
        return float(torch.quantile(self.scores, OUTSIDE / 100, interpolation="higher"))


def measure_novelty(x: Tensor, train: np.ndarray, validation: np.ndarray) -> Novelty:
    """From the embeddings of a store's captions, standardised over the training ones, [M, D], and the numbers of those of both splits.

    R is shrunk, (1 - s) R + s I, or its smallest directions, which hold nothing but chance, would count most. Without validation captions
    the training ones stand in.
    """
    training = x[torch.as_tensor(train)]
    r = training.T @ training / len(training)
    novelty = Novelty(torch.linalg.inv((1 - SHRINKAGE) * r + SHRINKAGE * torch.eye(len(r))), torch.zeros(1))
    held_out = x[torch.as_tensor(validation)] if len(validation) else training
    return Novelty(novelty.inverse, novelty.score(held_out).sort().values)


# ---- one sentence ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """One sentence as the networks heard it."""

    name: str  # the text, or the file
    waveform: Tensor  # [n] at 22,050 Hz
    mel: Tensor  # [T, 40]
    weights: np.ndarray  # attention, for each feature a softmax over time, [T', D]
    vector: Tensor  # unit vector in the space that speech and images share, [D]
    embedding: Tensor  # the same as the generator takes it: standardised, unless `rdg_standardise` is off, [D]
    novelty: float  # see Novelty.score
    percent: float  # of the validation descriptions that lie nearer
    outside: bool  # whether the novelty is above the threshold: outside of what the networks know

    @property
    def attention(self) -> np.ndarray:
        """The mean of the attention over the features, [T']."""
        return self.weights.mean(1)

    def choosiest(self, count: int = 30) -> np.ndarray:
        """The attention of the features that dwell most on a single moment, in the order of these moments, [count, T']."""
        sharp = np.argsort(-self.weights.max(0), kind="stable")[:count]
        return self.weights.T[sharp[np.argsort(self.weights[:, sharp].argmax(0), kind="stable")]]


@dataclass(frozen=True)
class Gallery:
    """Real images of classes that the networks never met, and where they lie in the space that speech shares."""

    images: np.ndarray  # [N, s, s, 3] uint8
    names: list[str]  # the class of each
    vectors: Tensor  # [N, D]

    def nearest(self, heard: Heard, count: int = 5) -> list[int]:
        """Numbers of the images nearest to a sentence by cosine, the nearest first."""
        return (self.vectors @ heard.vector).argsort(descending=True, stable=True)[:count].tolist()


@dataclass(frozen=True)
class Painter:
    """Finished networks that hear, look and paint: SEN, a generator, and the evaluator that names what is to be seen."""

    name: str  # what was loaded, in words
    settings: Settings  # of the generator's run
    encoder: SpeechEncoder
    mean: Tensor  # of the training captions' embeddings, [D], and their deviation
    deviation: Tensor
    images: ImageEncoder
    generator: Generator
    evaluator: nn.Module | None
    values: dict[str, list[str]]  # of each attribute that the evaluator names
    novelty: Novelty
    root: Path  # of the study whose store has the real images, where they are not drawn

    @torch.inference_mode()
    def hear(self, waveform: Tensor, name: str = "") -> Heard:
        """A recording [n] at 22,050 Hz. Raises: BadInput for one that is silent, too short, or longer than `LONGEST` seconds."""
        if len(waveform) > LONGEST * speech.SAMPLE_RATE:
            raise BadInput(f"the recording lasts {len(waveform) / speech.SAMPLE_RATE:.0f} s: a description takes a few seconds, and no "
                           f"more than {LONGEST} are listened to")  # fmt: skip
        mel = speech.log_mel(waveform)
        weights, states = self.encoder.attention(mel[None], torch.tensor([len(mel)]))
        vector = F.normalize((weights * states).sum(1), dim=1)[0]
        x = (vector - self.mean) / self.deviation
        score = float(self.novelty.score(x[None]))
        embedding = x if self.settings.rdg_standardise else vector
        percent, outside = self.novelty.percent(score), score > self.novelty.threshold
        return Heard(name, waveform, mel, weights[0].numpy(), vector, embedding, score, percent, outside)

    def say(self, text: str, voice: str = "") -> Heard:
        """A sentence spoken by `voice`, by default the first that the networks learned from, at the pace that they learned from.

        Raises: BadInput for a text with nothing to speak, and an unknown voice.
        """
        own = self.settings
        voice = voice or own.data_voices[0]
        return self.hear(speech.speak([text], voice, "espeak", own.data_words_per_minute)[0], " ".join(text.split()))

    def paint(self, embedding: Tensor, seed: int = 0) -> list[np.ndarray]:
        """One image for an embedding [D] at every stage, small to large, [s, s, 3] uint8. The noise follows from `seed` alone, so that
        images of other embeddings with the same seed differ in what was said alone."""
        return [stage[0] for stage in next(evaluate.generate(self.generator, embedding[None], seed, all_scales=True))]

    def between(self, a: Heard, b: Heard, count: int = 7) -> list[Tensor]:
        """Embeddings, as `paint` takes them, on the way from one sentence to another, both ends included: unit vectors mixed and
        brought back to length one."""
        mixed = [F.normalize((1 - t) * a.vector + t * b.vector, dim=0) for t in np.linspace(0, 1, count).tolist()]
        return [(vector - self.mean) / self.deviation if self.settings.rdg_standardise else vector for vector in mixed]

    def seen(self, images: list[np.ndarray]) -> list[dict[str, str]]:
        """What the evaluator sees in each of these images [s, s, 3]: {attribute: value}; {} without an evaluator that knows attributes."""
        if not self.values:
            return [{} for _ in images]
        features = extract(self.evaluator, np.stack(images), images[0].shape[0])
        numbers = evaluate.attributes_seen(self.evaluator, features)
        return [{name: self.values[name][numbers[name][row]] for name in self.values} for row in range(len(images))]

    def gallery(self, each: int = 10) -> Gallery:
        """`each` real images of each unseen class: of the embedded sets those that 01_data draws, drawn anew; else from the store."""
        own = self.settings
        if own.dataset in EMBEDDED:
            stored, names = draw_unseen(own, each)
        else:
            store = open_store(store_dir(own, self.root))
            test = store.images_of("test")
            by_class = [test[store.image_class[test] == k][:each] for k in np.unique(store.image_class[test])]
            stored = store.images[np.sort(np.concatenate(by_class))]
            names = [store.classes[k] for k in store.image_class[np.sort(np.concatenate(by_class))]]
        with torch.no_grad():
            vectors = self.images.project(extract(self.images.backbone, stored, own.data_image_size))
        return Gallery(evaluate.to_uint8(centre_crop(stored, own.data_image_size)), names, vectors)


def draw_unseen(settings: Settings, each: int) -> tuple[np.ndarray, list[str]]:
    """The first `each` images of each unseen class of an embedded set as the store has them, [N, S, S, 3] uint8, and the class of each."""
    classes = embedded.choose_classes(
        settings.dataset, settings.data_classes, np.random.default_rng([settings.data_seed]), settings.data_most_values
    )
    pictures, names, side = [], [], settings.data_crop_from
    for k in range(len(classes) - embedded.unseen(len(classes)), len(classes)):
        for image in range(min(each, settings.data_unseen_images)):
            drawn = embedded.draw_image(settings.dataset, classes[k], np.random.default_rng([settings.data_seed, k, image, 0]))
            pictures.append(np.asarray(drawn.resize((side, side), Image.Resampling.BILINEAR)))
            names.append(f"{k + 1:03d}." + "-".join(classes[k][name] for name in embedded.CLASS_NAME[settings.dataset]))
    return np.stack(pictures), names


# ---- loading ---------------------------------------------------------------------------------------------------------------------


def load(folder: str | Path) -> Painter:
    """Networks from a folder such as results/reference/weights/mini-flowers, or from a finished study's results/<study>/<dataset>.

    Raises: BadInput where there are none, or they are damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"there are no weights: {folder} is no folder; `python -m s2igan weights results/<study>/<dataset>` makes them of a "
                       "finished study")  # fmt: skip
    return _from_study(folder) if any(folder.glob("rdg-*/metrics.json")) else _from_weights(folder)


def _from_weights(folder: Path) -> Painter:
    parts = {name: pretrained.read(folder / f"{name}.safetensors") for name in ("sen", "s2igan", "backbone", "evaluator")}
    (heard, _), (generator, about), (seen, _), (judge, of_judge) = parts.values()
    if len({of["dataset"] for _, of in parts.values()}) > 1:
        raise BadInput(f"the weights in {folder} are of different data sets: make them anew")
    novelty = Novelty(heard["novelty.inverse"], heard["novelty.scores"])
    return _painter(
        pretrained.line(about), about["settings"], heard, generator, (heard["mean"], heard["deviation"]),
        fold_norms(pretrained.standin(seen)), fold_norms(pretrained.standin(judge)), of_judge["values"], novelty, folder,
    )  # fmt: skip


def _from_study(folder: Path) -> Painter:
    """The run of the first of the systems that start from a finished SEN, S2IGAN before all others, with the lowest seed."""
    from s2igan import analysis  # brings pandas, which nothing else here needs

    hearing = [s for s, parts in RDG_SYSTEMS.items() if parts["sen"] is not None and not SEN_SYSTEMS[parts["sen"]]["text"]]
    found = analysis.first_runs(analysis.finished(folder), hearing)
    if not found:
        raise BadInput(f"{folder} has no finished run of {', '.join(hearing)}: `make study` makes them")
    system, run = next(iter(found.items()))
    about, parameters = runs.read_metrics(run), yaml.safe_load((run / "params.yaml").read_text())
    own = resolve(parameters)
    root = folder.absolute().parents[2]
    of_sen = folder / f"sen-{slug(RDG_SYSTEMS[system]['sen'])}-seed{about['seed']}"
    of_data = folder / run_dir(own, "data").name
    for needed in (of_sen / "weights.safetensors", of_sen / "embeddings.safetensors"):
        if not needed.is_file():
            raise BadInput(f"{needed} does not exist: `make study` makes it")
    store = open_store(root / "data" / folder.absolute().parent.name / folder.name)
    kept = load_file(of_sen / "embeddings.safetensors")
    x = (kept["speech"] - kept["mean"]) / kept["deviation"]
    evaluator = load_network(of_data / "evaluator.safetensors")
    values = attribute_targets(store)[0] if hasattr(evaluator, "attributes") else {}
    said = {"network": system, "dataset": own.dataset, "seed": about["seed"], "steps": own.rdg_steps}
    return _painter(
        pretrained.line(said), parameters, load_file(of_sen / "weights.safetensors"), load_file(run / "weights.safetensors"),
        (kept["mean"], kept["deviation"]), load_network(of_data / "backbone.safetensors"), evaluator, values,
        measure_novelty(x, store.captions_of("train"), store.captions_of("val")), root, system,
    )  # fmt: skip


def _painter(
    name: str, parameters: dict[str, Any], heard: dict[str, Tensor], generator: dict[str, Tensor], standard: tuple[Tensor, Tensor],
    backbone: nn.Module, evaluator: nn.Module, values: dict[str, list[str]], novelty: Novelty, root: Path, system: str = "S2IGAN",
) -> Painter:  # fmt: skip
    """The networks of a run from its parameters and the states of SEN and the generator."""
    own = resolve(parameters).model_copy(update={"system": system})

    def part(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): tensor for key, tensor in heard.items() if key.startswith(prefix)}

    encoder = SpeechEncoder(40, own.sen_conv_channels, own.sen_gru_size, own.sen_attention_size)
    images = ImageEncoder(backbone, 2 * own.sen_gru_size)
    net = make_generator(own, 2 * own.sen_gru_size)
    try:
        encoder.load_state_dict(part("caption_encoder."))
        images.linear.load_state_dict(part("images.linear."))
        net.load_state_dict(generator)
    except RuntimeError:
        raise BadInput(f"the weights of {name} do not fit each other: make them anew") from None
    for network in (encoder, images, net):
        network.eval().requires_grad_(False)
    net.to(memory_format=torch.channels_last)
    return Painter(name, own, encoder, *standard, images, net, evaluator, values, novelty, root)


# ---- how well it works -----------------------------------------------------------------------------------------------------------


def said_and_seen(painter: Painter, sentences: list[tuple[str, str]], attribute: str, seeds: range, voice: str = "") -> np.ndarray:
    """Of each sentence (value, text) and noise, whether the evaluator sees the value in the image painted from it: [sentences, seeds]."""
    right = np.zeros((len(sentences), len(seeds)), bool)
    for row, (value, text) in enumerate(sentences):
        heard = painter.say(text, voice)
        images = [painter.paint(heard.embedding, seed)[-1] for seed in seeds]
        right[row] = [seen.get(attribute) == value for seen in painter.seen(images)]
    return right


# ---- from a shell ----------------------------------------------------------------------------------------------------------------


def verdict(heard: Heard, novelty: Novelty) -> str:
    """The novelty of a sentence with its basis, in words."""
    basis = f"novelty {heard.novelty:.2f}, more than {heard.percent:.1f} % of {len(novelty.scores)} held-out descriptions have"
    if heard.outside:
        return f"{basis}: outside of what these networks know, and what they paint of it means nothing"
    return f"{basis}: within what these networks know"


def speak(
    painter: Painter, out: Path, text: str = "", audio: str = "", voice: str = "", seed: int = 0, count: int = 1, stages: bool = False
) -> None:
    """Hears a sentence or a recording, says how new it is and what was painted, and writes the images side by side to `out`, a PNG.

    Args: count: images, of noises seed, seed + 1, ...; stages: those of the smaller stages above them.
    Raises: BadInput where there is nothing to hear, or `out` cannot be written.
    """
    started = time.perf_counter()
    heard = painter.hear(speech.read_audio(audio), audio) if audio else painter.say(text, voice)
    by = "" if audio else f" ({voice or painter.settings.data_voices[0]})"
    print(f"heard {len(heard.waveform) / speech.SAMPLE_RATE:.1f} s: “{heard.name}”{by}")
    print(verdict(heard, painter.novelty))
    made = [painter.paint(heard.embedding, seed + k) for k in range(count)]
    seconds = time.perf_counter() - started
    side = max(256, made[0][-1].shape[0])
    rows = [[figures.enlarged(images[stage], side) for images in made] for stage in range(0 if stages else len(made[0]) - 1, len(made[0]))]
    try:
        with runs.replacing(out) as temporary:
            Image.fromarray(figures.grid(rows, 8)).save(temporary)
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}") from None
    for k, seen in enumerate(painter.seen([images[-1] for images in made])):
        if seen:
            print(f"seen in image {k + 1}: " + ", ".join(f"{name} {value}" for name, value in seen.items()))
    print(f"painted {count} image{'s' if count > 1 else ''} of {made[0][-1].shape[0]} pixels, {seconds:.2f} s after the sentence: {out}")
