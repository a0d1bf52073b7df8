"""`python -m s2igan speak`: one sentence or recording to an image file, with its out-of-distribution score."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from s2igan.config import SYNTHETIC
from s2igan.data.audio import SAMPLE_RATE, read_audio
from s2igan.data.synthetic.sets import SETS
from s2igan.data.text_to_speech import is_spelled_out
from s2igan.demo.pipeline import Pipeline, SpeechInput
from s2igan.files import replacing
from s2igan.reporting import plots
from s2igan.reporting.text import one_line

GAP = 2  # white pixels between images: eight images of 96 pixels fit a page of 784


def describe_score(speech_input: SpeechInput) -> str:
    """The out-of-distribution score of a sentence and its place among the held-out captions."""
    place = "out of" if speech_input.is_out_of_distribution else "in"
    score, percentile = f"{speech_input.score:.2f}", f"{speech_input.percentile:.0f}"
    return f"out-of-distribution score {score}, higher than {percentile} % of held-out captions: {place} distribution"


def advice(speech_input: SpeechInput, dataset: str) -> str:
    """What a high out-of-distribution score means for the images, with the vocabulary of the networks; "" for a low
    score."""
    if not speech_input.is_out_of_distribution:
        return ""
    return "\n".join(filter(None, ["the score is high: the image may not follow the words", vocabulary(dataset)]))


def vocabulary(dataset: str) -> str:
    """The attributes and values that networks of a synthetic set know, a line each; "" for other data sets."""
    if dataset not in SYNTHETIC:
        return ""
    names = {"shape": "petal shape", "colour": "petal colour", "bars": "wing bars"}
    lines = [f"  {names.get(name, name)}: {', '.join(values)}" for name, values in SETS[dataset].attributes.items()]
    return "\n".join([f"the networks of {dataset} know these attributes:", *lines])


def speak_to_file(
    pipeline: Pipeline,
    out: Path,
    text: str = "",
    audio: str = "",
    voice: str = "",
    seed: int = 0,
    count: int = 1,
    stages: bool = False,
) -> None:
    """Encodes a sentence or a recording, prints its score, and writes the generated images side by side to `out`, a
    PNG.

    Args:
        count: number of images, from noise seeds seed, seed + 1, ...
        stages: also show the images of the smaller stages, a row each above the final images.
    Raises: BadInput if nothing can be encoded, or `out` cannot be written.
    """
    speech_input = pipeline.encode(read_audio(audio), audio) if audio else pipeline.encode_text(text, voice)
    name, speaker = one_line(speech_input.name), voice or pipeline.settings.data_voices[0]
    source = "" if audio else f" ({speaker})"
    print(f'speech input: {len(speech_input.waveform) / SAMPLE_RATE:.1f} s, "{name}"{source}')
    if not audio and is_spelled_out(text, speaker):
        print(f"note: the voice {speaker} spells these letters out: choose one of the language with --voice")
    print(describe_score(speech_input))
    if words := advice(speech_input, pipeline.settings.dataset):
        print(words)
    started = time.perf_counter()
    generated = [pipeline.generate(speech_input.speech_embedding, seed + k) for k in range(count)]
    seconds = time.perf_counter() - started
    save_sheet(generated, out, stages)
    for k, predicted in enumerate(pipeline.predict_attributes([images[-1] for images in generated])):
        if predicted:
            print(
                f"the evaluator recognises in image {k + 1}: "
                + ", ".join(f"{name} {value}" for name, value in predicted.items())
            )
    side = generated[0][-1].shape[0]
    where = one_line(str(out))
    print(f"generated {count} image{'s' if count > 1 else ''} of {side} pixels in {seconds:.2f} s: {where}")


def sheet(rows: Iterable[Iterable[np.ndarray]], side: int = 256) -> Image.Image:
    """Rows of images [s, s, 3] as one picture, a gap between them. Each image is enlarged by an integer factor, so that
    its pixels stay sharp: to the largest multiple of the largest image up to `side` pixels."""
    rows = [list(row) for row in rows]
    largest = max(len(image) for row in rows for image in row)
    side = largest * max(1, side // largest)
    return Image.fromarray(plots.grid([[plots.enlarged(image, side) for image in row] for row in rows], GAP))


def save_sheet(generated: list[list[np.ndarray]], out: Path, stages: bool = False) -> None:
    """Saves images of several noises, a list of stages each, as a PNG with a column for each noise: the last stage, or
    a row for each stage. Raises: BadInput if `out` cannot be written."""
    rows = list(zip(*generated, strict=True))
    with replacing(out) as temporary:
        sheet(rows if stages else rows[-1:]).save(temporary)
