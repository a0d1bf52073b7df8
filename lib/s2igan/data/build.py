"""Building a store: images cropped and resized, captions spoken or read, all in memory-mapped arrays."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import multiprocessing
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from s2igan import BadInput
from s2igan.data.audio import SAMPLE_RATE, read_audio, with_noise
from s2igan.data.images import read_image
from s2igan.data.sources import Box, Item, Source
from s2igan.data.text_to_speech import check_voice, speak


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
    log_mel: Callable[[Tensor], Tensor],
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

    `log_mel`: `speech.log_mel`, which makes the features of a waveform [n] at 22,050 Hz, [T, 40]; processes find it by its name.
    `captions`: the first so many of each image, in file order. A voice is drawn for each caption from seed, image and caption number.
    `engine`: what speaks, espeak or tacotron2. `noise_db`: white noise is added to spoken captions, so many dB below the voice.
    `validation`: share of the training classes set apart as split 'val', at least two if not 0, drawn from `seed`.
    It works in `<out>.building`, and renames that at the end; after an interruption the same call goes on from there. With workers > 1
    it starts processes, so a script that calls it needs the usual `if __name__ == "__main__":`.
    Raises BadInput for an unreadable image, silent, empty or too short audio, an unknown voice, too few classes, a full disk.
    """
    out = Path(out)
    for voice in voices:
        check_voice(voice, engine)
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
        _fill(building, source, spoken, class_split, settings, log_mel, workers, progress)
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
    folder: Path, source: Source, spoken: list[Caption], class_split: list[str], settings: dict, log_mel: Callable, workers: int,
    progress: Callable,
) -> None:
    """Writes the files of a store: chunks by any worker in any order, then joined in order."""
    images, size = [(item.path, item.box) for item in source.items], settings["crop_from"]
    image_chunks = [(folder / f"images-{k}.npy", images[k : k + 64], size) for k in range(0, len(images), 64)]
    mel_chunks = [(folder / f"mels-{k}.npy", spoken[k : k + 32], settings, log_mel) for k in range(0, len(spoken), 32)]
    with _pool(workers) as pool:
        _run(pool, _image_chunk, image_chunks, len(images), "images prepared", progress)
        # One process has the GPU to itself, and speaks a chunk at once.
        _run(None if "engine" in settings else pool, _mel_chunk, mel_chunks, len(spoken), "captions spoken", progress)

    lengths = [path.with_suffix(".lengths.npy") for path, *_ in mel_chunks]
    offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *map(np.load, lengths)]))
    np.save(folder / "mel_offsets.npy", offsets)
    bands = np.load(mel_chunks[0][0], mmap_mode="r").shape[1]
    digests = [
        _join([path for path, *_ in image_chunks], folder / "images.npy", (len(images), size, size, 3), np.uint8),
        _join([path for path, *_ in mel_chunks], folder / "mels.npy", (int(offsets[-1]), bands), np.float16),
        hashlib.sha256(offsets.tobytes()).hexdigest(),
    ]
    index = {
        "dataset": source.dataset,
        "settings": settings,
        "sample_rate": SAMPLE_RATE,
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
    needed = 1.1 * (len(source.items) * size * size * 3 + seconds * 100 * 40 * 2 + recorded)
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
        context.set_forkserver_preload(["s2igan.data.build", "s2igan.speech"])
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


def _mel_chunk(path: Path, captions: list[Caption], settings: dict[str, Any], log_mel: Callable[[Tensor], Tensor]) -> int:
    mels, spoken = [], {}
    if engine := settings.get("engine"):
        for voice in settings["voices"]:
            mine = [caption for caption in captions if caption.recording is None and caption.voice == voice]
            if mine:
                spoken |= zip(map(id, mine), speak([caption.text for caption in mine], voice, engine), strict=True)
    for caption in captions:
        if caption.recording is not None:
            mels.append(log_mel(read_audio(caption.recording)).numpy().astype(np.float16))
            continue
        try:
            waveform = spoken.get(id(caption))
            if waveform is None:
                (waveform,) = speak([caption.text], caption.voice, words_per_minute=settings["words_per_minute"])
            if "noise_db" in settings:
                seed = zlib.crc32(f"{settings['seed']} {caption.image_name} {caption.text}".encode())
                waveform = with_noise(waveform, settings["noise_db"], seed)
            mels.append(log_mel(waveform).numpy().astype(np.float16))
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
