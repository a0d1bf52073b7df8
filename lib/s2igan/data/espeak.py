"""espeak-ng, from the pip package espeakng-loader: its voices, and speech from text."""

from __future__ import annotations

import _ctypes
import ctypes
import difflib
import functools
import multiprocessing.util
import shutil
import tempfile
import threading
from pathlib import Path

import espeakng_loader
import numpy as np
import torch
from torch import Tensor

from s2igan import BadInput
from s2igan.data.audio import SAMPLE_RATE


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
    return {code: file for code, (_, file) in sorted(found.items())}, sorted(path.name for path in data.glob("voices/!v/*"))


def check_espeak_voice(voice: str) -> None:
    """Raises BadInput, listing the voices that there are, if espeak-ng has no `voice`."""
    languages, variants = espeak_voices()
    language, plus, variant = voice.partition("+")
    if language.lower() not in languages:
        near = difflib.get_close_matches(language.lower(), languages, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise BadInput(f"voice {voice!r} does not exist{hint} espeak-ng speaks {', '.join(languages)}")
    if plus and variant not in variants:
        raise BadInput(f"voice {voice!r} does not exist: the variants after the + are {', '.join(variants)}")


_SYNCHRONOUS, _DONT_EXIT, _UTF8, _RATE = 2, 0x8000, 1, 1  # constants of espeak-ng's speak_lib.h
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)  # samples, their number, events
_lock = threading.Lock()  # the library keeps its state in globals


@functools.cache
def _espeak_data() -> bytes:
    """A folder of links to espeak-ng's data, each voice file under its name in lower case.

    That is how the library looks for it; failing that it reads every voice file it has (3 ms, longer than it speaks). Besides, it cuts
    paths off at 160 characters, and this one is short. The folder goes when the process ends.
    """

    data, links = Path(espeakng_loader.get_data_path()), Path(tempfile.mkdtemp(prefix="espeak-ng-"))
    multiprocessing.util.Finalize(None, shutil.rmtree, (links, True), exitpriority=0)  # unlike atexit, also in worker processes
    for entry in data.iterdir():
        if entry.name != "lang":
            (links / entry.name).symlink_to(entry)
    for file in espeak_voices()[0].values():
        link = links / "lang" / file.lower()
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(data / "lang" / file)
    return str(links).encode()


def speak_espeak(texts: list[str], voice: str, words_per_minute: int) -> list[Tensor]:

    check_espeak_voice(voice)
    language, plus, variant = voice.partition("+")
    name = (espeak_voices()[0][language.lower()] + plus + variant).encode()
    library, data, libc = espeakng_loader.get_library_path(), _espeak_data(), ctypes.CDLL(None)
    pieces: list[bytes] = []

    @_CALLBACK
    def receive(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0  # go on

    waveforms = []
    with _lock:
        for text in texts:
            # The pitch flutter, the gain control and the breath noise go on from one utterance to the next, and neither a new voice nor
            # espeak_Initialize resets them. A freshly loaded library starts from nothing, for 1 ms.
            espeak = ctypes.CDLL(library)
            rate = espeak.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT)
            if rate != SAMPLE_RATE:
                raise RuntimeError(f"espeak-ng cannot start: espeak_Initialize returned {rate} instead of {SAMPLE_RATE}")
            espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breath noise; otherwise seeded with the time
            libc.srand(1)  # two of the variants draw from the C library's generator
            espeak.espeak_SetSynthCallback(receive)
            failed = espeak.espeak_SetVoiceByName(name)
            espeak.espeak_SetParameter(_RATE, words_per_minute, 0)
            spoken = text.encode()
            failed = failed or espeak.espeak_Synth(spoken, ctypes.c_size_t(len(spoken) + 1), 0, 0, 0, _UTF8, None, None)
            espeak.espeak_Terminate()
            _ctypes.dlclose(espeak._handle)
            samples = np.frombuffer(b"".join(pieces), np.int16)
            pieces.clear()
            if failed or np.ptp(samples) == 0:
                raise BadInput(f"espeak-ng's voice {voice!r} has nothing to say for the text {text!r}")
            waveforms.append(torch.from_numpy(samples.astype(np.float32) / 32768))
    return waveforms
