"""Images on a sheet: rows with labels, blocks side by side, each pixel a whole number of pixels of the figure.

Images are uint8 arrays [s, s, 3]. `plots` has these functions too.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s2igan.reporting.text import shown

IMAGE_DPI = 90  # of figures that hold images, on a page as in a file


def grid(rows: Sequence[Sequence[np.ndarray]], gap: int = 1) -> np.ndarray:
    """Images [s, s, 3] as one array: rows of equal length, `gap` white pixels between the images."""
    size = rows[0][0].shape[0]
    sheet = np.full((len(rows) * (size + gap) - gap, len(rows[0]) * (size + gap) - gap, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            sheet[r * (size + gap) : r * (size + gap) + size, c * (size + gap) : c * (size + gap) + size] = image
    return sheet


def _show_sheets(
    sheets: Sequence[np.ndarray], image_size: int, inch: float, gap: int = 14
) -> tuple[Figure, list[Axes]]:
    """Sheets of images side by side, `gap` pixels apart, an axis each. An image takes about `inch` inches.

    Each pixel of an image is a whole number of pixels of the figure, whose edges are those of the sheets: labels lie
    outside, and `save` makes room for them.
    """
    factor = max(1, round(inch * IMAGE_DPI / image_size))
    height = factor * sheets[0].shape[0]
    width = factor * sum(sheet.shape[1] for sheet in sheets) + gap * (len(sheets) - 1)
    figure = plt.figure(figsize=(width / IMAGE_DPI, height / IMAGE_DPI), dpi=IMAGE_DPI)
    axes, left = [], 0
    for sheet in sheets:
        axis = figure.add_axes((left / width, 0, factor * sheet.shape[1] / width, 1))
        axis.imshow(sheet, interpolation="nearest", aspect="auto")
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        for spine in axis.spines.values():
            spine.set_visible(False)
        axes.append(axis)
        left += factor * sheet.shape[1] + gap
    return figure, axes


def _label_rows(axis: Axes, height: int, labels: Sequence[str], characters: int) -> None:
    positions = [(i + 0.5) * height / len(labels) for i in range(len(labels))]
    axis.set_yticks(positions, [shown(label, characters, 6) for label in labels], fontsize=8)


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str] = (), title: str = "", inch: float = 0.75
) -> Figure:
    """Rows of images, about `inch` inches each, with a label at the left of each row."""
    sheet = grid(rows)
    figure, (axis,) = _show_sheets([sheet], len(rows[0][0]), inch)
    axis.set_title(shown(title))
    if labels:
        _label_rows(axis, len(sheet), labels, 48)
    return figure


def columns_of_rows(
    blocks: dict[str, Sequence[Sequence[np.ndarray]]], labels: Sequence[str] = (), inch: float = 0.7
) -> Figure:
    """Blocks side by side, such as ground truth and systems: {heading: rows of images}, as many rows in each.

    Args: labels: one a row, at the left. inch: about the size of an image.
    """
    sheets = [grid(rows) for rows in blocks.values()]
    figure, axes = _show_sheets(sheets, len(next(iter(blocks.values()))[0][0]), inch)
    for axis, heading in zip(axes, blocks, strict=True):
        characters = max(8, int(axis.get_window_extent().width / 7))
        axis.set_title(shown(heading, characters, 6), fontsize=10)
    if labels:
        _label_rows(axes[0], len(sheets[0]), labels, 42)
    return figure


def enlarged(image: np.ndarray, size: int) -> np.ndarray:
    """An image of s pixels with each pixel repeated, to `size` pixels a side, a multiple of s."""
    return image.repeat(size // len(image), 0).repeat(size // len(image), 1)


def framed(image: np.ndarray, right: bool) -> np.ndarray:
    """An image with a white and black frame drawn into it if `right`: contrast, not hue, says so."""
    if not right:
        return image
    image, edge = image.copy(), max(1, len(image) // 24)
    for width, value in ((3 * edge, 255), (2 * edge, 0), (edge, 255)):
        image[:width], image[-width:], image[:, :width], image[:, -width:] = value, value, value, value
    return image
