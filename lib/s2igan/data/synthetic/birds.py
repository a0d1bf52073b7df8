"""The synthetic set `mini-birds`: its attributes and drawing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from s2igan.data.synthetic.canvas import COLOURS, DISC, OVERSAMPLING, Canvas, colour_of, placed, ramp, smooth, tones
from s2igan.data.synthetic.drawn_set import DrawnSet

ATTRIBUTES = {
    "crown": ("red", "yellow", "white", "black"),
    "body": ("red", "yellow", "green", "blue", "purple", "brown"),
    "wing": ("red", "yellow", "green", "blue", "grey", "black"),
    "belly": ("orange", "yellow", "white", "black"),
    "bars": ("none", "white"),
    "beak": ("short", "long"),
    "tail": ("short", "long"),
    "size": ("small", "large"),
}
CONTRASTS = (("crown", "body"), ("body", "wing"), ("body", "belly"), ("wing", "belly"), ("wing", "bars"))
WEIGHTS = {"crown": 2.0, "belly": 2.0, "size": 1.5, "bars": 1.2, "beak": 1.2, "tail": 1.0, "wing": 1.0}


# A bird that faces right, in units of its own, about one long without tail and beak, y down.
BODY = smooth([
    (0.43, -0.37), (0.30, -0.50), (0.12, -0.45), (0.0, -0.27), (-0.2, -0.12), (-0.42, 0.12), (-0.54, 0.3),
    (-0.44, 0.37), (-0.2, 0.42), (0.06, 0.41), (0.29, 0.25), (0.39, 0.02), (0.38, -0.14), (0.44, -0.25),
])  # fmt: skip
CROWN = smooth(
    [(0.58, -0.36), (0.34, -0.375), (0.14, -0.31), (-0.04, -0.2), (-0.16, -0.36), (0.1, -0.66), (0.45, -0.66)]
)
BELLY = smooth(
    [(0.56, 0.02), (0.34, 0.08), (0.16, 0.17), (-0.16, 0.24), (-0.55, 0.34), (-0.4, 0.6), (0.1, 0.66), (0.5, 0.4)]
)
WING = smooth(
    [
        (0.1, 0.0),
        (-0.04, -0.1),
        (-0.24, -0.02),
        (-0.46, 0.18),
        (-0.66, 0.42),
        (-0.42, 0.34),
        (-0.14, 0.28),
        (0.06, 0.16),
    ]
)
TAILS = {
    "short": smooth([(-0.4, 0.17), (-0.6, 0.36), (-0.7, 0.47), (-0.63, 0.53), (-0.52, 0.46), (-0.36, 0.36)]),
    "long": smooth(
        [(-0.4, 0.17), (-0.62, 0.46), (-0.78, 0.76), (-0.74, 0.84), (-0.64, 0.8), (-0.5, 0.56), (-0.36, 0.36)]
    ),
}
BEAKS = {
    "short": np.array([(0.4, -0.385), (0.5, -0.36), (0.6, -0.285), (0.5, -0.235), (0.4, -0.22)]),
    "long": np.array([(0.4, -0.385), (0.52, -0.36), (0.77, -0.28), (0.76, -0.25), (0.52, -0.245), (0.4, -0.225)]),
}


def draw(attributes: dict[str, str], rng: Generator, size: int) -> np.ndarray:
    """A bird on a branch, facing right: [size, size, 3], 0..255."""
    x, y, angle, scale, slope = rng.uniform((0.49, 0.495, -0.05, 0.98, -0.03), (0.51, 0.515, 0.05, 1.02, 0.03))
    scale *= 0.56 if attributes["size"] == "large" else 0.46
    turned = placed(
        np.concatenate((BODY, TAILS[attributes["tail"]], BEAKS[attributes["beak"]])), np.zeros(2), angle, (scale, scale)
    )
    at = np.array((x, y)) - (turned.min(0) + turned.max(0)) / 2  # the whole bird is centred, whatever its tail and beak

    def place(shape: object) -> np.ndarray:
        return placed(np.asarray(shape), at, angle, (scale, scale))

    canvas, tail = Canvas(_sky(rng), size), place(TAILS[attributes["tail"]])
    _perch(canvas, place, slope, scale)
    shades = tones(colour_of(attributes["wing"]) * 0.9, 0.7, 0.05, 4)
    canvas.shaded(tail, (tail[0] + tail[len(tail) // 2]) / 2, shades)
    _coat(canvas, place, attributes)
    _wing(canvas, place, attributes)
    _face(canvas, place, attributes, scale)
    return _rounded(canvas, place(BODY))


def _sky(rng: Generator) -> np.ndarray:
    """Sky above, foliage below, both far out of focus: [5, 5, 3], 0..255."""
    light, hue = rng.uniform(-1, 1, 2)
    sky = np.array((178.0, 208, 230)) + np.array((14, 10, 6)) * light
    leaves = np.array((140.0, 176, 112)) + np.array((10, 12, 8)) * light + np.array((22, 0, -4)) * hue
    share = (np.linspace(0.05, 0.95, 5)[:, None, None] + rng.uniform(-0.12, 0.12, (5, 5, 1))).clip(0, 1)
    return sky + (leaves - sky) * share + rng.uniform(-5, 5, (5, 5, 1))


def _perch(canvas: Canvas, place: Callable[[object], np.ndarray], slope: float, scale: float) -> None:
    """A branch under the feet across the whole frame, and the legs."""
    feet = place([(0.0, 0.36), (-0.02, 0.53), (0.12, 0.34), (0.11, 0.53)])
    height, thickness = feet[1, 1], 0.045
    bark = np.array((112.0, 82, 56))
    for low, high, tone in ((0, 1, 0.75), (0.1, 0.75, 1.0), (0.15, 0.4, 1.2)):
        edges = np.array([(-0.05, height - slope / 2), (1.05, height + slope / 2)])
        below = np.array((0, thickness))
        canvas.fill(np.concatenate([edges + low * below, edges[::-1] + high * below]), bark * tone)
    for hip, foot in (feet[:2], feet[2:]):
        canvas.line(np.array((hip, foot)), np.array((70.0, 58, 52)), 0.035 * scale)


def _coat(canvas: Canvas, place: Callable[[object], np.ndarray], attributes: dict[str, str]) -> None:
    """Body, belly and crown, cut out by the outline of the body."""
    layer = Image.new("RGB", canvas.image.size, COLOURS[attributes["body"]])
    brush = ImageDraw.Draw(layer)
    body, outline = colour_of(attributes["body"]), place(BODY)
    for part, heart in (("belly", (0.12, 0.4)), ("crown", (0.25, -0.6))):
        shape, colour = place(BELLY if part == "belly" else CROWN), colour_of(attributes[part])
        for share, tone in zip(
            (1.0, 0.97, 0.94), ramp(body, colour, steps=4)[1:], strict=True
        ):  # feathers have no hard border
            canvas.fill(place([heart]) + (shape - place([heart])) * share, tone, brush)
    canvas.image.paste(layer, mask=canvas.mask(outline))


def _wing(canvas: Canvas, place: Callable[[object], np.ndarray], attributes: dict[str, str]) -> None:
    """The folded wing with its long feathers and bars."""
    colour = colour_of(attributes["wing"])
    canvas.fill(place(WING), colour * 0.55)
    canvas.shaded(place(WING * 0.95 + (-0.01, 0.005)), place((-0.1, 0.03)), tones(colour, 0.82, 0.16), least=0.35)
    for start, end in (((-0.12, 0.22), (-0.58, 0.38)), ((-0.18, 0.14), (-0.56, 0.33)), ((-0.22, 0.06), (-0.5, 0.26))):
        canvas.line(place([start, end]), colour * 0.62, 0.008)
    if attributes["bars"] != "none":
        for x in (-0.06, -0.22):
            bar = np.array(
                [
                    (x + 0.04, -0.03 - 0.3 * x),
                    (x + 0.12, 0.0 - 0.3 * x),
                    (x + 0.06, 0.23 - 0.1 * x),
                    (x - 0.02, 0.22 - 0.1 * x),
                ]
            )
            canvas.fill(
                place(bar - np.array((0.025, 0))), colour * 0.55
            )  # a thin shadow keeps white readable on yellow
            canvas.fill(place(bar), colour_of(attributes["bars"]))


def _face(canvas: Canvas, place: Callable[[object], np.ndarray], attributes: dict[str, str], scale: float) -> None:
    """Beak and eye."""
    horn, beak = np.array((236.0, 168, 52)), place(BEAKS[attributes["beak"]])
    canvas.fill(beak, horn * 0.55)
    canvas.shaded(beak.mean(0) + (beak - beak.mean(0)) * 0.86, beak.mean(0), tones(horn, 0.9, 0.2, 3), least=0.5)
    eye = place([(0.285, -0.315)])
    canvas.fill(eye + DISC * 0.062 * scale, np.array((236.0, 230, 214)))
    canvas.fill(eye + DISC * 0.05 * scale, np.array((18.0, 16, 18)))
    canvas.fill(eye + scale * (DISC * 0.016 + (0.014, -0.016)), np.array((250.0, 250, 250)))


def _rounded(canvas: Canvas, outline: np.ndarray) -> np.ndarray:
    """The finished image, its body shaded as something round: lit from the upper left, darker at the lower edge."""
    inside = canvas.mask(outline).reduce(OVERSAMPLING)
    bulge = np.asarray(inside.filter(ImageFilter.GaussianBlur(canvas.size / 18)), dtype=np.float32) / 255
    down, right = np.gradient(bulge)
    shade = (np.asarray(inside, dtype=np.float32) / 255) * (canvas.size / 64) * (1.6 * down + 0.9 * right)
    return canvas.finish() * (1 + shade.clip(-0.35, 0.3))[:, :, None]


BIRDS = DrawnSet(
    attributes=ATTRIBUTES,
    contrasts=CONTRASTS,
    class_name=("size", "body", "wing"),
    usual={"body": 0.95, "wing": 0.9},
    weights=WEIGHTS,
    draw=draw,
)
