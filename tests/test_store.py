"""The store built from a data set, and the batches read from it."""

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from small_sets import OPTIONS, draw, make_folder

from s2igan import BadInput, speech
from s2igan.data import chunks, espeak
from s2igan.data.batches import augment, centre_crop, pad_mels, pyramid
from s2igan.data.build import build_store, split_validation
from s2igan.data.images import read_image
from s2igan.data.sources import read_source
from s2igan.data.store import open_store


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_store_is_the_same_with_any_number_of_workers(tmp_path):
    source = read_source("folder", make_folder(tmp_path / "trees"))
    lines = []
    for workers in (1, 2):
        build_store(source, tmp_path / str(workers), **OPTIONS | {"workers": workers, "progress": lines.append})
    assert files(tmp_path / "1") == files(tmp_path / "2")
    assert sorted(files(tmp_path / "1")) == ["images.npy", "index.json", "mel_offsets.npy", "mels.npy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "trees"]  # nothing half-built
    assert lines[1].startswith("20/20 captions spoken, ") and lines[1].endswith(" a second")


def test_a_store_holds_what_went_in(tmp_path):
    source = read_source("folder", make_folder(tmp_path / "trees"))
    build_store(source, tmp_path / "store", **OPTIONS)
    store = open_store(tmp_path / "store")
    assert (
        store.images.shape == (10, 12, 12, 3) and store.images.dtype == np.uint8 and isinstance(store.images, np.memmap)
    )
    assert [store.image_name[k] for k in store.image_ids_of("test")] == ["yew/a", "yew/b_1"]
    assert sorted(store.class_split) == ["test", "train", "train", "val", "val"]
    splits = [store.image_ids_of(split) for split in ("train", "val", "test")]
    assert sorted(np.concatenate(splits)) == list(range(10)) and list(map(len, splits)) == [4, 4, 2]
    assert [list(ids) for ids in store.caption_ids_by_image] == [[2 * k, 2 * k + 1] for k in range(10)]
    assert [store.caption_text[k] for k in store.caption_ids_of("test")][:2] == [
        "an yew in the wind",
        "image a of a tree",
    ]
    assert set(store.caption_voice) == set(OPTIONS["voices"])
    assert store.attributes == source.attributes and store.settings["captions"] == 2 and store.dataset == "folder"
    for image, item in enumerate(source.items):
        np.testing.assert_array_equal(store.images[image], read_image(item.path, 12))
    for caption in (0, 7, 19):
        (waveform,) = speech.speak([store.caption_text[caption]], store.caption_voice[caption], words_per_minute=300)
        mel = speech.log_mel(waveform)
        assert store.mel(caption).dtype == np.float32 and store.mel_lengths[caption] == len(mel)
        np.testing.assert_array_equal(store.mel(caption), mel.half().float())


def test_the_fingerprint_tells_stores_apart(tmp_path):
    source = read_source("folder", make_folder(tmp_path / "trees"))
    prints = []
    for change in ({}, {}, {"seed": 1}, {"crop_from": 13}, {"captions": 1}):
        build_store(source, tmp_path / "store", **OPTIONS | change)  # each replaces the one before
        prints.append(open_store(tmp_path / "store").fingerprint)
    assert prints[0] == prints[1] and len(set(prints)) == 4


def test_no_validation_classes_when_none_are_asked_for(tmp_path):
    source = read_source("folder", make_folder(tmp_path))
    assert split_validation(source, 0, 0) == list(source.split)
    with pytest.raises(BadInput, match=r"4 training classes.*3 would be kept"):
        split_validation(source, 0.75, 0)


def test_an_interrupted_build_resumes(tmp_path, monkeypatch):
    source = read_source("folder", make_folder(tmp_path / "trees"))
    build_store(source, tmp_path / "whole", **OPTIONS)

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # after the images
        build_store(source, tmp_path / "store", **OPTIONS | {"progress": stop})
    assert not (tmp_path / "store").exists() and (tmp_path / "store.building").exists()
    with monkeypatch.context() as patch:
        patch.setattr(chunks, "read_image", None)  # is not called again
        build_store(source, tmp_path / "store", **OPTIONS)
    assert files(tmp_path / "store") == files(tmp_path / "whole")

    with pytest.raises(KeyboardInterrupt):
        build_store(source, tmp_path / "other", **OPTIONS | {"progress": stop})
    draw(source.items[0].path, seed=99)  # the data changed meanwhile: nothing of the old may stay
    build_store(source, tmp_path / "other", **OPTIONS)
    np.testing.assert_array_equal(open_store(tmp_path / "other").images[0], read_image(source.items[0].path, 12))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_build_leaves_the_old_store_and_nothing_else(tmp_path, workers):
    source = read_source("folder", make_folder(tmp_path / "trees"))
    build_store(source, tmp_path / "store", **OPTIONS)
    before = files(tmp_path / "store")
    (tmp_path / "trees/images/elm/a.png").write_bytes(b"no image")
    with pytest.raises(BadInput, match=r"elm/a.png cannot be read"):
        build_store(source, tmp_path / "store", **OPTIONS | {"workers": workers, "seed": 5})
    assert files(tmp_path / "store") == before and not (tmp_path / "store.building").exists()


def test_faults_found_while_building(tmp_path, monkeypatch):
    source = read_source("folder", make_folder(tmp_path / "trees"))
    with pytest.raises(BadInput, match=r"voice 'en-uk' does not exist"):
        build_store(source, tmp_path / "store", **OPTIONS | {"voices": ("en-us", "en-uk")})
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
        with pytest.raises(BadInput, match=r"not enough disk for the store .*store: it needs about .* GB"):
            build_store(source, tmp_path / "store", **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(errno.ENOSPC, "of another system")))
        with pytest.raises(BadInput, match=r"cannot write .*store\.building/.*: No space left on device$"):
            build_store(source, tmp_path / "store", **OPTIONS)
    (tmp_path / "trees/audio/ash").mkdir(parents=True)
    for samples, line in ((np.zeros(22_050), "silent"), (np.zeros(0), "empty"), (np.ones(2000), "too short")):
        soundfile.write(tmp_path / "trees/audio/ash/a_0.flac", samples, 22_050)
        with pytest.raises(BadInput, match=f"ash/a_0.flac is {line}"):
            build_store(read_source("folder", tmp_path / "trees", True), tmp_path / "store", **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["trees"]


@pytest.mark.parametrize(
    ("caption", "said"),
    [
        ("a tall tree " * 200, r"spoken by 'e.*' it lasts \d+ s: use one of a few seconds, 60 at most"),
        ("\u0e01", "espeak-ng's voice .* has nothing to say"),
    ],
)
def test_a_caption_that_cannot_be_spoken_is_named_by_its_file_and_line(tmp_path, monkeypatch, caption, said):
    if len(caption) == 1:
        monkeypatch.setattr(espeak, "_ask", lambda *_: None)
    path = make_folder(tmp_path / "trees") / "captions/ash/a.txt"
    path.write_text(f"\n{caption}\n\n{caption}\n")
    with pytest.raises(BadInput, match=f"^caption file {path}, line 2 cannot be used: {said}") as caught:
        build_store(read_source("folder", tmp_path / "trees"), tmp_path / "store", **OPTIONS)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["trees"]


def test_a_store_that_is_not_whole_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"no whole store in .*nowhere"):
        open_store(tmp_path / "nowhere")
    build_store(read_source("folder", make_folder(tmp_path / "trees")), tmp_path / "store", **OPTIONS)
    for name in files(tmp_path / "store"):
        shutil.copytree(tmp_path / "store", tmp_path / "half")
        content = (tmp_path / "half" / name).read_bytes()
        (tmp_path / "half" / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(BadInput, match=r"no whole store"):
            open_store(tmp_path / "half")
        shutil.rmtree(tmp_path / "half")
    index = json.loads((tmp_path / "store/index.json").read_text())
    index["caption_image"].append(9)
    (tmp_path / "store/index.json").write_text(json.dumps(index))
    with pytest.raises(BadInput, match=r"do not fit"):
        open_store(tmp_path / "store")


def test_read_image(tmp_path):
    left_to_right = np.tile(np.repeat(np.array([0, 90, 160, 250], np.uint8), 8)[None, :, None], (8, 1, 3))  # 32 x 8
    Image.fromarray(left_to_right).save(tmp_path / "wide.png")
    middle = read_image(tmp_path / "wide.png", 8)
    np.testing.assert_array_equal(middle, left_to_right[:, 12:20])  # not resized, the ends cut off
    Image.fromarray(left_to_right).convert("L").save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png", 8), middle)
    boxed = read_image(tmp_path / "wide.png", 6, (10.0, 2.0, 4.0, 4.0))  # r = 3 around (12, 4): columns 9 to 15
    np.testing.assert_array_equal(boxed, left_to_right[1:7, 9:15])
    with pytest.raises(BadInput, match=r"32 x 8 pixels: its bounding box"):
        read_image(tmp_path / "wide.png", 6, (100.0, 2.0, 4.0, 4.0))
    rotated = Image.Exif()
    rotated[0x0112] = 6  # a phone held upright: turn by 90 degrees
    Image.fromarray(left_to_right).save(tmp_path / "phone.png", exif=rotated)
    np.testing.assert_array_equal(read_image(tmp_path / "phone.png", 8), np.rot90(middle, -1))


# --- batches ---


def test_pad_mels():
    batch, lengths = pad_mels([np.full((3, 40), 1.0), np.full((5, 40), 2.0)])
    assert batch.shape == (2, 5, 40) and batch.dtype == torch.float32
    assert lengths.tolist() == [3, 5] and lengths.dtype == torch.int64
    assert batch[0, :3].unique() == 1 and batch[0, 3:].unique() == 0 and batch[1].unique() == 2
    halves = [np.random.default_rng(n).normal(size=(n, 40)).astype(np.float16) for n in (4, 7)]  # as the store has them
    batch, _ = pad_mels(halves)
    assert batch.dtype == torch.float32 and torch.equal(
        batch, pad_mels([half.astype(np.float32) for half in halves])[0]
    )


def test_augment_crops_and_mirrors():
    row, column = np.mgrid[:9, :9]
    images = np.repeat(np.stack([row, column, np.zeros_like(row)], -1)[None].astype(np.uint8), 400, 0)
    seen = set()
    for flip in (False, True):
        crops = augment(images, 8, np.random.default_rng(0), flip)
        assert crops.shape == (400, 3, 8, 8) and crops.dtype == torch.float32
        values = ((crops + 1) * 127.5).round().int()
        for crop in values:
            top, left, right = crop[0, 0, 0].item(), crop[1, 0, 0].item(), crop[1, 0, -1].item()
            assert abs(right - left) == 7
            assert crop[0].equal(torch.arange(top, top + 8, dtype=torch.int32)[:, None].expand(8, 8))
            seen.add((flip, top, min(left, right), left > right))
    assert seen == {
        (flip, y, x, mirrored) for flip in (False, True) for y in (0, 1) for x in (0, 1) for mirrored in {False, flip}
    }
    again = augment(images, 8, np.random.default_rng(0), True)
    torch.testing.assert_close(again, crops, atol=0, rtol=0)


def test_centre_crop_and_range():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[:, 2:6, 2:6] = 255
    crops = centre_crop(images, 4)
    assert crops.shape == (2, 3, 4, 4) and crops.unique() == 1
    assert centre_crop(images, 8).unique().tolist() == [-1, 1]


def test_pyramid_keeps_means():
    images = torch.rand(2, 3, 32, 32)
    small, middle, large = pyramid(images, (8, 16, 32))
    assert small.shape == (2, 3, 8, 8) and middle.shape == (2, 3, 16, 16) and large.equal(images)
    assert small.std() < 0.5 * images.std()  # antialiased: noise averages out
    torch.testing.assert_close(pyramid(torch.full((1, 3, 32, 32), 0.3), [8])[0], torch.full((1, 3, 8, 8), 0.3))


def test_an_engine_that_speaks_at_once_gets_a_chunk_at_once(tmp_path, monkeypatch):
    source, asked = read_source("folder", make_folder(tmp_path / "in")), []

    def spoken(texts, voice, engine, words_per_minute=300):
        asked.append((len(texts), voice, engine))
        return [torch.sin(torch.arange(9000) * (0.05 + 0.01 * len(text))) for text in texts]

    monkeypatch.setattr(chunks, "speak", spoken)
    options = OPTIONS | {"voices": ("en-us",), "engine": "tacotron2"}
    build_store(source, tmp_path / "store", **options)
    assert asked == [(20, "en-us", "tacotron2")]
    store = open_store(tmp_path / "store")
    assert store.settings["engine"] == "tacotron2" and len(store.mel_lengths) == 20
    expected = speech.log_mel(spoken([store.caption_text[7]], "", "")[0])
    np.testing.assert_allclose(store.mel(7), expected, atol=2e-3)
    with pytest.raises(BadInput, match="tacotron2 has en-us"):
        build_store(source, tmp_path / "store", **options | {"voices": ("en-gb",)})


def test_values_that_do_not_fit_are_refused_in_one_line(tmp_path):
    build_store(read_source("folder", make_folder(tmp_path / "trees")), tmp_path / "store", **OPTIONS)
    open_store(tmp_path / "store").verify()
    index = json.loads((tmp_path / "store/index.json").read_text())
    offsets = np.load(tmp_path / "store/mel_offsets.npy")
    changes = {
        "class that is not there": {"image_class": [99, *index["image_class"][1:]]},
        "order of the images": {"caption_image": index["caption_image"][::-1]},
        "image that is not there": {"caption_image": [*index["caption_image"][:-1], 99]},
        "'class_split' 0": {"class_split": ["dev", *index["class_split"][1:]]},
        "attributes are not of all": {"attributes": dict([*index["attributes"].items()][1:])},
        "'image_class' 0": {"image_class": ["nan", *index["image_class"][1:]]},
    }
    for said, change in changes.items():
        (tmp_path / "store/index.json").write_text(json.dumps(index | change))
        with pytest.raises(BadInput, match=said):
            open_store(tmp_path / "store")
    (tmp_path / "store/index.json").write_text(json.dumps(index | {"caption_text": index["caption_text"][::-1]}))
    with pytest.raises(BadInput, match="its checksum differs"):
        open_store(tmp_path / "store").verify()
    (tmp_path / "store/index.json").write_text(json.dumps(index))
    for change in ([1, *offsets[1:]], [offsets[0], offsets[2], offsets[1], *offsets[3:]], offsets[:-1]):
        np.save(tmp_path / "store/mel_offsets.npy", np.array(change, np.int64))
        with pytest.raises(BadInput, match=r"mel_offsets\.npy"):
            open_store(tmp_path / "store")
    np.save(tmp_path / "store/mel_offsets.npy", offsets)
    mels = np.load(tmp_path / "store/mels.npy")
    mels[0, 3] = np.nan
    np.save(tmp_path / "store/mels.npy", mels)
    with pytest.raises(BadInput, match="its checksum differs"):
        open_store(tmp_path / "store").verify()
