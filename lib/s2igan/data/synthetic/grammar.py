"""What a language is made of. A new one is a module like `german` with a `Language`, a row of `languages.LANGUAGES` and
one of `config.LANGUAGE_VOICES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Grammar:
    """How one language describes one synthetic set.

    A word is written `word~form` where it has to agree with another; `Language.agree` gives what is then said.
    """

    # {value: the words that people say for it}, the value itself where it is not listed; one word each: see `describe`
    words: dict[str, tuple[str, ...]]
    # {attribute: its wordings, each with a place for the word}, of those that `sentences` has no place for
    details: dict[str, tuple[str, ...]]
    # ({attribute: word} of those named, {attribute: wording with a place for the word}) -> every way to say this; how
    # many there are depends on which attributes are named, not on their values
    sentences: Callable[[dict[str, str], dict[str, str]], list[str]]
    # {attribute: pattern} of the words that tell that a caption names it; every wording has exactly one of them. Of
    # English alone: stores in other languages hold what a caption names.
    telling: dict[str, str] = field(default_factory=dict)


def as_it_is(sentence: str) -> str:
    """The same sentence."""
    return sentence


def no_forms(word: str, form: str) -> str:
    """The word, in a language whose words have one form."""
    return word


@dataclass(frozen=True)
class Language:
    """A language: its grammar for each synthetic set that it can describe, and what is common to all of them."""

    sets: dict[str, Grammar]
    agree: Callable[[str, str], str] = no_forms  # (word, form) -> the word in that form
    finish: Callable[[str], str] = as_it_is  # the last touch on a sentence, such as articles
    # Without writing, words are phonemes: espeak-ng's mnemonics for the language of its voices.
    written: bool = True


def listing(parts: Sequence[str], last: str = " and ") -> str:
    """`a`, `a and b`, `a, b and c`; `last` stands before the last part."""
    return ", ".join(parts[:-1]) + last + parts[-1] if len(parts) > 1 else parts[0]


def filled(details: dict[str, str], words: dict[str, str]) -> list[str]:
    """Each wording with its word."""
    return [wording.format(words[name]) for name, wording in details.items()]


def in_form(word: str, form: str) -> str:
    """`word~form`, or nothing where the word is not named."""
    return f"{word}~{form}" if word else ""
