"""Layout `folder`, for anybody's data; the synthetic sets are written in it too.

images/<class>/<name>.(jpg|png|...), audio/<class>/<name>_<k>.wav or captions/<class>/<name>.txt (a caption a line),
train_classes.txt and test_classes.txt (a class a line), and where there is one attributes.csv.
"""

from __future__ import annotations

import difflib
import itertools
from pathlib import Path

from s2igan import BadInput
from s2igan.data.attribute_table import read_attributes
from s2igan.data.faults import each
from s2igan.data.layout import Image, Source, check_entries, check_layout, with_captions
from s2igan.data.names import entries, is_folder, read_split, split_ending
from s2igan.data.unused import UnusedFiles

IMAGE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
ENTRIES = ("images", "audio", "captions", "train_classes.txt", "test_classes.txt", "attributes.csv")


def read(dataset: str, root: Path) -> Source:
    """The data set in folder `root`. Raises BadInput as `sources.read_source`."""
    check_layout(dataset, root, "images", "train_classes.txt", "test_classes.txt")
    unused = UnusedFiles(root)
    check_entries(root, ENTRIES, unused)
    classes, split = read_split(root / "train_classes.txt", root / "test_classes.txt")
    folders = entries(root / "images")
    for name, path in folders.items():
        if name not in classes:
            unused.add("folders of images of a class that no list names" if is_folder(path) else "other files", path)
    of_classes = each(lambda row: _images(root, row[1], row[0], folders, unused), enumerate(classes))
    items = with_captions(root, classes, itertools.chain(*of_classes), root / "captions", unused)
    tables = each(lambda path: read_attributes(path, classes, unused), [root / "attributes.csv"])
    return Source(dataset, classes, split, items, tables[0] if tables else {}, unused.kinds())


def _images(root: Path, name: str, label: int, folders: dict[str, Path], unused: UnusedFiles) -> list[Image]:
    """The images of one class."""
    if name not in folders or not is_folder(folders[name]):
        folded = {folder.strip().casefold(): folder for folder in folders}
        near = difflib.get_close_matches(name.casefold(), folded, n=1)
        hint = f"; did you mean {folded[near[0]]!r}?" if near else ""
        raise BadInput(f"class {name!r} is listed but has no images: looked for the folder {root}/images/{name}{hint}")
    found: dict[str, Image] = {}
    for file, path in entries(folders[name]).items():
        image, ending = split_ending(file)
        if ending not in IMAGE_ENDINGS:
            what = "folders" if is_folder(path) else "files of another kind"
            unused.add(f"{what} among the images ({ending or 'no ending'})", path)
        elif image in found:
            raise BadInput(
                f"image folder {folders[name]} has two images of one name that differ in their ending, "
                f"{found[image].path.name} and {path.name}: rename one"
            )
        else:
            found[image] = Image(path, image, label)
    return list(found.values())
