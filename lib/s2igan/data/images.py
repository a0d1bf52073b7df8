"""Images from files: opened, turned upright, in 8 bits on white; box crop, resizing, the middle square."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from s2igan import BadInput
from s2igan.data.kinds import misnamed
from s2igan.data.layout import Box
from s2igan.data.names import check_file

# Pillow opens forty formats, some of them in part only; these are whole, and what people have.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MOST_PIXELS = 2**26  # 67 megapixels: reading one takes up to 520 MiB
BAND = 2**20  # pixels that are converted at once
MOST_ASPECT = 20  # times as long as wide: of a longer image only the middle is resized
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
# Pillow warns of what it reads all the same; of large images too, which `open_image` refuses.
warnings.filterwarnings("ignore", module=r"PIL\.")


def crop_to_box(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a square around the centre of `box`, in pixels, clipped to the image.

    Its side is 1.5 * max(w, h). Released code: r = int(0.75 * max(w, h)), centre (int((2x + w) / 2), int((2y + h) /
    2)).
    """
    x, y, w, h = box
    r = int(0.75 * max(w, h))
    centre_x, centre_y = int((2 * x + w) / 2), int((2 * y + h) / 2)
    return max(0, centre_x - r), max(0, centre_y - r), min(width, centre_x + r), min(height, centre_y + r)


def open_image(path: Path) -> Image.Image:
    """The image in file `path`, its header read and its pixels not yet.

    Raises BadInput for a file that is missing, empty, no image of `FORMATS`, or larger than `MOST_PIXELS`.
    """
    check_file(path, "image")
    try:
        image = Image.open(path, formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise BadInput(f"image {path} cannot be read: {misnamed(path, FORMATS, 'convert it to PNG')}") from None
    except Image.DecompressionBombError:
        raise BadInput(f"image {path} is too large: make it smaller than {MOST_PIXELS / 1e6:.0f} megapixels") from None
    except Exception as error:  # of a damaged header Pillow's readers raise anything
        raise _unreadable(path, error) from None
    if image.width * image.height > MOST_PIXELS:
        size = f"{image.width} x {image.height} pixels"
        image.close()
        raise BadInput(f"image {path} is too large, {size}: make it smaller than {MOST_PIXELS / 1e6:.0f} megapixels")
    return image


def read_image(path: Path, size: int, box: Box | None = None) -> np.ndarray:
    """(size, size, 3) uint8: cropped to `box` if there is one, short side resized to `size`, middle of the long side.

    Resizing is bilinear and antialiased. 16 bits a channel become 8, what is transparent shows white, and of several
    frames the first is taken. Without a box the image is turned as its EXIF orientation says; boxes count the pixels
    as they are stored. Raises BadInput as `open_image`, for a damaged or cut image, and a box outside of it.
    """
    image, turn = _loaded(path, turned=not box)
    image = image if turn is None else image.transpose(turn)
    if box:
        image = _cropped(image, box, path)
    if max(image.size) > MOST_ASPECT * min(image.size):
        image = _middle(image, 4 * min(image.size))
    scale = size / min(image.size)
    width, height = max(size, round(image.width * scale)), max(size, round(image.height * scale))
    return _on_white(_middle(image.resize((width, height), Image.Resampling.BILINEAR), size))


def _loaded(path: Path, turned: bool) -> tuple[Image.Image, Image.Transpose | None]:
    """The pixels of a file as `_eight_bits` gives them, and if it is to be `turned`, what makes them upright.

    Raises BadInput as `read_image`.
    """
    with open_image(path) as file:
        try:
            file.load()
            turn = UPRIGHT.get(file.getexif().get(ExifTags.Base.Orientation)) if turned else None
            return _eight_bits(file), turn
        except BadInput as error:
            raise BadInput(f"image {path} {error}") from None
        except Exception as error:  # of damaged data, too
            raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> BadInput:
    return BadInput(f"image {path} cannot be read: {(str(error) or type(error).__name__).splitlines()[0]}")


def _cropped(image: Image.Image, box: Box, path: Path) -> Image.Image:
    if not all(map(math.isfinite, box)) or min(box[2:]) <= 0:
        raise BadInput(
            f"image {path} has the bounding box {box}: it must be left, top, width and height in pixels, "
            "the last two above 0"
        )
    area = crop_to_box(box, *image.size)
    if area[0] >= area[2] or area[1] >= area[3]:
        raise BadInput(f"image {path} is {image.width} x {image.height} pixels: its bounding box {box} lies outside")
    return image.crop(area)


def _middle(image: Image.Image, most: int) -> Image.Image:
    """The middle of `image`, both sides at most `most` pixels."""
    width, height = min(image.width, most), min(image.height, most)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _eight_bits(image: Image.Image) -> Image.Image:
    """`image` in mode RGB; in mode RGBa, colours multiplied by alpha, where a part of it may be transparent.

    It is converted in bands, so that there are never more than two images of its size in memory.
    """
    clear = image.info.get("transparency")
    narrowed = None
    if image.mode[0] in "IF":
        narrowed = _narrowing(image)
        alpha = isinstance(clear, int)
    else:
        if image.mode == "RGB" and isinstance(clear, tuple) and max(clear) > 255:
            image.info["transparency"] = tuple(value >> 8 for value in clear)  # Pillow keeps each channel's high byte
        alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        if image.mode == "RGBa" or (image.mode == "RGB" and not alpha):
            return image
    whole = Image.new("RGBa" if alpha else "RGB", image.size)
    for top, band in _bands(image):
        band = narrowed(band) if narrowed else band
        whole.paste(band.convert("RGBA").convert("RGBa") if alpha else band.convert("RGB"), (0, top))
    return whole


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """`image` in bands of about `BAND` pixels, each with its first row."""
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(image.height, top + rows)))


def _narrowing(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What makes a band of a grey image of 16 or 32 bits, or floats, one of 8 bits: mode L, or LA where one value
    counts as transparent.

    Floats up to 1 count as fractions of white. A wider number has no such convention: it is taken as 8 bits up to 255,
    as 16 bits up to 65,535. 16 bits that never exceed 255 may mean black or a wrong scale, and raise BadInput.
    """
    extremes = [(float(part.min()), float(part.max())) for part in (np.asarray(band) for _, band in _bands(image))]
    low, high = float(np.min(extremes)), float(np.max(extremes))
    if not (math.isfinite(low + high) and low >= 0 and high <= 65535):
        raise BadInput(f"has values from {low:g} to {high:g}: save it with 8 or 16 bits a channel")
    if image.mode.startswith("I;16") and 0 < high <= 255:
        raise BadInput(f"has 16 bits a channel, but no value above {high:g}: save it with 8 bits, or it would be black")
    clear = image.info.get("transparency")

    def narrowed(band: Image.Image) -> Image.Image:
        values = np.asarray(band)
        if band.mode == "F":
            values = np.rint(values * 255 if high <= 1 else values)
        grey = (values.astype(np.int32) >> (8 if high > 255 else 0)).astype(np.uint8)
        if isinstance(clear, int):
            return Image.fromarray(np.stack([grey, np.where(values == clear, 0, 255).astype(np.uint8)], -1))
        return Image.fromarray(grey)

    return narrowed


def _on_white(image: Image.Image) -> np.ndarray:
    """An image of `_eight_bits` as (h, w, 3) uint8, what is transparent white."""
    pixels = np.asarray(image)
    if image.mode == "RGB":
        return pixels
    colours, alpha = pixels[..., :3].astype(np.int16), pixels[..., 3:].astype(np.int16)
    return (colours + 255 - alpha).clip(0, 255).astype(np.uint8)
