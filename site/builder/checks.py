"""What may not be in a built site."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path


class Page(html.parser.HTMLParser):
    """Collects the faults of one page: images without a text, and what a browser would fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        values = dict(attrs)
        fetched = values.get("href" if tag == "link" else "src") or ""
        if tag in ("link", "script", "img", "source", "audio", "iframe") and re.match(r"(https?:)?//", fetched):
            self.faults.append(f"<{tag}> fetches {fetched}")
        if tag == "img" and not (values.get("alt") or "").strip():
            self.faults.append(f"an image without alternative text: {(values.get('src') or '')[:80]}")


def faults(folder: Path) -> list[str]:
    """Faults of all pages of a built site, each with its page."""
    found = []
    for path in sorted(folder.rglob("*.html")):
        page = Page()
        page.feed(path.read_text())
        found += [f"{path.relative_to(folder)}: {fault}" for fault in page.faults]
    return found
