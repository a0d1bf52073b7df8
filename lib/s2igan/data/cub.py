"""CUB-200-2011 and the captions of Reed et al., in their official layout."""

from __future__ import annotations

from pathlib import Path

from s2igan import BadInput
from s2igan.data.download import Remote, captions_of_reed
from s2igan.data.layout import Source, check_layout, checked_item, read_split, recordings_of

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
    recordings = {name: recordings_of(root, name) for name in classes}
    items = []
    for key, path in paths.items():
        name = _row(names, _row(labels, key, birds / "image_class_labels.txt"), birds / "classes.txt")
        if name not in classes:
            continue  # an image of a class that the zero-shot split leaves out
        box = _row(boxes, key, birds / "bounding_boxes.txt")
        try:
            left, top, width, height = map(float, box.split())
        except ValueError:
            file = birds / "bounding_boxes.txt"
            raise BadInput(f"table {file} has {box!r} for image {key}: it must be four numbers") from None
        text = captions / "text_c10" / Path(path).with_suffix(".txt")
        image, label = birds / "images" / path, classes.index(name)
        items.append(checked_item(image, label, (left, top, width, height), text, recordings[name]))
    return Source(dataset, classes, split, tuple(items))


def _table(path: Path) -> dict[str, str]:
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
