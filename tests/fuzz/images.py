"""Images of every format and of many modes."""

import numpy as np
from mutations import damaged, touched
from PIL import Image

from s2igan.data.images import read_image

SIDES = (14, 11)


def originals(folder):
    noise = np.random.default_rng(0).integers(0, 256, (SIDES[1], SIDES[0], 4), np.uint8)
    colour, clear = Image.fromarray(noise[..., :3]), Image.fromarray(noise)
    grey, deep = colour.convert("L"), Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    upright = Image.Exif()
    upright[0x0112] = 6
    saved = {
        "colour.png": (colour, {}), "clear.png": (clear, {}), "grey.png": (grey, {"transparency": 9}),
        "deep.png": (deep, {}), "bit.png": (grey.convert("1"), {}), "two.png": (clear.convert("LA"), {}),
        "palette.png": (colour.convert("P"), {"transparency": 3}), "moving.png": (colour, MOVING | {"loop": 0}),
        "colour.jpg": (colour, {}), "upright.jpg": (colour, {"exif": upright}), "grey.jpg": (grey, {}),
        "four.jpg": (colour.convert("CMYK"), {}), "steps.jpg": (colour, {"progressive": True}),
        "two.mpo": (colour, MOVING), "colour.webp": (colour, {}), "clear.webp": (clear, {"lossless": True}),
        "moving.webp": (colour, MOVING), "colour.gif": (colour, {}), "moving.gif": (colour, MOVING),
        "colour.bmp": (colour, {}), "grey.bmp": (grey, {}), "colour.tif": (colour, {}), "deep.tif": (deep, {}),
        "packed.tif": (clear, {"compression": "tiff_lzw"}), "jpeg.tif": (colour, {"compression": "jpeg"}),
        "float.tif": (grey.convert("F"), {}),
    }  # fmt: skip
    for name, (image, options) in saved.items():
        frames = {"append_images": [image.rotate(90)]} if "save_all" in options else {}
        image.save(folder / name, **options, **frames)
    return {name: (folder / name).read_bytes() for name in saved}


MOVING = {"save_all": True}


def attempt(originals, random, folder):
    name = random.choice(sorted(originals))
    path = folder / name
    path.write_bytes(random.choice([damaged, touched])(originals[name], random))
    box = random.choice([None, None, None, (2.0, 1.0, 6.0, 5.0), tuple(random.choice(NUMBERS) for _ in range(4))])
    assert read_image(path, 8, box).shape == (8, 8, 3)


NUMBERS = (0.0, -5.0, 1.0, 3.5, 12.0, 1e300, float("nan"), float("inf"))
