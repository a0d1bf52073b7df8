"""Small fine-grained data sets, drawn and described by rule: `mini-flowers` and `mini-birds`.

A class is a combination of visible attributes; pose, scale, position, light and background vary within it. Images are
drawn with Pillow at `OVERSAMPLING` times the final size, and captions name some of the attributes, in varied wording.
Everything follows from the seed, whatever the number of worker processes. What is written is the project's `folder`
layout:

    images/<class>/<name>.png    captions/<class>/<name>.txt (a caption a line)
    train_classes.txt    test_classes.txt    attributes.csv (class, then a column per attribute)

In other languages than English alone, the captions are in wordings.json instead, with the language of each and the
attributes that it names: {<class>/<name>: [{language, named, text or phonemes}]}. `read` reads it.

Lengths and coordinates are in units of the frame (0 left or top, 1 right or bottom), angles in radians, colours in
0..255.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from s2igan import BadInput
from s2igan.config import DEFAULT_LANGUAGE
from s2igan.data.attribute_table import read_attributes
from s2igan.data.layout import Item, Source, Wording
from s2igan.data.names import read_split
from s2igan.data.synthetic.captions import NAMED, wording
from s2igan.data.synthetic.classes import choose_classes, class_folder, unseen_count
from s2igan.data.synthetic.languages import grammar_of
from s2igan.data.synthetic.sets import check_attributes, drawn_set
from s2igan.data.unused import UnusedFiles
from s2igan.data.workers import end_with_parent
from s2igan.files import read_json, replacing_folder

WORDINGS = "wordings.json"
MOST_WORDINGS = 2**30  # bytes
LEAST = {
    "images_per_class": 1,
    "unseen_images": 1,
    "captions_per_image": 1,
    "size": 16,
    "naming": 1,
    "workers": 1,
    "seed": 0,
}


@dataclass(frozen=True)
class _Class:
    """What a worker process needs to draw and describe one class into folder `out`."""

    dataset: str
    out: Path
    name: str
    number: int
    attributes: dict[str, str]
    seed: int
    images: int
    captions: int
    size: int
    naming: int
    languages: tuple[str, ...]


def draw_image(dataset: str, attributes: dict[str, str], rng: Generator, size: int = 64) -> Image.Image:
    """One RGB image, size x size, of an object with these attributes; pose, light and background come from `rng`.

    What is drawn from `rng` does not depend on the attributes: the same state with one attribute changed gives the same
    scene but for that. Raises BadInput for a set, an attribute or a value that does not exist.
    """
    check_attributes(dataset, attributes)
    # Light: exposure, warmth, and a slope across the frame that always comes from the upper left, as the shading does.
    exposure, warmth, slope = rng.uniform((0.93, -0.03, 0.0), (1.05, 0.03, 0.12))
    pixels = drawn_set(dataset).draw(attributes, rng, size)
    x = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    light = exposure - slope * (0.5 * x[None, :, None] + 0.5 * x[:, None, None])
    pixels = pixels * light * np.array((1 + warmth, 1, 1 - warmth))
    return Image.fromarray((pixels + 0.5).clip(0, 255).astype(np.uint8))


def wordings_of_image(
    dataset: str,
    attributes: dict[str, str],
    which: tuple[int, int, int],
    count: int,
    naming: int = NAMED,
    languages: tuple[str, ...] = (DEFAULT_LANGUAGE,),
) -> list[Wording]:
    """The first `count` captions of an image, as `write_dataset` writes them.

    Args: which: the seed, the number of the image's class and its own, both from 0. languages: one is drawn for each.
    Raises BadInput as `describe`.
    """
    of_captions, of_languages = (np.random.default_rng([*which, stream]) for stream in (1, 2))
    chosen = of_languages.integers(len(languages), size=count)
    return [wording(dataset, attributes, of_captions, naming=naming, language=languages[k]) for k in chosen]


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
    unseen_distance: int = 1,
    languages: tuple[str, ...] = (DEFAULT_LANGUAGE,),
    workers: int = 2,
    progress: Callable[[str], object] = print,
) -> None:
    """Writes a whole data set to the folder `out`, which appears only once it is complete.

    The last `unseen_count(classes)` classes are test classes, with `unseen_images` images each in place of
    `images_per_class`. `size` is in pixels, `naming` as in `describe`, `most_values` and
    `unseen_distance` as in `choose_classes`. Of several `languages` the one of a caption is drawn from seed, image and
    caption number.

    The bytes depend on every argument but `workers` and `progress`. Worker processes are spawned, so a script that
    calls this with more than one needs the usual `if __name__ == "__main__"`; a notebook or `python -m` does not.
    Raises BadInput for a set or language that does not exist, a value too small, and a folder `out` that is not empty.
    """
    drawn_set(dataset)
    for language in languages:
        grammar_of(language, dataset)
    out = Path(out)
    given = {
        "images_per_class": images_per_class,
        "unseen_images": unseen_images,
        "captions_per_image": captions_per_image,
        "size": size,
        "naming": naming,
        "workers": workers,
        "seed": seed,
    }
    _check(out, given)
    chosen = choose_classes(dataset, classes, np.random.default_rng([seed]), most_values, unseen_distance)
    names = [class_folder(dataset, number, attributes) for number, attributes in enumerate(chosen)]
    train = classes - unseen_count(classes)
    with replacing_folder(out) as part:
        jobs = [
            _Class(
                dataset, part, name, number, chosen[number], seed,
                images_per_class if number < train else unseen_images, captions_per_image, size, naming, languages,
            )
            for number, name in enumerate(names)
        ]  # fmt: skip
        wordings: dict[str, list[Wording]] = {}
        for count, (name, of_class) in enumerate(_written(jobs, workers), 1):
            wordings |= of_class
            if count % max(1, classes // 4) == 0 or count == classes:
                progress(f"{dataset}: {count} of {classes} classes drawn (last: {name})")
        _write_lists(part, names, chosen, train)
        _write_captions(part, wordings, set(languages) == {DEFAULT_LANGUAGE})


def read(dataset: str, root: Path) -> Source:
    """What `write_dataset` wrote into folder `root` in other languages than English alone."""
    classes, split = read_split(root / "train_classes.txt", root / "test_classes.txt")
    items = []
    for name, rows in read_json(root / WORDINGS, MOST_WORDINGS).items():
        wordings = tuple(Wording(**row | {"named": tuple(row["named"])}) for row in rows)
        path, label = root / "images" / f"{name}.png", classes.index(name.partition("/")[0])
        items.append(Item(path, name, label, texts=tuple(one.text for one in wordings), wordings=wordings))
    attributes = read_attributes(root / "attributes.csv", classes, UnusedFiles(root))
    return Source(dataset, classes, split, tuple(items), attributes)


def _check(out: Path, given: dict[str, int]) -> None:
    for name, value in given.items():
        if value < LEAST[name]:
            raise BadInput(f"{name}: {value} is too small; it must be {LEAST[name]} or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"out: {out} exists already and is not an empty folder; remove it or name another")


def _written(jobs: list[_Class], workers: int) -> Iterator[tuple[str, dict[str, list[Wording]]]]:
    """Names of the classes, in order, as each is drawn, and the captions of their images."""
    if workers == 1:
        yield from map(_write_class, jobs)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent)
    try:
        yield from pool.map(_write_class, jobs, chunksize=max(1, len(jobs) // (8 * workers)))
    finally:
        pool.shutdown(cancel_futures=True)


def _write_class(job: _Class) -> tuple[str, dict[str, list[Wording]]]:
    """Draws and describes one class; returns its name and {image: captions}. Each image has random states of its own,
    so any order gives the same."""
    (job.out / "images" / job.name).mkdir(parents=True)
    wordings: dict[str, list[Wording]] = {}
    for image in range(job.images):
        of_image = np.random.default_rng([job.seed, job.number, image, 0])
        stem = f"{job.name.split('.')[0]}_{image + 1:03d}"
        drawn = draw_image(job.dataset, job.attributes, of_image, job.size)
        drawn.save(job.out / "images" / job.name / f"{stem}.png", compress_level=1)
        which, count = (job.seed, job.number, image), job.captions
        of_it = wordings_of_image(job.dataset, job.attributes, which, count, job.naming, job.languages)
        wordings[f"{job.name}/{stem}"] = of_it
    return job.name, wordings


def _write_captions(out: Path, wordings: dict[str, list[Wording]], in_english: bool) -> None:
    """The captions of each image in a file, a caption a line; in other languages than English alone, all in one."""
    if not in_english:
        rows = {name: [asdict(one) for one in of_image] for name, of_image in wordings.items()}
        (out / WORDINGS).write_text(json.dumps(rows, indent=0), encoding="utf-8", newline="\n")
        return
    for name, of_image in wordings.items():
        path = out / "captions" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{one.text}\n" for one in of_image), encoding="utf-8", newline="\n")


def _write_lists(out: Path, names: list[str], chosen: list[dict[str, str]], train: int) -> None:
    for file, part in (("train_classes.txt", names[:train]), ("test_classes.txt", names[train:])):
        (out / file).write_text("".join(f"{name}\n" for name in part), encoding="utf-8", newline="\n")
    with open(out / "attributes.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["class", *chosen[0]])
        writer.writerows([name, *attributes.values()] for name, attributes in zip(names, chosen, strict=True))
