"""Data sets in their three layouts, the store built from them, and the batches read from it."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import soundfile
import torch
from PIL import Image

from s2igan import BadInput, speech
from s2igan.data import build
from s2igan.data.batches import augment, centre_crop, pad_mels, pyramid
from s2igan.data.build import _split_validation, build_store
from s2igan.data.images import crop_to_box, read_image
from s2igan.data.layout import Item, Source
from s2igan.data.sources import PUBLIC, PublicSet, complete, read_source
from s2igan.data.store import open_store
from s2igan.speech import log_mel

CUB100 = Path(__file__).parents[2] / "shared" / "data" / "cub100"
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


# --- layouts ---


def test_folder_layout(tmp_path):
    source = read_source("folder", make_folder(tmp_path))
    assert source.classes == ("ash", "elm", "fir", "oak", "yew") and source.split == ("train",) * 4 + ("test",)
    assert [item.name for item in source.items[:3]] == ["ash/a", "ash/b_1", "elm/a"]
    assert (
        source.items[0].texts == ("an ash in the wind", "image a of a tree", "a third caption")
        and source.items[0].box is None
    )
    assert source.attributes["yew"] == {"leaf": "green", "bark": "grey"}


def test_recordings_win_over_captions(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "audio" / "oak").mkdir(parents=True)
    for image, number in (("a", 10), ("a", 9), ("a", 2), ("b_1", 0)):
        soundfile.write(tmp_path / "audio" / "oak" / f"{image}_{number}.wav", np.sin(np.arange(8000)), 16_000)
    a, b = (item for item in read_source("folder", tmp_path).items if item.label == 3)
    assert [path.name for path in a.recordings] == ["a_2.wav", "a_9.wav", "a_10.wav"] and len(a.texts) == 3
    assert [path.name for path in b.recordings] == [
        "b_1_0.wav"
    ] and b.texts == ()  # three texts for one recording: nobody knows which
    shutil.rmtree(tmp_path / "captions" / "oak")
    build_store(read_source("folder", tmp_path), tmp_path / "store", **OPTIONS)
    store = open_store(tmp_path / "store")
    image = store.image_name.index("oak/a")
    assert [store.caption_voice[k] for k in store.caption_ids_by_image[image]] == ["recording"] * 2
    expected = speech.log_mel(speech.read_audio(tmp_path / "audio" / "oak" / "a_2.wav"))
    np.testing.assert_array_equal(store.mel(store.caption_ids_by_image[image][0]), expected.half().float())


def test_cub_tables_are_joined_by_id(tmp_path):
    source = read_source("cub", make_cub(tmp_path))
    assert source.classes == ("002.Ani", "007.Auk") and source.split == ("test", "train")
    assert {item.name: (item.label, item.box, item.texts[0]) for item in source.items} == {
        "007.Auk/Auk_2": (1, (4.0, 12.0, 20.0, 10.0), "bird number 40"),
        "007.Auk/Auk_1": (1, (4.1, 12.0, 20.0, 10.0), "bird number 41"),
        "002.Ani/Ani_1": (0, (0.3, 12.0, 20.0, 10.0), "bird number 3"),
        "002.Ani/Ani_2": (0, (0.8, 12.0, 20.0, 10.0), "bird number 8"),
    }


def test_cub_box_crop_by_hand():
    # The first official image, 500 x 335: r = int(0.75 * 325) = 243, centre (int(445 / 2), int(358 / 2)) = (222, 179).
    assert crop_to_box((60.0, 27.0, 325.0, 304.0), 500, 335) == (0, 0, 465, 335)
    assert crop_to_box((139.0, 30.0, 153.0, 264.0), 500, 500) == (17, 0, 413, 360)
    assert crop_to_box((100.0, 100.0, 40.0, 20.0), 500, 500) == (90, 80, 150, 140)  # inside: a square of 1.5 * 40


def test_oxford_layout(tmp_path):
    source = read_source("oxford", make_oxford(tmp_path))
    assert dict(zip(source.classes, source.split, strict=True)) == {
        "class_00020": "test",
        "class_00021": "train",
        "class_00077": "train",
        "class_00102": "train",
    }
    assert [(item.name, item.texts[0]) for item in source.items[:2]] == [
        ("class_00077/image_00001", "flower 1"),
        ("class_00020/image_00002", "flower 2"),
    ]
    assert len(source.items) == 8


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (lambda root: shutil.rmtree(root), "does not exist"),
        (lambda root: shutil.rmtree(root / "images"), "not there: images"),
        (
            lambda root: (root / "test_classes.txt").unlink(),
            "looked for images, train_classes.txt, test_classes.txt; not there: test",
        ),
        (lambda root: write(root / "test_classes.txt"), "test_classes.txt is empty"),
        (lambda root: write(root / "test_classes.txt", "yew", "oak"), "'oak' is in both"),
        (
            lambda root: write(root / "test_classes.txt", "yew", "lime"),
            "'lime' is listed but has no images.*images/lime",
        ),
        (lambda root: (root / "images/yew/a.png").unlink(), "'yew' .* has 1 image: .* at least two"),
        (lambda root: (root / "images/yew/a.png").write_bytes(b""), "yew/a.png is empty: it has zero bytes"),
        (lambda root: draw(root / "images/yew/a.jpg"), "images/yew has two images of one name"),
        (
            lambda root: (root / "captions/elm/a.txt").unlink(),
            "elm/a.png has no caption: looked for .*captions/elm/a.txt",
        ),
        (lambda root: write(root / "captions/elm/a.txt", " ", "..."), "elm/a.txt is empty"),
        (lambda root: write(root / "attributes.csv", "name,leaf", "oak,green"), "no column 'class'"),
        (
            lambda root: write(root / "attributes.csv", "class,leaf", "oak"),
            "attributes.csv, line 2 does not have one value",
        ),
        (
            lambda root: write(root / "attributes.csv", "class,leaf", "oak,green,tall"),
            "attributes.csv, line 2 does not have one value",
        ),
        (lambda root: write(root / "attributes.csv", "class,leaf", "nowhere,green"), "has no row of class"),
        (
            lambda root: write(root / "attributes.csv", "class,type", "oak,green"),
            "has a column 'type': give that attribute another name",
        ),
    ],
)
def test_faults_of_a_folder(tmp_path, harm, line):
    harm(make_folder(tmp_path / "trees"))
    with pytest.raises(BadInput, match=line):
        read_source("folder", tmp_path / "trees")


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (lambda root: shutil.rmtree(root / "cvpr2016_cub"), "not there: cvpr2016_cub/text_c10"),
        (
            lambda root: write(root / "CUB_200_2011/bounding_boxes.txt", "3 0 0 9 9"),
            "bounding_boxes.txt has no row of id 40",
        ),
        (
            lambda root: write(root / "CUB_200_2011/bounding_boxes.txt", "40 0 0 9"),
            "bounding_boxes.txt has '0 0 9' for image 40",
        ),
        (lambda root: write(root / "CUB_200_2011/images.txt", "3"), "images.txt, line 1 is '3'"),
        (lambda root: (root / "CUB_200_2011/images/007.Auk/Auk_1.jpg").unlink(), "Auk_1.jpg is missing"),
        (lambda root: write(root / "cvpr2016_cub/testclasses.txt", "002.Ani", "004.Owl"), "'004.Owl' .* has 0 images"),
    ],
)
def test_faults_of_cub(tmp_path, harm, line):
    harm(make_cub(tmp_path))
    with pytest.raises(BadInput, match=line):
        read_source("cub", tmp_path)


def test_faults_of_oxford(tmp_path):
    make_oxford(tmp_path)
    scipy.io.savemat(tmp_path / "setid.mat", {"trnid": np.array([[4, 2]])})
    with pytest.raises(BadInput, match=r"setid.mat .* do not fit together"):
        read_source("oxford", tmp_path)


# --- the store ---


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
    assert _split_validation(source, 0, 0) == list(source.split)
    with pytest.raises(BadInput, match=r"4 training classes.*3 would be kept"):
        _split_validation(source, 0.75, 0)


def test_an_interrupted_build_resumes(tmp_path, monkeypatch):
    source = read_source("folder", make_folder(tmp_path / "trees"))
    build_store(source, tmp_path / "whole", **OPTIONS)

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # after the images
        build_store(source, tmp_path / "store", **OPTIONS | {"progress": stop})
    assert not (tmp_path / "store").exists() and (tmp_path / "store.building").exists()
    with monkeypatch.context() as patch:
        patch.setattr(build, "read_image", None)  # is not called again
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
        patch.setattr(
            np, "save", lambda path, array: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device"))
        )
        with pytest.raises(BadInput, match=r"not enough disk for the store .*store: the disk is full"):
            build_store(source, tmp_path / "store", **OPTIONS)
    (tmp_path / "trees/audio/ash").mkdir(parents=True)
    for samples, line in ((np.zeros(22_050), "silent"), (np.zeros(0), "empty"), (np.ones(2000), "too short")):
        soundfile.write(tmp_path / "trees/audio/ash/a_0.flac", samples, 22_050)
        with pytest.raises(BadInput, match=f"ash/a_0.flac is {line}"):
            build_store(read_source("folder", tmp_path / "trees"), tmp_path / "store", **OPTIONS)
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


@pytest.mark.skipif(not CUB100.is_dir(), reason="the real birds are not at hand")
def test_real_birds():
    source = read_source("cub", CUB100)
    assert len(source.items) == 5902 and len(source.classes) == 100 and source.split.count("test") == 23
    assert {len(item.texts) for item in source.items} == {10}
    assert read_image(source.items[0].path, 38, source.items[0].box).shape == (38, 38, 3)


def test_an_engine_that_speaks_at_once_gets_a_chunk_at_once(tmp_path, monkeypatch):
    source, asked = read_source("folder", make_folder(tmp_path / "in")), []

    def spoken(texts, voice, engine, words_per_minute=300):
        asked.append((len(texts), voice, engine))
        return [torch.sin(torch.arange(9000) * (0.05 + 0.01 * len(text))) for text in texts]

    monkeypatch.setattr(build, "speak", spoken)
    options = OPTIONS | {"voices": ("en-us",), "engine": "tacotron2"}
    build_store(source, tmp_path / "store", **options)
    assert asked == [(20, "en-us", "tacotron2")]
    store = open_store(tmp_path / "store")
    assert store.settings["engine"] == "tacotron2" and len(store.mel_lengths) == 20
    expected = speech.log_mel(spoken([store.caption_text[7]], "", "")[0])
    np.testing.assert_allclose(store.mel(7), expected, atol=2e-3)
    with pytest.raises(BadInput, match="tacotron2 has en-us"):
        build_store(source, tmp_path / "store", **options | {"voices": ("en-gb",)})


def test_another_public_set_is_one_row(tmp_path, monkeypatch):
    def read(dataset: str, root: Path) -> Source:
        paths = sorted(root.glob("*/*.png"))
        classes = tuple(sorted({path.parent.name for path in paths}))
        items = tuple(Item(path, path.stem, classes.index(path.parent.name), texts=("a tree",)) for path in paths)
        return Source(dataset, classes, ("train",) * 4 + ("test",), items)

    make_folder(tmp_path / "trees")
    monkeypatch.setitem(PUBLIC, "trees", PublicSet(read, ()))
    source = read_source("trees", tmp_path / "trees/images")
    assert source.classes == ("ash", "elm", "fir", "oak", "yew") and len(source.items) == 10
    complete("trees", tmp_path / "trees", downloads=True)  # nothing to download
    build_store(source, tmp_path / "store", **OPTIONS)
    assert open_store(tmp_path / "store").dataset == "trees"
