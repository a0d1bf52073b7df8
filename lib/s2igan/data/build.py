"""Building a store: images cropped and resized, captions spoken or read, all in memory-mapped arrays."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from s2igan import BadInput
from s2igan.config import DEFAULT_LANGUAGE, voices_of
from s2igan.data.audio import SAMPLE_RATE
from s2igan.data.chunks import Caption, engine_of, image_chunk, join_chunks, mel_chunk, run_chunks
from s2igan.data.layout import Item, Source
from s2igan.data.store import store_fingerprint
from s2igan.data.text_to_speech import DEFAULT_ENGINE, check_voice
from s2igan.data.workers import worker_pool
from s2igan.files import make_folder, read_array, write_array, write_atomic, writing


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
        voices: one is drawn for each caption from seed, image and caption number; of captions whose language is known,
            among those that `config.voices_of` gives for it.
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
    class_split = split_validation(source, validation, seed)
    planned = [
        caption for k, item in enumerate(source.items) for caption in _captions_of(k, item, captions, voices, seed)
    ]
    settings = _settings(crop_from, captions, voices, words_per_minute, seed, validation, noise_db, engine)
    _check_disk(source, planned, out, crop_from, words_per_minute)
    with writing(out):
        building = _half_built(out, _plan(source, planned, settings))
        try:
            _fill(building, source, planned, class_split, settings, log_mel, workers, progress)
        except (BadInput, OSError):
            shutil.rmtree(building)  # the same call would fail in the same way, so nothing is left to resume
            raise
        _replace(out, building)


def _settings(
    crop_from: int,
    captions: int,
    voices: tuple[str, ...],
    words_per_minute: int,
    seed: int,
    validation: float,
    noise_db: float | None,
    engine: str,
) -> dict[str, Any]:
    """What the content of a store depends on, in its index; a default is not named, so older stores stay the same."""
    return {
        "crop_from": crop_from,
        "captions": captions,
        "voices": list(voices),
        "words_per_minute": words_per_minute,
        "seed": seed,
        "validation": validation,
        **({} if noise_db is None else {"noise_db": noise_db}),
        **({} if engine == DEFAULT_ENGINE else {"engine": engine}),
    }


def _half_built(out: Path, plan: str) -> Path:
    """The folder to build in: with what an interrupted call of the same plan left, else empty."""
    building = out.with_name(out.name + ".building")
    if not (building / "plan").is_file() or (building / "plan").read_bytes() != plan.encode():
        shutil.rmtree(building, ignore_errors=True)
        make_folder(building)
        write_atomic(building / "plan", plan)
    return building


def _replace(out: Path, building: Path) -> None:
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    building.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def _fill(
    folder: Path,
    source: Source,
    captions: list[Caption],
    class_split: list[str],
    settings: dict[str, Any],
    log_mel: Callable[[Tensor], Tensor],
    workers: int,
    progress: Callable[[str], Any],
) -> None:
    """Writes the files of a store: chunks by any worker in any order, then joined in order."""
    images, size = [(item.path, item.box) for item in source.items], settings["crop_from"]
    image_chunks = [(folder / f"images-{k}.npy", images[k : k + 64], size) for k in range(0, len(images), 64)]
    mel_chunks = [
        (folder / f"mels-{k}.npy", captions[k : k + 32], settings, log_mel) for k in range(0, len(captions), 32)
    ]
    with worker_pool(workers) as pool:
        run_chunks(pool, image_chunk, image_chunks, len(images), "images prepared", progress)
        alone = engine_of(settings).at_once
        run_chunks(None if alone else pool, mel_chunk, mel_chunks, len(captions), "captions spoken", progress)

    lengths = [path.with_suffix(".lengths.npy") for path, *_ in mel_chunks]
    offsets = np.cumsum(np.concatenate([np.zeros(1, np.int64), *map(read_array, lengths)]))
    of_offsets = write_array(folder / "mel_offsets.npy", offsets.shape, np.int64, [offsets])
    bands = read_array(mel_chunks[0][0], mapped=True).shape[1]
    digests = [
        join_chunks([path for path, *_ in image_chunks], folder / "images.npy", (len(images), size, size, 3), np.uint8),
        join_chunks([path for path, *_ in mel_chunks], folder / "mels.npy", (int(offsets[-1]), bands), np.float16),
        of_offsets,
    ]
    index = _index(source, captions, class_split, settings)
    index["fingerprint"] = store_fingerprint(digests, index)
    write_atomic(folder / "index.json", json.dumps(index, indent=0, ensure_ascii=False) + "\n")
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
        **_of_languages(captions),
    }


def _of_languages(captions: list[Caption]) -> dict[str, Any]:
    """The language of each caption and what it names, where not all captions are English. No phonemes: what is not
    written is not in a store."""
    wordings = [caption.wording for caption in captions if caption.wording]
    if {wording.language for wording in wordings} <= {DEFAULT_LANGUAGE}:
        return {}
    return {
        "caption_language": [wording.language for wording in wordings],
        "caption_named": [list(wording.named) for wording in wordings],
    }


def split_validation(source: Source, validation: float, seed: int) -> list[str]:
    """The split of each class, 'train', 'val' or 'test'. Raises BadInput where fewer than two are left to train."""
    train = [label for label, split in enumerate(source.split) if split == "train"]
    count = max(2, round(validation * len(train))) if validation > 0 else 0
    if len(train) - count < 2:
        raise BadInput(
            f"dataset {source.dataset!r} has {len(train)} training classes: of them {count} would be kept for "
            "validation, and at least 2 must remain: add classes, or give DATA_VALIDATION=0"
        )
    held_out = set(np.random.default_rng(seed).permutation(train)[:count].tolist())
    return ["val" if label in held_out else split for label, split in enumerate(source.split)]


def _captions_of(image_id: int, item: Item, count: int, voices: tuple[str, ...], seed: int) -> list[Caption]:
    """The first `count` captions of an image."""
    if item.recordings:
        takes = itertools.zip_longest(item.texts, item.recordings, fillvalue="")
        return [Caption(image_id, item.name, text, "recording", path, "") for text, path in takes][:count]
    draws = [zlib.crc32(f"{seed} {item.name} {k}".encode()) for k in range(count)]
    found = []
    texts = zip(item.texts, item.wordings or [None] * len(item.texts), draws, strict=False)
    for k, (text, wording, draw) in enumerate(texts):
        speaking = voices_of(wording.language, voices) if wording else voices
        voice = speaking[draw % len(speaking)]
        found.append(Caption(image_id, item.name, text, voice, None, item.where(k), wording))
    return found


def _check_disk(source: Source, captions: list[Caption], out: Path, size: int, words_per_minute: int) -> None:
    """Refuses to start where the store, and a tenth more, would not fit.

    Speech is estimated from its words, recordings from file sizes.
    """
    seconds = sum((len(c.said.split()) + 2) * 60 / words_per_minute for c in captions if c.recording is None)
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
    words = [(c.image_id, c.said, c.voice) for c in captions]
    return hashlib.sha256(json.dumps([states, boxes, words, settings]).encode()).hexdigest()
