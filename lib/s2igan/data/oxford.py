"""Oxford-102 and the captions of Reed et al., in their official layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from s2igan import BadInput
from s2igan.data.download import Remote, captions_of_reed
from s2igan.data.layout import Image, Source, check_entries, check_layout, with_captions
from s2igan.data.mat import read_mat
from s2igan.data.names import entries
from s2igan.data.unused import UnusedFiles

_VGG = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"


def _of_vgg(name: str, md5: str, megabytes: int, makes: str, keep: tuple[str, ...] = ()) -> Remote:
    return Remote(name, (f"{_VGG}/{name}",), md5, megabytes, makes, keep, _VGG)


REMOTES = (
    _of_vgg("102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", 345, "jpg", (".jpg",)),
    _of_vgg("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", 1, "imagelabels.mat"),
    _of_vgg("setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", 1, "setid.mat"),
    captions_of_reed("cvpr2016_flowers", "0B0ywwgffWnLLcms2WWJQRFNSWXM", 600),
)
ENTRIES = ("jpg", "imagelabels.mat", "setid.mat", "cvpr2016_flowers", "audio")
UNSEEN, CLASSES = 20, 102  # classes 1 to 20 are for testing, the others for training
MOST_IMAGES = 99_999  # file names have five digits


def read(dataset: str, root: Path) -> Source:
    """The data set in folder `root`; setid.mat says which images there are.

    Raises BadInput as `sources.read_source`.
    """
    check_layout(dataset, root, "jpg", "imagelabels.mat", "setid.mat", "cvpr2016_flowers/text_c10")
    numbers, labels = _images_and_labels(root)
    present = np.unique(labels)
    classes = tuple(f"class_{number:05d}" for number in present)
    split = tuple("test" if number <= UNSEEN else "train" for number in present)
    for part in ("train", "test"):
        if part not in split:
            raise BadInput(
                f"{root}/imagelabels.mat has no {part} class: 1 to {UNSEEN} are for testing, the others for training"
            )
    images = []
    for number, label in zip(numbers, np.searchsorted(present, labels), strict=True):
        stem = f"image_{number:05d}"
        images.append(Image(root / "jpg" / f"{stem}.jpg", stem, int(label)))
    unused = UnusedFiles(root)
    check_entries(root, ENTRIES, unused, [remote.name for remote in REMOTES])
    named = {image.path.name for image in images}
    for name, path in entries(root / "jpg").items():
        if name not in named:
            unused.add("images that setid.mat does not name", path)
    items = with_captions(root, classes, images, root / "cvpr2016_flowers" / "text_c10", unused)
    return Source(dataset, classes, split, items, unused=unused.kinds())


def _images_and_labels(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the images, counted from 1, and the number of each one's class, (N,) both."""
    labels = _whole_numbers(root / "imagelabels.mat", ("labels",), CLASSES)
    images = np.unique(_whole_numbers(root / "setid.mat", ("trnid", "valid", "tstid"), MOST_IMAGES))
    if images[-1] > len(labels):
        raise BadInput(
            f"{root}/imagelabels.mat (labels) and setid.mat (trnid, valid, tstid) do not fit together: there are "
            f"{len(labels)} labels, and setid.mat names image {images[-1]}"
        )
    return images, labels[images - 1]


def _whole_numbers(path: Path, names: tuple[str, ...], most: int) -> np.ndarray:
    """The numbers of some variables, one after another, (N,) int64.

    Raises BadInput for a number that is not whole or not from 1 to `most`.
    """
    found = read_mat(path)
    if missing := [name for name in names if name not in found]:
        raise BadInput(f"file {path} has no variable {missing[0]!r} of numbers")
    numbers = np.concatenate([found[name].ravel() for name in names])
    if numbers.size == 0:
        raise BadInput(f"file {path} has no numbers in {', '.join(names)}")
    odd = numbers[~((numbers >= 1) & (numbers <= most) & (numbers == np.rint(numbers)))]
    if odd.size:
        raise BadInput(
            f"file {path} has the number {odd[0]} in {', '.join(names)}: whole numbers from 1 to {most} are right"
        )
    return numbers.astype(np.int64)
