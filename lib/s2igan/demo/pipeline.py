"""From a sentence to images with trained networks: encode it, score how unusual it is, find real images near it,
generate.

D embedding size, T frames of log-mel, T' steps of the speech encoder. Everything runs on the CPU, in eval mode and
single precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan import speech
from s2igan.config import SYNTHETIC, Settings, store_dir
from s2igan.data.audio import SAMPLE_RATE, check_length
from s2igan.data.batches import centre_crop
from s2igan.data.store import open_store
from s2igan.data.text_to_speech import speak, spoken_form
from s2igan.demo.out_of_distribution import OutOfDistribution
from s2igan.demo.unseen import draw_unseen
from s2igan.evaluation.attributes import attributes_seen
from s2igan.evaluation.feature_networks import extract
from s2igan.evaluation.generate import to_uint8
from s2igan.rdg import Generator
from s2igan.sen import ImageEncoder, SpeechEncoder


@dataclass(frozen=True)
class SpeechInput:
    """One spoken sentence and what the speech encoder computes from it."""

    name: str  # the text, or the name of the file
    waveform: Tensor  # [n] at 22,050 Hz
    mel: Tensor  # [T, 40]
    weights: np.ndarray  # attention, for each feature a softmax over time, [T', D]
    vector: Tensor  # unit vector in the space that speech and images share, [D]
    speech_embedding: (
        Tensor  # what the generator takes: `vector` standardised, or `vector` where `rdg_standardise` is off, [D]
    )
    score: float  # out-of-distribution score, see OutOfDistribution.score
    percentile: float  # percentage of the held-out captions with a lower score
    is_out_of_distribution: bool  # whether the score is above the threshold

    @property
    def attention(self) -> np.ndarray:
        """The mean of the attention over the features, [T']."""
        return self.weights.mean(1)


@dataclass(frozen=True)
class Gallery:
    """Real images of unseen classes, and their vectors in the space that speech and images share."""

    images: np.ndarray  # [N, s, s, 3] uint8
    names: list[str]  # the class of each
    vectors: Tensor  # [N, D]

    def nearest(self, speech_input: SpeechInput, count: int = 5) -> list[int]:
        """Indices of the images nearest to a sentence by cosine, nearest first."""
        return (self.vectors @ speech_input.vector).argsort(descending=True, stable=True)[:count].tolist()


@dataclass(frozen=True)
class Pipeline:
    """Trained networks from a sentence to images: SEN, a generator, and an evaluator that recognises attributes in
    images."""

    name: str  # what was loaded, in words
    settings: Settings  # of the generator's run
    encoder: SpeechEncoder
    mean: Tensor  # of the training captions' vectors, [D], and their standard deviation
    std: Tensor
    image_encoder: ImageEncoder
    generator: Generator
    evaluator: nn.Module | None
    values: dict[str, list[str]]  # of each attribute that the evaluator recognises
    detector: OutOfDistribution
    root: Path  # of the study whose store has the real images, unless they are synthetic

    @torch.inference_mode()
    def encode(self, waveform: Tensor, name: str = "") -> SpeechInput:
        """Encodes a recording [n] at 22,050 Hz. Raises: BadInput if it is silent, too short, or longer than
        `audio.LONGEST` seconds."""
        check_length(len(waveform) / SAMPLE_RATE, "the recording")
        mel = speech.log_mel(waveform)
        weights, states = self.encoder.attention(mel[None], torch.tensor([len(mel)]))
        vector = F.normalize((weights * states).sum(1), dim=1)[0]
        standardised = (vector - self.mean) / self.std
        score = float(self.detector.score(standardised[None]))
        speech_embedding = standardised if self.settings.rdg_standardise else vector
        percentile, unusual = self.detector.percentile(score), score > self.detector.threshold
        return SpeechInput(
            name, waveform, mel, weights[0].numpy(), vector, speech_embedding, score, percentile, unusual
        )

    def encode_text(self, text: str, voice: str = "") -> SpeechInput:
        """Speaks a sentence by `voice`, at the pace of the training captions, and encodes it; by default the first
        training voice.

        Raises: BadInput for a text with nothing to speak or too much of it, and an unknown voice.
        """
        voice = voice or self.settings.data_voices[0]
        (waveform,) = speak([text], voice, self.settings.data_engine, self.settings.data_words_per_minute)
        return self.encode(waveform, spoken_form(text))

    @torch.no_grad()
    def generate(self, speech_embedding: Tensor, seed: int = 0, z_seed: int | None = None) -> list[np.ndarray]:
        """One image for a speech embedding [D] at every stage, small to large, [s, s, 3] uint8.

        The noise is z, and eps of the conditioning augmentation. Both follow from `seed` alone, so that images of two
        sentences with one seed differ by the sentence alone. `z_seed`: another seed for z, eps stays that of `seed`.
        """
        z, eps = self.noise(seed)
        if z_seed is not None:
            z, _ = self.noise(z_seed)
        images, _, _ = self.generator(z, speech_embedding[None], eps)
        return [to_uint8(image)[0] for image in images]

    def noise(self, seed: int) -> tuple[Tensor, Tensor]:
        """z [1, noise_size] and eps [1, condition_size] of a seed, as `evaluation.generate` draws them for one
        image."""
        random = torch.Generator().manual_seed(seed)
        z = torch.randn(1, self.generator.noise_size, generator=random)
        return z, torch.randn(1, self.generator.condition_size, generator=random)

    def interpolate(self, a: SpeechInput, b: SpeechInput, count: int = 7) -> list[Tensor]:
        """Speech embeddings between two sentences, both ends included: unit vectors mixed linearly and normalised
        again."""
        mixed = [F.normalize((1 - t) * a.vector + t * b.vector, dim=0) for t in np.linspace(0, 1, count).tolist()]
        return [(vector - self.mean) / self.std if self.settings.rdg_standardise else vector for vector in mixed]

    def predict_attributes(self, images: list[np.ndarray]) -> list[dict[str, str]]:
        """The attribute values that the evaluator predicts for images [s, s, 3]: {attribute: value} each; {} if it
        knows no attributes."""
        if not self.values:
            return [{} for _ in images]
        features = extract(self.evaluator, np.stack(images), images[0].shape[0])
        numbers = attributes_seen(self.evaluator, features)
        return [{name: self.values[name][numbers[name][row]] for name in self.values} for row in range(len(images))]

    def gallery(self, each: int = 10) -> Gallery:
        """`each` real images of each unseen class: drawn again for a synthetic set, from the store for another."""
        settings = self.settings
        if settings.dataset in SYNTHETIC:
            stored, names = draw_unseen(settings, each)
        else:
            store = open_store(store_dir(settings, self.root))
            test = store.image_ids_of("test")
            by_class = [test[store.image_class[test] == k][:each] for k in np.unique(store.image_class[test])]
            image_ids = np.sort(np.concatenate(by_class))
            stored, names = store.images[image_ids], [store.classes[k] for k in store.image_class[image_ids]]
        with torch.no_grad():
            vectors = self.image_encoder.project(extract(self.image_encoder.backbone, stored, settings.data_image_size))
        return Gallery(to_uint8(centre_crop(stored, settings.data_image_size)), names, vectors)
