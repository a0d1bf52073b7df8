"""The text-to-speech engines, and the voices of each that speak unless a user names others.

An engine is a row here and one of `ENGINES` in data/text_to_speech.py, which has its code.
"""

from __future__ import annotations

ENGINE_VOICES: dict[str, tuple[str, ...]] = {
    "espeak": ("en-us", "en-gb", "en-gb-scotland", "en-us+f3", "en-gb+f4"),
    "tacotron2": ("en-us",),  # spoke the authors' captions; it needs a GPU
}
