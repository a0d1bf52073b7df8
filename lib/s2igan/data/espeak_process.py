"""The process of one voice of espeak-ng, started by `espeak.py`; it needs the standard library only.

    python espeak_process.py LIBRARY FOLDER VOICE

It loads the library, starts it and sets the voice, but speaks nothing itself: a child forked from it speaks each text.
The pitch flutter, the gain control and the breath noise of espeak-ng carry over from one utterance to the next, and
neither a new voice nor espeak_Initialize resets them. A child starts from the state of a fresh library, so its samples
do not depend on earlier texts.

Requests come by standard input, replies go to standard output (`REQUEST` and `REPLY`). The process ends at the end of
its input, so also when the process that asks dies.
"""

import ctypes
import os
import signal
import struct
import sys

# Words a minute, 1 if the text is phonemes in [[...]] and 0 if not, bytes of the text; then the text, UTF-8.
REQUEST = struct.Struct("=III")
REPLY = struct.Struct("=i")  # bytes of the samples, -1 where there are none; then the samples, int16
SAMPLE_RATE = 22_050  # Hz
_SYNCHRONOUS, _DONT_EXIT, _UTF8, _PHONEMES, _RATE = 2, 0x8000, 1, 0x100, 1  # constants of espeak-ng's speak_lib.h
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
)  # samples, their number, events


def main(library: str, folder: str, voice: str) -> None:
    """Serves requests until the input ends; `folder` holds espeak-ng-data."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the process that asked decides
    os.chdir(folder)  # the library cuts paths off at 160 characters, "." is short
    espeak, pieces = ctypes.CDLL(library), []

    @_CALLBACK
    def receive(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            pieces.append(ctypes.string_at(samples, 2 * count))
        return 0  # continue

    rate = espeak.espeak_Initialize(_SYNCHRONOUS, 0, b".", _DONT_EXIT)
    if rate != SAMPLE_RATE:
        sys.exit(f"espeak-ng cannot start: espeak_Initialize returned {rate} instead of {SAMPLE_RATE}")
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))  # breath noise; otherwise seeded with the time
    ctypes.CDLL(None).srand(1)  # two of the variants draw from the C library's generator
    espeak.espeak_SetSynthCallback(receive)
    failed = espeak.espeak_SetVoiceByName(voice.encode())

    while header := sys.stdin.buffer.read(REQUEST.size):
        words_per_minute, phonemes, size = REQUEST.unpack(header)
        text = sys.stdin.buffer.read(size)
        child = os.fork()
        if child:
            if os.waitpid(child, 0)[1]:
                sys.exit("espeak-ng crashed")
            continue
        status = 1
        try:
            espeak.espeak_SetParameter(_RATE, words_per_minute, 0)
            flags = _UTF8 | _PHONEMES if phonemes else _UTF8
            failed = failed or espeak.espeak_Synth(text, ctypes.c_size_t(size + 1), 0, 0, 0, flags, None, None)
            samples = b"".join(pieces)
            sys.stdout.buffer.write(REPLY.pack(-1) if failed else REPLY.pack(len(samples)) + samples)
            sys.stdout.buffer.flush()
            status = 0
        finally:
            os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
