"""Data sets as they lie in folders, and the store built from them: images and log-mels in memory-mapped arrays.

`read_source` finds classes, splits, images and captions in one of three layouts and checks them; `build_store` crops and resizes the
images, speaks or reads the captions and writes the store; `open_store` reads it. Every fault of the data is a BadInput of one line.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import itertools
import json
import multiprocessing
import re
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from s2igan import BadInput, speech
from s2igan.embedded import write_dataset
from s2igan.fetch import complete
from s2igan.settings import EMBEDDED, Settings, store_dir

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
AUDIO_ENDINGS = (".wav", ".flac", ".ogg")
Box = tuple[float, float, float, float]  # left, top, width, height in pixels


# --- data sets in folders ---


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
        raise BadInput(f"data folder {str(data_dir)!r} of dataset {dataset!r} does not exist: set data_dir to the folder that holds it")
    source = {"cub": _read_cub, "oxford": _read_oxford}.get(dataset, _read_folder)(dataset, root)
    counts = np.bincount([item.label for item in source.items], minlength=len(source.classes))
    for name, count in zip(source.classes, counts, strict=True):
        if count < 2:
            raise BadInput(f"class {name!r} in {root} has {count} image{'' if count == 1 else 's'}: every class needs at least two")
    return source


def find_source(settings: Settings, root: str | Path) -> Source:
    """The data set that `settings` names: drawn anew into data/<study>/<dataset>.drawn if embedded, else found in data_dir, unpacked
    there where it lies in archives, and fetched if `settings.download`."""
    if settings.dataset not in EMBEDDED:
        folder = Path(root) / Path(settings.data_dir).expanduser()
        complete(settings.dataset, folder, settings.download)
        source = read_source(settings.dataset, folder)
        if settings.data_images is None:
            return source
        by_class = itertools.groupby(sorted(source.items, key=lambda item: item.label), key=lambda item: item.label)
        return replace(source, items=tuple(item for _, items in by_class for item in itertools.islice(items, settings.data_images)))
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
    if bad := [name for name in rows[0] if name != "class" and (not name or "." in name or hasattr(torch.nn.ModuleDict(), name))]:
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
            raise BadInput(f"table {birds / 'bounding_boxes.txt'} has {box!r} for image {key}: it must be four numbers") from None
        text = captions / "text_c10" / Path(path).with_suffix(".txt")
        items.append(_item(birds / "images" / path, classes.index(name), (left, top, width, height), text, recordings[name]))
    return Source(dataset, classes, split, tuple(items))


def _read_oxford(dataset: str, root: Path) -> Source:
    """Oxford-102 and the captions of Reed et al.; setid.mat says which images there are, classes 1 to 20 are the unseen ones."""
    import scipy.io

    _need(dataset, root, "jpg", "imagelabels.mat", "setid.mat", "cvpr2016_flowers/text_c10")
    try:
        labels = scipy.io.loadmat(root / "imagelabels.mat")["labels"].ravel()
        sets = scipy.io.loadmat(root / "setid.mat")
        images = np.unique(np.concatenate([sets[name].ravel() for name in ("trnid", "valid", "tstid")]))  # counted from 1
        numbers = np.unique(labels[images - 1])
    except (KeyError, ValueError, IndexError, TypeError, OSError, NotImplementedError) as error:
        raise BadInput(f"{root}/imagelabels.mat (labels) and setid.mat (trnid, valid, tstid) do not fit together: {error}") from None
    classes = tuple(f"class_{number:05d}" for number in numbers)
    split = tuple("test" if number <= 20 else "train" for number in numbers)
    for part in ("train", "test"):
        if part not in split:
            raise BadInput(f"{root}/imagelabels.mat has no {part} class: 1 to 20 are for testing, the others for training")
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
    seen, unseen = ({line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()} - {""} for path in (train, test))
    for path, names in ((train, seen), (test, unseen)):
        if not names:
            raise BadInput(f"class list {path} is empty: it needs one class a line")
    if seen & unseen:
        raise BadInput(f"class {min(seen & unseen)!r} is in both {train} and {test}: training and test classes must differ")
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


# --- building a store ---


@dataclass(frozen=True)
class Caption:
    """One caption to be turned into a log-mel: `recording` is read, or else `text` is spoken by `voice`."""

    image: int  # its number
    image_name: str
    text: str
    voice: str
    recording: Path | None


def build_store(
    source: Source,
    out: Path,
    *,
    crop_from: int,
    captions: int,
    voices: tuple[str, ...],
    words_per_minute: int,
    seed: int,
    validation: float,
    engine: str = "espeak",
    noise_db: float | None = None,
    workers: int = 2,
    progress: Callable[[str], Any] = print,
) -> None:
    """Writes the store of `source` into folder `out`; the same input gives the same bytes with any number of workers.

        images.npy   (N, S, S, 3) uint8; S = crop_from. After CUB's box crop the short side is resized to S (bilinear, antialiased) and
                     the middle of the longer side kept: a difference from the authors, whose random crops wander along all of it,
                     for a store of one shape, which can be memory-mapped
        mels.npy     (frames, 40) float16, every log-mel end to end; mel_offsets.npy (M + 1,) int64
        index.json   classes, splits, captions, settings, fingerprint

    `captions`: the first so many of each image, in file order. A voice is drawn for each caption from seed, image and caption number.
    `engine`: what speaks, espeak or tacotron2. `noise_db`: white noise is added to spoken captions, so many dB below the voice.
    `validation`: share of the training classes set apart as split 'val', at least two if not 0, drawn from `seed`.
    It works in `<out>.building`, and renames that at the end; after an interruption the same call goes on from there. With workers > 1
    it starts processes, so a script that calls it needs the usual `if __name__ == "__main__":`.
    Raises BadInput for an unreadable image, silent, empty or too short audio, an unknown voice, too few classes, a full disk.
    """
    out = Path(out)
    for voice in voices:
        speech.check_voice(voice, engine)
    class_split = _split_validation(source, validation, seed)
    spoken = [caption for number, item in enumerate(source.items) for caption in _captions(number, item, captions, voices, seed)]
    settings = {"crop_from": crop_from, "captions": captions, "voices": list(voices), "words_per_minute": words_per_minute,
                "seed": seed, "validation": validation, **({} if noise_db is None else {"noise_db": noise_db}),
                **({} if engine == "espeak" else {"engine": engine})}  # fmt: skip
    _check_disk(source, spoken, out, crop_from, words_per_minute)

    building = out.with_name(out.name + ".building")
    plan = _plan(source, spoken, settings)
    if not (building / "plan").is_file() or (building / "plan").read_text() != plan:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        (building / "plan").write_text(plan)
    try:
        _fill(building, source, spoken, class_split, settings, workers, progress)
    except (BadInput, OSError) as error:
        shutil.rmtree(building)  # what is wrong will not mend itself, so nothing is left behind
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise BadInput(f"not enough disk for the store {out}: the disk is full") from None
        raise
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    building.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _fill(
    folder: Path, source: Source, spoken: list[Caption], class_split: list[str], settings: dict, workers: int, progress: Callable
) -> None:
    """Writes the files of a store: chunks by any worker in any order, then joined in order."""
    images, size = [(item.path, item.box) for item in source.items], settings["crop_from"]
    image_chunks = [(folder / f"images-{k}.npy", images[k : k + 64], size) for k in range(0, len(images), 64)]
    mel_chunks = [(folder / f"mels-{k}.npy", spoken[k : k + 32], settings) for k in range(0, len(spoken), 32)]
    with _pool(workers) as pool:
        _run(pool, _image_chunk, image_chunks, len(images), "images prepared", progress)
        # One process has the GPU to itself, and speaks a chunk at once.
        _run(None if "engine" in settings else pool, _mel_chunk, mel_chunks, len(spoken), "captions spoken", progress)

    lengths = [path.with_suffix(".lengths.npy") for path, *_ in mel_chunks]
    offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *map(np.load, lengths)]))
    np.save(folder / "mel_offsets.npy", offsets)
    digests = [
        _join([path for path, *_ in image_chunks], folder / "images.npy", (len(images), size, size, 3), np.uint8),
        _join([path for path, *_ in mel_chunks], folder / "mels.npy", (int(offsets[-1]), speech.BANDS), np.float16),
        hashlib.sha256(offsets.tobytes()).hexdigest(),
    ]
    index = {
        "dataset": source.dataset,
        "settings": settings,
        "sample_rate": speech.SAMPLE_RATE,
        "classes": source.classes,
        "class_split": class_split,
        "attributes": source.attributes,
        "image_name": [item.name for item in source.items],
        "image_class": [item.label for item in source.items],
        "caption_image": [caption.image for caption in spoken],
        "caption_text": [caption.text for caption in spoken],
        "caption_voice": [caption.voice for caption in spoken],
    }
    index["fingerprint"] = hashlib.sha256(json.dumps([*digests, index]).encode()).hexdigest()
    (folder / "index.json").write_text(json.dumps(index, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in (*lengths, folder / "plan"):
        path.unlink()


def _split_validation(source: Source, validation: float, seed: int) -> list[str]:
    """The split of each class, 'train', 'val' or 'test'."""
    train = [label for label, split in enumerate(source.split) if split == "train"]
    count = max(2, round(validation * len(train))) if validation > 0 else 0
    if len(train) - count < 2:
        raise BadInput(f"dataset {source.dataset!r} has {len(train)} training classes: of them {count} would be kept for validation, "
                       "and at least 2 must remain")  # fmt: skip
    held_out = set(np.random.default_rng(seed).permutation(train)[:count].tolist())
    return ["val" if label in held_out else split for label, split in enumerate(source.split)]


def _captions(number: int, item: Item, count: int, voices: tuple[str, ...], seed: int) -> list[Caption]:
    """The first `count` captions of image `number`."""
    if item.recordings:
        takes = itertools.zip_longest(item.texts, item.recordings, fillvalue="")
        return [Caption(number, item.name, text, "recording", path) for text, path in takes][:count]
    draws = [zlib.crc32(f"{seed} {item.name} {k}".encode()) % len(voices) for k in range(count)]
    return [Caption(number, item.name, text, voices[draw], None) for text, draw in zip(item.texts, draws, strict=False)]


def _check_disk(source: Source, captions: list[Caption], out: Path, size: int, words_per_minute: int) -> None:
    """Refuses to start where the store, and a tenth more, would not fit. Speech is estimated from its words, recordings from file sizes."""
    seconds = sum((len(c.text.split()) + 2) * 60 / words_per_minute for c in captions if c.recording is None)
    recorded = sum(c.recording.stat().st_size for c in captions if c.recording is not None)  # wav is five times larger
    needed = 1.1 * (len(source.items) * size * size * 3 + seconds * 100 * speech.BANDS * 2 + recorded)
    folder = next(parent for parent in [out.absolute(), *out.absolute().parents] if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BadInput(f"not enough disk for the store {out}: it needs about {needed / 1e9:.2f} GB, {folder} has {free / 1e9:.2f} GB free")


def _plan(source: Source, captions: list[Caption], settings: dict[str, Any]) -> str:
    """A digest of everything that the chunks of a half-built store depend on."""
    files = [item.path for item in source.items] + [c.recording for c in captions if c.recording]
    states = [(str(path), stat.st_size, stat.st_mtime_ns) for path in files for stat in [path.stat()]]
    boxes = [item.box for item in source.items]
    words = [(c.image, c.text, c.voice) for c in captions]
    return hashlib.sha256(json.dumps([states, boxes, words, settings]).encode()).hexdigest()


def _one_thread() -> None:
    torch.set_num_threads(1)  # as many processes as cores; and one order of summation


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """A pool of processes; for one worker None, and the work is done in this process."""
    threads, pool = torch.get_num_threads(), None
    if workers == 1:
        _one_thread()
    else:
        # Forked from a server that has imported torch once and runs no threads: safer than a fork of a notebook, quicker than imports.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["s2igan.data"])
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread)
    try:
        yield pool
    except BrokenProcessPool:
        raise RuntimeError('worker processes died: out of memory, or build_store was called outside `if __name__ == "__main__":`') from None
    finally:
        torch.set_num_threads(threads)
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _run(pool: ProcessPoolExecutor | None, work: Callable, chunks: list[tuple], total: int, what: str, progress: Callable) -> None:
    """Does every chunk whose file is not there yet, in any order; a line of progress every few seconds and one at the end."""
    todo = [chunk for chunk in chunks if not chunk[0].exists()]
    done = total - sum(len(chunk[1]) for chunk in todo)
    start, before, last = time.monotonic(), done, time.monotonic()
    if pool is None:
        results: Iterable[int] = (work(*chunk) for chunk in todo)
    else:
        results = (future.result() for future in as_completed([pool.submit(work, *chunk) for chunk in todo]))
    for count in results:
        done += count
        if time.monotonic() - last > 5 or done == total:
            last = time.monotonic()
            progress(f"{done}/{total} {what}, {(done - before) / (last - start):.0f} a second")


def _save(path: Path, array: np.ndarray) -> None:
    """A file that is there is whole, even after a crash."""
    partial = path.with_suffix(".partial.npy")
    np.save(partial, array)
    partial.replace(path)


def _image_chunk(path: Path, images: list[tuple[Path, Box | None]], size: int) -> int:
    _save(path, np.stack([read_image(image, size, box) for image, box in images]))
    return len(images)


def _mel_chunk(path: Path, captions: list[Caption], settings: dict[str, Any]) -> int:
    mels, spoken = [], {}
    if engine := settings.get("engine"):
        for voice in settings["voices"]:
            mine = [caption for caption in captions if caption.recording is None and caption.voice == voice]
            if mine:
                spoken |= zip(map(id, mine), speech.speak([caption.text for caption in mine], voice, engine), strict=True)
    for caption in captions:
        if caption.recording is not None:
            mels.append(speech.log_mel(speech.read_audio(caption.recording)).numpy().astype(np.float16))
            continue
        try:
            waveform = spoken.get(id(caption))
            if waveform is None:
                (waveform,) = speech.speak([caption.text], caption.voice, words_per_minute=settings["words_per_minute"])
            if "noise_db" in settings:
                seed = zlib.crc32(f"{settings['seed']} {caption.image_name} {caption.text}".encode())
                waveform = speech.with_noise(waveform, settings["noise_db"], seed)
            mels.append(speech.log_mel(waveform).numpy().astype(np.float16))
        except BadInput as error:
            raise BadInput(f"caption {caption.text!r} of image {caption.image_name} cannot be used: {error}") from None
    _save(path.with_suffix(".lengths.npy"), np.array([len(mel) for mel in mels]))
    _save(path, np.concatenate(mels))
    return len(captions)


def _join(chunks: list[Path], path: Path, shape: tuple[int, ...], dtype: type) -> str:
    """Concatenates the chunks into one .npy file, deletes each once it is in, and returns the digest of the data."""
    digest = hashlib.sha256()
    joined = np.lib.format.open_memmap(path, "w+", dtype, shape)
    row = 0
    for chunk in chunks:
        rows = np.load(chunk)
        joined[row : row + len(rows)] = rows
        digest.update(rows.tobytes())
        row += len(rows)
        chunk.unlink()
    joined.flush()
    return digest.hexdigest()


def crop_to_box(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the square of side 1.5 * max(w, h) around the centre of `box`, clipped to the image.

    As the authors compute it: r = int(0.75 * max(w, h)), centre (int((2x + w) / 2), int((2y + h) / 2)).
    """
    x, y, w, h = box
    r = int(0.75 * max(w, h))
    centre_x, centre_y = int((2 * x + w) / 2), int((2 * y + h) / 2)
    return max(0, centre_x - r), max(0, centre_y - r), min(width, centre_x + r), min(height, centre_y + r)


def read_image(path: Path, size: int, box: Box | None = None) -> np.ndarray:
    """(size, size, 3) uint8: box crop if there is a box, short side to `size` (bilinear, antialiased), middle of the long side."""
    try:
        with Image.open(path) as file:
            image = file.convert("RGB") if box else ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"image {path} cannot be read: {error}") from None
    if box:
        area = crop_to_box(box, *image.size)
        if area[0] >= area[2] or area[1] >= area[3]:
            raise BadInput(f"image {path} is {image.width} x {image.height} pixels: its bounding box {box} lies outside")
        image = image.crop(area)
    scale = size / min(image.size)
    width, height = max(size, round(image.width * scale)), max(size, round(image.height * scale))
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size)))


# --- reading a store ---


class Store:
    """A built store; nothing is loaded before it is used. N images, M captions.

    Memory maps: images (N, S, S, 3) uint8 and mels (frames, 40) float16. Lists: classes, class_split, image_name, caption_text,
    caption_voice. Arrays: image_class (N,), image_split (N,) of 'train', 'val' or 'test', caption_image (M,), mel_offsets (M + 1,),
    mel_lengths (M,) in frames. captions_by_image is a list of N arrays of caption numbers, attributes {class: {name: value}}; dataset,
    settings and fingerprint say what this store is. Raises BadInput if the store is missing, half there or its parts do not fit.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            index = json.loads((self.path / "index.json").read_text(encoding="utf-8"))
            self.images = np.load(self.path / "images.npy", mmap_mode="r")
            self.mels = np.load(self.path / "mels.npy", mmap_mode="r")
            self.mel_offsets = np.load(self.path / "mel_offsets.npy")
            self.mel_lengths = np.diff(self.mel_offsets)
            self.dataset: str = index["dataset"]
            self.settings: dict[str, Any] = index["settings"]
            self.fingerprint: str = index["fingerprint"]
            self.attributes: dict[str, dict[str, str]] = index["attributes"]
            self.classes: list[str] = index["classes"]
            self.class_split: list[str] = index["class_split"]
            self.image_name: list[str] = index["image_name"]
            self.image_class = np.array(index["image_class"], np.int64)
            self.image_split = np.array(self.class_split)[self.image_class]
            self.caption_image = np.array(index["caption_image"], np.int64)
            self.caption_text: list[str] = index["caption_text"]
            self.caption_voice: list[str] = index["caption_voice"]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise BadInput(f"there is no whole store in {self.path} ({error}): run 01_data to build it") from None
        sizes = len(self.image_class), len(self.caption_image), self.mel_offsets[-1]
        if sizes != (len(self.images), len(self.mel_lengths), len(self.mels)):
            raise BadInput(f"the store in {self.path} has arrays and an index that do not fit: delete it and run 01_data")
        starts = np.searchsorted(self.caption_image, np.arange(len(self.images) + 1))  # captions are in the order of their images
        self.captions_by_image = [np.arange(a, b) for a, b in itertools.pairwise(starts)]

    def mel(self, caption: int) -> np.ndarray:
        """(T, 40) float32, the log-mel of one caption."""
        return self.stored_mel(caption).astype(np.float32)

    def stored_mel(self, caption: int) -> np.ndarray:
        """(T, 40) float16, the same as it lies in the store."""
        return self.mels[self.mel_offsets[caption] : self.mel_offsets[caption + 1]]

    def images_of(self, split: str) -> np.ndarray:
        """Numbers of the images of a split ('train', 'val' or 'test')."""
        return np.flatnonzero(self.image_split == split)

    def captions_of(self, split: str) -> np.ndarray:
        """Numbers of the captions of a split's images, in file order."""
        return np.flatnonzero(self.image_split[self.caption_image] == split)


def open_store(path: str | Path) -> Store:
    """The store in folder `path`. Raises BadInput if it is missing or not whole."""
    return Store(path)


# --- batches ---


def pad_mels(mels: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Log-mels (T_i, 40) as one batch (B, T, 40) float32, zeros after the end of the shorter ones, and their lengths (B,) int64."""
    lengths = torch.tensor([len(mel) for mel in mels])
    # Put together as they are stored, in half precision, and converted at once by torch: half the time of converting each in numpy.
    batch = np.zeros((len(mels), int(lengths.max()), mels[0].shape[1]), mels[0].dtype)
    for row, mel in zip(batch, mels, strict=True):
        row[: len(mel)] = mel
    return torch.from_numpy(batch).float(), lengths


def random_crops(
    images: np.ndarray, chosen: np.ndarray, size: int, rng: np.random.Generator, flip: bool, own: slice = slice(None)
) -> Tensor:
    """For training: a random crop of each chosen image, mirrored with probability 1/2 if `flip`.

    Args: images: of a store, (N, S, S, 3) uint8. chosen: their numbers, (B,). own: the rows of the batch that are wanted; the crops are
        drawn for all of it.
    Returns: (b, size, size, 3) uint8, for `to_float`.
    """
    corners = rng.integers(0, images.shape[1] - size + 1, (len(chosen), 2))[own]
    mirrored = (rng.random(len(chosen)) < 0.5 if flip else np.zeros(len(chosen), bool))[own]
    crops = np.stack([images[k, y : y + size, x : x + size] for k, (y, x) in zip(chosen[own], corners, strict=True)])
    crops[mirrored] = crops[mirrored, :, ::-1]
    return torch.from_numpy(crops)


def augment(images: np.ndarray, size: int, rng: np.random.Generator, flip: bool) -> Tensor:
    """`random_crops` of all images (B, S, S, 3) as (B, 3, size, size) float32 in [-1, 1]."""
    return to_float(random_crops(images, np.arange(len(images)), size, rng, flip))


def to_float(images: Tensor) -> Tensor:
    """(B, s, s, 3) uint8 -> (B, 3, s, s) float32 in [-1, 1], channels last; where the images are: to a GPU, bytes move."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def ahead(make: Callable[[int], Any], items: range, beside: bool) -> Iterator[Any]:
    """make(item) of each item; `beside`: in a thread, the next one while the caller works with the last."""
    if not beside or not items:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, items[0])
        for item in items[1:]:
            made = waiting.result()
            waiting = pool.submit(make, item)
            yield made
        yield waiting.result()


def some_captions(store: Store, classes: int, each: int) -> np.ndarray:
    """`each` captions of each of the first `classes` unseen classes, spread over its images, [classes * each]."""
    captions = store.captions_of("test")
    labels = store.image_class[store.caption_image]
    rows = [captions[labels[captions] == k] for k in np.unique(labels[captions])[:classes]]
    return np.concatenate([mine[np.linspace(0, len(mine) - 1, each).astype(int)] for mine in rows])


def centre_crop(images: np.ndarray, size: int) -> Tensor:
    """For evaluation: the middle of each image. images (B, S, S, 3) uint8 -> (B, 3, size, size) float32 in [-1, 1]."""
    start = (images.shape[1] - size) // 2
    return to_float(torch.from_numpy(np.ascontiguousarray(images[:, start : start + size, start : start + size])))


def pyramid(images: Tensor, sizes: list[int] | tuple[int, ...]) -> list[Tensor]:
    """Each size asked for, (B, 3, s, s), of images (B, 3, S, S): the crop itself resized with antialiasing, as the authors do."""
    return [
        images if size == images.shape[-1] else F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)
        for size in sizes
    ]
