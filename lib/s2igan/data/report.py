"""What is in a data set's folder, said before work starts: images, captions, recordings, what is wrong or not used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from os import SEEK_END
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import ExifTags

from s2igan import BadInput
from s2igan.config import Settings
from s2igan.data.audio import AudioHeader, checked_header, read_audio
from s2igan.data.build import split_validation
from s2igan.data.faults import collected
from s2igan.data.images import crop_to_box, open_image, read_image
from s2igan.data.layout import Item, Source
from s2igan.data.sources import find_source
from s2igan.data.text_to_speech import check_voice, is_spelled_out
from s2igan.files import file_sha256

LISTED = 20  # faults of a kind that are named
NAMED = 5  # classes
THREADS = 8  # they wait for the disk more than they compute
CHUNK = 4096  # bytes at the end of a recording, which differ unless it is a copy
TELEPHONE = 8_000  # Hz: no sound above half of it
ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND", "GIF": b";"}  # near the last byte of a whole file
Thing, Result = TypeVar("Thing"), TypeVar("Result")


@dataclass(frozen=True)
class Report:
    """What was found, in lines, and what is wrong, a line for each fault."""

    found: tuple[str, ...]
    faults: tuple[str, ...]


@dataclass(frozen=True)
class ImageFacts:
    """What an image's header says."""

    format: str
    width: int
    height: int
    turned: bool  # its EXIF orientation is not upright


def examine(settings: Settings, root: str | Path = ".", full: bool = False) -> Report:
    """Reads every list, table, caption file and header of the data set that `settings` name, and collects all faults.

    Pixels and samples are read where the header leaves doubt, or all with `full`. `root` is the project's folder.
    """
    source = None
    with collected() as faults:
        source = find_source(settings, root)
    if source is None:
        return Report((), tuple(faults))
    images, bad_images = _of_each(lambda item: _image(item, full), source.items)
    paths = list(dict.fromkeys(path for item in source.items for path in item.recordings))
    recordings, bad_recordings = _of_each(lambda path: _recording(path, full), paths)
    faults += _of_settings(source, settings)
    found = [*_of_images(source, images, settings), *_of_speech(source, recordings, settings)]
    found += [f"not used          {kind}" for kind in source.unused]
    return Report(tuple(found), (*faults, *bad_images, *bad_recordings))


def _of_settings(source: Source, settings: Settings) -> list[str]:
    """A line for each setting that does not fit the data, which the first stage would refuse."""
    voices = [] if all(item.recordings for item in source.items) else settings.data_voices
    checks = [
        lambda: split_validation(source, settings.data_validation, settings.data_seed),
        *(partial(check_voice, voice, settings.data_engine) for voice in voices),
    ]
    return _of_each(lambda check: check(), checks)[1]


def listed(faults: Iterable[str]) -> list[str]:
    """At most `LISTED` faults of images, of recordings, of caption files and of the rest, and how many are left."""
    kinds: dict[str, list[str]] = {name: [] for name in ("image", "audio file", "recording", "caption file", "")}
    for fault in faults:
        kinds[next(kind for kind in kinds if fault.startswith(kind))].append(fault)
    said: list[str] = []
    for kind, of_it in kinds.items():
        said += of_it[:LISTED]
        if len(of_it) > LISTED:
            said.append(f"{len(of_it) - LISTED} more such lines" + (f" about the {kind}s" if kind else ""))
    return said


def _of_each(work: Callable[[Thing], Result], things: Sequence[Thing]) -> tuple[list[Result], list[str]]:
    """`work` of each thing, on several threads, and the lines of those that raise BadInput."""

    def attempt(thing: Thing) -> Result | BadInput:
        try:
            return work(thing)
        except BadInput as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(attempt, things))
    return (
        [result for result in results if not isinstance(result, BadInput)],
        [str(result) for result in results if isinstance(result, BadInput)],
    )


def _image(item: Item, full: bool) -> ImageFacts:
    with open_image(item.path) as file:
        width, height, kind, mode = file.width, file.height, file.format or "", file.mode
        try:  # of a PNG Pillow would decode all pixels to look for EXIF behind them
            turned = kind != "PNG" and file.getexif().get(ExifTags.Base.Orientation, 1) != 1
        except Exception:  # damaged; `read_image` says whether that matters
            turned, full = False, True
    odd = mode[0] in "IF" or not _is_whole(item.path, kind) or (item.box and not _fits(item.box, width, height))
    if full or odd:
        read_image(item.path, 64, item.box)
    return ImageFacts("JPEG" if kind == "MPO" else kind, width, height, turned)


def _fits(box: tuple[float, ...], width: int, height: int) -> bool:
    """Whether there is something of the image in the box; what is not a box raises in `read_image`."""
    if not np.isfinite(box).all() or min(box[2:]) <= 0:
        return False
    left, top, right, bottom = crop_to_box(box, width, height)
    return left < right and top < bottom


def _is_whole(path: Path, kind: str) -> bool:
    """Whether a file ends as its format does; False also where nothing says so without reading all of it."""
    if kind not in ENDS:
        return False
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 16))
        return ENDS[kind] in file.read()


def _recording(path: Path, full: bool) -> AudioHeader:
    header = checked_header(path)
    if full or header.format == "FLAC":  # only reading it shows whether it is cut
        read_audio(path)
    return header


def _of_images(source: Source, images: Sequence[ImageFacts], settings: Settings) -> list[str]:
    counts = np.bincount([item.label for item in source.items], minlength=len(source.classes))
    parts = []
    for part, words in (("train", "training"), ("test", "test")):
        chosen = np.array([split == part for split in source.split])
        parts.append(f"{counts[chosen].sum()} of {chosen.sum()} {words} classes")
    said = [
        f"images            {len(source.items)}: {', '.join(parts)}; {_range(counts, 'd')} a class",
        f"  formats         {_tally(image.format for image in images)}",
    ]
    if images:
        short = [min(image.width, image.height) for image in images]
        said.append(f"  shorter sides   {_range(short, 'd')} pixels, median {np.median(short):.0f}")
        size = settings.data_image_size
        if small := sum(side < size for side in short):
            said.append(f"  note            {small} have a side below {size} pixels and are enlarged")
    if turned := sum(image.turned for image in images):
        boxes = any(item.box for item in source.items)
        what = "stay as they are stored, as bounding boxes are" if boxes else "are turned upright"
        said.append(f"  note            {turned} have an EXIF orientation: they {what}")
    flip = "mirrored at random (DATA_FLIP=false: not)" if settings.data_flip else "not mirrored"
    return [*said, f"  in training     {flip}"]


def _of_speech(source: Source, recordings: Sequence[AudioHeader], settings: Settings) -> list[str]:
    spoken = [len(item.texts) for item in source.items if not item.recordings]
    taken = [len(item.recordings) for item in source.items if item.recordings]
    said = []
    if spoken:
        used = f"; {settings.data_captions} of each are used" if max(spoken) > settings.data_captions else ""
        words = [len(text.split()) for item in source.items if not item.recordings for text in item.said]
        said.append(
            f"captions          {sum(spoken)} to be spoken by {settings.data_engine}, {_range(spoken, 'd')} an image"
            f"{used}; {_range(words, 'd')} words"
        )
        said += _of_letters(source, settings.data_voices)
    if taken:
        used = f"; {settings.data_captions} of each are used" if max(taken) > settings.data_captions else ""
        said.append(f"recordings        {sum(taken)}, {_range(taken, 'd')} an image{used}")
        said.append(f"  formats         {_tally(one.format for one in recordings)}")
        said.append(f"  sample rates    {_tally(f'{one.sample_rate} Hz' for one in recordings)}")
        if seconds := [one.seconds for one in recordings if one.seconds]:
            said.append(f"  lengths         {_range(seconds, '.1f')} s, median {np.median(seconds):.1f} s")
        if low := Counter(one.sample_rate for one in recordings if one.sample_rate <= TELEPHONE):
            said += [
                f"  note            {count} recordings at {rate} Hz: no sound above {rate // 2} Hz"
                for rate, count in sorted(low.items())
            ]
        said += _of_copies(source)
    if spoken and taken:
        kinds: dict[int, set[bool]] = {}
        for item in source.items:
            kinds.setdefault(item.label, set()).add(bool(item.recordings))
        for recorded, what in ((True, "recordings"), (False, "captions")):
            names = [source.classes[label] for label, found in sorted(kinds.items()) if found == {recorded}]
            more = ", ..." if len(names) > NAMED else ""
            if names:
                said.append(f"  note            {what} alone in {len(names)} classes: {', '.join(names[:NAMED])}{more}")
    return said


def _of_copies(source: Source) -> list[str]:
    """A note on recordings of one image that have the same bytes as one of another image.

    Only those of one size that also end alike are read whole: all may have the same length.
    """
    alike: dict[tuple[int, bytes], list[tuple[Path, str]]] = {}
    for item in source.items:
        for path in item.recordings:
            alike.setdefault(_size_and_end(path), []).append((path, item.name))
    copies: list[tuple[Path, Path]] = []
    for recordings in alike.values():
        first: dict[str, tuple[Path, str]] = {}
        for path, name in recordings if len(recordings) > 1 else ():
            other, of_image = first.setdefault(file_sha256(path), (path, name))
            if of_image != name:
                copies.append((other, path))
    if not copies:
        return []
    one, two = copies[0]
    return [f"  note            {len(copies)} are equal to that of another image, such as {two} and {one}"]


def _size_and_end(path: Path) -> tuple[int, bytes]:
    with open(path, "rb") as file:
        size = file.seek(0, SEEK_END)
        file.seek(max(0, size - CHUNK))
        return size, file.read()


def _of_letters(source: Source, voices: Sequence[str]) -> list[str]:
    """A note on captions that a voice would spell out."""
    foreign = [
        item.name for item in source.items if not item.recordings
        and any(is_spelled_out(text, voice) for text in item.texts for voice in voices)
    ]  # fmt: skip
    if not foreign:
        return []
    return [
        f"  note            captions of {len(foreign)} images, such as {foreign[0]}, are in letters that not all "
        f"voices read ({', '.join(voices)}): they are spelled out; give DATA_VOICES of the language"
    ]


def _tally(names: Iterable[str]) -> str:
    """'WAV 400, FLAC 100', the most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in Counter(names).most_common()) or "none"


def _range(numbers: Sequence[float] | np.ndarray, form: str) -> str:
    """'3' or '3 to 5'."""
    if not len(numbers):
        return "none"
    low, high = format(min(numbers), form), format(max(numbers), form)
    return low if low == high else f"{low} to {high}"
