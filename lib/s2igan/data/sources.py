"""Data sets as they lie in folders, found, checked, and downloaded or drawn where asked for."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path

import numpy as np

from s2igan import BadInput
from s2igan.config import DEFAULT_LANGUAGE, SYNTHETIC, Settings, store_dir
from s2igan.data import cub, download, folder, oxford
from s2igan.data.download import Remote
from s2igan.data.faults import any_so_far, each
from s2igan.data.layout import Item, Source
from s2igan.data.names import is_folder
from s2igan.data.synthetic import dataset as synthetic
from s2igan.data.synthetic.dataset import write_dataset
from s2igan.files import file_sha256


@dataclass(frozen=True)
class PublicSet:
    """A public data set: the reader of its layout, and its files to download."""

    read: Callable[[str, Path], Source]  # name, folder
    remotes: tuple[Remote, ...]


PUBLIC = {"cub": PublicSet(cub.read, cub.REMOTES), "oxford": PublicSet(oxford.read, oxford.REMOTES)}


def complete(
    dataset: str, data_dir: str | Path, downloads: bool = False, progress: Callable[[str], None] = print
) -> None:
    """Makes folder `data_dir` hold a public data set in its official layout; leaves other data sets alone.

    Raises BadInput as `download.complete`.
    """
    if dataset in PUBLIC:
        download.complete(PUBLIC[dataset].remotes, Path(data_dir), downloads, progress)


def read_source(dataset: str, data_dir: str | Path, mix_speech: bool = False) -> Source:
    """Finds and checks a data set: a public one in its official layout, any other name in the layout `folder`.

    Raises BadInput, one line, for a folder that is absent or laid out otherwise, a table with a bad row, a class in
    both splits, listed without images or with one, an image missing or of zero bytes, an image without caption or
    recording, a recording that belongs to an image and cannot be used, one file in both splits (of `folder` also a copy
    of it), and, unless `mix_speech`, recordings of some images beside captions of others.
    """
    root = Path(data_dir)
    if not is_folder(root):
        raise BadInput(
            f"data folder {str(data_dir)!r} of dataset {dataset!r} does not exist: "
            "set data_dir to the folder that holds it"
        )
    source = PUBLIC[dataset].read(dataset, root) if dataset in PUBLIC else folder.read(dataset, root)
    checks = [lambda: _check_splits(source), *([lambda: _check_copies(source)] if dataset == "folder" else [])]
    if not any_so_far():  # of images that were left out these would say too much
        checks += [lambda: _check_counts(source, root), *([] if mix_speech else [lambda: _check_speech(source, root)])]
    each(lambda check: check(), checks)
    return source


def _check_counts(source: Source, root: Path) -> None:
    """Raises BadInput for a class of fewer than two images."""
    counts = np.bincount([item.label for item in source.items], minlength=len(source.classes))
    for name, count in zip(source.classes, counts, strict=True):
        if count < 2:
            images = "1 image" if count == 1 else f"{count} images"
            raise BadInput(f"class {name!r} in {root} has {images}: every class needs at least two")


def _check_splits(source: Source) -> None:
    """Raises BadInput where an image of a training class and one of a test class are one file, by links."""
    split_of: dict[tuple[int, int], Item] = {}
    for item in source.items:
        state = item.path.stat()
        other = split_of.setdefault((state.st_dev, state.st_ino), item)
        if state.st_ino and source.split[other.label] != source.split[item.label]:
            raise BadInput(
                f"images {other.path} and {item.path} are one file, of a training and of a test class: remove one"
            )


def _check_copies(source: Source) -> None:
    """Raises BadInput where an image of a training class and one of a test class have the same bytes.

    Only files of one size are read. The splits of public data sets are what they are.
    """
    sizes: dict[int, list[Item]] = {}
    for item in source.items:
        sizes.setdefault(item.path.stat().st_size, []).append(item)
    copies: list[str] = []
    for items in sizes.values():
        if len({source.split[item.label] for item in items}) == 2:
            first: dict[str, Item] = {}
            for item in items:
                other = first.setdefault(file_sha256(item.path), item)
                if source.split[other.label] != source.split[item.label]:
                    copies.append(f"{other.path} and {item.path}")
    if copies:
        more = f", and {len(copies) - 1} more pairs" if copies[1:] else ""
        raise BadInput(f"images {copies[0]} are equal, of a training and of a test class{more}: remove one of each")


def _check_speech(source: Source, root: Path) -> None:
    """Raises BadInput where some images have recordings and the others captions: the voice would tell them apart."""
    recorded = np.zeros(len(source.classes), np.int64)
    for item in source.items:
        recorded[item.label] += bool(item.recordings)
    counts = np.bincount([item.label for item in source.items], minlength=len(source.classes))
    if recorded.sum() in (0, len(source.items)):
        return
    whole, none = recorded == counts, recorded == 0
    if not (whole | none).all():
        label = int(np.argmin(whole | none))
        first = next(item for item in source.items if item.label == label and not item.recordings)
        found = (
            f"{recorded.sum()} of {len(source.items)} images have recordings, the others captions alone, such as "
            f"{first.name} (of class {source.classes[label]!r} {recorded[label]} of {counts[label]} are recorded)"
        )
    else:
        found = (
            f"{whole.sum()} of {len(whole)} classes have recordings ({_some(source, whole)}), "
            f"the others captions alone ({_some(source, none)})"
        )
    raise BadInput(
        f"in {root} {found}: the voice would tell them apart, not the words. Record all or none, "
        "or ask for both with data_mix_speech: true"
    )


def _some(source: Source, chosen: np.ndarray) -> str:
    names = [source.classes[label] for label in np.flatnonzero(chosen)]
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def find_source(settings: Settings, root: str | Path) -> Source:
    """The data set that `settings` names; `root` is the project's.

    A synthetic set is drawn into data/<study>/<dataset>.drawn, whatever was there. Others are found in data_dir,
    unpacked there where they lie in archives, and downloaded if `settings.download`. Raises BadInput as the functions
    that it calls.
    """
    if settings.dataset in SYNTHETIC:
        return _drawn(settings, store_dir(settings, root).with_suffix(".drawn"))
    try:
        data_dir = Path(root) / Path(settings.data_dir).expanduser()
    except RuntimeError:
        raise BadInput(f"data_dir is {settings.data_dir!r}: there is no such user") from None
    complete(settings.dataset, data_dir, settings.download)
    source = read_source(settings.dataset, data_dir, settings.data_mix_speech)
    if settings.data_images is None:
        return source
    by_class = itertools.groupby(sorted(source.items, key=attrgetter("label")), key=attrgetter("label"))
    first = (itertools.islice(items, settings.data_images) for _, items in by_class)
    return replace(source, items=tuple(itertools.chain.from_iterable(first)))


def _drawn(settings: Settings, out: Path) -> Source:
    shutil.rmtree(out, ignore_errors=True)
    write_dataset(
        settings.dataset,
        out,
        seed=settings.data_seed,
        classes=settings.data_classes,
        images_per_class=settings.data_images_per_class,
        unseen_images=settings.data_unseen_images,
        captions_per_image=settings.data_captions,
        naming=settings.data_naming,
        languages=settings.data_language,
        most_values=settings.data_most_values,
        unseen_distance=settings.data_unseen_distance,
        workers=settings.threads,
    )
    in_english = set(settings.data_language) == {DEFAULT_LANGUAGE}
    return (read_source if in_english else synthetic.read)(settings.dataset, out)
