"""The languages of captions by name; `config.LANGUAGE_VOICES` has the same names and their voices."""

from __future__ import annotations

from s2igan import BadInput
from s2igan.config import DEFAULT_LANGUAGE
from s2igan.data.synthetic.english import ENGLISH
from s2igan.data.synthetic.german import GERMAN
from s2igan.data.synthetic.grammar import Grammar, Language
from s2igan.data.synthetic.spanish import SPANISH
from s2igan.data.synthetic.swahili import SWAHILI
from s2igan.data.synthetic.unwritten import UNWRITTEN

LANGUAGES: dict[str, Language] = {
    DEFAULT_LANGUAGE: ENGLISH,
    "german": GERMAN,
    "spanish": SPANISH,
    "swahili": SWAHILI,
    "unwritten": UNWRITTEN,
}


def language_of(name: str) -> Language:
    """The language of that name. Raises BadInput, listing the names, where there is none."""
    if name not in LANGUAGES:
        raise BadInput(f"language: {name!r} does not exist; choose one of {', '.join(LANGUAGES)}")
    return LANGUAGES[name]


def grammar_of(name: str, dataset: str) -> Grammar:
    """How the language of that name describes a synthetic set. Raises BadInput where it does not."""
    sets = language_of(name).sets
    if dataset not in sets:
        raise BadInput(f"language: {name!r} does not describe {dataset}, only {', '.join(sets)}")
    return sets[dataset]
