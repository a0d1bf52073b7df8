"""Two small fine-grained data sets, drawn and described by rule: `mini-flowers` and `mini-birds`.

A class is a combination of visible attributes; pose, scale, position, light and background vary within it. Pictures are drawn with
Pillow at `OVERSAMPLING` times the final size, and captions name some of the attributes, in varied wording. Everything follows from
the seed, whatever the number of worker processes. What is written is the project's `folder` layout:

    images/<class>/<name>.png    captions/<class>/<name>.txt (a caption a line)
    train_classes.txt    test_classes.txt    attributes.csv (class, then a column per attribute)

Lengths and coordinates are in units of the frame (0 left or top, 1 right or bottom), angles in radians, colours in 0..255.
"""

import csv
import math
import os
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from s2igan import BadInput

ATTRIBUTES: dict[str, dict[str, tuple[str, ...]]] = {
    "mini-flowers": {
        "petals": ("four", "five", "eight"),
        "shape": ("round", "pointed", "narrow"),
        "colour": ("red", "orange", "yellow", "white", "pink", "purple", "blue", "turquoise", "maroon"),
        "centre": ("yellow", "white", "green", "black"),
        "ring": ("none", "white", "red"),
        "stamens": ("none", "black"),
        "leaves": ("broad", "slender"),
    },
    "mini-birds": {
        "crown": ("red", "yellow", "white", "black"),
        "body": ("red", "yellow", "green", "blue", "purple", "brown"),
        "wing": ("red", "yellow", "green", "blue", "grey", "black"),
        "belly": ("orange", "yellow", "white", "black"),
        "bars": ("none", "white"),
        "beak": ("short", "long"),
        "tail": ("short", "long"),
        "size": ("small", "large"),
    },
}
# Neighbouring parts of one colour would hide an attribute; such pairs never share a value.
CONTRASTS = {
    "mini-flowers": (("colour", "centre"), ("colour", "ring"), ("centre", "ring"), ("colour", "stamens"), ("ring", "stamens")),
    "mini-birds": (("crown", "body"), ("body", "wing"), ("body", "belly"), ("wing", "belly"), ("wing", "bars")),
}
CLASS_NAME = {"mini-flowers": ("colour", "shape", "petals"), "mini-birds": ("size", "body", "wing")}
# Attributes in which any two classes differ, and any two unseen ones. Many classes that lie close, rather than few that lie far apart:
# where every other attribute gives one away, a network need not see it, and cannot on a class that it never met.
LEAST_DIFFERENCE = 1
LEAST_DIFFERENCE_UNSEEN = 3
LEAST_CLASSES = 5  # so that a fifth is at least one
MOST_UNSEEN = 20
MOST_CLASSES = 999  # their numbers have three digits
TRIES = 2_000  # combinations drawn for one class before giving up

OVERSAMPLING = 4
COLOURS = {
    "red": (214, 32, 36), "orange": (246, 128, 24), "yellow": (250, 214, 44), "white": (248, 248, 246), "pink": (248, 138, 182),
    "purple": (134, 62, 186), "blue": (44, 92, 220), "turquoise": (54, 204, 208), "maroon": (122, 16, 44), "green": (76, 156, 58),
    "brown": (132, 82, 46), "grey": (142, 148, 158), "black": (40, 38, 46),
}  # fmt: skip
COUNTS = {"four": 4, "five": 5, "eight": 8}

# ---------------------------------------------------------------------------------------------------------------- captions

# What people say for a value; the first is the value itself unless it cannot be said so. One word each: see `describe`.
SYNONYMS = {
    "none": ("no",), "round": ("round", "rounded"), "pointed": ("pointed", "pointy"),
    "narrow": ("narrow", "thin"), "broad": ("broad", "wide"), "short": ("short", "stubby"), "small": ("small", "little", "tiny"),
    "large": ("large", "big"),
}  # fmt: skip
# attribute -> how likely it is to be named against the others, and its wordings (none where it is an adjective of a sentence)
PHRASES: dict[str, dict[str, tuple[float, tuple[str, ...]]]] = {
    "mini-flowers": {
        "petals": (3.0, ()), "shape": (3.0, ()), "centre": (2.0, ("a {} centre", "a {} middle")),
        "ring": (1.2, ("a {} ring", "a {} inner ring")), "stamens": (1.2, ("{} stamens",)), "leaves": (1.0, ("{} leaves",)),
    },
    "mini-birds": {
        "crown": (2.0, ("a {} crown", "a {} cap")), "belly": (2.0, ("a {} belly", "a {} breast")), "size": (1.5, ()),
        "bars": (1.2, ("{} wing bars", "{} wingbars")), "beak": (1.2, ("a {} beak", "a {} bill")), "tail": (1.0, ("a {} tail",)),
        "wing": (1.0, ("{} wings",)),
    },
}  # fmt: skip
# Attributes named with this probability, before some others (`NAMED`, and now and then one more), as far as the sentence has room.
USUAL = {"mini-flowers": {"colour": 1.0}, "mini-birds": {"body": 0.95, "wing": 0.9}}
NAMED = 4
WORDS = (7, 16)
WORDS_OF_VAGUE = (5, 16)  # where fewer than `NAMED` others are named


def describe(dataset: str, attributes: dict[str, str], rng: Generator, must: tuple[str, ...] = (), naming: int = NAMED) -> str:
    """One caption of 7 to 16 words (more only if `must` asks for much), lower case, that names some attributes and all in `must`.

    `naming`: how many attributes beside the usual ones, at least 1; below 4 the captions are vaguer, and shorter.
    What is drawn from `rng`, and every choice, depends on the names of the attributes and never on their values. The same state of
    `rng` with one value changed gives the same sentence but for that word (and 'a', 'an' or, before 'no', neither).
    """
    _check(dataset, attributes)
    if unknown := [name for name in must if name not in ATTRIBUTES[dataset]]:
        raise BadInput(f"must: {dataset} has no attribute {unknown[0]!r}; it has {', '.join(ATTRIBUTES[dataset])}")
    names = list(ATTRIBUTES[dataset])
    chance, order, word, phrase = (dict(zip(names, row, strict=True)) for row in rng.random((4, len(names))))
    how_many, which = rng.random(2)

    usual = [name for name, probability in USUAL[dataset].items() if name in must or chance[name] < probability]
    weights = {name: weight for name, (weight, _) in PHRASES[dataset].items() if name not in USUAL[dataset]}
    # Weighted sampling without replacement: the largest u ** (1 / weight) first.
    ranked = sorted(weights, key=lambda name: (name not in must, -(chance[name] ** (1 / weights[name]))))
    needed = sum(name in must for name in ranked)
    write = _flower_sentences if dataset == "mini-flowers" else _bird_sentences
    shortest, longest = WORDS if naming >= NAMED else WORDS_OF_VAGUE
    for extra in range(max(naming + (how_many < 0.3), needed), max(needed, 1) - 1, -1):
        naming_these = sorted(usual + ranked[:extra], key=lambda name: order[name])
        wordings = {name: PHRASES[dataset][name][1] for name in naming_these if name in PHRASES[dataset]}
        details = {name: options[int(phrase[name] * len(options))] for name, options in wordings.items() if options}
        # Lengths are judged on a stand-in value, so that they choose the same sentence for every value.
        lengths = [len(sentence.split()) for sentence in write(dict.fromkeys(naming_these, "blue"), details)]
        fitting = [i for i, length in enumerate(lengths) if shortest <= length <= longest]
        if fitting:
            break
    chosen = fitting[int(which * len(fitting))] if fitting else int(np.argmin(lengths))
    said = {name: SYNONYMS.get(attributes[name], (attributes[name],)) for name in naming_these}
    return write({name: options[int(word[name] * len(options))] for name, options in said.items()}, details)[chosen]


def _flower_sentences(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """Every way to say this; how many there are depends on which attributes are named, not on their values."""
    extras = [phrase.format(words[name]) for name, phrase in details.items()]
    colour, number, shape = words["colour"], words.get("petals", ""), words.get("shape", "")
    petals, bare = f"{number} {shape} {colour} petals", [f"{number} {shape} petals"] if number or shape else []
    ways = [f"{start} {_listing([petals, *extras])}" for start in ("this flower has", "a flower with", "the flower has", "a blossom with")]
    ways += [f"a {colour} flower with {_listing(bare + extras)}", f"this {colour} flower has {_listing(bare + extras)}"]
    ways += [f"this flower is {colour} with {_listing(extras + bare)}", f"there is a {colour} flower with {_listing(bare + extras)}"]
    if extras:
        ways += [f"with {_listing(extras)}, this flower has {petals}", f"{petals} on a flower with {_listing(extras)}"]
        ways += [f"the flower has {petals} with {_listing(extras)}"]
        if shape:
            ways += [f"the {number} petals are {shape} and {colour}, with {_listing(extras)}"]
    return [_tidy(way) for way in ways]


def _bird_sentences(words: dict[str, str], details: dict[str, str]) -> list[str]:
    """Every way to say this; how many there are depends on which attributes are named, not on their values."""
    parts = [phrase.format(words[name]) for name, phrase in details.items()]
    size, body = words.get("size", ""), words.get("body", "")
    if not parts:
        ways = [f"{start} {size} {body} bird" for start in ("this is a", "there is a", "it is a", "here is a")]
        return [_tidy(way) for way in (*ways, *([f"the bird is {size} and {body}"] if size and body else []))]
    ways = [f"{start} {size} {body} bird with {_listing(parts)}" for start in ("a", "this is a", "there is a")]
    ways += [f"{start} {size} {body} bird has {_listing(parts)}" for start in ("this", "the")]
    if body:
        ways += [f"this {size} bird is {body} with {_listing(parts)}", f"this {size} bird has {_listing([f'a {body} body', *parts])}"]
        ways += [f"a {size} bird with {_listing([*parts, f'a {body} body'])}"]
    if size and body:
        ways += [f"the bird is {size} and {body} with {_listing(parts)}"]
    if len(parts) > 1:
        ways += [f"with {_listing(parts[1:])}, this {size} {body} bird has {parts[0]}"]
    return [_tidy(way) for way in ways]


def _listing(parts: Sequence[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


# Words that give away which attribute a caption names; every wording of PHRASES and every sentence has exactly one of them.
_TELLING = {
    "mini-flowers": {
        "petals": r"\b(four|five|eight)\b", "shape": r"\b(round|rounded|pointed|pointy|narrow|thin)\b", "centre": r"\b(centre|middle)\b",
        "ring": r"\bring\b", "stamens": r"\bstamens\b", "leaves": r"\bleaves\b",
    },
    "mini-birds": {
        "crown": r"\b(crown|cap)\b", "belly": r"\b(belly|breast)\b", "size": r"\b(small|little|tiny|large|big)\b",
        "bars": r"\bwing ?bars\b", "beak": r"\b(beak|bill)\b", "tail": r"\btail\b", "wing": r"\bwings\b",
    },
}  # fmt: skip


def named(dataset: str, caption: str) -> set[str]:
    """The attributes that a caption made by `describe` names."""
    found = {name for name, pattern in _TELLING[dataset].items() if re.search(pattern, caption)}
    if dataset == "mini-flowers":
        return found | {"colour"}
    colours = "|".join(ATTRIBUTES[dataset]["body"])
    body = rf"\b({colours}) (bird|body)\b|\bbird is (\w+ and )?({colours}) with\b"
    return found | ({"body"} if re.search(body, caption) else set())


def _tidy(sentence: str) -> str:
    """Articles as they should be, and no gaps where an attribute is not named."""
    return re.sub(r"\ba(?= [aeiou])", "an", re.sub(r"\ba no\b", "no", " ".join(sentence.split())))


# ----------------------------------------------------------------------------------------------------------------- classes


def unseen(classes: int) -> int:
    """How many of `classes` are test classes: a fifth, at most 20."""
    return min(classes // 5, MOST_UNSEEN)


def choose_classes(dataset: str, count: int, rng: Generator, most_values: int | None = None) -> list[dict[str, str]]:
    """`count` combinations of attributes, any two `LEAST_DIFFERENCE` apart or more, any two unseen ones `LEAST_DIFFERENCE_UNSEEN`.

    `most_values`: an attribute takes only its first so many values, so that as many classes lie closer together.
    The last `unseen(count)` are meant as test classes: they use only values that occur in the ones before them.
    """
    _check(dataset)
    if count < LEAST_CLASSES:
        raise BadInput(f"classes: {count} is too few; {LEAST_CLASSES} or more are needed, a fifth of them for testing")
    if count > MOST_CLASSES:
        raise BadInput(f"classes: {count} is too many; ask for fewer, at most {MOST_CLASSES}")
    values = {name: list(options)[:most_values] for name, options in ATTRIBUTES[dataset].items()}
    chosen: list[dict[str, str]] = []
    first_unseen = count - unseen(count)
    for index in range(count):
        if index == first_unseen:
            values = {name: [value for value in options if any(c[name] == value for c in chosen)] for name, options in values.items()}
        for _ in range(TRIES):
            picks = rng.random(len(values))
            candidate = {name: options[int(u * len(options))] for (name, options), u in zip(values.items(), picks, strict=True)}
            visible = all(candidate[a] != candidate[b] or candidate[a] == "none" for a, b in CONTRASTS[dataset])
            apart = [sum(candidate[name] != c[name] for name in values) for c in chosen]
            among_unseen = apart[first_unseen:] if index > first_unseen else []
            if visible and min(apart, default=99) >= LEAST_DIFFERENCE and min(among_unseen, default=99) >= LEAST_DIFFERENCE_UNSEEN:
                chosen.append(candidate)
                break
        else:
            raise BadInput(f"classes: {dataset} has no room for {count} classes {LEAST_DIFFERENCE} attributes apart; ask for fewer")
    return chosen


def _check(dataset: str, attributes: dict[str, str] | None = None) -> None:
    if dataset not in ATTRIBUTES:
        raise BadInput(f"dataset: {dataset!r} is not embedded; choose one of {', '.join(ATTRIBUTES)}")
    for name, values in ATTRIBUTES[dataset].items() if attributes is not None else ():
        if attributes.get(name) not in values:
            raise BadInput(f"attributes: {name} of {dataset} is {attributes.get(name)!r}; it must be one of {', '.join(values)}")


# ----------------------------------------------------------------------------------------------------------------- drawing


def _smooth(points: Sequence[tuple[float, float]], per_segment: int = 5) -> np.ndarray:
    """A closed Catmull-Rom curve through the points: array [len(points) * per_segment, 2]."""
    t = np.linspace(0, 1, per_segment, endpoint=False)[:, None]
    a, b, c, d = (np.roll(np.array(points), shift, 0)[:, None] for shift in (1, 0, -1, -2))
    return (0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)).reshape(-1, 2)


def _mirrored(half: Sequence[tuple[float, float]]) -> np.ndarray:
    """A closed outline, symmetric about y = 0, from its upper half; points on the axis are not repeated."""
    return _smooth([*half, *((x, -y) for x, y in reversed(half) if y != 0)])


# Petals and leaves lie along x from 0 (base) to 1 (tip), with half-width 1 in y.
PETALS = {
    "round": _mirrored([(0, 0.22), (0.3, 0.66), (0.58, 0.98), (0.8, 0.9), (0.95, 0.5), (1.0, 0)]),
    "pointed": _mirrored([(0, 0.3), (0.22, 0.66), (0.46, 0.84), (0.7, 0.52), (0.9, 0.14), (1.04, 0)]),
    "narrow": _mirrored([(0, 0.5), (0.3, 0.8), (0.6, 1.0), (0.85, 0.8), (0.98, 0.35), (1.02, 0)]),
}
LEAVES = {
    "broad": _mirrored([(0, 0.12), (0.25, 0.85), (0.5, 1.0), (0.75, 0.72), (0.98, 0.05)]),
    "slender": _mirrored([(0, 0.5), (0.3, 1.0), (0.6, 0.8), (0.98, 0.04)]),
}
DISC = np.array([(math.cos(math.radians(degrees)), math.sin(math.radians(degrees))) for degrees in range(0, 360, 10)])

# A bird that faces right: its own units, about one long without tail and beak, y down.
BODY = _smooth([
    (0.43, -0.37), (0.30, -0.50), (0.12, -0.45), (0.0, -0.27), (-0.2, -0.12), (-0.42, 0.12), (-0.54, 0.3), (-0.44, 0.37), (-0.2, 0.42),
    (0.06, 0.41), (0.29, 0.25), (0.39, 0.02), (0.38, -0.14), (0.44, -0.25),
])  # fmt: skip
CROWN = _smooth([(0.58, -0.36), (0.34, -0.375), (0.14, -0.31), (-0.04, -0.2), (-0.16, -0.36), (0.1, -0.66), (0.45, -0.66)])
BELLY = _smooth([(0.56, 0.02), (0.34, 0.08), (0.16, 0.17), (-0.16, 0.24), (-0.55, 0.34), (-0.4, 0.6), (0.1, 0.66), (0.5, 0.4)])
WING = _smooth([(0.1, 0.0), (-0.04, -0.1), (-0.24, -0.02), (-0.46, 0.18), (-0.66, 0.42), (-0.42, 0.34), (-0.14, 0.28), (0.06, 0.16)])
TAILS = {
    "short": _smooth([(-0.4, 0.17), (-0.6, 0.36), (-0.7, 0.47), (-0.63, 0.53), (-0.52, 0.46), (-0.36, 0.36)]),
    "long": _smooth([(-0.4, 0.17), (-0.62, 0.46), (-0.78, 0.76), (-0.74, 0.84), (-0.64, 0.8), (-0.5, 0.56), (-0.36, 0.36)]),
}
BEAKS = {
    "short": np.array([(0.4, -0.385), (0.5, -0.36), (0.6, -0.285), (0.5, -0.235), (0.4, -0.22)]),
    "long": np.array([(0.4, -0.385), (0.52, -0.36), (0.77, -0.28), (0.76, -0.25), (0.52, -0.245), (0.4, -0.225)]),
}


class _Canvas:
    """Draws shapes given in units of the frame on a picture `OVERSAMPLING` times too large, over a smooth background."""

    def __init__(self, background: np.ndarray, size: int) -> None:
        """background: [small, small, 3] in 0..255, stretched to the frame."""
        self.size, self.side = size, size * OVERSAMPLING
        small = Image.fromarray(background.clip(0, 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
        # Plain repetition of pixels is enough here and fast: `finish` averages the very same blocks.
        self.image = small.resize((self.side, self.side), Image.Resampling.NEAREST)
        self.draw = ImageDraw.Draw(self.image)

    def fill(self, points: np.ndarray, colour: np.ndarray, draw: ImageDraw.ImageDraw | None = None) -> None:
        (draw or self.draw).polygon((points * self.side).ravel().tolist(), fill=tuple(colour.astype(int).tolist()))

    def line(self, points: np.ndarray, colour: np.ndarray, width: float) -> None:
        self.draw.line((points * self.side).ravel().tolist(), tuple(colour.astype(int).tolist()), max(1, round(width * self.side)))

    def shaded(self, points: np.ndarray, towards: np.ndarray, colours: Sequence[np.ndarray], least: float = 0.3) -> None:
        """A soft gradient: copies of the shape that shrink to `least` towards a point, from the first colour to the last."""
        offset = points - towards
        for i, colour in enumerate(colours):
            self.fill(towards + offset * (1 - (1 - least) * i / (len(colours) - 1)), colour)

    def mask(self, points: np.ndarray) -> Image.Image:
        """The inside of the shape as 255, on an `L` picture of the size drawn at."""
        mask = Image.new("L", (self.side, self.side))
        ImageDraw.Draw(mask).polygon((points * self.side).ravel().tolist(), fill=255)
        return mask

    def finish(self) -> np.ndarray:
        """The picture at its final size: [size, size, 3], 0..255."""
        return np.asarray(self.image.reduce(OVERSAMPLING), dtype=np.float32)


def _colour(name: str) -> np.ndarray:
    return np.array(COLOURS[name], dtype=float)


def _ramp(*stops: np.ndarray, steps: int = 5) -> list[np.ndarray]:
    """`steps` colours from the first stop through the others to the last."""
    at = np.linspace(0, len(stops) - 1, steps)
    return [stops[int(a)] + (stops[min(int(a) + 1, len(stops) - 1)] - stops[int(a)]) * (a % 1) for a in at]


def _tones(colour: np.ndarray, dark: float = 0.72, light: float = 0.25, steps: int = 5) -> list[np.ndarray]:
    """From the shaded edge of a part (`dark` of its colour) to its lit middle (`light` of the way to white)."""
    return _ramp(colour * dark, colour, colour + (255 - colour) * light, steps=steps)


def _placed(shape: np.ndarray, at: np.ndarray, angle: float, stretch: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """The shape stretched along its own axes, turned by `angle` and moved to `at`: [points, 2]."""
    c, s = math.cos(angle), math.sin(angle)
    return (shape * stretch) @ np.array([[c, s], [-s, c]]) + at


def draw_image(dataset: str, attributes: dict[str, str], rng: Generator, size: int = 64) -> Image.Image:
    """One RGB picture, size x size, of a flower or bird with these attributes; pose, light and background come from `rng`.

    What is drawn from `rng` does not depend on the attributes: the same state with one changed gives the same scene but for that.
    """
    _check(dataset, attributes)
    # Light: exposure, warmth, and a slope across the frame that always comes from the upper left, as the shading does.
    exposure, warmth, slope = rng.uniform((0.93, -0.03, 0.0), (1.05, 0.03, 0.12))
    pixels = (_flower if dataset == "mini-flowers" else _bird)(attributes, rng, size)
    x = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    pixels = pixels * (exposure - slope * (0.5 * x[None, :, None] + 0.5 * x[:, None, None])) * np.array((1 + warmth, 1, 1 - warmth))
    return Image.fromarray((pixels + 0.5).clip(0, 255).astype(np.uint8))


def _flower(attributes: dict[str, str], rng: Generator, size: int) -> np.ndarray:
    """A flower from the front on its stem: [size, size, 3], 0..255."""
    number, colour = COUNTS[attributes["petals"]], _colour(attributes["colour"])
    x, y, radius, tilt, turn, lean = rng.uniform((0.485, 0.445, 0.355, 0.94, -0.12, -0.04), (0.515, 0.47, 0.385, 1.0, 0.12, 0.04))
    middle, step = np.array((x, y)), 2 * math.pi / number

    # Out-of-focus greens: one shade a picture, a coarse grid of small differences, darker below and behind the flower.
    shade, blue = rng.uniform((0.85, -8), (1.1, 10))
    grid = np.array((74.0, 112, 62 + blue)) * shade * rng.uniform(0.88, 1.12, (4, 4, 1)) + rng.uniform(-4, 4, (4, 4, 3))
    grid *= np.array((1.15, 1.05, 0.9, 0.75))[:, None, None]
    canvas = _Canvas(grid, size)
    _leaves(canvas, attributes["leaves"], middle, lean, rng)

    # As wide as leaves neighbours apart, up to a limit: four broad pointed petals would be a square.
    width = min(0.65 * math.tan(step / 2), 0.4 if attributes["shape"] == "pointed" else 0.5)
    width *= 0.5 if attributes["shape"] == "narrow" else 1
    tones = _tones(colour, steps=4)
    angles = turn * step + step * np.arange(number) - math.pi / 2
    for angle, wobble in zip(angles, rng.uniform(-1, 1, (max(COUNTS.values()), 2)), strict=False):
        petal_angle, length = angle + 0.04 * wobble[0], radius * (1 + 0.04 * wobble[1])
        petal = _placed(PETALS[attributes["shape"]], np.zeros(2), petal_angle, (length, radius * width)) * (1, tilt) + middle
        along = np.array((math.cos(petal_angle), math.sin(petal_angle) * tilt)) * length
        lit = 1 - 0.07 * math.cos(angle - math.pi / 4)  # petals towards the light are brighter
        canvas.shaded(petal, middle + 0.62 * along, [tone * lit for tone in tones])
        canvas.line(np.array((middle + 0.2 * along, middle + 0.7 * along)), colour * 0.8 * lit, 0.006)
    _flower_heart(canvas, attributes, middle, radius, tilt, angles[0] + step / 2)
    return canvas.finish()


def _leaves(canvas: _Canvas, kind: str, middle: np.ndarray, lean: float, rng: Generator) -> None:
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
        leaf = _placed(LEAVES[kind], base, angle, (length, width))
        tip = base + length * np.array((math.cos(angle), math.sin(angle)))
        canvas.shaded(leaf, base + 0.5 * (tip - base), _tones(green, 0.66, 0.12, 4))
        canvas.line(np.array((base, base + 0.85 * (tip - base))), green * 0.75, 0.008)


def _flower_heart(canvas: _Canvas, attributes: dict[str, str], middle: np.ndarray, radius: float, tilt: float, first: float) -> None:
    """Ring, stamens and centre."""
    oval = DISC * (radius, radius * tilt)
    if attributes["ring"] != "none":
        ring = _colour(attributes["ring"])
        canvas.shaded(middle + 0.54 * oval, middle, _ramp(ring * 0.8, ring, steps=3), least=0.85)
    if attributes["stamens"] != "none":
        stamen = _colour(attributes["stamens"])
        for angle in first + 2 * math.pi / 8 * np.arange(8):
            tip = middle + 0.7 * radius * np.array((math.cos(angle), math.sin(angle) * tilt))
            canvas.line(np.array((middle, tip)), stamen * 0.85, 0.012)
            canvas.fill(tip + 0.08 * oval, stamen * 0.7)
            canvas.fill(tip + 0.06 * oval, stamen)
    centre = _colour(attributes["centre"])
    canvas.fill(middle + 0.36 * oval, centre * 0.62)
    canvas.shaded(middle + 0.335 * oval, middle - 0.1 * radius, _tones(centre, 0.8, 0.3), least=0.2)


def _bird(attributes: dict[str, str], rng: Generator, size: int) -> np.ndarray:
    """A bird on a branch, facing right: [size, size, 3], 0..255."""
    x, y, angle, scale, slope = rng.uniform((0.49, 0.495, -0.05, 0.98, -0.03), (0.51, 0.515, 0.05, 1.02, 0.03))
    scale *= 0.56 if attributes["size"] == "large" else 0.46
    turned = _placed(np.concatenate((BODY, TAILS[attributes["tail"]], BEAKS[attributes["beak"]])), np.zeros(2), angle, (scale, scale))
    at = np.array((x, y)) - (turned.min(0) + turned.max(0)) / 2  # the whole bird is centred, whatever its tail and beak

    def place(shape: object) -> np.ndarray:
        return _placed(np.asarray(shape), at, angle, (scale, scale))

    canvas, tail = _Canvas(_sky(rng), size), place(TAILS[attributes["tail"]])
    _perch(canvas, place, slope, scale)
    tones = _tones(_colour(attributes["wing"]) * 0.9, 0.7, 0.05, 4)
    canvas.shaded(tail, (tail[0] + tail[len(tail) // 2]) / 2, tones)
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


def _perch(canvas: _Canvas, place: Callable[[object], np.ndarray], slope: float, scale: float) -> None:
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


def _coat(canvas: _Canvas, place: Callable[[object], np.ndarray], attributes: dict[str, str]) -> None:
    """Body, belly and crown, cut out by the outline of the body."""
    layer = Image.new("RGB", canvas.image.size, COLOURS[attributes["body"]])
    brush = ImageDraw.Draw(layer)
    body, outline = _colour(attributes["body"]), place(BODY)
    for part, heart in (("belly", (0.12, 0.4)), ("crown", (0.25, -0.6))):
        shape, colour = place(BELLY if part == "belly" else CROWN), _colour(attributes[part])
        for share, tone in zip((1.0, 0.97, 0.94), _ramp(body, colour, steps=4)[1:], strict=True):  # feathers have no hard border
            canvas.fill(place([heart]) + (shape - place([heart])) * share, tone, brush)
    canvas.image.paste(layer, mask=canvas.mask(outline))


def _wing(canvas: _Canvas, place: Callable[[object], np.ndarray], attributes: dict[str, str]) -> None:
    """The folded wing with its long feathers and bars."""
    colour = _colour(attributes["wing"])
    canvas.fill(place(WING), colour * 0.55)
    canvas.shaded(place(WING * 0.95 + (-0.01, 0.005)), place((-0.1, 0.03)), _tones(colour, 0.82, 0.16), least=0.35)
    for start, end in (((-0.12, 0.22), (-0.58, 0.38)), ((-0.18, 0.14), (-0.56, 0.33)), ((-0.22, 0.06), (-0.5, 0.26))):
        canvas.line(place([start, end]), colour * 0.62, 0.008)
    if attributes["bars"] != "none":
        for x in (-0.06, -0.22):
            bar = np.array([(x + 0.04, -0.03 - 0.3 * x), (x + 0.12, 0.0 - 0.3 * x), (x + 0.06, 0.23 - 0.1 * x), (x - 0.02, 0.22 - 0.1 * x)])
            canvas.fill(place(bar - np.array((0.025, 0))), colour * 0.55)  # a thin shadow keeps white readable on yellow
            canvas.fill(place(bar), _colour(attributes["bars"]))


def _face(canvas: _Canvas, place: Callable[[object], np.ndarray], attributes: dict[str, str], scale: float) -> None:
    """Beak and eye."""
    horn, beak = np.array((236.0, 168, 52)), place(BEAKS[attributes["beak"]])
    canvas.fill(beak, horn * 0.55)
    canvas.shaded(beak.mean(0) + (beak - beak.mean(0)) * 0.86, beak.mean(0), _tones(horn, 0.9, 0.2, 3), least=0.5)
    eye = place([(0.285, -0.315)])
    canvas.fill(eye + DISC * 0.062 * scale, np.array((236.0, 230, 214)))
    canvas.fill(eye + DISC * 0.05 * scale, np.array((18.0, 16, 18)))
    canvas.fill(eye + scale * (DISC * 0.016 + (0.014, -0.016)), np.array((250.0, 250, 250)))


def _rounded(canvas: _Canvas, outline: np.ndarray) -> np.ndarray:
    """The finished picture with the body shaded as something round: lit from the upper left, darker towards the lower edge."""
    inside = canvas.mask(outline).reduce(OVERSAMPLING)
    bulge = np.asarray(inside.filter(ImageFilter.GaussianBlur(canvas.size / 18)), dtype=np.float32) / 255
    down, right = np.gradient(bulge)
    shade = (np.asarray(inside, dtype=np.float32) / 255) * (canvas.size / 64) * (1.6 * down + 0.9 * right)
    return canvas.finish() * (1 + shade.clip(-0.35, 0.3))[:, :, None]


# ----------------------------------------------------------------------------------------------------------------- writing


def write_dataset(
    dataset: str,
    out: Path,
    seed: int = 0,
    classes: int = 100,
    images_per_class: int = 20,
    unseen_images: int = 20,
    captions_per_image: int = 2,
    size: int = 64,
    naming: int = NAMED,
    most_values: int | None = None,
    workers: int = 2,
    progress: Callable[[str], object] = print,
) -> None:
    """Write a whole data set to the folder `out`, which appears only once it is complete; the last `unseen(classes)` classes are test,
    with `unseen_images` pictures each in place of `images_per_class`. `naming` as in `describe`, `most_values` as in `choose_classes`.

    The bytes depend on every argument but `workers` and `progress`. Worker processes are spawned, so a script that calls this with
    more than one needs the usual `if __name__ == "__main__"`; a notebook or `python -m` does not.
    """
    _check(dataset)
    out = Path(out)
    least = {"images_per_class": 1, "unseen_images": 1, "captions_per_image": 1, "size": 16, "naming": 1, "workers": 1,
             "seed": 0}  # fmt: skip
    given = {"images_per_class": images_per_class, "unseen_images": unseen_images, "captions_per_image": captions_per_image, "size": size,
             "naming": naming, "workers": workers, "seed": seed}  # fmt: skip
    for name, value in given.items():
        if value < least[name]:
            raise BadInput(f"{name}: {value} is too small; it must be {least[name]} or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"out: {out} exists already and is not an empty folder; remove it or name another")
    chosen = choose_classes(dataset, classes, np.random.default_rng([seed]), most_values)
    names = [f"{i + 1:03d}." + "-".join(c[name] for name in CLASS_NAME[dataset]) for i, c in enumerate(chosen)]

    part = out.with_name(f"{out.name}.part-{os.getpid()}")
    try:
        part.mkdir(parents=True)
        train = classes - unseen(classes)
        jobs = [
            (dataset, part, name, i, chosen[i], seed, images_per_class if i < train else unseen_images, captions_per_image, size, naming)
            for i, name in enumerate(names)
        ]
        with ExitStack() as stack:
            if workers == 1:
                done = map(_write_class, jobs)
            else:
                pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
                stack.callback(pool.shutdown, cancel_futures=True)
                done = pool.map(_write_class, jobs, chunksize=max(1, len(jobs) // (8 * workers)))
            for i, name in enumerate(done, 1):
                if i % max(1, classes // 4) == 0 or i == classes:
                    progress(f"{dataset}: {i} of {classes} classes drawn (last: {name})")
        _write_lists(part, names, chosen, train)
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _write_class(job: tuple[str, Path, str, int, dict[str, str], int, int, int, int, int]) -> str:
    """Draw and describe one class; returns its name. Each picture has its own random state, so the order of work is of no matter."""
    dataset, out, name, index, attributes, seed, images, captions, size, naming = job
    for folder in ("images", "captions"):
        (out / folder / name).mkdir(parents=True)
    for image in range(images):
        looks, speech = (np.random.default_rng([seed, index, image, stream]) for stream in (0, 1))
        stem = f"{name.split('.')[0]}_{image + 1:03d}"
        draw_image(dataset, attributes, looks, size).save(out / "images" / name / f"{stem}.png", compress_level=1)
        lines = "".join(describe(dataset, attributes, speech, naming=naming) + "\n" for _ in range(captions))
        (out / "captions" / name / f"{stem}.txt").write_text(lines, encoding="utf-8", newline="\n")
    return name


def _write_lists(out: Path, names: list[str], chosen: list[dict[str, str]], train: int) -> None:
    for file, part in (("train_classes.txt", names[:train]), ("test_classes.txt", names[train:])):
        (out / file).write_text("".join(f"{name}\n" for name in part), encoding="utf-8", newline="\n")
    with open(out / "attributes.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["class", *chosen[0]])
        writer.writerows([name, *attributes.values()] for name, attributes in zip(names, chosen, strict=True))
