"""Oxford-102 and the captions of Reed et al., in their official layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from s2igan import BadInput
from s2igan.data.download import Remote, captions_of_reed
from s2igan.data.layout import Source, check_layout, checked_item, recordings_of

_VGG = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102"


def _of_vgg(name: str, md5: str, megabytes: int, makes: str, keep: tuple[str, ...] = ()) -> Remote:
    return Remote(name, (f"{_VGG}/{name}",), md5, megabytes, makes, keep, _VGG)


REMOTES = (
    _of_vgg("102flowers.tgz", "52808999861908f626f3c1f4e79d11fa", 345, "jpg", (".jpg",)),
    _of_vgg("imagelabels.mat", "e0620be6f572b9609742df49c70aed4d", 1, "imagelabels.mat"),
    _of_vgg("setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c", 1, "setid.mat"),
    captions_of_reed("cvpr2016_flowers", "0B0ywwgffWnLLcms2WWJQRFNSWXM", 600),
)
UNSEEN = 20  # classes 1 to 20 are for testing, the others for training


def read(dataset: str, root: Path) -> Source:
    """The data set in folder `root`; setid.mat says which images there are.

    Raises BadInput as `sources.read_source`.
    """
    check_layout(dataset, root, "jpg", "imagelabels.mat", "setid.mat", "cvpr2016_flowers/text_c10")
    images, labels = _images_and_labels(root)
    numbers = np.unique(labels)
    classes = tuple(f"class_{number:05d}" for number in numbers)
    split = tuple("test" if number <= UNSEEN else "train" for number in numbers)
    for part in ("train", "test"):
        if part not in split:
            raise BadInput(
                f"{root}/imagelabels.mat has no {part} class: 1 to {UNSEEN} are for testing, the others for training"
            )
    recordings = {name: recordings_of(root, name) for name in classes}
    items = []
    for number, label in zip(images, np.searchsorted(numbers, labels), strict=True):
        name, stem = classes[label], f"image_{number:05d}"
        text = root / "cvpr2016_flowers" / "text_c10" / name / f"{stem}.txt"
        items.append(checked_item(root / "jpg" / f"{stem}.jpg", int(label), None, text, recordings[name]))
    return Source(dataset, classes, split, tuple(items))


def _images_and_labels(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the images, counted from 1, and the number of each one's class, (N,) both."""
    import scipy.io  # only where it is needed

    try:
        labels = scipy.io.loadmat(root / "imagelabels.mat")["labels"].ravel()
        sets = scipy.io.loadmat(root / "setid.mat")
        images = np.unique(np.concatenate([sets[name].ravel() for name in ("trnid", "valid", "tstid")]))
        return images, labels[images - 1]
    except (KeyError, ValueError, IndexError, TypeError, OSError, NotImplementedError) as error:
        raise BadInput(
            f"{root}/imagelabels.mat (labels) and setid.mat (trnid, valid, tstid) do not fit together: {error}"
        ) from None
