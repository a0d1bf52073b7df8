"""Captions and names as they stand in figures, tables and printed lines: any text stays text, whatever is in it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable

_BREAKS = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# No file and no terminal holds these: other control characters, halves of characters, and what is no character.
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_DIRECTIONS = re.compile(r"[\u202a-\u202e\u2066-\u2069]")  # they would turn the words that follow as well
_OF_MARKDOWN = re.compile(r"[`*\[\]<>|~#&]|(?<![^\W_])_|_(?![^\W_])")  # an underscore inside a word is none of it
_OF_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$", **{sign: f"\\{sign}" for sign in "{}$&#_%"},
}  # fmt: skip


def one_line(text: str) -> str:
    """`text` as one line that every file and terminal takes: line breaks become spaces, control characters U+FFFD."""
    return _DIRECTIONS.sub("", _UNWRITABLE.sub("\ufffd", _BREAKS.sub(" ", text)))


def shown(text: str, width: int = 100, lines: int = 2) -> str:
    """`text` for a figure: `lines` lines of `width` characters at most, cut off with … where there is more."""
    wrapped = textwrap.wrap(one_line(text), width)
    if len(wrapped) > lines:
        wrapped[lines - 1 :] = [wrapped[lines - 1][: width - 1].rstrip() + "…"]
    # matplotlib leaves labels that begin with an underscore out of legends; a space of no width comes before it.
    return re.sub("^_", "\u200b_", "\n".join(wrapped))


def distinct(names: list[str], width: int) -> dict[str, str]:
    """What figures show of names, {name: `shown` in one line}: those that come out alike are numbered."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        label = shown(name, width, 1)
        alike = sum(other == label or other.startswith(f"{label} (") for other in found.values())
        found[name] = f"{label} ({alike + 1})" if label in found.values() else label
    return found


def in_markdown(text: str) -> str:
    """`text` as Markdown shows it unchanged, also in a table and beside formulas.

    A dollar sign or a backslash has an element of its own, since MathJax looks for formulas in the finished page.
    """
    escaped = _OF_MARKDOWN.sub(lambda sign: f"&#{ord(sign[0])};", one_line(text))
    return re.sub(r"[$\\]", lambda sign: f"<span>&#{ord(sign[0])};</span>", escaped)


def in_latex(text: str) -> str:
    """`text` as LaTeX sets it unchanged."""
    return "".join(_OF_LATEX.get(sign, sign) for sign in one_line(text))


def emphasised(text: str, escape: Callable[[str], str], bold: str, italic: str) -> str:
    """A cell of a table, **bold** or *italic* as a whole or neither, in another notation."""
    for sign, form in (("**", bold), ("*", italic)):
        if text.startswith(sign) and text.endswith(sign) and len(text) > 2 * len(sign):
            return form.format(emphasised(text[len(sign) : -len(sign)], escape, bold, italic))
    return escape(text)
