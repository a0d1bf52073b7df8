"""Alternative texts: what a figure shows, for those who do not see it."""

from __future__ import annotations

import re
import sys
import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure


def set_alt(figure: Figure, text: str) -> None:
    """Give a figure the text that says what it shows, where its own words would not do."""
    figure.alternative_text = text





def alt(figure: Figure) -> str:
    """What a figure shows, for those who do not see it: the text given by `set_alt`, or its kind and the words that are drawn on it."""
    if given := getattr(figure, "alternative_text", ""):
        return given
    axes = [axis for axis in figure.axes if axis.axison and axis.get_label() != "<colorbar>"]
    said = [figure.get_suptitle(), *(axis.get_title() for axis in axes)]
    kinds = "; ".join(dict.fromkeys(kind for axis in axes if (kind := kind_of(axis))))
    titles = "; ".join(dict.fromkeys(title for title in said if title))
    parts = [f"{kinds}: {titles}" if kinds and titles else kinds or titles]
    for name, ticks in (("Rows", "yticklabels"), ("Groups", "xticklabels")):
        labels = [label.get_text().replace("\n", " ") for axis in axes[:1] for label in getattr(axis, f"get_{ticks}")()]
        if any(re.search("[a-zA-Z]{2}", label) for label in labels):
            parts.append(f"{name}: {'; '.join(labels)}")
    if legend := next((axis.get_legend() for axis in axes if axis.get_legend()), None):
        parts.append("Legend: " + "; ".join(text.get_text() for text in legend.get_texts()))
    labels = {way: next((label for axis in reversed(axes) if (label := getattr(axis, f"get_{way}label")())), "") for way in "xy"}
    parts += [f"{'Across' if way == 'x' else 'Up'}: {label}" for way, label in labels.items() if label]
    text = re.sub(r"[$\\{}]", "", " ".join(part if part[-1] in ".?!" else f"{part}." for part in parts if part))
    return textwrap.shorten(text, 400, placeholder=" …")


def kind_of(axis: Axes) -> str:
    """What is drawn on an axis: pictures, a heat map, bars, points, or lines; "" where nothing is."""
    if axis.images:
        return "Pictures" if any(np.ndim(image.get_array()) == 3 for image in axis.images) else "Heat map"
    drawn = {"Bars": axis.containers, "Points": [c for c in axis.collections if isinstance(c, PathCollection)], "Lines": axis.lines}
    return next((kind for kind, marks in drawn.items() if marks), "")


def tell_alternative_texts(formatter: object) -> None:
    """Make IPython's display formatter add `alt` to the metadata of every figure it shows, where nbconvert and the site look for it."""
    formatter.mimebundle_formatter.for_type(Figure, lambda figure: ({}, {"image/png": {"alt": alt(figure)}}))


if (ipython := sys.modules.get("IPython")) and (shell := ipython.get_ipython()):
    tell_alternative_texts(shell.display_formatter)
