"""The tables of CUB-200-2011."""

import math
import shutil

from mutations import damaged_text

from s2igan.data.sources import read_source

TABLES = {
    "CUB_200_2011/images.txt": "3 002.Ani/Ani_1.jpg\n8 002.Ani/Ani_2.jpg\n40 007.Auk/Auk_2.jpg\n41 007.Auk/Auk_1.jpg\n",
    "CUB_200_2011/image_class_labels.txt": "3 2\n8 2\n40 7\n41 7\n",
    "CUB_200_2011/bounding_boxes.txt": "3 0.3 12.0 20.0 10.0\n8 1 2 3 4\n40 4.0 1.0 2.0 3.0\n41 4.1 12.0 20.0 10.0\n",
    "CUB_200_2011/classes.txt": "2 002.Ani\n7 007.Auk\n9 009.Jay\n",
    "cvpr2016_cub/trainvalclasses.txt": "007.Auk\n",
    "cvpr2016_cub/testclasses.txt": "002.Ani\n",
}


def originals(folder):
    files = dict(TABLES)
    for image in ("002.Ani/Ani_1", "002.Ani/Ani_2", "007.Auk/Auk_1", "007.Auk/Auk_2"):
        files[f"CUB_200_2011/images/{image}.jpg"] = "an image"
        files[f"cvpr2016_cub/text_c10/{image}.txt"] = "a bird\nit has wings\n"
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")
    return folder


def attempt(original, random, folder):
    root = folder / "r"
    shutil.copytree(original, root)
    name = random.choice(list(TABLES))
    (root / name).write_bytes(damaged_text(TABLES[name], random))
    for item in read_source("cub", root).items:
        assert all(map(math.isfinite, item.box)) and min(item.box[2:]) > 0
        assert item.path.resolve().is_relative_to(root.resolve()), item.path
