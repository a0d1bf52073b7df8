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
from s2igan.data.layout import Box, Item, Source
from s2igan.data.text_to_speech import DEFAULT_ENGINE, ENGINES, Engine, check_voice, speak


@dataclass(frozen=True)
class Caption:
    """One caption to be turned into a log-mel: `recording` is read, or else `text` is spoken by `voice`."""

    image_id: int
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
    engine: str = DEFAULT_ENGINE,
    noise_db: float | None = None,
    workers: int = 2,
    progress: Callable[[str], Any] = print,
) -> None:
    """Writes the store of `source` into folder `out`; the same input gives the same bytes with any number of workers.

        images.npy   (N, S, S, 3) uint8; S = crop_from. After CUB's box crop the short side is resized to S (bilinear,
                     antialiased) and the middle of the longer side kept, so that all images have one shape and can be
                     memory-mapped. The authors crop from all of the longer side
        mels.npy     (frames, 40) float16, every log-mel end to end; mel_offsets.npy (M + 1,) int64
        index.json   classes, splits, captions, settings, fingerprint

    Args:
        log_mel: `speech.log_mel`, from a waveform [n] at 22,050 Hz to features [T, 40]; processes find it by its name.
        crop_from: the size S of the stored images, in pixels.
        captions: how many of each image, in file order.
        voices: one is drawn for each caption from seed, image and caption number.
        engine, words_per_minute: what speaks, a row of `text_to_speech.ENGINES`, and how fast.
        validation: share of the training classes set apart as split 'val', at least two if not 0, drawn from `seed`.
        noise_db: white noise is added to spoken captions, so many dB below the voice.
        workers: processes; with more than one a script that calls this needs `if __name__ == "__main__":`.
    It works in `<out>.building`, renamed at the end; after an interruption the same call resumes from there.
    Raises BadInput for an unreadable image, silent, empty or too short audio, an unknown voice, too few classes, a full
        disk.
    """
    out = Path(out)
    for voice in voices:
        check_voice(voice, engine)
    class_split = _split_validation(source, validation, seed)
    planned = [
        caption for k, item in enumerate(source.items) for caption in _captions_of(k, item, captions, voices, seed)
    ]
    settings: dict[str, Any] = {
        "crop_from": crop_from, "captions": captions, "voices": list(voices), "words_per_minute": words_per_minute,
        "seed": seed, "validation": validation,
    }  # fmt: skip
    settings |= {} if noise_db is None else {"noise_db": noise_db}
    settings |= {} if engine == DEFAULT_ENGINE else {"engine": engine}
    _check_disk(source, planned, out, crop_from, words_per_minute)
    building = _half_built(out, _plan(source, planned, settings))
    try:
        _fill(building, source, planned, class_split, settings, log_mel, workers, progress)
    except (BadInput, OSError) as error:
        shutil.rmtree(building)  # the same call would fail in the same way, so nothing is left to resume
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise BadInput(f"not enough disk for the store {out}: the disk is full") from None
        raise
    _replace(out, building)


def _half_built(out: Path, plan: str) -> Path:
    """The folder to build in: with what an interrupted call of the same plan left, else empty."""
    building = out.with_name(out.name + ".building")
    if not (building / "plan").is_file() or (building / "plan").read_text() != plan:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        (building / "plan").write_text(plan)
    return building


def _replace(out: Path, building: Path) -> None:
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    building.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _fill(
    folder: Path, source: Source, captions: list[Caption], class_split: list[str], settings: dict[str, Any],
    log_mel: Callable[[Tensor], Tensor], workers: int, progress: Callable[[str], Any],
) -> None:  # fmt: skip
    """Writes the files of a store: chunks by any worker in any order, then joined in order."""
    images, size = [(item.path, item.box) for item in source.items], settings["crop_from"]
    image_chunks = [(folder / f"images-{k}.npy", images[k : k + 64], size) for k in range(0, len(images), 64)]
    mel_chunks = [
        (folder / f"mels-{k}.npy", captions[k : k + 32], settings, log_mel) for k in range(0, len(captions), 32)
    ]
    with _pool(workers) as pool:
        _run(pool, _image_chunk, image_chunks, len(images), "images prepared", progress)
        alone = _engine_of(settings).at_once
        _run(None if alone else pool, _mel_chunk, mel_chunks, len(captions), "captions spoken", progress)

    lengths = [path.with_suffix(".lengths.npy") for path, *_ in mel_chunks]
    offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *map(np.load, lengths)]))
    np.save(folder / "mel_offsets.npy", offsets)
    bands = np.load(mel_chunks[0][0], mmap_mode="r").shape[1]
    digests = [
        _join([path for path, *_ in image_chunks], folder / "images.npy", (len(images), size, size, 3), np.uint8),
        _join([path for path, *_ in mel_chunks], folder / "mels.npy", (int(offsets[-1]), bands), np.float16),
        hashlib.sha256(offsets.tobytes()).hexdigest(),
    ]
    index = _index(source, captions, class_split, settings)
    index["fingerprint"] = hashlib.sha256(json.dumps([*digests, index]).encode()).hexdigest()
    (folder / "index.json").write_text(json.dumps(index, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    for path in (*lengths, folder / "plan"):
        path.unlink()


def _index(source: Source, captions: list[Caption], class_split: list[str], settings: dict[str, Any]) -> dict[str, Any]:
    """The content of index.json but for the fingerprint."""
    return {
        "dataset": source.dataset,
        "settings": settings,
        "sample_rate": SAMPLE_RATE,
        "classes": source.classes,
        "class_split": class_split,
        "attributes": source.attributes,
        "image_name": [item.name for item in source.items],
        "image_class": [item.label for item in source.items],
        "caption_image": [caption.image_id for caption in captions],
        "caption_text": [caption.text for caption in captions],
        "caption_voice": [caption.voice for caption in captions],
    }


def _split_validation(source: Source, validation: float, seed: int) -> list[str]:
    """The split of each class, 'train', 'val' or 'test'."""
    train = [label for label, split in enumerate(source.split) if split == "train"]
    count = max(2, round(validation * len(train))) if validation > 0 else 0
    if len(train) - count < 2:
        raise BadInput(
            f"dataset {source.dataset!r} has {len(train)} training classes: of them {count} would be kept for "
            "validation, and at least 2 must remain"
        )
    held_out = set(np.random.default_rng(seed).permutation(train)[:count].tolist())
    return ["val" if label in held_out else split for label, split in enumerate(source.split)]


def _captions_of(image_id: int, item: Item, count: int, voices: tuple[str, ...], seed: int) -> list[Caption]:
    """The first `count` captions of an image."""
    if item.recordings:
        takes = itertools.zip_longest(item.texts, item.recordings, fillvalue="")
        return [Caption(image_id, item.name, text, "recording", path) for text, path in takes][:count]
    draws = [zlib.crc32(f"{seed} {item.name} {k}".encode()) % len(voices) for k in range(count)]
    return [
        Caption(image_id, item.name, text, voices[draw], None) for text, draw in zip(item.texts, draws, strict=False)
    ]


def _check_disk(source: Source, captions: list[Caption], out: Path, size: int, words_per_minute: int) -> None:
    """Refuses to start where the store, and a tenth more, would not fit.

    Speech is estimated from its words, recordings from file sizes.
    """
    seconds = sum((len(c.text.split()) + 2) * 60 / words_per_minute for c in captions if c.recording is None)
    recorded = sum(c.recording.stat().st_size for c in captions if c.recording is not None)  # wav is five times larger
    needed = 1.1 * (len(source.items) * size * size * 3 + seconds * 100 * 40 * 2 + recorded)
    folder = next(parent for parent in [out.absolute(), *out.absolute().parents] if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BadInput(
            f"not enough disk for the store {out}: it needs about {needed / 1e9:.2f} GB, "
            f"{folder} has {free / 1e9:.2f} GB free"
        )


def _plan(source: Source, captions: list[Caption], settings: dict[str, Any]) -> str:
    """A digest of everything that the chunks of a half-built store depend on."""
    files = [item.path for item in source.items] + [c.recording for c in captions if c.recording]
    states = [(str(path), stat.st_size, stat.st_mtime_ns) for path in files for stat in [path.stat()]]
    boxes = [item.box for item in source.items]
    words = [(c.image_id, c.text, c.voice) for c in captions]
    return hashlib.sha256(json.dumps([states, boxes, words, settings]).encode()).hexdigest()


def _engine_of(settings: dict[str, Any]) -> Engine:
    return ENGINES[settings.get("engine", DEFAULT_ENGINE)]


def _one_thread() -> None:
    torch.set_num_threads(1)  # as many processes as cores; and one order of summation


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor | None]:
    """A pool of processes; for one worker None, and the work is done in this process."""
    threads, pool = torch.get_num_threads(), None
    if workers == 1:
        _one_thread()
    else:
        # Forked from a server that has imported torch once and runs no threads: safer than a fork of a notebook, and
        # quicker than an import in each.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["s2igan.data.build", "s2igan.speech"])
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread)
    try:
        yield pool
    except BrokenProcessPool:
        raise RuntimeError(
            'worker processes died: out of memory, or build_store was called outside `if __name__ == "__main__":`'
        ) from None
    finally:
        torch.set_num_threads(threads)
        if pool is not None:
            pool.shutdown(cancel_futures=True)


def _run(
    pool: ProcessPoolExecutor | None, work: Callable[..., int], chunks: list[tuple], total: int, what: str,
    progress: Callable[[str], Any],
) -> None:  # fmt: skip
    """Does every chunk whose file is not there yet, in any order; reports progress every few seconds and at the end."""
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


def _mel_chunk(
    path: Path, captions: list[Caption], settings: dict[str, Any], log_mel: Callable[[Tensor], Tensor]
) -> int:
    spoken, mels = _spoken_at_once(captions, settings) if _engine_of(settings).at_once else {}, []
    for row, caption in enumerate(captions):
        try:
            waveform = spoken[row] if row in spoken else _waveform(caption, settings)
            if "noise_db" in settings and caption.recording is None:
                seed = zlib.crc32(f"{settings['seed']} {caption.image_name} {caption.text}".encode())
                waveform = with_noise(waveform, settings["noise_db"], seed)
            mels.append(log_mel(waveform).numpy().astype(np.float16))
        except BadInput as error:
            if caption.recording is not None:
                raise  # it names the file
            raise BadInput(f"caption {caption.text!r} of image {caption.image_name} cannot be used: {error}") from None
    _save(path.with_suffix(".lengths.npy"), np.array([len(mel) for mel in mels]))
    _save(path, np.concatenate(mels))
    return len(captions)


def _waveform(caption: Caption, settings: dict[str, Any]) -> Tensor:
    if caption.recording is not None:
        return read_audio(caption.recording)
    engine = settings.get("engine", DEFAULT_ENGINE)
    return speak([caption.text], caption.voice, engine, settings["words_per_minute"])[0]


def _spoken_at_once(captions: list[Caption], settings: dict[str, Any]) -> dict[int, Tensor]:
    """{row of `captions`: waveform} of those that have no recording, spoken by one call for each voice."""
    spoken: dict[int, Tensor] = {}
    for voice in settings["voices"]:
        rows = [row for row, one in enumerate(captions) if one.recording is None and one.voice == voice]
        if rows:
            texts = [captions[row].text for row in rows]
            spoken |= zip(rows, speak(texts, voice, settings["engine"], settings["words_per_minute"]), strict=True)
    return spoken


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
