"""The MAT files of Oxford-102."""

import shutil

import numpy as np
import scipy.io
from mutations import damaged

from s2igan.data.sources import read_source


def originals(folder):
    labels = [77, 20, 21, 77, 20, 21]
    for number, label in enumerate(labels, 1):
        text = folder / f"cvpr2016_flowers/text_c10/class_{label:05d}/image_{number:05d}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("a flower\n")
        (folder / "jpg").mkdir(exist_ok=True)
        (folder / f"jpg/image_{number:05d}.jpg").write_bytes(b"x")
    sets = {"trnid": np.array([[4, 2]]), "valid": np.array([[1]]), "tstid": np.array([[3, 5, 6]])}
    made = {}
    for compressed in (False, True):
        for name, arrays in (("imagelabels", {"labels": np.array([labels], np.uint8)}), ("setid", sets)):
            scipy.io.savemat(folder / f"{name}.mat", arrays, do_compression=compressed)
            made[name, compressed] = (folder / f"{name}.mat").read_bytes()
    return folder, made


def attempt(original, random, folder):
    made, files = original
    root = folder / "r"
    shutil.copytree(made, root)
    name, compressed = random.choice(list(files))
    (root / f"{name}.mat").write_bytes(damaged(files[name, compressed], random))
    for item in read_source("oxford", root).items:
        assert item.path.is_file()
