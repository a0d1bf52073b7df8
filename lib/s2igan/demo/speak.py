"""One sentence to an image file, with words about it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from PIL import Image

from s2igan import BadInput
from s2igan.data.audio import SAMPLE_RATE, read_audio
from s2igan.data.files import replacing
from s2igan.demo.out_of_distribution import OutOfDistribution
from s2igan.demo.pipeline import Pipeline, SpeechInput
from s2igan.reporting import plots


def said_and_seen(painter: Pipeline, sentences: list[tuple[str, str]], attribute: str, seeds: range, voice: str = "") -> np.ndarray:
    """Of each sentence (value, text) and noise, whether the evaluator sees the value in the image painted from it: [sentences, seeds]."""
    right = np.zeros((len(sentences), len(seeds)), bool)
    for row, (value, text) in enumerate(sentences):
        heard = painter.say(text, voice)
        images = [painter.paint(heard.embedding, seed)[-1] for seed in seeds]
        right[row] = [seen.get(attribute) == value for seen in painter.seen(images)]
    return right


def describe_score(heard: SpeechInput, novelty: OutOfDistribution) -> str:
    """The novelty of a sentence with its basis, in words."""
    basis = f"novelty {heard.novelty:.2f}, more than {heard.percent:.1f} % of {len(novelty.scores)} held-out descriptions have"
    if heard.outside:
        return f"{basis}: outside of what these networks know, and what they paint of it means nothing"
    return f"{basis}: within what these networks know"


def speak_to_file(
    painter: Pipeline, out: Path, text: str = "", audio: str = "", voice: str = "", seed: int = 0, count: int = 1, stages: bool = False
) -> None:
    """Hears a sentence or a recording, says how new it is and what was painted, and writes the images side by side to `out`, a PNG.

    Args: count: images, of noises seed, seed + 1, ...; stages: those of the smaller stages above them.
    Raises: BadInput where there is nothing to hear, or `out` cannot be written.
    """
    started = time.perf_counter()
    heard = painter.hear(read_audio(audio), audio) if audio else painter.say(text, voice)
    by = "" if audio else f" ({voice or painter.settings.data_voices[0]})"
    print(f"heard {len(heard.waveform) / SAMPLE_RATE:.1f} s: “{heard.name}”{by}")
    print(describe_score(heard, painter.novelty))
    made = [painter.paint(heard.embedding, seed + k) for k in range(count)]
    seconds = time.perf_counter() - started
    side = max(256, made[0][-1].shape[0])
    rows = [[plots.enlarged(images[stage], side) for images in made] for stage in range(0 if stages else len(made[0]) - 1, len(made[0]))]
    try:
        with replacing(out) as temporary:
            Image.fromarray(plots.grid(rows, 8)).save(temporary)
    except OSError as error:
        raise BadInput(f"cannot write {out}: {error.strerror}") from None
    for k, seen in enumerate(painter.seen([images[-1] for images in made])):
        if seen:
            print(f"seen in image {k + 1}: " + ", ".join(f"{name} {value}" for name, value in seen.items()))
    print(f"painted {count} image{'s' if count > 1 else ''} of {made[0][-1].shape[0]} pixels, {seconds:.2f} s after the sentence: {out}")
