"""From a sentence to pictures with finished networks: hear it, say whether it is anything they know, find real images near it, paint it.

D embedding size, T frames of log-mel, T' steps of the speech encoder. Everything runs on the CPU, in eval mode and single precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from s2igan import BadInput, speech
from s2igan.config import SYNTHETIC, Settings, store_dir
from s2igan.data.audio import SAMPLE_RATE
from s2igan.data.batches import centre_crop
from s2igan.data.store import open_store
from s2igan.data.synthetic.classes import CLASS_NAME, choose_classes, unseen_count
from s2igan.data.synthetic.dataset import draw_image
from s2igan.data.text_to_speech import speak
from s2igan.demo.out_of_distribution import OutOfDistribution
from s2igan.evaluation.attributes import attributes_seen
from s2igan.evaluation.feature_networks import extract
from s2igan.evaluation.generate import generate, to_uint8
from s2igan.rdg import Generator
from s2igan.sen import ImageEncoder, SpeechEncoder

LONGEST = 60  # seconds of a recording that is listened to; a description takes some three


@dataclass(frozen=True)
class SpeechInput:
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

    def nearest(self, heard: SpeechInput, count: int = 5) -> list[int]:
        """Numbers of the images nearest to a sentence by cosine, the nearest first."""
        return (self.vectors @ heard.vector).argsort(descending=True, stable=True)[:count].tolist()


@dataclass(frozen=True)
class Pipeline:
    """Finished networks that hear, look and paint: SEN, a generator, and the evaluator that names what is to be seen."""

    name: str  # what was loaded, in words
    settings: Settings  # of the generator's run
    encoder: SpeechEncoder
    mean: Tensor  # of the training captions' embeddings, [D], and their standard deviation
    std: Tensor
    image_encoder: ImageEncoder
    generator: Generator
    evaluator: nn.Module | None
    values: dict[str, list[str]]  # of each attribute that the evaluator names
    novelty: OutOfDistribution
    root: Path  # of the study whose store has the real images, where they are not drawn

    @torch.inference_mode()
    def hear(self, waveform: Tensor, name: str = "") -> SpeechInput:
        """A recording [n] at 22,050 Hz. Raises: BadInput for one that is silent, too short, or longer than `LONGEST` seconds."""
        if len(waveform) > LONGEST * SAMPLE_RATE:
            raise BadInput(f"the recording lasts {len(waveform) / SAMPLE_RATE:.0f} s: a description takes a few seconds, and no "
                           f"more than {LONGEST} are listened to")  # fmt: skip
        mel = speech.log_mel(waveform)
        weights, states = self.encoder.attention(mel[None], torch.tensor([len(mel)]))
        vector = F.normalize((weights * states).sum(1), dim=1)[0]
        x = (vector - self.mean) / self.std
        score = float(self.novelty.score(x[None]))
        embedding = x if self.settings.rdg_standardise else vector
        percent, outside = self.novelty.percent(score), score > self.novelty.threshold
        return SpeechInput(name, waveform, mel, weights[0].numpy(), vector, embedding, score, percent, outside)

    def say(self, text: str, voice: str = "") -> SpeechInput:
        """A sentence spoken by `voice`, by default the first that the networks learned from, at the pace that they learned from.

        Raises: BadInput for a text with nothing to speak, and an unknown voice.
        """
        own = self.settings
        voice = voice or own.data_voices[0]
        return self.hear(speak([text], voice, "espeak", own.data_words_per_minute)[0], " ".join(text.split()))

    def paint(self, embedding: Tensor, seed: int = 0) -> list[np.ndarray]:
        """One image for an embedding [D] at every stage, small to large, [s, s, 3] uint8. The noise follows from `seed` alone, so that
        images of other embeddings with the same seed differ in what was said alone."""
        return [stage[0] for stage in next(generate(self.generator, embedding[None], seed, all_scales=True))]

    def between(self, a: SpeechInput, b: SpeechInput, count: int = 7) -> list[Tensor]:
        """Embeddings, as `paint` takes them, on the way from one sentence to another, both ends included: unit vectors mixed and
        brought back to length one."""
        mixed = [F.normalize((1 - t) * a.vector + t * b.vector, dim=0) for t in np.linspace(0, 1, count).tolist()]
        return [(vector - self.mean) / self.std if self.settings.rdg_standardise else vector for vector in mixed]

    def seen(self, images: list[np.ndarray]) -> list[dict[str, str]]:
        """What the evaluator sees in each of these images [s, s, 3]: {attribute: value}; {} without an evaluator that knows attributes."""
        if not self.values:
            return [{} for _ in images]
        features = extract(self.evaluator, np.stack(images), images[0].shape[0])
        numbers = attributes_seen(self.evaluator, features)
        return [{name: self.values[name][numbers[name][row]] for name in self.values} for row in range(len(images))]

    def gallery(self, each: int = 10) -> Gallery:
        """`each` real images of each unseen class: of the embedded sets those that 01_data draws, drawn anew; else from the store."""
        own = self.settings
        if own.dataset in SYNTHETIC:
            stored, names = draw_unseen(own, each)
        else:
            store = open_store(store_dir(own, self.root))
            test = store.image_ids_of("test")
            by_class = [test[store.image_class[test] == k][:each] for k in np.unique(store.image_class[test])]
            stored = store.images[np.sort(np.concatenate(by_class))]
            names = [store.classes[k] for k in store.image_class[np.sort(np.concatenate(by_class))]]
        with torch.no_grad():
            vectors = self.image_encoder.project(extract(self.image_encoder.backbone, stored, own.data_image_size))
        return Gallery(to_uint8(centre_crop(stored, own.data_image_size)), names, vectors)


def draw_unseen(settings: Settings, each: int) -> tuple[np.ndarray, list[str]]:
    """The first `each` images of each unseen class of an embedded set as the store has them, [N, S, S, 3] uint8, and the class of each."""
    classes = choose_classes(
        settings.dataset, settings.data_classes, np.random.default_rng([settings.data_seed]), settings.data_most_values
    )
    pictures, names, side = [], [], settings.data_crop_from
    for k in range(len(classes) - unseen_count(len(classes)), len(classes)):
        for image in range(min(each, settings.data_unseen_images)):
            drawn = draw_image(settings.dataset, classes[k], np.random.default_rng([settings.data_seed, k, image, 0]))
            pictures.append(np.asarray(drawn.resize((side, side), Image.Resampling.BILINEAR)))
            names.append(f"{k + 1:03d}." + "-".join(classes[k][name] for name in CLASS_NAME[settings.dataset]))
    return np.stack(pictures), names
