"""Two small fine-grained data sets, drawn and described by rule: `mini-flowers` and `mini-birds`.

A class is a combination of visible attributes; pose, scale, position, light and background vary within it. Pictures are drawn with
Pillow at `OVERSAMPLING` times the final size, and captions name some of the attributes, in varied wording. Everything follows from
the seed, whatever the number of worker processes. What is written is the project's `folder` layout:

    images/<class>/<name>.png    captions/<class>/<name>.txt (a caption a line)
    train_classes.txt    test_classes.txt    attributes.csv (class, then a column per attribute)

Lengths and coordinates are in units of the frame (0 left or top, 1 right or bottom), angles in radians, colours in 0..255.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from s2igan import BadInput
from s2igan.data.synthetic.birds import draw_bird
from s2igan.data.synthetic.captions import NAMED, describe
from s2igan.data.synthetic.classes import CLASS_NAME, check_attributes, choose_classes, unseen_count
from s2igan.data.synthetic.flowers import draw_flower


def draw_image(dataset: str, attributes: dict[str, str], rng: Generator, size: int = 64) -> Image.Image:
    """One RGB picture, size x size, of a flower or bird with these attributes; pose, light and background come from `rng`.

    What is drawn from `rng` does not depend on the attributes: the same state with one changed gives the same scene but for that.
    """
    check_attributes(dataset, attributes)
    # Light: exposure, warmth, and a slope across the frame that always comes from the upper left, as the shading does.
    exposure, warmth, slope = rng.uniform((0.93, -0.03, 0.0), (1.05, 0.03, 0.12))
    pixels = (draw_flower if dataset == "mini-flowers" else draw_bird)(attributes, rng, size)
    x = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    pixels = (
        pixels
        * (exposure - slope * (0.5 * x[None, :, None] + 0.5 * x[:, None, None]))
        * np.array((1 + warmth, 1, 1 - warmth))
    )
    return Image.fromarray((pixels + 0.5).clip(0, 255).astype(np.uint8))


def write_dataset(
    dataset: str,
    out: Path,
    seed: int = 0,
    classes: int = 100,
    images_per_class: int = 20,
    unseen_images: int = 20,
    captions_per_image: int = 2,
    size: int = 64,
    naming: int = NAMED,
    most_values: int | None = None,
    workers: int = 2,
    progress: Callable[[str], object] = print,
) -> None:
    """Write a whole data set to the folder `out`, which appears only once it is complete; the last `unseen(classes)` classes are test,
    with `unseen_images` pictures each in place of `images_per_class`. `naming` as in `describe`, `most_values` as in `choose_classes`.

    The bytes depend on every argument but `workers` and `progress`. Worker processes are spawned, so a script that calls this with
    more than one needs the usual `if __name__ == "__main__"`; a notebook or `python -m` does not.
    """
    check_attributes(dataset)
    out = Path(out)
    least = {"images_per_class": 1, "unseen_images": 1, "captions_per_image": 1, "size": 16, "naming": 1, "workers": 1,
             "seed": 0}  # fmt: skip
    given = {"images_per_class": images_per_class, "unseen_images": unseen_images, "captions_per_image": captions_per_image, "size": size,
             "naming": naming, "workers": workers, "seed": seed}  # fmt: skip
    for name, value in given.items():
        if value < least[name]:
            raise BadInput(f"{name}: {value} is too small; it must be {least[name]} or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"out: {out} exists already and is not an empty folder; remove it or name another")
    chosen = choose_classes(dataset, classes, np.random.default_rng([seed]), most_values)
    names = [f"{i + 1:03d}." + "-".join(c[name] for name in CLASS_NAME[dataset]) for i, c in enumerate(chosen)]

    part = out.with_name(f"{out.name}.part-{os.getpid()}")
    try:
        part.mkdir(parents=True)
        train = classes - unseen_count(classes)
        jobs = [
            (
                dataset,
                part,
                name,
                i,
                chosen[i],
                seed,
                images_per_class if i < train else unseen_images,
                captions_per_image,
                size,
                naming,
            )
            for i, name in enumerate(names)
        ]
        with ExitStack() as stack:
            if workers == 1:
                done = map(_write_class, jobs)
            else:
                pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
                stack.callback(pool.shutdown, cancel_futures=True)
                done = pool.map(_write_class, jobs, chunksize=max(1, len(jobs) // (8 * workers)))
            for i, name in enumerate(done, 1):
                if i % max(1, classes // 4) == 0 or i == classes:
                    progress(f"{dataset}: {i} of {classes} classes drawn (last: {name})")
        _write_lists(part, names, chosen, train)
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _write_class(job: tuple[str, Path, str, int, dict[str, str], int, int, int, int, int]) -> str:
    """Draw and describe one class; returns its name. Each picture has its own random state, so the order of work is of no matter."""
    dataset, out, name, index, attributes, seed, images, captions, size, naming = job
    for folder in ("images", "captions"):
        (out / folder / name).mkdir(parents=True)
    for image in range(images):
        looks, speech = (np.random.default_rng([seed, index, image, stream]) for stream in (0, 1))
        stem = f"{name.split('.')[0]}_{image + 1:03d}"
        draw_image(dataset, attributes, looks, size).save(out / "images" / name / f"{stem}.png", compress_level=1)
        lines = "".join(describe(dataset, attributes, speech, naming=naming) + "\n" for _ in range(captions))
        (out / "captions" / name / f"{stem}.txt").write_text(lines, encoding="utf-8", newline="\n")
    return name


def _write_lists(out: Path, names: list[str], chosen: list[dict[str, str]], train: int) -> None:
    for file, part in (("train_classes.txt", names[:train]), ("test_classes.txt", names[train:])):
        (out / file).write_text("".join(f"{name}\n" for name in part), encoding="utf-8", newline="\n")
    with open(out / "attributes.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["class", *chosen[0]])
        writer.writerows([name, *attributes.values()] for name, attributes in zip(names, chosen, strict=True))
