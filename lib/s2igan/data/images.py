"""Images from files: box crop, resizing, the middle square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from s2igan import BadInput
from s2igan.data.layout import Box


def crop_to_box(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a square around the centre of `box`, in pixels, clipped to the image.

    Its side is 1.5 * max(w, h). Released code: r = int(0.75 * max(w, h)), centre (int((2x + w) / 2), int((2y + h) /
    2)).
    """
    x, y, w, h = box
    r = int(0.75 * max(w, h))
    centre_x, centre_y = int((2 * x + w) / 2), int((2 * y + h) / 2)
    return max(0, centre_x - r), max(0, centre_y - r), min(width, centre_x + r), min(height, centre_y + r)


def read_image(path: Path, size: int, box: Box | None = None) -> np.ndarray:
    """(size, size, 3) uint8: cropped to `box` if there is one, short side resized to `size`, middle of the long side.

    Resizing is bilinear and antialiased. Raises BadInput for a file that is no image, and a box outside of it.
    """
    try:
        with Image.open(path) as file:
            image = file.convert("RGB") if box else ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"image {path} cannot be read: {error}") from None
    if box:
        area = crop_to_box(box, *image.size)
        if area[0] >= area[2] or area[1] >= area[3]:
            raise BadInput(
                f"image {path} is {image.width} x {image.height} pixels: its bounding box {box} lies outside"
            )
        image = image.crop(area)
    scale = size / min(image.size)
    width, height = max(size, round(image.width * scale)), max(size, round(image.height * scale))
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(
        image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))
    )
