"""Pages from the project's own texts: links between them, included parts, images."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from s2igan import BadInput

ELSEWHERE = ("http://", "https://", "mailto:", "#")


def linked(text: str, pages: Mapping[str, str], names: set[str]) -> str:
    """Markdown in which `02_sen` leads to that page and `losses.matching_loss` to its place in the library's pages.

    Args: pages: {name of a notebook or a page: the title that its links show}; names: those of the library.
    """

    def link(found: re.Match) -> str:
        word = found[1]
        name = word.removeprefix("s2igan.")
        if word in pages and word[0].isdigit():  # a notebook; the name of another page is a word as well
            return f"[{pages[word]}]({word}.ipynb)"
        if (page := re.fullmatch(r"docs/(\w+)\.md", word)) and page[1] in pages:
            return f"[{pages[page[1]]}]({page[1]}.md)"
        if name in names and "." in name:  # `speech` alone is a word or a variable
            return f"{{py:obj}}`{word} <s2igan.{name}>`"
        return found[0]

    return re.sub(r"(?<![`\[{}:])`([\w./]+)`(?!`)", link, text)


def title_of(text: str) -> str:
    """The first heading of a Markdown text, up to its colon: '2 · SEN: a space that is shared' -> '2 · SEN'."""
    found = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    return found[1].split(":")[0].strip() if found else ""


def filled(template: str, root: Path, fills: dict[str, str]) -> str:
    """A page with its places filled: <!-- include docs/glossary.md -->, and the names of `fills`, <!-- notebooks -->.

    A result that does not exist yet is replaced by a line that says how to make it. Raises: BadInput, an unknown place.
    """

    def fill(found: re.Match) -> str:
        word = found[1].strip()
        if word in fills:
            return fills[word]
        if not word.startswith("include "):
            raise BadInput(f"a page of the site has a place for {word!r}, which nothing fills")
        path = root / word.removeprefix("include ").strip()
        if not path.is_file() and "results" in path.parts:
            return "*Not there yet: `make study-full` makes it, `python -m s2igan keep` keeps it.*\n"
        return path.read_text(encoding="utf-8")

    return re.sub(r"<!-- (.*?) -->\n?", fill, template)


def with_paths(text: str, folder: Path, root: Path, out: Path, pages: Mapping[str, str], repository: str = "") -> str:
    """Markdown whose relative paths lead somewhere in the site.

    Images are copied to `out`/images; one that does not exist is left out. A link to a page of docs/ or to a notebook
    leads to its page; one to another file leads into the repository, or is plain text where no repository is set.

    Args:
        folder: which the paths are relative to; root: the project's; out: of the site's sources.
        pages: as in `linked`.
    """

    def place(found: re.Match) -> str:
        mark, label, target = found.groups()
        if target.startswith(ELSEWHERE):
            return found[0]
        name, _, anchor = target.partition("#")
        path = Path(os.path.normpath(folder / name))
        if mark:
            return _copied(label, path, out)
        if path.stem in pages and path.parent.name in ("docs", "notebooks", "site"):
            return f"[{label}]({path.name}{'#' * bool(anchor)}{anchor})"
        inside = path.relative_to(root).as_posix()
        return f"[{label}]({repository}/blob/main/{inside})" if repository else f"{label} (`{inside}`)"

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", place, text)


def _copied(label: str, path: Path, out: Path) -> str:
    if not path.is_file():
        return ""
    (out / "images").mkdir(exist_ok=True)
    name = "-".join(path.parts[-2:])
    shutil.copy(path, out / "images" / name)
    return f"![{label}](images/{name})"
