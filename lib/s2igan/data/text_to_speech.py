"""Text-to-speech: captions spoken by one of several engines, a row each of `ENGINES`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from s2igan import BadInput
from s2igan.data import espeak, tacotron2

DEFAULT_ENGINE = "espeak"  # a store spoken by it does not name its engine
MOST_CHARACTERS = 5000  # of a text: some minutes of speech
# Languages of espeak-ng that are not written in Latin letters, or not only.
_OTHER_LETTERS = (
    "am", "ar", "as", "ba", "be", "bg", "bn", "bpy", "bs", "chr", "cmn", "cv", "el", "fa", "grc", "gu", "he", "hi",
    "hy", "hyw", "ja", "ka", "kk", "kn", "ko", "kok", "ky", "mk", "ml", "mr", "my", "ne", "nog", "or", "pa", "piqd",
    "ru", "sd", "shn", "si", "sr", "ta", "te", "th", "ti", "tt", "ug", "uk", "ur", "yue", "zh",
)  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # espeak-ng takes some of them for commands


@dataclass(frozen=True)
class Engine:
    """A text-to-speech engine; `config.ENGINE_VOICES` has its name and default voices."""

    speak: Callable[[list[str], str, int], list[Tensor]]  # texts, voice, words a minute -> waveforms [n] at 22,050 Hz
    check_voice: Callable[[str], None]  # raises BadInput for a voice that the engine does not have
    # One process speaks a list of texts at once, on a GPU if there is one; else several processes share the texts.
    at_once: bool
    # The same from phonemes, in the engine's spelling of them; None: the engine reads text alone.
    speak_phonemes: Callable[[list[str], str, int], list[Tensor]] | None = None


ENGINES = {
    "espeak": Engine(espeak.speak, espeak.check_voice, at_once=False, speak_phonemes=espeak.speak_phonemes),
    "tacotron2": Engine(tacotron2.speak, tacotron2.check_voice, at_once=True),
}


def speak(
    texts: list[str],
    voice: str = "en-us",
    engine: str = DEFAULT_ENGINE,
    words_per_minute: int = 230,
    phonemes: bool = False,
) -> list[Tensor]:
    """Each text spoken: a list of (n,) float32 in [-1, 1] at 22,050 Hz.

    `espeak`: espeak-ng, from the pip package espeakng-loader. `voice` is a language code (en-us, en-gb-scotland,
    fr-fr), or one and a variant (en-us+f3). The same text, voice and rate give the same samples, whatever was spoken
    before.
    `tacotron2`: torchaudio's pipeline, as the paper's authors used; its weights are downloaded at first use. `voice` is
    en-us (WaveRNN) or en-us-griffinlim; its rate of speech is fixed. It speaks all texts at once: the same list gives
    the same samples on one device, a text among other texts gives others, as its dropout stays on.
    A text is text: no mark-up and no phonemes are read in it, and control characters count as spaces. With `phonemes`
    the texts are phonemes in the engine's spelling (espeak-ng's mnemonics, such as h@l'oU), with a blank between words.
    Raises BadInput for an engine or a voice that does not exist, an engine that reads no phonemes where they are given,
    a rate outside 80 to 450, and a text with nothing to pronounce, with more than `MOST_CHARACTERS`, or that is not
    UTF-8.
    """
    of_name = _engine(engine)
    if not 80 <= words_per_minute <= 450:
        raise BadInput(f"words_per_minute is {words_per_minute}: it must lie between 80 and 450")
    speak_it = of_name.speak_phonemes if phonemes else of_name.speak
    if speak_it is None:
        raise BadInput(f"speech engine {engine!r} reads no phonemes: choose one that does, such as {DEFAULT_ENGINE}")
    return speak_it([spoken_form(text) for text in texts], voice, words_per_minute)


def spoken_form(text: str) -> str:
    """`text` on one line, as an engine gets it. Raises BadInput as `speak`."""
    plain = " ".join(_CONTROL.sub(" ", text).split())
    start = f"{plain[:60]!r}" + ("..." if len(plain) > 60 else "")
    if not any(character.isalnum() for character in plain):
        raise BadInput(f"there is nothing to speak in the text {start}")
    if len(plain) > MOST_CHARACTERS:
        raise BadInput(f"the text {start} has {len(plain):,} characters: give a sentence, {MOST_CHARACTERS:,} at most")
    if any("\ud800" <= character <= "\udfff" for character in plain):  # what Python makes of bytes that are no UTF-8
        raise BadInput(f"the text {start} is not UTF-8: type it again in a terminal with a UTF-8 locale")
    return plain


def is_spelled_out(text: str, voice: str) -> bool:
    """Whether a voice of a language with Latin letters would spell `text` out, such as "chinese letter", since more
    than half of its letters are others."""
    letters = [sign for sign in text if sign.isalpha()]
    others = sum(not unicodedata.name(sign, "LATIN").startswith("LATIN") for sign in letters)
    return 2 * others > len(letters) and re.split("[-+]", voice.lower())[0] not in _OTHER_LETTERS


def check_voice(voice: str, engine: str = DEFAULT_ENGINE) -> None:
    """Raises BadInput, listing what there is, if there is no `engine` or it has no `voice`."""
    _engine(engine).check_voice(voice)


def _engine(name: str) -> Engine:
    if name not in ENGINES:
        raise BadInput(f"speech engine {name!r} does not exist: choose one of {', '.join(ENGINES)}")
    return ENGINES[name]
