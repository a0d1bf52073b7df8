"""espeak-ng, from the pip package espeakng-loader: its voices, and speech from text."""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import IO

import espeakng_loader
import numpy as np
import torch
from torch import Tensor

from s2igan import BadInput
from s2igan.data import espeak_process
from s2igan.data.espeak_process import REPLY, REQUEST

MOST_PROCESSES = 16  # voices that keep their process; of more, the one used longest ago ends


@functools.cache
def espeak_voices() -> tuple[dict[str, str], list[str]]:
    """What espeak-ng brings: {language code: voice file below lang/} and the names of the variants."""
    data = Path(espeakng_loader.get_data_path())
    found: dict[str, tuple[int, str]] = {}
    for path in sorted(data.glob("lang/**/*")):
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            word, *rest = line.split() or [""]
            if word == "language" and rest:  # language <code> [priority: a small number is preferred, 5 by default]
                entry = (int(rest[1]) if len(rest) > 1 else 5, path.relative_to(data / "lang").as_posix())
                found[rest[0].lower()] = min(entry, found.get(rest[0].lower(), entry))
    variants = sorted(path.name for path in data.glob("voices/!v/*"))
    return {code: file for code, (_, file) in sorted(found.items())}, variants


def check_voice(voice: str) -> None:
    """Raises BadInput, listing the voices that there are, if espeak-ng has no `voice` such as en-us or en-us+f3."""
    languages, variants = espeak_voices()
    language, plus, variant = voice.partition("+")
    if language.lower() not in languages:
        near = difflib.get_close_matches(language.lower(), languages, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise BadInput(f"voice {voice!r} does not exist{hint} espeak-ng speaks {', '.join(languages)}")
    if plus and variant not in variants:
        raise BadInput(f"voice {voice!r} does not exist: the variants after the + are {', '.join(variants)}")


def speak(texts: list[str], voice: str, words_per_minute: int) -> list[Tensor]:
    """Each text spoken, a list of (n,) float32 in [-1, 1] at 22,050 Hz; `text_to_speech.speak` says more.

    Raises BadInput for an unknown voice and for a text with nothing to say, RuntimeError if espeak-ng's process ends.
    """
    return _spoken(texts, voice, words_per_minute, phonemes=False)


def speak_phonemes(texts: list[str], voice: str, words_per_minute: int) -> list[Tensor]:
    """As `speak`, of texts that are espeak-ng's phoneme mnemonics, with a blank between words.

    Raises BadInput also for brackets, which would end the phonemes.
    """
    if brackets := [text for text in texts if "[" in text or "]" in text]:
        raise BadInput(f"the phonemes {brackets[0][:60]!r} have brackets: leave them out")
    return _spoken(texts, voice, words_per_minute, phonemes=True)


def _spoken(texts: list[str], voice: str, words_per_minute: int, phonemes: bool) -> list[Tensor]:
    check_voice(voice)
    language, plus, variant = voice.partition("+")
    waveforms = []
    for text in texts:
        spoken = _ask(espeak_voices()[0][language.lower()] + plus + variant, text, words_per_minute, phonemes)
        samples = np.frombuffer(spoken or b"", np.int16)
        if len(samples) == 0 or np.ptp(samples) == 0:
            raise BadInput(f"espeak-ng's voice {voice!r} has nothing to say for the text {text[:60]!r}")
        waveforms.append(torch.from_numpy(samples.astype(np.float32) / 32768))
    return waveforms


class _Voice:
    """A process of one voice, started by its file: a module name would need this package on that process's path."""

    def __init__(self, voice: str):
        data = Path(espeakng_loader.get_data_path())
        command = [
            sys.executable,
            "-I",
            "-S",
            espeak_process.__file__,
            espeakng_loader.get_library_path(),
            str(data.parent),
            voice,
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        weakref.finalize(self, _end, self.process)


def _end(process: subprocess.Popen) -> None:
    """Closes the pipes, whereupon the process ends by itself."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # it may have ended already, with a request half written
            pipe.close()  # type: ignore[union-attr]  # both are there
    process.wait()


_voice = functools.lru_cache(MOST_PROCESSES)(_Voice)
_lock = threading.RLock()  # one utterance at a time


def _ask(voice: str, text: str, words_per_minute: int, phonemes: bool) -> bytes | None:
    """The samples, int16, of `text`; None where the voice has nothing to say."""
    with _lock:
        process = _voice(voice).process
        encoded = f"[[{text}]]".encode() if phonemes else text.encode()
        try:
            process.stdin.write(REQUEST.pack(words_per_minute, phonemes, len(encoded)) + encoded)
            process.stdin.flush()
            (size,) = REPLY.unpack(_read(process.stdout, REPLY.size))
            return _read(process.stdout, size) if size >= 0 else None
        except BaseException as error:  # a reply half read: nothing more can be asked of these processes
            process.kill()
            _voice.cache_clear()
            if isinstance(error, (OSError, EOFError)):
                raise RuntimeError(f"espeak-ng's process ended while it spoke {text[:60]!r}") from None
            raise


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _forget() -> None:
    """In a forked child: the processes are the parent's, and two may not talk to one."""
    _voice.cache_clear()
    _lock.release()


os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_forget)
