"""Image files as they come: depths, transparency, orientations, formats, sizes."""

import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from s2igan import BadInput
from s2igan.data import images
from s2igan.data.images import read_image

NOISE = np.random.default_rng(0).integers(0, 256, (20, 20, 4), np.uint8)


def png(values: np.ndarray, colour_type: int, clear: bytes = b"") -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write in colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = (b"IHDR", head), *([(b"tRNS", clear)] if clear else []), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


@settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pixels=arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30), st.just(3))), size=st.integers(4, 24))
def test_one_picture_in_8_and_16_bits_with_and_without_alpha(tmp_path, pixels, size):
    pixels[0, 0] = 200  # 16 bits that are all below 256 are refused
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    expected, grey = read_image(tmp_path / "a.png", size), read_image(tmp_path / "grey.png", size)
    opaque = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], 2)
    Image.fromarray(opaque).save(tmp_path / "b.png")
    Image.fromarray(opaque).save(tmp_path / "b.tif")
    Image.fromarray(opaque).save(tmp_path / "b.webp", lossless=True)
    Image.fromarray(pixels[..., [0, 0]] | np.array([0, 255], np.uint8)).save(tmp_path / "g.png")
    deep = pixels.astype(np.uint16) * 257
    (tmp_path / "c.png").write_bytes(png(deep, 2))
    (tmp_path / "d.png").write_bytes(png(opaque.astype(np.uint16) * 257, 6))
    Image.fromarray(deep[..., 0]).save(tmp_path / "g16.png")
    Image.fromarray(deep[..., 0].astype(">u2")).save(tmp_path / "g16.tif")
    Image.fromarray(deep[..., 0].astype(np.int32)).save(tmp_path / "g32.tif")
    Image.fromarray((pixels[..., 0] / 255).astype(np.float32)).save(tmp_path / "gf.tif")
    Image.fromarray(pixels[..., 0].astype(np.float32)).save(tmp_path / "gf255.tif")
    for name in ("b.png", "b.tif", "b.webp", "c.png", "d.png"):
        np.testing.assert_array_equal(read_image(tmp_path / name, size), expected, name)
    for name in ("g.png", "g16.png", "g16.tif", "g32.tif", "gf.tif", "gf255.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name, size), grey, name)


def test_what_is_transparent_shows_white(tmp_path):
    def assert_white_where(clear: np.ndarray, colours: np.ndarray, name: str) -> None:
        np.testing.assert_array_equal(read_image(tmp_path / name, 20), np.where(clear[..., None], 255, colours), name)

    colours, left = NOISE[..., :3], np.tile(np.arange(20) < 10, (20, 1))
    alpha = np.where(left, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.dstack([colours, alpha]))
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.webp", lossless=True, exact=True)
    image.save(tmp_path / "a.tif")
    for name in ("a.png", "a.webp", "a.tif"):
        assert_white_where(left, colours, name)
    grey = colours[..., 0] & 0xF0
    three = np.repeat(grey[..., None], 3, 2)
    Image.fromarray(grey).save(tmp_path / "l.png", transparency=16)
    Image.fromarray(grey.astype(np.uint16) << 8).save(tmp_path / "i.png", transparency=16 << 8)
    (tmp_path / "c.png").write_bytes(png(three.astype(np.uint16) * 257, 2, struct.pack(">HHH", *[16 * 257] * 3)))
    for name in ("l.png", "i.png", "c.png"):
        assert_white_where(grey == 16, three, name)
    bits = np.where(left, 0, 255).astype(np.uint8)
    Image.fromarray(bits).convert("1").save(tmp_path / "1.png", transparency=255)
    assert (read_image(tmp_path / "1.png", 20) == np.where(left, 0, 255)[..., None]).all()
    palette = Image.fromarray(grey // 16).convert("L")
    palette.putpalette([value for k in range(16) for value in (k * 16,) * 3])
    for name in ("p.png", "p.gif"):
        palette.save(tmp_path / name, transparency=1)
        assert_white_where(grey == 16, three, name)
    half = Image.new("RGBA", (20, 20), (200, 100, 0, 128))
    half.save(tmp_path / "half.png")
    white = Image.alpha_composite(Image.new("RGBA", (20, 20), "white"), half).convert("RGB")
    assert np.abs(read_image(tmp_path / "half.png", 20).astype(int) - np.asarray(white)).max() <= 1


def test_wide_numbers_without_a_convention_are_refused(tmp_path):
    for values, line in (
        (np.full((9, 9), 70_000, np.int32), "values from 70000 to 70000"),
        (np.full((9, 9), -1, np.int32), "values from -1"),
        (np.full((9, 9), np.nan, np.float32), "values from nan"),
        (np.full((9, 9), 200, np.uint16), "16 bits a channel, but no value above 200"),
    ):
        Image.fromarray(values).save(tmp_path / "a.tif")
        with pytest.raises(BadInput, match=rf"image .*a.tif has .*{line}.*save it with 8"):
            read_image(tmp_path / "a.tif", 8)
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(tmp_path / "black.png")
    assert not read_image(tmp_path / "black.png", 8).any()


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright(tmp_path, ending, orientation):
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8], upright[8:, :8] = 255, 128
    stored = Image.fromarray(upright)
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the inverses, as Pillow numbers them
    if orientation in back:
        stored = stored.transpose(back[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / f"a.{ending}", exif=exif, **({"quality": 95} if ending != "png" else {}))
    assert np.abs(read_image(tmp_path / f"a.{ending}", 16).astype(int) - upright).max() < 12


def test_other_formats_and_files_are_named(tmp_path):
    noise = Image.fromarray(NOISE[..., :3])
    for ending, name in (("dds", "a DDS image"), ("jp2", "a JPEG 2000 image"), ("avif", "an AVIF image")):
        noise.save(tmp_path / f"a.{ending}")
        (tmp_path / "a.png").write_bytes((tmp_path / f"a.{ending}").read_bytes())
        with pytest.raises(BadInput, match=rf"a.png cannot be read: it is {name}, not JPEG, PNG, .* convert it to PNG"):
            read_image(tmp_path / "a.png", 8)
    page = (b"<html>404", "an HTML page.*download it again")
    for content, line in (page, (b"", "is empty"), (b"x", "it is no JPEG")):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(BadInput, match=line):
            read_image(tmp_path / "a.png", 8)
    for place, line in ((tmp_path, "is no file"), (tmp_path / "none.png", "does not exist")):
        with pytest.raises(BadInput, match=line):
            read_image(place, 8)


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "bmp", "tif", "webp"])
def test_an_image_that_is_cut_is_refused(tmp_path, ending):
    Image.fromarray(NOISE[..., :3]).resize((90, 90)).save(tmp_path / f"a.{ending}")
    content = (tmp_path / f"a.{ending}").read_bytes()
    (tmp_path / f"a.{ending}").write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match=rf"image .*a.{ending} cannot be read"):
        read_image(tmp_path / f"a.{ending}", 8)


def test_the_first_of_several_frames_is_read(tmp_path):
    first, second = Image.new("RGB", (9, 9), (255, 0, 0)), Image.new("RGB", (9, 9), (0, 0, 255))
    for name in ("a.gif", "a.webp", "a.png", "a.tif"):
        first.save(tmp_path / name, save_all=True, append_images=[second])
        assert np.abs(read_image(tmp_path / name, 8).astype(int) - (255, 0, 0)).max() < 5, name


def test_sizes(tmp_path, monkeypatch):
    for size in ((1, 1), (1, 100_000), (100_000, 1), (3, 2)):
        Image.new("L", size, 77).save(tmp_path / "a.png")
        assert (read_image(tmp_path / "a.png", 256) == 77).all()
    wide = np.tile(np.arange(250, dtype=np.uint8)[None, :, None], (10, 1, 3))  # 25 times as wide as high
    Image.fromarray(wide).save(tmp_path / "wide.png")
    np.testing.assert_array_equal(read_image(tmp_path / "wide.png", 10), wide[:, 120:130])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in ((20_000, 5_000), (30_000, 30_000)):  # Pillow warns of the first, and refuses the second
            head = png(np.zeros((1, 1)), 0)
            (tmp_path / "b.png").write_bytes(head[:16] + struct.pack(">II", *size) + head[24:])
            fixed = (tmp_path / "b.png").read_bytes()
            crc = struct.pack(">I", zlib.crc32(fixed[12:29]))
            (tmp_path / "b.png").write_bytes(fixed[:29] + crc + fixed[33:])
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"PIL\.")  # as `images` does once; pytest undoes it
                with pytest.raises(BadInput, match=r"b.png is too large.*make it smaller than 67 megapixels"):
                    read_image(tmp_path / "b.png", 8)
    monkeypatch.setattr(images, "MOST_PIXELS", 99)
    Image.new("L", (10, 10)).save(tmp_path / "c.png")
    with pytest.raises(BadInput, match=r"c.png is too large, 10 x 10 pixels"):
        read_image(tmp_path / "c.png", 8)


@pytest.mark.parametrize(
    "box", [(float("nan"), 0, 5, 5), (0, 0, float("inf"), 5), (0, 0, 5, float("nan")), (0, 0, 0, 5), (0, 0, 5, -5)]
)
def test_boxes_that_are_none_are_refused(tmp_path, box):
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    with pytest.raises(BadInput, match=r"a.png has the bounding box .* width and height in pixels"):
        read_image(tmp_path / "a.png", 8, box)
    with pytest.raises(BadInput, match=r"bounding box .* lies outside"):
        read_image(tmp_path / "a.png", 8, (1e300, 0.0, 5.0, 5.0))


@pytest.mark.parametrize("colour", [(250, 10, 10), (10, 250, 10), (10, 10, 250)])
def test_cmyk_of_a_printer_and_the_two_frames_of_a_stereo_camera_are_read(colour, tmp_path):
    plain, other = (Image.new("RGB", (16, 16), of) for of in (colour, (0, 0, 0)))
    plain.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    plain.save(tmp_path / "mpo.jpg", format="MPO", save_all=True, append_images=[other], quality=100)
    for name in ("cmyk.jpg", "mpo.jpg"):
        assert np.abs(read_image(tmp_path / name, 16).astype(int) - colour).max() < 12


def test_bands_make_no_difference(tmp_path, monkeypatch):
    deep = NOISE[..., 0].astype(np.uint16) << 8
    Image.fromarray(NOISE).save(tmp_path / "rgba.png")
    Image.fromarray(NOISE[..., :2]).save(tmp_path / "la.png")
    Image.fromarray(NOISE[..., :3]).quantize(9).save(tmp_path / "p.png", transparency=3)
    Image.fromarray(deep).save(tmp_path / "deep.png", transparency=int(deep[3, 3]))
    Image.fromarray(np.where(np.arange(20)[:, None] == 7, NOISE[..., 0], 0) / np.float32(9)).save(tmp_path / "f.tif")
    names = ("rgba.png", "la.png", "p.png", "deep.png", "f.tif")
    whole = [read_image(tmp_path / name, 13) for name in names]
    monkeypatch.setattr(images, "BAND", 50)  # two rows, and one where the last band is cut
    for name, expected in zip(names, whole, strict=True):
        np.testing.assert_array_equal(read_image(tmp_path / name, 13), expected, name)


PEAK = """
import re, sys
from pathlib import Path
from s2igan.data.images import read_image
peak = lambda: int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
read_image(Path(sys.argv[1]), 16)
print((peak() - before) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say a process's peak memory")
def test_a_large_image_is_held_twice_at_most(tmp_path):
    Image.new("RGBA", (4096, 4096), (9, 99, 200, 100)).save(tmp_path / "a.png", compress_level=1)  # 64 MiB
    ran = subprocess.run([sys.executable, "-c", PEAK, tmp_path / "a.png"], capture_output=True, text=True, check=True)
    assert 100 < float(ran.stdout) < 160  # MiB
