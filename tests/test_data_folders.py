"""Names, files that are not used, and recordings beside captions in folders of data."""

import os
import shutil
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import make_cub, make_folder, write

from s2igan import BadInput
from s2igan.data.layout import read_captions
from s2igan.data.names import class_name
from s2igan.data.sources import read_source
from s2igan.data.text_to_speech import MOST_CHARACTERS


def record(root, *names):
    for name in names:
        (root / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "audio" / name).write_bytes(b"RIFF")


ALL = [f"{name}/{image}_0.wav" for name in ("oak", "elm", "fir", "ash", "yew") for image in ("a", "b_1")]


@pytest.mark.parametrize(
    ("recorded", "line"),
    [
        (ALL[:4], r"2 of 5 classes have recordings \(elm, oak\), the others captions alone \(ash, fir, yew\)"),
        (ALL[:9], r"9 of 10 images have recordings, .* such as yew/b_1 \(of class 'yew' 1 of 2 are recorded\)"),
    ],
)
def test_recordings_and_captions_are_mixed_only_where_asked_for(tmp_path, recorded, line):
    record(make_folder(tmp_path), *recorded)
    with pytest.raises(BadInput, match=line + ".*data_mix_speech"):
        read_source("folder", tmp_path)
    items = read_source("folder", tmp_path, mix_speech=True).items
    assert sum(bool(item.recordings) for item in items) == len(recorded)


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["oak/a_0.m4a"], r"audio/oak/a_0.m4a \(wav, flac or ogg are read: convert it with ffmpeg -i a_0.m4a a_0.wav"),
        (["oak/a.wav"], r"a.wav \(name it a_<k>.wav"),
        (["oak/A_0.wav", "oak/a-1.flac"], r"2 recordings of images .*A_0.wav .*a-1.flac .*name it a_<k>"),
        (["oak/a_0.MP3"], "a_0.MP3"),
        ([*ALL, "oak/a_00.wav"], r"a_00.wav .*is recording 0 of that image too|a_0.wav .* recording 0"),
        ([*ALL, "oak/a_0.flac"], "is recording 0 of that image too"),
        (["Oak/a_0.wav"], r"audio/Oak \(the class is 'oak'"),
        (["oak/zzz_0.wav"], "1 recordings, and none is of an image, such as audio/oak/zzz_0.wav"),
    ],
)
def test_recordings_that_cannot_be_used_are_not_replaced_by_speech(tmp_path, names, line):
    record(make_folder(tmp_path), *names)
    with pytest.raises(BadInput, match=line):
        read_source("folder", tmp_path)


def test_what_is_not_used_is_counted_and_named(tmp_path):
    record(make_folder(tmp_path), *ALL, "oak/zzz_0.wav", "oak/a_0.m4a", "pine/a_0.wav", "oak/._a_0.wav")
    write(tmp_path / "captions/oak/c.txt", "of no image")
    (tmp_path / "images/pine").mkdir()
    (tmp_path / "images/oak/a.heic").write_bytes(b"x")
    (tmp_path / "images/oak/._a.png").write_bytes(b"x")
    (tmp_path / "images/oak/Thumbs.db").write_bytes(b"x")
    os.rename(tmp_path / "images/elm/a.png", tmp_path / "images/elm/a.PNG")
    unused = {kind.kind: kind for kind in read_source("folder", tmp_path).unused}
    assert unused["recordings of no image"].first == ("audio/oak/zzz_0.wav",)
    assert unused["captions of no image"].first == ("captions/oak/c.txt",)
    assert unused["files of another kind among the images (.heic)"].count == 1
    assert unused["folders of images of a class that no list names"].first == ("images/pine",)
    assert unused["folders of recordings of a class that no list names"].count == 1
    assert not any("._a" in name or "Thumbs" in name for kind in unused.values() for name in kind.first)


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["yew", "./oak/"], "'oak' is in both"),
        (["yew", "yew/ "], "'yew' is twice in .*lines 1 and 2"),
        (["Oak"], "'Oak', and 'oak' is one too"),
        (["../yew"], "must be the name of one folder"),
        (["/yew"], "must be the name of one folder"),
        (["a/yew"], "must be the name of one folder"),
        (["y" * 300], "bytes at most"),
    ],
)
def test_names_in_class_lists(tmp_path, lines, line):
    write(make_folder(tmp_path) / "test_classes.txt", *lines)
    with pytest.raises(BadInput, match=line):
        read_source("folder", tmp_path)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.text(max_size=20))
def test_a_normalised_name_stays_as_it_is(text):
    try:
        name = class_name(text, "list")
    except BadInput:
        return
    assert class_name(name, "list") == name == class_name(f" ./{unicodedata.normalize('NFD', name)}/ ", "list")


def test_unicode_forms_of_folder_and_list_are_one(tmp_path):
    make_folder(tmp_path)
    for part in ("images", "captions"):
        (tmp_path / part / "yew").rename(tmp_path / part / unicodedata.normalize("NFD", "épicéa"))
    (tmp_path / "attributes.csv").unlink()
    (tmp_path / "test_classes.txt").write_bytes("\ufeffépicéa\r\n".encode())
    assert read_source("folder", tmp_path).items[-1].name == "épicéa/b_1"


def test_captions_are_decoded_or_refused_with_their_line(tmp_path):
    path = tmp_path / "a.txt"
    for content in ("a \u00e9lm\na tree\n".encode("utf-16"), "\ufeffa \u00e9lm\r\na tree".encode()):
        path.write_bytes(content)
        assert read_captions(path) == {1: "a \u00e9lm", 2: "a tree"}
    for content, line in [
        (b"a tree\nan \xe9lm\n", "line 2 is not UTF-8"),
        (b"a tree\n\na\x1b[0m\n", "line 3 has a control character"),
        (b"a" * (MOST_CHARACTERS + 1), "line 1 has 5,001 characters"),
    ]:
        path.write_bytes(content)
        with pytest.raises(BadInput, match=line):
            read_captions(path)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (["class,leaf,leaf", "oak,a,b"], "column 'leaf' twice"),
        (["class,leaf", "oak,a", "oak,a"], "line 3 is of class 'oak', as line 2"),
        (["class;leaf", "oak;a"], "put commas, not ';'"),
        (["class,leaf", '"oak,a'], "is a quote open|cannot be read"),
        (["class,leaf", "oak," + "a" * 200_000], "cannot be read|more than 100"),
        (["class,leaf", "oak,Green", "elm,green"], "write both in one way"),
    ],
)
def test_faults_of_attributes(tmp_path, rows, line):
    write(make_folder(tmp_path) / "attributes.csv", *rows)
    with pytest.raises(BadInput, match=line):
        read_source("folder", tmp_path)


@pytest.mark.parametrize("box", ["nan 0 9 9", "0 inf 9 9", "0 0 0 9", "0 0 9 -1"])
def test_boxes_are_finite_and_have_a_size(tmp_path, box):
    table = make_cub(tmp_path) / "CUB_200_2011/bounding_boxes.txt"
    table.write_text(table.read_text().replace("4.0 12.0 20.0 10.0", box))
    with pytest.raises(BadInput, match="for image 40: it must be left, top, width and height"):
        read_source("cub", tmp_path)


def test_a_copy_of_a_training_image_among_the_test_images_is_refused(tmp_path):
    make_folder(tmp_path)
    shutil.copy(tmp_path / "images/oak/a.png", tmp_path / "images/elm/a.png")
    assert len(read_source("folder", tmp_path).items) == 10  # of two training classes
    shutil.copy(tmp_path / "images/oak/a.png", tmp_path / "images/yew/a.png")
    with pytest.raises(BadInput, match=r"images .*elm/a.png and .*yew/a.png are equal, .*training and of a test class"):
        read_source("folder", tmp_path)


def test_a_class_of_cub_without_its_number_is_named(tmp_path):
    write(make_cub(tmp_path) / "cvpr2016_cub/trainvalclasses.txt", "Auk")
    with pytest.raises(BadInput, match=r"class 'Auk' .*classes.txt does not have it; did you mean '007.Auk'"):
        read_source("cub", tmp_path)


def test_pipes_and_links_do_not_hang(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "captions/oak/a.txt").unlink()
    os.mkfifo(tmp_path / "captions/oak/a.txt")
    with pytest.raises(BadInput, match=r"a.txt is no file"):
        read_source("folder", tmp_path)
    (tmp_path / "test_classes.txt").unlink()
    os.mkfifo(tmp_path / "test_classes.txt")
    with pytest.raises(BadInput, match="no regular file"):
        read_source("folder", tmp_path)
