"""Alternative texts of the images in a notebook, from the words around them."""

from __future__ import annotations

import re
import textwrap
from typing import Any

IMAGES = ("image/png", "image/svg+xml", "image/jpeg")


def alt_texts(notebook: Any) -> dict[int, list[str]]:
    """Alternative texts of the images of each code cell: {number of the cell: [text, ...]}.

    A text is the heading above the image; the figure's own text (`reporting.alternative_text`), if the run kept it; and
    the caption, an italic paragraph below, or else the paragraph that introduces it.
    """
    texts, heading, before = {}, "", ""
    cells = notebook.cells
    title = last_heading(cells[0].source) if cells else ""
    for i, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            heading, before = last_heading(cell.source) or heading, introduction(cell.source)
            continue
        shown = [output for output in cell.get("outputs", []) if set(IMAGES) & set(output.get("data", {}))]
        if not shown:
            continue
        following = next((other.source for other in cells[i + 1 : i + 2] if other.cell_type == "markdown"), "")
        described = caption(following) or before
        texts[i] = []
        for k, output in enumerate(shown):
            own = next(
                (text for mime in IMAGES if (text := output.get("metadata", {}).get(mime, {}).get("alt", ""))), ""
            )
            count = f" ({k + 1} of {len(shown)})" if len(shown) > 1 and not own else ""
            more = "" if len(own) > 300 else textwrap.shorten(described or title, 300, placeholder=" …")
            parts = [part.strip() for part in (f"{heading}{count}", own, more) if part.strip()]
            texts[i].append(" ".join(part if part[-1] in ".?!…" else f"{part.rstrip(':;,')}." for part in parts))
    return texts


def last_heading(text: str) -> str:
    """The last heading of a Markdown text without its number, '' without one."""
    found = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return re.sub(r"^[\d.]+b?[\d.]* (· )?", "", plain(found[-1])) if found else ""


def caption(text: str) -> str:
    """The italic paragraph that a Markdown text starts with, '' without one."""
    found = re.match(r"\*(?!\*)(.+?)(?<!\*)\*(?!\*)(\s|$)", text.strip(), flags=re.DOTALL)
    return plain(found[1]) if found else ""


def introduction(text: str) -> str:
    """The last plain paragraph below a Markdown text's last heading, no figure's caption; '' without one."""
    below = re.split(r"^#+ .*$", text.strip(), flags=re.MULTILINE)[-1]
    blocks = [
        block
        for block in re.split(r"\n\s*\n", below.strip())
        if not re.match(r"\s*(\||\$\$|\d+\. |- |```|\*(?!\*))", block)
    ]
    return plain(blocks[-1]) if blocks else ""


def plain(text: str) -> str:
    """Markdown as words: without marks, dollars and backslashes; a long formula becomes the words "a formula"."""

    def spoken(found: re.Match) -> str:
        if re.search(r"\\frac|\\sum|\\log|\\Big", found[1]):
            return "a formula"
        return re.sub(r"\\(?:mathrm|mathbb|text|[,; ])|[\\{}]", "", found[1])

    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\$([^$]*)\$", spoken, text)
    return " ".join(re.sub(r"[*`$\\]", "", text).split())


def html_text(text: str) -> str:
    """A text as the value of an HTML attribute."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
