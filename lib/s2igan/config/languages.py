"""The languages of the synthetic sets' captions, and the voices of espeak-ng that speak each unless others are given.

A language is a row here and one of `LANGUAGES` in data/synthetic/languages.py, which has its grammar.
"""

from __future__ import annotations

from collections.abc import Iterable

from s2igan.config.engines import ENGINE_VOICES

DEFAULT_LANGUAGE = "english"  # a store of nothing else names no language
LANGUAGE_VOICES: dict[str, tuple[str, ...]] = {
    DEFAULT_LANGUAGE: ENGINE_VOICES["espeak"],
    "german": ("de", "de+m3", "de+m7", "de+f3", "de+f4"),
    "spanish": ("es", "es-419", "es+m3", "es+f3", "es-419+f4"),
    "swahili": ("sw", "sw+m3", "sw+m7", "sw+f3", "sw+f4"),
    "unwritten": ("eo", "eo+m3", "eo+m7", "eo+f3", "eo+f4"),  # its phonemes are those of Esperanto
}


def voices_of(language: str, voices: Iterable[str]) -> tuple[str, ...]:
    """Those of `voices` that speak a language: of its voices' language codes (de for de and de+f3); all, where none
    does."""
    voices, codes = tuple(voices), {_code(voice) for voice in LANGUAGE_VOICES[language]}
    return tuple(voice for voice in voices if _code(voice) in codes) or voices


def _code(voice: str) -> str:
    return voice.partition("+")[0].partition("-")[0].lower()
