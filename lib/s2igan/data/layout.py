"""A data set as found in a folder, and what the readers of all layouts share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from s2igan import BadInput

AUDIO_ENDINGS = (".wav", ".flac", ".ogg")
Box = tuple[float, float, float, float]  # left, top, width, height in pixels


@dataclass(frozen=True)
class Item:
    """One image with its captions: texts to be spoken, or recordings, whose texts are only shown and may be missing."""

    path: Path
    name: str  # <class>/<image>, without its ending
    label: int  # index into Source.classes
    box: Box | None = None
    texts: tuple[str, ...] = ()
    recordings: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Source:
    """A data set as found."""

    dataset: str
    classes: tuple[str, ...]
    split: tuple[str, ...]  # of each class, 'train' or 'test'
    items: tuple[Item, ...]
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)  # {class: {name: value}}, or none


def check_layout(dataset: str, root: Path, *entries: str) -> None:
    """Raises BadInput unless `root` has all `entries`."""
    missing = [entry for entry in entries if not (root / entry).exists()]
    if missing:
        raise BadInput(
            f"data folder {root} is not laid out as dataset {dataset!r}: looked for {', '.join(entries)}; not there: "
            f"{', '.join(missing)}"
        )


def read_split(train: Path, test: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sorted classes of both lists, and 'train' or 'test' for each.

    Raises BadInput for an empty list and a class in both.
    """
    seen, unseen = (
        {line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()} - {""} for path in (train, test)
    )
    for path, names in ((train, seen), (test, unseen)):
        if not names:
            raise BadInput(f"class list {path} is empty: it needs one class a line")
    if seen & unseen:
        name = min(seen & unseen)
        raise BadInput(f"class {name!r} is in both {train} and {test}: training and test classes must differ")
    classes = tuple(sorted(seen | unseen))
    return classes, tuple("train" if name in seen else "test" for name in classes)


def recordings_of(root: Path, name: str) -> dict[str, list[Path]]:
    """{image: recordings in the order of k} of class `name`, audio/<class>/<image>_<k>.(wav|flac|ogg)."""
    found: dict[str, list[tuple[int, Path]]] = {}
    folder = root / "audio" / name
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = re.fullmatch(r"(.+)_(\d+)", path.stem)
        if match and path.suffix.lower() in AUDIO_ENDINGS:
            found.setdefault(match[1], []).append((int(match[2]), path))
    return {image: [path for _, path in sorted(takes)] for image, takes in found.items()}


def checked_item(path: Path, label: int, box: Box | None, captions: Path, recordings: dict[str, list[Path]]) -> Item:
    """The image in `path` with its captions: of `recordings_of` where there are any, else the lines of file `captions`.

    Raises BadInput for an image that is missing or empty, or has no caption.
    """
    if not path.is_file():
        raise BadInput(f"image {path} is missing")
    if path.stat().st_size == 0:
        raise BadInput(f"image {path} is empty: it has zero bytes")
    takes = recordings.get(path.stem, [])
    texts: list[str] = []
    if captions.is_file():
        lines = captions.read_text(encoding="utf-8", errors="replace").splitlines()
        texts = [line.strip() for line in lines if any(character.isalnum() for character in line)]
    elif not takes:
        raise BadInput(
            f"image {path} has no caption: looked for the text file {captions} and for recordings "
            f"audio/{captions.parent.name}/{path.stem}_<k>.wav"
        )
    if not texts and not takes:
        raise BadInput(f"caption file {captions} is empty: it needs at least one caption, one a line")
    if takes and len(texts) != len(takes):
        texts = []  # nothing says which text belongs to which recording
    return Item(path, f"{captions.parent.name}/{path.stem}", label, box, tuple(texts), tuple(takes))
