"""Files of a data folder that are not used: counted by kind, the first ones named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAMED = 3  # files of a kind that are named


@dataclass(frozen=True)
class Unused:
    """Files of one kind that are not used."""

    kind: str  # in words, plural
    count: int
    first: tuple[str, ...]  # the first `NAMED` of them, from the data's folder

    def __str__(self) -> str:
        """'12 captions of no image: captions/oak/x.txt, ...'"""
        more = ", ..." if self.count > len(self.first) else ""
        return f"{self.count} {self.kind}: {', '.join(self.first)}{more}"


class UnusedFiles:
    """Collects files below `root` that are not used."""

    def __init__(self, root: Path):
        self.root = root
        self._files: dict[str, list[str]] = {}

    def add(self, kind: str, path: Path) -> None:
        """Counts `path` among the files of `kind`."""
        self._files.setdefault(kind, []).append(str(path.relative_to(self.root)))

    def kinds(self) -> tuple[Unused, ...]:
        """What was collected, a kind each."""
        return tuple(Unused(kind, len(files), tuple(files[:NAMED])) for kind, files in self._files.items())
