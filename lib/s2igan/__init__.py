"""A reproducible study of speech-to-image generation: S2IGAN (Interspeech 2020), its ablations and baselines."""

__version__ = "0.1.0"


class BadInput(ValueError):
    """Something that the user gave cannot be used. The message is one line: which file, parameter or value, and what
    would be right."""
