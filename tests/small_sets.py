"""Data sets made small, in each layout."""

from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from s2igan.speech import log_mel

OPTIONS = {
    "log_mel": log_mel,
    "crop_from": 12,
    "captions": 2,
    "voices": ("en-us", "en-gb+f4"),
    "words_per_minute": 300,
    "seed": 0,
    "validation": 0.1,
    "workers": 1,
    "progress": lambda line: None,
}


def draw(path: Path, size: tuple[int, int] = (20, 16), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path)


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))


def make_folder(root: Path) -> Path:
    """Four training classes and one test class of two images, two captions each."""
    classes = ["oak", "elm", "fir", "ash", "yew"]
    for k, name in enumerate(classes):
        for image in ("a", "b_1"):
            draw(root / "images" / name / f"{image}.png", seed=k)
            write(
                root / "captions" / name / f"{image}.txt",
                f"an {name} in the wind",
                "",
                f"image {image} of a tree",
                "a third caption",
            )
    write(root / "train_classes.txt", *classes[:4])
    write(root / "test_classes.txt", "yew")
    write(root / "attributes.csv", "class,leaf,bark", *(f"{name},green,grey" for name in classes))
    return root


def make_cub(root: Path) -> Path:
    """Ids with gaps and in no order; class 9 is in neither split."""
    rows = {
        40: ("007.Auk", "Auk_2", "7"),
        3: ("002.Ani", "Ani_1", "2"),
        8: ("002.Ani", "Ani_2", "2"),
        41: ("007.Auk", "Auk_1", "7"),
        90: ("009.Jay", "Jay_1", "9"),
    }
    birds, captions = root / "CUB_200_2011", root / "cvpr2016_cub"
    for key, (name, image, _) in rows.items():
        draw(birds / "images" / name / f"{image}.jpg", (50, 40), seed=key)
        write(captions / "text_c10" / name / f"{image}.txt", f"bird number {key}", "it has wings")
    write(birds / "images.txt", *(f"{key} {name}/{image}.jpg" for key, (name, image, _) in rows.items()))
    write(birds / "image_class_labels.txt", *(f"{key} {label}" for key, (_, _, label) in sorted(rows.items())))
    write(birds / "bounding_boxes.txt", *(f"{key} {key / 10} 12.0 20.0 10.0" for key in sorted(rows)))
    write(birds / "classes.txt", "2 002.Ani", "7 007.Auk", "9 009.Jay")
    write(captions / "trainvalclasses.txt", "007.Auk")
    write(captions / "testclasses.txt", "002.Ani")
    return root


def make_oxford(root: Path) -> Path:
    labels = [77, 20, 21, 77, 20, 21, 102, 102]
    for number, label in enumerate(labels, 1):
        draw(root / "jpg" / f"image_{number:05d}.jpg", seed=number)
        write(
            root / "cvpr2016_flowers" / "text_c10" / f"class_{label:05d}" / f"image_{number:05d}.txt",
            f"flower {number}",
        )
    scipy.io.savemat(root / "imagelabels.mat", {"labels": np.array([labels], np.uint8)})
    scipy.io.savemat(
        root / "setid.mat",
        {"trnid": np.array([[4, 2]]), "valid": np.array([[1]]), "tstid": np.array([[3, 5, 6, 7, 8]])},
    )
    return root
