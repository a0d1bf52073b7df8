"""Numbers on generated images: does a spoken attribute appear, and which of the two noises changes the image."""

from __future__ import annotations

import numpy as np

from s2igan.demo.pipeline import Gallery, Pipeline, SpeechInput


def attribute_hits(
    pipeline: Pipeline, sentences: list[tuple[str, str]], attribute: str, seeds: range, voice: str = ""
) -> np.ndarray:
    """For each sentence (value, text) and noise seed, whether the evaluator recognises `value` in the generated image,
    [sentences, seeds] bool."""
    hits = np.zeros((len(sentences), len(seeds)), bool)
    for row, (value, text) in enumerate(sentences):
        embedding = pipeline.encode_text(text, voice).speech_embedding
        images = [pipeline.generate(embedding, seed)[-1] for seed in seeds]
        hits[row] = [predicted.get(attribute) == value for predicted in pipeline.predict_attributes(images)]
    return hits


def noise_effect(pipeline: Pipeline, speech_input: SpeechInput, count: int = 20) -> dict[str, float]:
    """How much each noise changes the image of one sentence: the mean absolute difference of pixel values (0 to 255)
    between the image of seed 0 and images where only z, or only eps, comes from seeds 1 to `count`."""
    embedding, seeds = speech_input.speech_embedding, range(1, count + 1)
    base = pipeline.generate(embedding, seed=0)[-1].astype(float)
    only_z = [pipeline.generate(embedding, seed=0, z_seed=k)[-1] for k in seeds]
    only_eps = [pipeline.generate(embedding, seed=k, z_seed=0)[-1] for k in seeds]
    return {
        name: float(np.mean([np.abs(image - base).mean() for image in images]))
        for name, images in (("z", only_z), ("eps", only_eps))
    }


def real_variation(gallery: Gallery) -> float:
    """How much real images of one class differ, on the scale of `noise_effect`: the mean absolute difference of pixel
    values between the first image of a class and its others."""
    first = {name: image.astype(float) for name, image in zip(gallery.names[::-1], gallery.images[::-1], strict=True)}
    others = [k for k in range(1, len(gallery.names)) if gallery.names[k] == gallery.names[k - 1]]
    return float(np.mean([np.abs(gallery.images[k] - first[gallery.names[k]]).mean() for k in others]))
