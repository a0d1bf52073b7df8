"""Data sets as they lie in folders: classes, splits, images and captions in one of three layouts, checked."""

from __future__ import annotations

import csv
import itertools
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from s2igan import BadInput
from s2igan.config import SYNTHETIC, Settings, store_dir
from s2igan.data.download import complete
from s2igan.data.synthetic.dataset import write_dataset

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
AUDIO_ENDINGS = (".wav", ".flac", ".ogg")
Box = tuple[float, float, float, float]  # left, top, width, height in pixels


@dataclass(frozen=True)
class Item:
    """One image with its captions: texts to be spoken, or recordings (then `texts` are only shown, and may be missing)."""

    path: Path
    name: str  # <class>/<image>, without its ending
    label: int  # index into Source.classes
    box: Box | None = None
    texts: tuple[str, ...] = ()
    recordings: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Source:
    """A data set as found: `split` has 'train' or 'test' for each class; `attributes` may describe classes ({class: {name: value}})."""

    dataset: str
    classes: tuple[str, ...]
    split: tuple[str, ...]
    items: tuple[Item, ...]
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)


def read_source(dataset: str, data_dir: str | Path) -> Source:
    """Finds and checks a data set: `cub` and `oxford` in their official layouts, any other name in the layout `folder`.

    Raises BadInput, one line, for a folder that is absent or laid out otherwise, a table with a bad row, a class in both splits, listed
    without images or with one, an image missing or of zero bytes, and an image with neither caption nor recording.
    """
    root = Path(data_dir)
    if not root.is_dir():
        raise BadInput(
            f"data folder {str(data_dir)!r} of dataset {dataset!r} does not exist: set data_dir to the folder that holds it"
        )
    source = {"cub": _read_cub, "oxford": _read_oxford}.get(dataset, _read_folder)(dataset, root)
    counts = np.bincount([item.label for item in source.items], minlength=len(source.classes))
    for name, count in zip(source.classes, counts, strict=True):
        if count < 2:
            raise BadInput(
                f"class {name!r} in {root} has {count} image{'' if count == 1 else 's'}: every class needs at least two"
            )
    return source


def find_source(settings: Settings, root: str | Path) -> Source:
    """The data set that `settings` names: drawn anew into data/<study>/<dataset>.drawn if embedded, else found in data_dir, unpacked
    there where it lies in archives, and fetched if `settings.download`."""
    if settings.dataset not in SYNTHETIC:
        folder = Path(root) / Path(settings.data_dir).expanduser()
        complete(settings.dataset, folder, settings.download)
        source = read_source(settings.dataset, folder)
        if settings.data_images is None:
            return source
        by_class = itertools.groupby(sorted(source.items, key=lambda item: item.label), key=lambda item: item.label)
        return replace(
            source, items=tuple(item for _, items in by_class for item in itertools.islice(items, settings.data_images))
        )
    drawn = store_dir(settings, root).with_suffix(".drawn")
    shutil.rmtree(drawn, ignore_errors=True)
    write_dataset(
        settings.dataset, drawn, settings.data_seed, settings.data_classes, settings.data_images_per_class, settings.data_unseen_images,
        settings.data_captions, naming=settings.data_naming, most_values=settings.data_most_values, workers=settings.threads,
    )  # fmt: skip
    return read_source(settings.dataset, drawn)


def _read_folder(dataset: str, root: Path) -> Source:
    """images/<class>/<name>.png, audio/<class>/<name>_<k>.wav or captions/<class>/<name>.txt, train_classes.txt, test_classes.txt."""
    _need(dataset, root, "images", "train_classes.txt", "test_classes.txt")
    classes, split = _read_split(root / "train_classes.txt", root / "test_classes.txt")
    items = []
    for label, name in enumerate(classes):
        folder = root / "images" / name
        if not folder.is_dir():
            raise BadInput(f"class {name!r} is listed but has no images: looked for the folder {folder}")
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS)
        if len({path.stem for path in paths}) < len(paths):
            raise BadInput(f"image folder {folder} has two images of one name that differ in their ending: rename one")
        recordings = _recordings(root, name)
        items += [_item(path, label, None, root / "captions" / name / f"{path.stem}.txt", recordings) for path in paths]
    return Source(dataset, classes, split, tuple(items), _read_attributes(root / "attributes.csv", classes))


def _read_attributes(path: Path, classes: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """{class: {name: value}} of a table with the columns class and one for each visible attribute; {} where there is no table."""
    if not path.is_file():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "class" not in rows[0]:
        raise BadInput(f"table {path} has no column 'class': its first line names the columns")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values() or "" in row.values():
            raise BadInput(f"table {path}, line {number} does not have one value for each column")
    # Networks have a part of each attribute's name, which torch wants without dots and unlike its own names.
    if bad := [
        name
        for name in rows[0]
        if name != "class" and (not name or "." in name or hasattr(torch.nn.ModuleDict(), name))
    ]:
        raise BadInput(f"table {path} has a column {bad[0]!r}: give that attribute another name, without dots")
    table = {row.pop("class"): row for row in rows}
    if missing := [name for name in classes if name not in table]:
        raise BadInput(f"table {path} has no row of class {missing[0]!r}: it needs one for each class")
    return table


def _read_cub(dataset: str, root: Path) -> Source:
    """CUB-200-2011 and the captions of Reed et al., whole or in part: the tables say which images there are."""
    birds, captions = root / "CUB_200_2011", root / "cvpr2016_cub"
    tables = ("images.txt", "image_class_labels.txt", "classes.txt", "bounding_boxes.txt")
    _need(dataset, root, "CUB_200_2011/images", *(f"CUB_200_2011/{table}" for table in tables),
          "cvpr2016_cub/text_c10", "cvpr2016_cub/trainvalclasses.txt", "cvpr2016_cub/testclasses.txt")  # fmt: skip
    paths, labels, names, boxes = (_read_table(birds / table) for table in tables)
    classes, split = _read_split(captions / "trainvalclasses.txt", captions / "testclasses.txt")
    recordings = {name: _recordings(root, name) for name in classes}
    items = []
    for key, path in paths.items():
        name = _row(names, _row(labels, key, birds / "image_class_labels.txt"), birds / "classes.txt")
        if name not in classes:
            continue  # an image of a class that the zero-shot split leaves out
        box = _row(boxes, key, birds / "bounding_boxes.txt")
        try:
            left, top, width, height = map(float, box.split())
        except ValueError:
            raise BadInput(
                f"table {birds / 'bounding_boxes.txt'} has {box!r} for image {key}: it must be four numbers"
            ) from None
        text = captions / "text_c10" / Path(path).with_suffix(".txt")
        items.append(
            _item(birds / "images" / path, classes.index(name), (left, top, width, height), text, recordings[name])
        )
    return Source(dataset, classes, split, tuple(items))


def _read_oxford(dataset: str, root: Path) -> Source:
    """Oxford-102 and the captions of Reed et al.; setid.mat says which images there are, classes 1 to 20 are the unseen ones."""

    import scipy.io  # only where it is needed

    _need(dataset, root, "jpg", "imagelabels.mat", "setid.mat", "cvpr2016_flowers/text_c10")
    try:
        labels = scipy.io.loadmat(root / "imagelabels.mat")["labels"].ravel()
        sets = scipy.io.loadmat(root / "setid.mat")
        images = np.unique(
            np.concatenate([sets[name].ravel() for name in ("trnid", "valid", "tstid")])
        )  # counted from 1
        numbers = np.unique(labels[images - 1])
    except (KeyError, ValueError, IndexError, TypeError, OSError, NotImplementedError) as error:
        raise BadInput(
            f"{root}/imagelabels.mat (labels) and setid.mat (trnid, valid, tstid) do not fit together: {error}"
        ) from None
    classes = tuple(f"class_{number:05d}" for number in numbers)
    split = tuple("test" if number <= 20 else "train" for number in numbers)
    for part in ("train", "test"):
        if part not in split:
            raise BadInput(
                f"{root}/imagelabels.mat has no {part} class: 1 to 20 are for testing, the others for training"
            )
    recordings = {name: _recordings(root, name) for name in classes}
    items = []
    for number in images:
        label = int(np.searchsorted(numbers, labels[number - 1]))
        text = root / "cvpr2016_flowers" / "text_c10" / classes[label] / f"image_{number:05d}.txt"
        items.append(_item(root / "jpg" / f"image_{number:05d}.jpg", label, None, text, recordings[classes[label]]))
    return Source(dataset, classes, split, tuple(items))


def _need(dataset: str, root: Path, *entries: str) -> None:
    missing = [entry for entry in entries if not (root / entry).exists()]
    if missing:
        raise BadInput(f"data folder {root} is not laid out as dataset {dataset!r}: looked for {', '.join(entries)}; not there: "
                       f"{', '.join(missing)}")  # fmt: skip


def _read_split(train: Path, test: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sorted classes of both lists, and 'train' or 'test' for each."""
    seen, unseen = (
        {line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()} - {""} for path in (train, test)
    )
    for path, names in ((train, seen), (test, unseen)):
        if not names:
            raise BadInput(f"class list {path} is empty: it needs one class a line")
    if seen & unseen:
        raise BadInput(
            f"class {min(seen & unseen)!r} is in both {train} and {test}: training and test classes must differ"
        )
    classes = tuple(sorted(seen | unseen))
    return classes, tuple("train" if name in seen else "test" for name in classes)


def _read_table(path: Path) -> dict[str, str]:
    """Rows `<id> <rest>`; the ids may have gaps."""
    table = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            key, _, rest = line.strip().partition(" ")
            if not rest:
                raise BadInput(f"table {path}, line {number} is {line!r}: it must be '<id> <value>'")
            table[key] = rest.strip()
    return table


def _row(table: dict[str, str], key: str, path: Path) -> str:
    if key not in table:
        raise BadInput(f"table {path} has no row of id {key}, which another table names")
    return table[key]


def _recordings(root: Path, name: str) -> dict[str, list[Path]]:
    """{image: recordings in the order of k} of audio/<class>/<image>_<k>.(wav|flac|ogg)."""
    found: dict[str, list[tuple[int, Path]]] = {}
    folder = root / "audio" / name
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = re.fullmatch(r"(.+)_(\d+)", path.stem)
        if match and path.suffix.lower() in AUDIO_ENDINGS:
            found.setdefault(match[1], []).append((int(match[2]), path))
    return {image: [path for _, path in sorted(takes)] for image, takes in found.items()}


def _item(path: Path, label: int, box: Box | None, captions: Path, recordings: dict[str, list[Path]]) -> Item:
    """Checks one image and finds its captions: recordings where there are any, else the lines of a text file."""
    if not path.is_file():
        raise BadInput(f"image {path} is missing")
    if path.stat().st_size == 0:
        raise BadInput(f"image {path} is empty: it has zero bytes")
    spoken = recordings.get(path.stem, [])
    texts: list[str] = []
    if captions.is_file():
        lines = captions.read_text(encoding="utf-8", errors="replace").splitlines()
        texts = [line.strip() for line in lines if any(character.isalnum() for character in line)]
    elif not spoken:
        raise BadInput(f"image {path} has no caption: looked for the text file {captions} and for recordings "
                       f"audio/{captions.parent.name}/{path.stem}_<k>.wav")  # fmt: skip
    if not texts and not spoken:
        raise BadInput(f"caption file {captions} is empty: it needs at least one caption, one a line")
    if spoken and len(texts) != len(spoken):
        texts = []  # which text belongs to which recording is anybody's guess
    return Item(path, f"{captions.parent.name}/{path.stem}", label, box, tuple(texts), tuple(spoken))
