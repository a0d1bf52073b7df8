"""Data sets in their layouts."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import soundfile
from small_sets import OPTIONS, draw, make_cub, make_folder, make_oxford, write

from s2igan import BadInput, speech
from s2igan.data.build import build_store
from s2igan.data.images import crop_to_box, read_image
from s2igan.data.layout import Item, Source
from s2igan.data.sources import PUBLIC, PublicSet, complete, read_source
from s2igan.data.store import open_store

CUB100 = Path(__file__).parents[2] / "shared" / "data" / "cub100"


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
    a, b = (item for item in read_source("folder", tmp_path, mix_speech=True).items if item.label == 3)
    assert [path.name for path in a.recordings] == ["a_2.wav", "a_9.wav", "a_10.wav"] and len(a.texts) == 3
    assert [path.name for path in b.recordings] == [
        "b_1_0.wav"
    ] and b.texts == ()  # three texts for one recording: nobody knows which
    shutil.rmtree(tmp_path / "captions" / "oak")
    build_store(read_source("folder", tmp_path, mix_speech=True), tmp_path / "store", **OPTIONS)
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
        (lambda root: (root / "CUB_200_2011/images/007.Auk/Auk_1.jpg").unlink(), "Auk_1.jpg does not exist"),
        (
            lambda root: write(root / "cvpr2016_cub/testclasses.txt", "002.Ani", "004.Owl"),
            "'004.Owl' .*classes.txt does not have it",
        ),
    ],
)
def test_faults_of_cub(tmp_path, harm, line):
    harm(make_cub(tmp_path))
    with pytest.raises(BadInput, match=line):
        read_source("cub", tmp_path)


def test_faults_of_oxford(tmp_path):
    make_oxford(tmp_path)
    whole = scipy.io.loadmat(tmp_path / "setid.mat", variable_names=("trnid", "valid", "tstid"))
    for changed, line in [
        ({"valid": "none"}, "setid.mat has no variable 'valid' of numbers"),
        ({"valid": np.array([[9]])}, r"setid.mat .* do not fit together: there are 8 labels, .* image 9"),
        ({"valid": np.array([[10**9]])}, "setid.mat has the number 1000000000 .*: whole numbers from 1 to 99999"),
        ({"valid": np.array([[1.5]])}, "setid.mat has the number 1.5"),
        ({"valid": np.array([[np.nan]])}, "setid.mat has the number nan"),
        ({"valid": np.array([[-1]])}, "setid.mat has the number -1"),
    ]:
        scipy.io.savemat(tmp_path / "setid.mat", {**whole, **changed})
        with pytest.raises(BadInput, match=line):
            read_source("oxford", tmp_path)


@pytest.mark.skipif(not CUB100.is_dir(), reason="the real birds are not at hand")
def test_real_birds():
    source = read_source("cub", CUB100)
    assert len(source.items) == 5902 and len(source.classes) == 100 and source.split.count("test") == 23
    assert {len(item.texts) for item in source.items} == {10}
    assert read_image(source.items[0].path, 38, source.items[0].box).shape == (38, 38, 3)


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
