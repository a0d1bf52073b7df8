"""Lists, captions, attributes and file names of a data set in the layout `folder`."""

import os
import shutil

from mutations import WORDS, damaged_text

from s2igan.data.sources import read_source

NAMES = [word for word in WORDS if word not in ("", "..", "/", "\0") and len(word) < 200]
CLASSES = ("oak", "elm", "yew é")


def originals(folder):
    files = {"train_classes.txt": "oak\nelm\n", "test_classes.txt": "yew é\n"}
    files["attributes.csv"] = "class,leaf,bark\noak,green,grey\nelm,red,grey\nyew é,green,brown\n"
    for name in CLASSES:
        for image in ("a", "b_1"):
            files[f"images/{name}/{image}.png"] = "an image"
            files[f"captions/{name}/{image}.txt"] = f"an {name} in the wind\n\na tree\n"
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    return folder, files


def attempt(original, random, folder):
    made, files = original
    shutil.copytree(made, folder / "r")
    root = folder / "r"
    change = random.randrange(6)
    name = random.choice([file for file in files if not file.startswith("images")])
    if change < 4:
        (root / name).write_bytes(damaged_text(files[name], random))
    elif change == 4:  # another file
        beside = random.choice(NAMES)
        end = random.choice([".wav", ".m4a", "_0.wav", "_00.FLAC", ".txt", ".PNG", "", ".webp"])
        part = random.choice(["images/oak", "audio/elm", "audio/oak", "captions/oak", "images", "."])
        (root / part).mkdir(parents=True, exist_ok=True)
        (root / part / (random.choice(["a", "A", "b_1", beside]) + end)).write_bytes(b"x")
    else:  # something else where a file or folder was
        at = root / random.choice(["images/oak", "images/oak/a.png", "captions/elm", name])
        shutil.rmtree(at) if at.is_dir() else at.unlink()
        kind = random.randrange(4)
        if kind == 0:
            os.mkfifo(at)
        elif kind == 1:
            at.symlink_to(at.name)
        elif kind == 2:
            at.mkdir()
    source = read_source("folder", root, mix_speech=random.random() < 0.5)
    assert len(source.items) >= 2 * len(source.classes)
    [str(kind) for kind in source.unused]
