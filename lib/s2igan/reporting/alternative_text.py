"""Alternative texts: what a figure shows, for those who do not see it."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure


def set_alt(figure: Figure, text: str) -> None:
    """Give a figure the text that says what it shows, where its own words would not do."""
    figure.alternative_text = text


def alt(figure: Figure) -> str:
    """What a figure shows: the text given by `set_alt`, or its kind and the words that are drawn on it."""
    if given := getattr(figure, "alternative_text", ""):
        return given
    axes = [axis for axis in figure.axes if axis.axison and axis.get_label() != "<colorbar>"]
    titles = _unique([figure.get_suptitle(), *(axis.get_title() for axis in axes)])
    kinds = _unique(kind_of(axis) for axis in axes)
    parts = [f"{kinds}: {titles}" if kinds and titles else kinds or titles]
    parts += [_tick_words(axes[:1], "y", "Rows"), _tick_words(axes[:1], "x", "Groups")]
    parts.append(_labelled("Legend", _legend_words(figure, axes)))
    parts.append(_labelled("Across", _unique([figure.get_supxlabel(), *(axis.get_xlabel() for axis in axes)])))
    parts.append(_labelled("Up", _unique([figure.get_supylabel(), *(axis.get_ylabel() for axis in axes)])))
    text = " ".join(part if part[-1] in ".?!" else f"{part}." for part in parts if part)
    return textwrap.shorten(text.replace("\u200b", ""), 400, placeholder=" …")


def _unique(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(word.replace("\n", " ") for word in words if word))


def _labelled(name: str, words: str) -> str:
    return f"{name}: {words}" if words else ""


def _tick_words(axes: list[Axes], way: str, name: str) -> str:
    """The ticks' labels, where they are words and not numbers."""
    labels = [label.get_text() for axis in axes for label in getattr(axis, f"get_{way}ticklabels")()]
    return _labelled(name, _unique(labels)) if any(re.search("[a-zA-Z]{2}", label) for label in labels) else ""


def _legend_words(figure: Figure, axes: list[Axes]) -> str:
    legends = [*figure.legends, *filter(None, (axis.get_legend() for axis in axes))]
    return _unique(text.get_text() for legend in legends[:1] for text in legend.get_texts())


def kind_of(axis: Axes) -> str:
    """What an axis shows: images, a heat map, bars, points, or lines; "" where nothing is."""
    if axis.images:
        return "Images" if any(np.ndim(image.get_array()) == 3 for image in axis.images) else "Heat map"
    points = [collection for collection in axis.collections if isinstance(collection, PathCollection)]
    drawn = {"Bars": axis.containers, "Points": points, "Lines": axis.lines}
    return next((kind for kind, marks in drawn.items() if marks), "")


def tell_alternative_texts(formatter: object) -> None:
    """Make IPython's display formatter add `alt` to a figure's metadata, where nbconvert and the site look for it."""
    formatter.mimebundle_formatter.for_type(Figure, lambda figure: ({}, {"image/png": {"alt": alt(figure)}}))


if (ipython := sys.modules.get("IPython")) and (shell := ipython.get_ipython()):
    tell_alternative_texts(shell.display_formatter)
