"""A data set as found in a folder, and what the readers of all layouts share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from s2igan import BadInput
from s2igan.data.faults import each
from s2igan.data.names import CONTROL, check_file, entries, is_folder, is_there, split_ending
from s2igan.data.recordings import find_recordings
from s2igan.data.text_to_speech import MOST_CHARACTERS
from s2igan.data.unused import Unused, UnusedFiles
from s2igan.files import read_text

MOST_CAPTIONS = 2**20  # bytes of a file of captions
Box = tuple[float, float, float, float]  # left, top, width, height in pixels


@dataclass(frozen=True)
class Wording:
    """A caption of a synthetic set, its language known: text, or phonemes where the language has no writing."""

    language: str
    named: tuple[str, ...]  # the attributes that it names, in the order of the set's
    text: str = ""
    phonemes: str = ""  # as `text_to_speech.speak` reads them


@dataclass(frozen=True)
class Item:
    """One image with its captions: texts to be spoken, or recordings, whose texts are only shown and may be missing.

    In other languages than English alone, a synthetic set gives `wordings` beside `texts`, one of each text.
    """

    path: Path
    name: str  # <class>/<image>, without its ending
    label: int  # index into Source.classes
    box: Box | None = None
    texts: tuple[str, ...] = ()
    recordings: tuple[Path, ...] = ()
    text_file: Path | None = None
    text_lines: tuple[int, ...] = ()  # of each text in that file, counted from 1
    wordings: tuple[Wording, ...] = ()

    def where(self, text: int) -> str:
        """Where one of `texts` stands, for messages."""
        if self.text_file is None:
            return f"caption {text + 1} of image {self.name}"
        return f"caption file {self.text_file}, line {self.text_lines[text]}"

    @property
    def said(self) -> tuple[str, ...]:
        """What is spoken: the texts, or where there is none the phonemes."""
        return tuple(one.phonemes or one.text for one in self.wordings) or self.texts


@dataclass(frozen=True)
class Source:
    """A data set as found."""

    dataset: str
    classes: tuple[str, ...]
    split: tuple[str, ...]  # of each class, 'train' or 'test'
    items: tuple[Item, ...]
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)  # {class: {name: value}}, or none
    unused: tuple[Unused, ...] = ()  # files that are not used, by kind


@dataclass(frozen=True)
class Image:
    """An image before its captions are found."""

    path: Path
    name: str  # in NFC, without ending; captions and recordings of its class have this name
    label: int
    box: Box | None = None


def check_layout(dataset: str, root: Path, *entries_of_it: str) -> None:
    """Raises BadInput unless `root` has all entries."""
    missing = [entry for entry in entries_of_it if not is_there(root / entry)]
    if missing:
        names = {name.casefold(): name for name in entries(root)}
        near = [names[entry.casefold()] for entry in missing if entry.casefold() in names]
        raise BadInput(
            f"data folder {root} is not laid out as dataset {dataset!r}: looked for {', '.join(entries_of_it)}; not "
            f"there: {', '.join(missing)}" + (f"; rename {', '.join(near)}" if near else "")
        )


def check_entries(root: Path, read: Collection[str], unused: UnusedFiles, archives: Collection[str] = ()) -> None:
    """Adds what lies in `root` beside the entries that are `read` and the `archives` that they come from.

    Raises BadInput for an entry whose name differs in case only.
    """
    folded = {name.casefold(): name for name in read}
    for name, path in entries(root).items():
        if name not in read and name.casefold() in folded:
            raise BadInput(f"{path} is not read: rename it to {folded[name.casefold()]}")
        if name not in read and name not in archives:
            unused.add("other files and folders", path)


def read_captions(path: Path) -> dict[int, str]:
    """The captions in text file `path`, {line: caption}, one a line; lines without a letter or digit are none.

    Raises BadInput, naming the line, for text that is not UTF-8, control characters, and a caption of more than
    `MOST_CHARACTERS`.
    """
    captions = {}
    for number, line in enumerate(read_text(path, MOST_CAPTIONS).split("\n"), 1):
        line = line.replace("\t", " ").replace("\ufeff", "").strip()
        if control := CONTROL.search(line):
            raise BadInput(f"caption file {path}, line {number} has a control character, {control[0]!r}: remove it")
        if len(line) > MOST_CHARACTERS:
            raise BadInput(
                f"caption file {path}, line {number} has {len(line):,} characters: a caption has "
                f"{MOST_CHARACTERS:,} at most, one a line"
            )
        if any(character.isalnum() for character in line):
            captions[number] = line
    return captions


def with_captions(
    root: Path, classes: tuple[str, ...], images: Iterable[Image], captions: Path, unused: UnusedFiles
) -> tuple[Item, ...]:
    """The images with their captions: recordings in `root`/audio where there are any, else the lines of files
    `captions`/<class>/<image>.txt.

    What is not used of both folders is added to `unused`. Raises BadInput for an image that is missing or empty, or has
    no caption, and for recordings that belong to an image and cannot be used.
    """
    images = list(images)
    names: dict[str, set[str]] = {name: set() for name in classes}
    for image in images:
        if image.name in names[classes[image.label]]:
            raise BadInput(f"image {image.path} is listed twice, or two images have its name: remove one")
        names[classes[image.label]].add(image.name)
    recordings = find_recordings(root / "audio", names, unused)
    texts = _find_texts(captions, names, unused)
    return tuple(
        each(lambda image: _item(image, classes[image.label], captions, texts, recordings, unused), images)
    )


def _find_texts(folder: Path, names: Mapping[str, set[str]], unused: UnusedFiles) -> dict[tuple[str, str], Path]:
    """{(class, image): file of captions}."""
    found: dict[tuple[str, str], Path] = {}
    for name, path in entries(folder).items():
        if name not in names:
            kind = "folders of captions of a class that no list names" if is_folder(path) else "files among the folders"
            unused.add(kind, path)
            continue
        for file, at in entries(path).items():
            image, ending = split_ending(file)
            if ending != ".txt":
                unused.add(f"files of another kind among the captions ({ending or 'no ending'})", at)
            elif image not in names[name]:
                unused.add("captions of no image", at)
            elif (name, image) in found:
                raise BadInput(f"caption file {at} and {found[name, image].name} are of one image: remove one")
            else:
                found[name, image] = at
    return found


def _item(
    image: Image,
    name: str,
    captions: Path,
    texts: Mapping[tuple[str, str], Path],
    recordings: Mapping[tuple[str, str], list[Path]],
    unused: UnusedFiles,
) -> Item:
    check_file(image.path, "image")
    takes, file = recordings.get((name, image.name), []), texts.get((name, image.name))
    lines: dict[int, str] = {}
    if file is not None:
        if not takes:
            check_file(file, "caption file")
        lines = read_captions(file)
        if not lines and not takes:
            raise BadInput(f"caption file {file} is empty: it needs at least one caption, one a line")
    elif not takes:
        raise BadInput(
            f"image {image.path} has no caption: looked for the text file {captions / name / image.name}.txt and for "
            f"recordings audio/{name}/{image.name}_<k>.wav"
        )
    if takes and lines and len(lines) != len(takes):
        unused.add("captions of images with another number of recordings", file)
        lines = {}  # nothing says which text belongs to which recording
    named = f"{name}/{image.name}"
    texts_of_it = tuple(lines.values())
    return Item(image.path, named, image.label, image.box, texts_of_it, tuple(takes), file, tuple(lines))
