"""Layout `folder`, for anybody's data; the synthetic sets are written in it too.

images/<class>/<name>.(jpg|png), audio/<class>/<name>_<k>.wav or captions/<class>/<name>.txt (a caption a line),
train_classes.txt and test_classes.txt (a class a line), and where there is one attributes.csv.
"""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from s2igan import BadInput
from s2igan.data.layout import Source, check_layout, checked_item, read_split, recordings_of

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")


def read(dataset: str, root: Path) -> Source:
    """The data set in folder `root`. Raises BadInput as `sources.read_source`."""
    check_layout(dataset, root, "images", "train_classes.txt", "test_classes.txt")
    classes, split = read_split(root / "train_classes.txt", root / "test_classes.txt")
    items = []
    for label, name in enumerate(classes):
        folder = root / "images" / name
        if not folder.is_dir():
            raise BadInput(f"class {name!r} is listed but has no images: looked for the folder {folder}")
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS)
        if len({path.stem for path in paths}) < len(paths):
            raise BadInput(f"image folder {folder} has two images of one name that differ in their ending: rename one")
        recordings, captions = recordings_of(root, name), root / "captions" / name
        items += [checked_item(path, label, None, captions / f"{path.stem}.txt", recordings) for path in paths]
    return Source(dataset, classes, split, tuple(items), _attributes(root / "attributes.csv", classes))


def _attributes(path: Path, classes: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """{class: {name: value}} of a table with the columns class and one a visible attribute; {} without such a table."""
    if not path.is_file():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "class" not in rows[0]:
        raise BadInput(f"table {path} has no column 'class': its first line names the columns")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values() or "" in row.values():
            raise BadInput(f"table {path}, line {number} does not have one value for each column")
    for name in rows[0]:
        # Networks have a part of each attribute's name: torch allows no dots there, and no names that it has itself.
        if not name or "." in name or hasattr(torch.nn.ModuleDict(), name):
            raise BadInput(f"table {path} has a column {name!r}: give that attribute another name, without dots")
    table = {row.pop("class"): row for row in rows}
    if missing := [name for name in classes if name not in table]:
        raise BadInput(f"table {path} has no row of class {missing[0]!r}: it needs one for each class")
    return table
