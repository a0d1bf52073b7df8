"""What is said of a data set before work starts, and CHECK=1."""

import re

import numpy as np
import pytest
import soundfile
from PIL import Image
from small_sets import draw, make_cub, make_folder, make_oxford, write

from s2igan import config
from s2igan.data import report
from s2igan.data.text_to_speech import is_spelled_out
from s2igan.workflow.commands import main


def settings_of(root, dataset="folder", **more):
    return config.resolve({"dataset": dataset, "data_dir": str(root), **more})


def record(root, image, rate=16_000, seconds=1.0, slowness=5, **options):
    path = root / "audio" / f"{image}_0.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(np.arange(int(seconds * rate)) / slowness), rate, **options)
    return path


def make_recorded(root):
    for k, path in enumerate(sorted((make_folder(root) / "images").glob("*/*"))):
        record(root, f"{path.parent.name}/{path.stem}", slowness=5 + k)
    return root


def test_images_and_captions_are_counted(tmp_path):
    found = report.examine(settings_of(make_folder(tmp_path)))
    assert found.faults == ()
    assert found.found == (
        "images            10: 8 of 4 training classes, 2 of 1 test classes; 2 a class",
        "  formats         PNG 10",
        "  shorter sides   16 pixels, median 16",
        "  note            10 have a side below 32 pixels and are enlarged",
        "  in training     mirrored at random (DATA_FLIP=false: not)",
        "captions          30 to be spoken by espeak, 3 an image; 2 of each are used; 3 to 5 words",
    )
    assert "  in training     not mirrored" in report.examine(settings_of(tmp_path, data_flip=False)).found


def test_captions_that_a_voice_would_spell_out_are_said(tmp_path):
    write(make_folder(tmp_path) / "captions/oak/a.txt", "一只红色的小鸟")
    (said,) = [line for line in report.examine(settings_of(tmp_path)).found if "spelled out" in line]
    assert "captions of 1 images, such as oak/a," in said and "give DATA_VOICES" in said
    found = report.examine(settings_of(tmp_path, data_voices=["cmn"])).found
    assert not any("spelled out" in line for line in found)


@pytest.mark.parametrize(
    ("text", "voice", "spelled"),
    [
        ("красный цветок", "en-us+f3", True),
        ("красный цветок", "ru", False),
        ("une fleur à pétales étroits", "fr-fr", False),
        ("a flower of 5 cm in \u03b3 phase", "en-gb", False),
        ("12 34", "en-us", False),
    ],
)
def test_text_in_other_letters_is_spelled_out(text, voice, spelled):
    assert is_spelled_out(text, voice) == spelled


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"data_voices": ["elvish"]}, "voice 'elvish' does not exist"),
        ({"data_validation": 0.8}, "of them 3 would be kept for validation, .* or give DATA_VALIDATION=0"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_faults(tmp_path, more, line):
    (fault,) = report.examine(settings_of(make_folder(tmp_path), **more)).faults
    assert re.search(line, fault)


def test_a_voice_that_speaks_nothing_is_not_looked_for(tmp_path):
    assert report.examine(settings_of(make_recorded(tmp_path), data_voices=["elvish"])).faults == ()


def test_recordings_are_counted_by_kind(tmp_path):
    record(make_recorded(tmp_path), "oak/a", 8000, 2)
    soundfile.write(tmp_path / "audio/elm/a_1.flac", np.sin(np.arange(44_100)), 44_100)
    found = report.examine(settings_of(tmp_path))
    assert found.faults == ()
    assert found.found[-1].startswith("not used          10 captions of images with another number of recordings: ")
    assert found.found[5:-1] == (
        "recordings        11, 1 to 2 an image",
        "  formats         WAV 10, FLAC 1",
        "  sample rates    16000 Hz 9, 44100 Hz 1, 8000 Hz 1",
        "  lengths         1.0 to 2.0 s, median 1.0 s",
        "  note            1 recordings at 8000 Hz: no sound above 4000 Hz",
    )


def test_a_recording_that_is_a_copy_of_that_of_another_image_is_said(tmp_path):
    paths = sorted((make_recorded(tmp_path) / "audio").glob("*/*"))  # all of one size
    assert not any("equal" in line for line in report.examine(settings_of(tmp_path)).found)
    paths[0].with_name(paths[0].name.replace("_0", "_1")).write_bytes(paths[0].read_bytes())  # twice of one image
    paths[-1].write_bytes(paths[0].read_bytes())
    (said,) = [line for line in report.examine(settings_of(tmp_path)).found if "equal" in line]
    assert said == f"  note            1 are equal to that of another image, such as {paths[-1]} and {paths[0]}"


def test_every_bad_image_and_recording_is_listed(tmp_path):
    make_recorded(tmp_path)
    content = (tmp_path / "images/oak/a.png").read_bytes()
    (tmp_path / "images/oak/a.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "images/elm/a.png").write_bytes(b"<html>")
    Image.fromarray(np.full((9, 9), 9, np.uint16)).save(tmp_path / "images/fir/a.png")
    record(tmp_path, "oak/a", 2000)
    cut = record(tmp_path, "elm/a")
    cut.write_bytes(cut.read_bytes()[:9000])
    record(tmp_path, "fir/a", 8000, 61)
    flac = tmp_path / "audio/ash/a_1.flac"
    soundfile.write(flac, np.sin(np.arange(44_100)), 44_100)
    flac.write_bytes(flac.read_bytes()[:30_000])
    found = report.examine(settings_of(tmp_path))
    for line in (
        "oak/a.png cannot be read", "elm/a.png cannot be read: it is an HTML page", "fir/a.png has 16 bits",
        "oak/a_0.wav has a sample rate of 2000 Hz", "elm/a_0.wav is cut", "fir/a_0.wav lasts 61 s", "ash/a_1.flac",
    ):  # fmt: skip
        assert sum(line in fault for fault in found.faults) == 1, line
    assert len(found.faults) == 7


def test_faults_of_lists_tables_and_captions_are_listed_too(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "captions/oak/a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "captions/elm/a.txt").unlink()
    (tmp_path / "images/fir/a.png").write_bytes(b"")
    (tmp_path / "audio/ash").mkdir(parents=True)
    for name in ("a.wav", "b_1_0.m4a"):
        (tmp_path / "audio/ash" / name).write_bytes(b"x")
    (tmp_path / "images/ash/a.png").write_bytes(b"x")
    write(tmp_path / "attributes.csv", "class,leaf", "oak")
    write(tmp_path / "test_classes.txt", "yew", "lime")
    faults = report.examine(settings_of(tmp_path)).faults
    for line in (
        "oak/a.txt", "elm/a.png has no caption", "fir/a.png", "ash/a.png", "attributes.csv", "'lime'", "ash/a.wav",
        "ash/b_1_0.m4a",
    ):  # fmt: skip
        assert sum(line in fault for fault in faults) == 1, line
    assert len(faults) == 8


def test_only_a_full_check_decodes_everything(tmp_path):
    make_recorded(tmp_path)
    soundfile.write(tmp_path / "audio/oak/a_0.wav", np.zeros(9000), 16_000)
    for path in (tmp_path / "images/oak").iterdir():  # damage inside of a file whose ends are whole
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    assert report.examine(settings_of(tmp_path)).faults == ()
    found = report.examine(settings_of(tmp_path), full=True)
    assert len(found.faults) == 3 and "oak/a_0.wav is silent" in found.faults[2]


def test_boxes_and_orientations(tmp_path):
    make_cub(tmp_path)
    path = tmp_path / "CUB_200_2011/images/007.Auk/Auk_1.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as image:
        image.convert("RGB").save(path, exif=exif)
    found = report.examine(settings_of(tmp_path, "cub"))
    (few,) = found.faults
    assert "dataset 'cub' has 1 training classes" in few
    assert "1 have an EXIF orientation: they stay as they are stored, as bounding boxes are" in str(found.found)
    boxes = tmp_path / "CUB_200_2011/bounding_boxes.txt"
    write(boxes, "3 900 900 5 5", *boxes.read_text().splitlines()[1:])
    fault = report.examine(settings_of(tmp_path, "cub")).faults[-1]
    assert "Ani_1.jpg is 50 x 40 pixels: its bounding box" in fault


def test_images_and_files_of_public_sets_that_are_not_used_are_counted(tmp_path):
    cub, oxford = make_cub(tmp_path / "cub"), make_oxford(tmp_path / "oxford")
    draw(cub / "CUB_200_2011/images/007.Auk/Auk_9.jpg")
    draw(cub / "CUB_200_2011/images/lost.jpg")
    draw(oxford / "jpg/image_00009.jpg")
    for root in (cub, oxford):
        for name in ("notes.txt", "CUB_200_2011.tgz", "102flowers.tgz", ".DS_Store"):
            write(root / name, "x")
    captions = "cvpr2016_cub/text_c10/009.Jay"
    assert [line for line in report.examine(settings_of(cub, "cub")).found if line.startswith("not used")] == [
        "not used          2 other files and folders: 102flowers.tgz, notes.txt",
        "not used          1 images that images.txt does not name: CUB_200_2011/images/007.Auk/Auk_9.jpg",
        "not used          1 folders of images of a class that no list names: CUB_200_2011/images/009.Jay",
        "not used          1 files among the folders of images: CUB_200_2011/images/lost.jpg",
        f"not used          1 folders of captions of a class that no list names: {captions}",
    ]
    assert [line for line in report.examine(settings_of(oxford, "oxford")).found if line.startswith("not used")] == [
        "not used          2 other files and folders: CUB_200_2011.tgz, notes.txt",
        "not used          1 images that setid.mat does not name: jpg/image_00009.jpg",
    ]
    for root, dataset in ((cub, "cub"), (oxford, "oxford")):
        (root / "Audio").mkdir()
        assert report.examine(settings_of(root, dataset)).faults == (f"{root}/Audio is not read: rename it to audio",)


def test_long_lists_are_cut():
    faults = [f"image {k} is bad" for k in range(25)] + ["table x is bad"] + ["audio file x is bad"] * 3
    listed = report.listed(faults)
    assert len(listed) == 20 + 1 + 3 + 1 and listed[20] == "5 more such lines about the images"
    assert listed[-1] == "table x is bad"


@pytest.mark.parametrize("word", ["CHECK=1", "CHECK=full"])
def test_check_only_reports(tmp_path, monkeypatch, capsys, word):
    root = tmp_path / "project"
    root.mkdir()
    (root / "Snakefile").touch()
    monkeypatch.chdir(root)
    make_recorded(tmp_path / "trees")
    words = ["study", "DATASET=folder", f"DATA_DIR={tmp_path}/trees", word]
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"folder, in {tmp_path}/trees\n  images  ") and not said.err
    (tmp_path / "trees/images/oak/a.png").write_bytes(b"x")
    (tmp_path / "trees/audio/oak/a_0.wav").write_bytes(b"x")
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.err.count("error: ") == 2 and "oak/a.png cannot be read" in said.err and "a_0.wav" in said.err
    assert [path.name for path in root.iterdir()] == ["Snakefile"]
    assert main(["study", "CHECK=1"]) == 0
    assert capsys.readouterr().out == "mini-flowers is synthetic: drawn when it is needed\n"
