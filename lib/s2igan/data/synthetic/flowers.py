"""The synthetic set `mini-flowers`: its attributes and drawing."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from s2igan.data.synthetic.canvas import DISC, Canvas, colour_of, mirrored, placed, ramp, tones
from s2igan.data.synthetic.drawn_set import DrawnSet

ATTRIBUTES = {
    "petals": ("four", "five", "eight"),
    "shape": ("round", "pointed", "narrow"),
    "colour": ("red", "orange", "yellow", "white", "pink", "purple", "blue", "turquoise", "maroon"),
    "centre": ("yellow", "white", "green", "black"),
    "ring": ("none", "white", "red"),
    "stamens": ("none", "black"),
    "leaves": ("broad", "slender"),
}
CONTRASTS = (("colour", "centre"), ("colour", "ring"), ("centre", "ring"), ("colour", "stamens"), ("ring", "stamens"))
WEIGHTS = {"petals": 3.0, "shape": 3.0, "centre": 2.0, "ring": 1.2, "stamens": 1.2, "leaves": 1.0}

COUNTS = {"four": 4, "five": 5, "eight": 8}
# Petals and leaves lie along x from 0 (base) to 1 (tip), with half-width 1 in y.
PETALS = {
    "round": mirrored([(0, 0.22), (0.3, 0.66), (0.58, 0.98), (0.8, 0.9), (0.95, 0.5), (1.0, 0)]),
    "pointed": mirrored([(0, 0.3), (0.22, 0.66), (0.46, 0.84), (0.7, 0.52), (0.9, 0.14), (1.04, 0)]),
    "narrow": mirrored([(0, 0.5), (0.3, 0.8), (0.6, 1.0), (0.85, 0.8), (0.98, 0.35), (1.02, 0)]),
}
LEAVES = {
    "broad": mirrored([(0, 0.12), (0.25, 0.85), (0.5, 1.0), (0.75, 0.72), (0.98, 0.05)]),
    "slender": mirrored([(0, 0.5), (0.3, 1.0), (0.6, 0.8), (0.98, 0.04)]),
}


def draw(attributes: dict[str, str], rng: Generator, size: int) -> np.ndarray:
    """A flower from the front on its stem: [size, size, 3], 0..255."""
    number, colour = COUNTS[attributes["petals"]], colour_of(attributes["colour"])
    x, y, radius, tilt, turn, lean = rng.uniform(
        (0.485, 0.445, 0.355, 0.94, -0.12, -0.04), (0.515, 0.47, 0.385, 1.0, 0.12, 0.04)
    )
    middle, step = np.array((x, y)), 2 * math.pi / number

    # Out-of-focus greens: one shade an image, a coarse grid of small differences, darker below and behind the flower.
    shade, blue = rng.uniform((0.85, -8), (1.1, 10))
    grid = np.array((74.0, 112, 62 + blue)) * shade * rng.uniform(0.88, 1.12, (4, 4, 1)) + rng.uniform(-4, 4, (4, 4, 3))
    grid *= np.array((1.15, 1.05, 0.9, 0.75))[:, None, None]
    canvas = Canvas(grid, size)
    _leaves(canvas, attributes["leaves"], middle, lean, rng)

    # As wide as leaves neighbours apart, up to a limit: four broad pointed petals would be a square.
    width = min(0.65 * math.tan(step / 2), 0.4 if attributes["shape"] == "pointed" else 0.5)
    width *= 0.5 if attributes["shape"] == "narrow" else 1
    shades = tones(colour, steps=4)
    angles = turn * step + step * np.arange(number) - math.pi / 2
    for angle, wobble in zip(angles, rng.uniform(-1, 1, (max(COUNTS.values()), 2)), strict=False):
        petal_angle, length = angle + 0.04 * wobble[0], radius * (1 + 0.04 * wobble[1])
        petal = (
            placed(PETALS[attributes["shape"]], np.zeros(2), petal_angle, (length, radius * width)) * (1, tilt) + middle
        )
        along = np.array((math.cos(petal_angle), math.sin(petal_angle) * tilt)) * length
        lit = 1 - 0.07 * math.cos(angle - math.pi / 4)  # petals towards the light are brighter
        canvas.shaded(petal, middle + 0.62 * along, [shade * lit for shade in shades])
        canvas.line(np.array((middle + 0.2 * along, middle + 0.7 * along)), colour * 0.8 * lit, 0.006)
    _flower_heart(canvas, attributes, middle, radius, tilt, angles[0] + step / 2)
    return canvas.finish()


def _leaves(canvas: Canvas, kind: str, middle: np.ndarray, lean: float, rng: Generator) -> None:
    """The stem and its pair of leaves, below and behind the flower."""
    green, wobbles = np.array((74.0, 146, 52)) * rng.uniform(0.9, 1.12), rng.uniform(-0.12, 0.12, 2)
    foot = np.array((middle[0] + lean, 1.05))
    side = np.array((0.016, 0))
    canvas.fill(np.array((middle - side, middle + side, foot + side, foot - side)), green * 0.7)
    canvas.fill(np.array((middle - side, middle, foot, foot - side)), green * 0.9)
    length, width, rise, start = (0.36, 0.115, 0.35, 0.9) if kind == "broad" else (0.52, 0.05, 0.85, 0.98)
    base = middle + (foot - middle) * (start - middle[1]) / (foot[1] - middle[1])
    for sign, wobble in zip((-1, 1), wobbles, strict=True):
        angle = -math.pi / 2 + sign * (math.pi / 2 - rise + wobble)
        leaf = placed(LEAVES[kind], base, angle, (length, width))
        tip = base + length * np.array((math.cos(angle), math.sin(angle)))
        canvas.shaded(leaf, base + 0.5 * (tip - base), tones(green, 0.66, 0.12, 4))
        canvas.line(np.array((base, base + 0.85 * (tip - base))), green * 0.75, 0.008)


def _flower_heart(
    canvas: Canvas, attributes: dict[str, str], middle: np.ndarray, radius: float, tilt: float, first: float
) -> None:
    """Ring, stamens and centre."""
    oval = DISC * (radius, radius * tilt)
    if attributes["ring"] != "none":
        ring = colour_of(attributes["ring"])
        canvas.shaded(middle + 0.54 * oval, middle, ramp(ring * 0.8, ring, steps=3), least=0.85)
    if attributes["stamens"] != "none":
        stamen = colour_of(attributes["stamens"])
        for angle in first + 2 * math.pi / 8 * np.arange(8):
            tip = middle + 0.7 * radius * np.array((math.cos(angle), math.sin(angle) * tilt))
            canvas.line(np.array((middle, tip)), stamen * 0.85, 0.012)
            canvas.fill(tip + 0.08 * oval, stamen * 0.7)
            canvas.fill(tip + 0.06 * oval, stamen)
    centre = colour_of(attributes["centre"])
    canvas.fill(middle + 0.36 * oval, centre * 0.62)
    canvas.shaded(middle + 0.335 * oval, middle - 0.1 * radius, tones(centre, 0.8, 0.3), least=0.2)


FLOWERS = DrawnSet(
    attributes=ATTRIBUTES,
    contrasts=CONTRASTS,
    class_name=("colour", "shape", "petals"),
    usual={"colour": 1.0},
    weights=WEIGHTS,
    draw=draw,
)
