"""Recordings of every format and of many encodings."""

import struct

import numpy as np
import soundfile
import torchaudio  # noqa: F401  once, and not in every process
from mutations import damaged, touched

from s2igan.data.audio import SAMPLE_RATE, read_audio

ENCODINGS = {
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM",
            "GSM610"),
    "WAVEX": ("PCM_16",), "RF64": ("PCM_16",), "FLAC": ("PCM_16", "PCM_24"), "OGG": ("VORBIS", "OPUS"), "MP3": (None,),
}  # fmt: skip
RATES = (1, 4000, 8000, 11_025, 16_000, 22_050, 44_056, 44_100, 48_000, 191_999, 192_000, 200_000, 2**31 - 1)


def originals(folder):
    made, random = {}, np.random.default_rng(0)
    for kind, encodings in ENCODINGS.items():
        for encoding in encodings:
            for channels in (1,) if encoding == "GSM610" else (1, 2):
                rate = 8000 if kind in ("OGG", "MP3") or channels == 2 else SAMPLE_RATE
                path = folder / f"{kind}-{encoding}-{channels}"
                soundfile.write(path, random.normal(0, 0.1, (rate // 5, channels)), rate, encoding, format=kind)
                made[path.name] = path.read_bytes()
    return made


def attempt(originals, random, folder):
    name = random.choice(sorted(originals))
    content = originals[name]
    if name.startswith("WAV") and random.random() < 0.2:  # a header that is whole but says something else
        fields = bytearray(content)
        struct.pack_into("<I", fields, 24, random.choice(RATES))
        content = bytes(fields)
    else:
        content = random.choice([damaged, touched])(content, random)
    path = folder / random.choice(["a.wav", "a.flac", "a.ogg", "a.raw", "ä b.wav"])
    path.write_bytes(content)
    assert len(read_audio(path)) > 0
