"""CUB-200-2011 and the captions of Reed et al., in their official layout."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from pathlib import Path

from s2igan import BadInput
from s2igan.data.download import Remote, captions_of_reed
from s2igan.data.faults import each
from s2igan.data.layout import Box, Image, Source, check_entries, check_layout, with_captions
from s2igan.data.names import CONTROL, class_name, entries, is_folder, plain, read_split, split_ending
from s2igan.data.unused import UnusedFiles
from s2igan.files import read_text

_CALTECH = "https://data.caltech.edu/records/65de6-vp158"
REMOTES = (
    Remote(
        name="CUB_200_2011.tgz",
        urls=(f"{_CALTECH}/files/CUB_200_2011.tgz?download=1", f"{_CALTECH}/files/CUB_200_2011.tgz"),
        md5="97eceeb196236b17998738112f37df78",
        megabytes=1150,
        makes="CUB_200_2011",
        keep=(".jpg", ".txt"),
        page=_CALTECH,
    ),
    captions_of_reed("cvpr2016_cub", "0B0ywwgffWnLLZW9uVHNjb2JmNlE", 900),
)
TABLES = ("images.txt", "image_class_labels.txt", "classes.txt", "bounding_boxes.txt")
ENTRIES = ("CUB_200_2011", "cvpr2016_cub", "audio")
FARTHEST = 1e6  # pixels, of a number in a bounding box


def read(dataset: str, root: Path) -> Source:
    """The data set in folder `root`, whole or in part: the tables say which images there are, joined by their ids.

    Raises BadInput as `sources.read_source`.
    """
    birds, captions = root / "CUB_200_2011", root / "cvpr2016_cub"
    tables = [f"CUB_200_2011/{table}" for table in TABLES]
    lists = [f"cvpr2016_cub/{name}" for name in ("text_c10", "trainvalclasses.txt", "testclasses.txt")]
    check_layout(dataset, root, "CUB_200_2011/images", *tables, *lists)
    paths, labels, names, boxes = (_table(birds / table) for table in TABLES)
    classes, split = read_split(captions / "trainvalclasses.txt", captions / "testclasses.txt")
    by_id = _class_names(names, birds / "classes.txt")
    each(lambda name: _check_known(name, by_id.values(), birds / "classes.txt"), classes)

    def image(row: tuple[int, str]) -> Image | None:
        key, path = row
        folder, file = _parts(path, birds / "images.txt", key)
        label = _number(_row(labels, key, birds / "image_class_labels.txt"), birds / "image_class_labels.txt")
        name = _row(by_id, label, birds / "classes.txt")
        if folder != name:
            raise BadInput(
                f"tables of {birds} do not fit together: image {key}, {path}, has the label {label} of class {name!r}"
            )
        if name in classes:  # else an image of a class that the zero-shot split leaves out
            box = _box(_row(boxes, key, birds / "bounding_boxes.txt"), birds / "bounding_boxes.txt", key)
            return Image(birds / "images" / path, split_ending(plain(file))[0], classes.index(name), box)
        return None

    images = [found for found in each(image, paths.items()) if found]
    unused = UnusedFiles(root)
    check_entries(root, ENTRIES, unused, [remote.name for remote in REMOTES])
    _unused_images(birds / "images", {found.path for found in images}, classes, unused)
    items = with_captions(root, classes, images, captions / "text_c10", unused)
    return Source(dataset, classes, split, items, unused=unused.kinds())


def _unused_images(folder: Path, used: set[Path], classes: tuple[str, ...], unused: UnusedFiles) -> None:
    """Adds what lies in CUB's folder of images and is not among those `used`."""
    named = {(plain(path.parent.name), plain(path.name)) for path in used}
    for name, path in entries(folder).items():
        if not is_folder(path):
            unused.add("files among the folders of images", path)
        elif name not in classes:
            unused.add("folders of images of a class that no list names", path)
        else:
            for file, at in entries(path).items():
                if (name, file) not in named:
                    unused.add("images that images.txt does not name", at)


def _table(path: Path) -> dict[int, str]:
    """Rows `<id> <rest>`; the ids may have gaps."""
    table: dict[int, str] = {}
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            key, _, rest = line.strip().partition(" ")
            if not rest:
                raise BadInput(f"table {path}, line {number} is {line[:60]!r}: it must be '<id> <value>'")
            identity = _number(key, f"{path}, line {number}")
            if identity in table:
                raise BadInput(f"table {path}, line {number} is of id {identity}, as an earlier line is: remove one")
            table[identity] = rest.strip()
    return table


def _number(text: str, where: Path | str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise BadInput(f"table {where} has the number {text[:60]!r}: it must be a whole number")
    return int(text)


def _row(table: dict[int, str], key: int, path: Path) -> str:
    if key not in table:
        raise BadInput(f"table {path} has no row of id {key}, which another table names")
    return table[key]


def _class_names(table: dict[int, str], path: Path) -> dict[int, str]:
    names = {key: class_name(text, f"table {path}, id {key},") for key, text in table.items()}
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise BadInput(f"table {path} has the class {twice!r} twice: remove one")
    return names


def _check_known(name: str, known: Collection[str], table: Path) -> None:
    if name not in known:
        near = [other for other in known if name.casefold() in other.casefold()]
        near = near or difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise BadInput(f"class {name!r} is in a list of classes, but {table} does not have it{hint}")


def _parts(path: str, table: Path, key: int) -> tuple[str, str]:
    """(class, file) of an image's path."""
    parts = path.split("/")
    if len(parts) != 2 or not all(part.strip(". ") for part in parts) or CONTROL.search(path) or len(path) > 400:
        raise BadInput(f"table {table} has {path[:60]!r} for image {key}: it must be <class>/<file>")
    return plain(parts[0]), parts[1]


def _box(text: str, table: Path, key: int) -> Box:
    try:
        left, top, width, height = map(float, text.split())
    except ValueError:
        raise BadInput(f"table {table} has {text[:60]!r} for image {key}: it must be four numbers") from None
    if not (all(abs(number) < FARTHEST for number in (left, top, width, height)) and min(width, height) > 0):
        raise BadInput(
            f"table {table} has {text[:60]!r} for image {key}: it must be left, top, width and height in pixels, the "
            "last two above 0"
        )
    return left, top, width, height
