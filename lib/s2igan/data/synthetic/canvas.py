"""Shapes drawn with Pillow at several times the final size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

OVERSAMPLING = 4
COLOURS = {
    "red": (214, 32, 36),
    "orange": (246, 128, 24),
    "yellow": (250, 214, 44),
    "white": (248, 248, 246),
    "pink": (248, 138, 182),
    "purple": (134, 62, 186),
    "blue": (44, 92, 220),
    "turquoise": (54, 204, 208),
    "maroon": (122, 16, 44),
    "green": (76, 156, 58),
    "brown": (132, 82, 46),
    "grey": (142, 148, 158),
    "black": (40, 38, 46),
}


def smooth(points: Sequence[tuple[float, float]], per_segment: int = 5) -> np.ndarray:
    """A closed Catmull-Rom curve through the points: array [len(points) * per_segment, 2]."""
    t = np.linspace(0, 1, per_segment, endpoint=False)[:, None]
    a, b, c, d = (np.roll(np.array(points), shift, 0)[:, None] for shift in (1, 0, -1, -2))
    return (0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)).reshape(
        -1, 2
    )


def mirrored(half: Sequence[tuple[float, float]]) -> np.ndarray:
    """A closed outline, symmetric about y = 0, from its upper half; points on the axis are not repeated."""
    return smooth([*half, *((x, -y) for x, y in reversed(half) if y != 0)])


DISC = np.array([(math.cos(math.radians(degrees)), math.sin(math.radians(degrees))) for degrees in range(0, 360, 10)])


class Canvas:
    """Draws shapes, in units of the frame, on an image `OVERSAMPLING` times too large, over a smooth background."""

    def __init__(self, background: np.ndarray, size: int) -> None:
        """background: [small, small, 3] in 0..255, stretched to the frame."""
        self.size, self.side = size, size * OVERSAMPLING
        small = Image.fromarray(background.clip(0, 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
        # Plain repetition of pixels is enough here and fast: `finish` averages the very same blocks.
        self.image = small.resize((self.side, self.side), Image.Resampling.NEAREST)
        self.draw = ImageDraw.Draw(self.image)

    def fill(self, points: np.ndarray, colour: np.ndarray, draw: ImageDraw.ImageDraw | None = None) -> None:
        """A polygon through `points` [n, 2] in one colour."""
        (draw or self.draw).polygon((points * self.side).ravel().tolist(), fill=tuple(colour.astype(int).tolist()))

    def line(self, points: np.ndarray, colour: np.ndarray, width: float) -> None:
        """A line through `points` [n, 2], `width` in units of the frame."""
        self.draw.line(
            (points * self.side).ravel().tolist(), tuple(colour.astype(int).tolist()), max(1, round(width * self.side))
        )

    def shaded(
        self, points: np.ndarray, towards: np.ndarray, colours: Sequence[np.ndarray], least: float = 0.3
    ) -> None:
        """A soft gradient: copies of the shape, first colour to last, that shrink to `least` towards a point."""
        offset = points - towards
        for i, colour in enumerate(colours):
            self.fill(towards + offset * (1 - (1 - least) * i / (len(colours) - 1)), colour)

    def mask(self, points: np.ndarray) -> Image.Image:
        """The inside of the shape as 255, on an `L` image of the size drawn at."""
        mask = Image.new("L", (self.side, self.side))
        ImageDraw.Draw(mask).polygon((points * self.side).ravel().tolist(), fill=255)
        return mask

    def finish(self) -> np.ndarray:
        """The image at its final size: [size, size, 3], 0..255."""
        return np.asarray(self.image.reduce(OVERSAMPLING), dtype=np.float32)


def colour_of(name: str) -> np.ndarray:
    """Red, green and blue, 0..255, of a colour by name."""
    return np.array(COLOURS[name], dtype=float)


def ramp(*stops: np.ndarray, steps: int = 5) -> list[np.ndarray]:
    """`steps` colours from the first stop through the others to the last."""
    at = np.linspace(0, len(stops) - 1, steps)
    return [stops[int(a)] + (stops[min(int(a) + 1, len(stops) - 1)] - stops[int(a)]) * (a % 1) for a in at]


def tones(colour: np.ndarray, dark: float = 0.72, light: float = 0.25, steps: int = 5) -> list[np.ndarray]:
    """From the shaded edge of a part (`dark` of its colour) to its lit middle (`light` of the way to white)."""
    return ramp(colour * dark, colour, colour + (255 - colour) * light, steps=steps)


def placed(shape: np.ndarray, at: np.ndarray, angle: float, stretch: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """The shape stretched along its axes, turned by `angle` and moved to `at`: [points, 2]."""
    c, s = math.cos(angle), math.sin(angle)
    return (shape * stretch) @ np.array([[c, s], [-s, c]]) + at
