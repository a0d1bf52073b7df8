"""Recordings of images, audio/<class>/<image>_<k>.(wav|flac|ogg), found by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from s2igan import BadInput
from s2igan.data.faults import kept
from s2igan.data.names import check_file, entries, is_folder, split_ending
from s2igan.data.unused import UnusedFiles

ENDINGS = (".wav", ".flac", ".ogg")
# What phones, recorders and programs write beside them.
OTHER_ENDINGS = (
    ".m4a", ".mp3", ".aac", ".opus", ".oga", ".wma", ".aif", ".aiff", ".aifc", ".amr", ".webm", ".weba", ".mp4", ".m4b",
    ".mov", ".mkv", ".mka", ".caf", ".3gp", ".3ga", ".au", ".snd", ".w64", ".wave", ".ac3", ".spx", ".mp2", ".ape",
    ".wv", ".raw", ".pcm", "",
)  # fmt: skip
Recordings = dict[tuple[str, str], list[Path]]  # {(class, image): its recordings in the order of k}


def find_recordings(folder: Path, images: Mapping[str, set[str]], unused: UnusedFiles) -> Recordings:
    """The recordings in `folder` of `images`, {class: names}; those of no image are added to `unused`.

    Raises BadInput for recordings that belong to an image and cannot be used, since its caption would be spoken in
    their place: of another format, without a number, written otherwise in case, or twice of one number; and where
    there are recordings and none belongs to an image.
    """
    found: Recordings = {}
    faulty: list[tuple[Path, str]] = []
    orphans: list[Path] = []
    classes = {name.casefold(): name for name in images}
    for name, path in entries(folder).items():
        if name in images:
            _of_class(name, path, images[name], found, faulty, orphans, unused)
        elif name.casefold() in classes:
            faulty.append((path, f"the class is {classes[name.casefold()]!r}"))
        elif is_folder(path):
            unused.add("folders of recordings of a class that no list names", path)
        else:
            orphans.append(path)
    for path in orphans:
        unused.add("recordings of no image", path)
    root = folder.parent
    if faulty and not kept(f"recording {path} cannot be used: {why}" for path, why in faulty):
        said = "; ".join(f"{path.relative_to(root)} ({why})" for path, why in faulty[:3])
        more = f"; and {len(faulty) - 3} more" if len(faulty) > 3 else ""
        count = "1 recording of an image cannot" if len(faulty) == 1 else f"{len(faulty)} recordings of images cannot"
        raise BadInput(f"{count} be used in {root}: {said}{more}")
    if orphans and not found:
        raise BadInput(
            f"{folder} has {len(orphans)} recordings, and none is of an image, such as {orphans[0].relative_to(root)}: "
            "name them audio/<class>/<image>_<k>.wav"
        )
    return found


def _of_class(
    name: str,
    folder: Path,
    images: set[str],
    found: Recordings,
    faulty: list[tuple[Path, str]],
    orphans: list[Path],
    unused: UnusedFiles,
) -> None:
    """Sorts the files of one class into `found`, `faulty`, `orphans` and `unused`."""
    takes: dict[str, dict[int, Path]] = {}
    others: list[tuple[str, str, Path]] = []
    for file, path in entries(folder).items():
        stem, ending = split_ending(file)
        match = re.fullmatch(r"(.+)_([0-9]+)", stem)
        if not (match and ending in ENDINGS and match[1] in images):
            others.append((stem, ending, path))
            continue
        check_file(path, "recording")
        first = takes.setdefault(match[1], {}).setdefault(int(match[2]), path)
        if first != path:
            faulty.append((path, f"{first.name} is recording {int(match[2])} of that image too: remove one"))
    for image, paths in takes.items():
        found[name, image] = [path for _, path in sorted(paths.items())]
    used = {path.stem for paths in takes.values() for path in paths.values()}
    folded = {image.casefold(): image for image in images}
    for stem, ending, path in others:
        if is_folder(path):
            unused.add("folders among the recordings", path)
        elif ending not in ENDINGS + OTHER_ENDINGS:
            unused.add(f"files of another kind among the recordings ({ending})", path)
        elif path.stem in used:
            unused.add(f"recordings that are there as {', '.join(ENDINGS)} too", path)
        elif image := _owner(stem, folded):
            faulty.append((path, _remedy(path, ending, image)))
        else:
            orphans.append(path)


def _owner(stem: str, folded: Mapping[str, str]) -> str | None:
    """The image that a recording named `stem` is of, whatever its case and however its number is written."""
    stem = stem.casefold()
    numbered = re.fullmatch(r"(.+)_[0-9]+", stem)
    names = [*([numbered[1]] if numbered else []), stem, re.sub(r"[\W_]*[0-9]*[\W_]*$", "", stem)]
    return next((folded[name] for name in names if name in folded), None)


def _remedy(path: Path, ending: str, image: str) -> str:
    if ending not in ENDINGS:
        name = path.stem if re.fullmatch(re.escape(image) + "_[0-9]+", path.stem) else f"{image}_<k>"
        return f"wav, flac or ogg are read: convert it with ffmpeg -i {path.name} {name}.wav"
    return f"name it {image}_<k>{path.suffix}, k a number"
