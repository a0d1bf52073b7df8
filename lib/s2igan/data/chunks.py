"""The work of building a store, in chunks: a file each, made by any process in any order, then joined in order."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from s2igan import BadInput
from s2igan.data.audio import SAMPLE_RATE, check_length, read_audio, with_noise
from s2igan.data.images import read_image
from s2igan.data.layout import Box, Wording
from s2igan.data.text_to_speech import DEFAULT_ENGINE, ENGINES, Engine, speak
from s2igan.files import read_array, write_array


@dataclass(frozen=True)
class Caption:
    """One caption to be turned into a log-mel: `recording` is read, or else its text, or its wording's phonemes, are
    spoken by `voice`."""

    image_id: int
    image_name: str
    text: str
    voice: str
    recording: Path | None
    where: str  # the text stands, for messages
    wording: Wording | None = None

    @property
    def phonemes(self) -> str:
        """What is spoken where there is no text; else ''."""
        return self.wording.phonemes if self.wording else ""

    @property
    def said(self) -> str:
        """The phonemes or the text."""
        return self.phonemes or self.text


def engine_of(settings: dict[str, Any]) -> Engine:
    """The engine that a store's settings name."""
    return ENGINES[_engine_name(settings)]


def _engine_name(settings: dict[str, Any]) -> str:
    return settings.get("engine", DEFAULT_ENGINE)


def run_chunks(
    pool: ProcessPoolExecutor | None,
    work: Callable[..., int],
    chunks: list[tuple],
    total: int,
    what: str,
    progress: Callable[[str], Any],
) -> None:
    """Does every chunk whose file is not there yet, in any order; reports progress every few seconds and at the end."""
    todo = [chunk for chunk in chunks if not chunk[0].exists()]
    done = total - sum(len(chunk[1]) for chunk in todo)
    start, before, last = time.monotonic(), done, time.monotonic()
    if pool is None:
        results: Iterable[int] = (work(*chunk) for chunk in todo)
    else:
        results = (future.result() for future in as_completed([pool.submit(work, *chunk) for chunk in todo]))
    for count in results:
        done += count
        if time.monotonic() - last > 5 or done == total:
            last = time.monotonic()
            progress(f"{done}/{total} {what}, {(done - before) / (last - start):.0f} a second")


def image_chunk(path: Path, images: list[tuple[Path, Box | None]], size: int) -> int:
    """Reads images into the file `path`, (n, size, size, 3) uint8; returns how many."""
    pixels = np.stack([read_image(image, size, box) for image, box in images])
    write_array(path, pixels.shape, np.uint8, [pixels])
    return len(images)


def mel_chunk(
    path: Path, captions: list[Caption], settings: dict[str, Any], log_mel: Callable[[Tensor], Tensor]
) -> int:
    """Reads or speaks captions into file `path`, log-mels end to end, (frames, 40) float16, their lengths beside it.

    Returns how many captions. Raises BadInput that names the caption's file and line, or the recording.
    """
    spoken, mels = _spoken_at_once(captions, settings) if engine_of(settings).at_once else {}, []
    for row, caption in enumerate(captions):
        try:
            mels.append(log_mel(sound_of(caption, settings, spoken.get(row))).numpy().astype(np.float16))
        except BadInput as error:
            if caption.recording is not None:
                raise  # it names the file
            raise BadInput(f"{caption.where} cannot be used: {error}") from None
    write_array(path.with_suffix(".lengths.npy"), (len(mels),), np.int64, [np.array([len(mel) for mel in mels])])
    write_array(path, (sum(map(len, mels)), *mels[0].shape[1:]), np.float16, mels)
    return len(captions)


def sound_of(caption: Caption, settings: dict[str, Any], spoken: Tensor | None = None) -> Tensor:
    """The waveform [n] of a caption as a store of these settings has it: read, or spoken (unless it is already, without
    noise, in `spoken`) and with noise where they say so. Raises BadInput as `read_audio` and `speak`."""
    if caption.recording is not None:
        return read_audio(caption.recording)
    if spoken is None:
        engine, rate = _engine_name(settings), settings["words_per_minute"]
        spoken = speak([caption.said], caption.voice, engine, rate, phonemes=bool(caption.phonemes))[0]
    check_length(len(spoken) / SAMPLE_RATE, f"spoken by {caption.voice!r} it")
    if "noise_db" not in settings:
        return spoken
    seed = zlib.crc32(f"{settings['seed']} {caption.image_name} {caption.said}".encode())
    return with_noise(spoken, settings["noise_db"], seed)


def _spoken_at_once(captions: list[Caption], settings: dict[str, Any]) -> dict[int, Tensor]:
    """{row of `captions`: waveform} of those that have no recording, spoken by one call for each voice."""
    spoken: dict[int, Tensor] = {}
    engine, rate = _engine_name(settings), settings["words_per_minute"]
    for voice in settings["voices"]:
        rows = [row for row, one in enumerate(captions) if not (one.recording or one.phonemes) and one.voice == voice]
        if rows:
            texts = [captions[row].text for row in rows]
            spoken |= zip(rows, speak(texts, voice, engine, rate), strict=True)
    return spoken


def join_chunks(chunks: list[Path], path: Path, shape: tuple[int, ...], dtype: type) -> str:
    """Concatenates the chunks into one .npy file, deletes each once it is in, and returns the digest of the data."""

    def parts() -> Iterator[np.ndarray]:
        for chunk in chunks:
            yield read_array(chunk)
            chunk.unlink()

    return write_array(path, shape, dtype, parts())
