"""The study's figures. Each function returns a matplotlib Figure; `save` writes it as PNG and SVG, or PNG alone where it holds pictures.

Pictures are uint8 arrays [s, s, 3]. Colours are seaborn's colour-blind palette, and lines differ in dashes too, so that grey suffices.
In a notebook, every figure shown takes its alternative text along (`alt`), for those who hear the page.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from s2igan.data.files import replacing

DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2, 1, 2)))
sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", rc={"figure.dpi": 100, "svg.hashsalt": "s2igan"})


def save(figure: Figure, path: str | Path, vector: bool = True) -> None:
    """Write a figure as `path`.png, and as `path`.svg too where it is a plot and not pictures. Equal figures give equal bytes."""
    for suffix in (".png", ".svg") if vector else (".png",):
        with replacing(Path(path).with_suffix(suffix)) as temporary:
            figure.savefig(temporary, bbox_inches="tight", dpi=150 if vector else 90, metadata={"Date": None} if suffix == ".svg" else None)


def grid(rows: Sequence[Sequence[np.ndarray]], gap: int = 1) -> np.ndarray:
    """Pictures [s, s, 3] as one array: rows of equal length, `gap` white pixels between them."""
    size = rows[0][0].shape[0]
    sheet = np.full((len(rows) * (size + gap) - gap, len(rows[0]) * (size + gap) - gap, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            sheet[r * (size + gap) : r * (size + gap) + size, c * (size + gap) : c * (size + gap) + size] = picture
    return sheet


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], labels: Sequence[str] = (), title: str = "", inch: float = 0.75) -> Figure:
    """Rows of pictures with a label at the left of each."""
    sheet = grid(rows)
    figure, axis = plt.subplots(figsize=(inch * len(rows[0]), inch * len(rows)))
    axis.imshow(sheet, interpolation="nearest")
    axis.set(xticks=[], yticks=[], title=title)
    axis.grid(False)
    if labels:
        step = sheet.shape[0] / len(rows)
        axis.set_yticks([(i + 0.5) * step for i in range(len(rows))], [textwrap.fill(label, 48) for label in labels], fontsize=8)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return figure


def columns_of_rows(blocks: dict[str, Sequence[Sequence[np.ndarray]]], labels: Sequence[str] = (), inch: float = 0.55) -> Figure:
    """Blocks side by side, such as ground truth and systems: {heading: rows of pictures}, the same number of rows in each.

    `labels`, one a row, stand at the left, broken into lines of some 40 characters.
    """
    count = len(next(iter(blocks.values())))
    widths = [len(rows[0]) for rows in blocks.values()]
    gap = 0.15  # inches between blocks
    size = inch * sum(widths) + gap * (len(blocks) - 1), inch * count
    figure, axes = plt.subplots(1, len(blocks), figsize=size, width_ratios=widths, squeeze=False)
    # Labels and headings lie outside of it; `save` makes room.
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=gap / (inch * np.mean(widths)))
    for i, (axis, (heading, rows)) in enumerate(zip(axes[0], blocks.items(), strict=True)):
        sheet = grid(rows)
        axis.imshow(sheet, interpolation="nearest", aspect="auto")
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
        axis.set_title(heading, fontsize=10)
        if labels and i == 0:
            positions = [(k + 0.5) * sheet.shape[0] / count for k in range(count)]
            axis.set_yticks(positions, ["\n".join(textwrap.wrap(label, 42)) for label in labels], fontsize=8)
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure


def enlarged(picture: np.ndarray, size: int) -> np.ndarray:
    """A picture of s pixels with each pixel repeated, `size` (a multiple of s) a side."""
    return picture.repeat(size // len(picture), 0).repeat(size // len(picture), 1)


def framed(picture: np.ndarray, right: bool) -> np.ndarray:
    """A picture with a white and black frame drawn into it if `right`: contrast, not hue, says so."""
    if not right:
        return picture
    picture, edge = picture.copy(), max(1, len(picture) // 24)
    for width, value in ((3 * edge, 255), (2 * edge, 0), (edge, 255)):
        picture[:width], picture[-width:], picture[:, :width], picture[:, -width:] = value, value, value, value
    return picture


def attention(mel: np.ndarray, weights: np.ndarray, text: str) -> Figure:
    """Attention over time [T'] above the log-mel [T, 40] that it dwells on."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 3.2), sharex=True, height_ratios=(1, 2))
    # A step of T' is four frames of 10 ms, and sees sixteen.
    top.fill_between((np.arange(len(weights)) * 4 + 8) / 100, weights, step="mid", alpha=0.8)
    top.axhline(1 / len(weights), linestyle="--", color="black", linewidth=1)
    top.set(ylabel="attention", title=f"“{text}” (dashed: equal weights)")
    bottom.imshow(mel.T, origin="lower", aspect="auto", cmap="cividis", extent=(0, len(mel) / 100, 0, mel.shape[1]))
    bottom.set(xlabel="seconds", ylabel="mel band")
    bottom.grid(False)
    figure.tight_layout()
    return figure


def attention_by_feature(mel: np.ndarray, weights: np.ndarray, title: str = "", count: int = 30) -> Figure:
    """The `count` features that attend most to a single moment, below the log-mel [T, 40], in the order of these moments.

    Args: weights: attention, for each feature a softmax over time, [T', D].
    """
    sharp = np.argsort(-weights.max(0), kind="stable")[:count]
    sharp = sharp[np.argsort(weights[:, sharp].argmax(0), kind="stable")]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 4.8), sharex=True, height_ratios=(2, 3))
    seconds = len(mel) / 100
    top.imshow(mel.T, origin="lower", aspect="auto", cmap="cividis", extent=(0, seconds, 0, mel.shape[1]))
    top.set(ylabel="mel band", title=title)
    # A step of T' is four frames of 10 ms, and sees sixteen.
    start, end = 0.06, 0.06 + 0.04 * len(weights)
    bottom.imshow(weights[:, sharp].T, cmap="gray_r", aspect="auto", interpolation="nearest", extent=(start, end, len(sharp), 0))
    bottom.set(xlabel="seconds", ylabel="feature", xlim=(0, seconds))
    for axis in (top, bottom):
        axis.grid(False)
    figure.tight_layout()
    return figure


def waveform_and_mel(waveform: np.ndarray, mel: np.ndarray, sample_rate: int = 22_050, title: str = "") -> Figure:
    """A waveform [n] above its log-mel [T, 40], time in seconds."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 3.6), sharex=True, height_ratios=(1, 2))
    seconds = len(waveform) / sample_rate
    top.plot(np.arange(len(waveform)) / sample_rate, waveform, linewidth=0.4)
    top.set(ylabel="amplitude", title=title)
    picture = bottom.imshow(mel.T, origin="lower", aspect="auto", cmap="cividis", extent=(0, seconds, 0, mel.shape[1]))
    bottom.set(xlabel="seconds", ylabel="mel band")
    bottom.grid(False)
    figure.colorbar(picture, ax=[top, bottom], label="standard deviations", pad=0.01)
    return figure


def curves(runs: dict[str, list[dict[str, float]]], names: Sequence[str], title: str = "", columns: int = 3) -> Figure:
    """Logged values over training steps: a panel for each name, a line for each run ({run: records of log.jsonl})."""
    names = [name for name in names if any(name in record for log in runs.values() for record in log)]
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.6 * columns, 2.5 * rows), squeeze=False)
    for axis, name in zip(axes.flat, names, strict=False):
        for (label, log), dash in zip(runs.items(), DASHES * len(runs), strict=False):
            points = [(record["step"], record[name]) for record in log if name in record]
            if points:
                axis.plot(*zip(*points, strict=True), label=label, linestyle=dash, linewidth=1.4)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("step", fontsize=9)
    for axis in list(axes.flat)[len(names) :]:
        axis.axis("off")
    if len(runs) > 1:
        axes.flat[0].legend(fontsize=8)
    figure.suptitle(title)
    figure.tight_layout()
    return figure


def bars(values: dict[str, dict[str, float]], ylabel: str, reference: dict[str, float] | None = None, title: str = "") -> Figure:
    """Grouped bars, {group: {bar: value}}, with dashed horizontal lines at named reference values such as chance."""
    figure, axis = plt.subplots(figsize=(max(5, 0.9 * len(values) * len(next(iter(values.values())))), 3.2))
    names = list(dict.fromkeys(bar for group in values.values() for bar in group))
    width = 0.8 / len(names)
    for i, (name, hatch) in enumerate(zip(names, ("", "//", "..", "xx", "\\\\", "oo", "++", "**") * len(names), strict=False)):
        heights = [group.get(name, np.nan) for group in values.values()]
        drawn = axis.bar(np.arange(len(values)) + (i - (len(names) - 1) / 2) * width, heights, width * 0.95, label=name, hatch=hatch)
        axis.bar_label(drawn, fmt="%.3g", fontsize=8)
    for (name, value), dash in zip((reference or {}).items(), DASHES[1:], strict=False):
        axis.axhline(value, linestyle=dash, color="black", linewidth=1, label=f"{name} ({value:.3g})")
    axis.set_xticks(np.arange(len(values)), values.keys())
    axis.set(ylabel=ylabel, title=title)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def scatter(panels: dict[str, tuple[np.ndarray, Sequence[str]]], title: str = "") -> Figure:
    """Points [N, 2] coloured and marked by label, side by side: {heading: (points, labels)}."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 4), squeeze=False)
    for axis, (heading, (points, labels)) in zip(axes[0], panels.items(), strict=True):
        sns.scatterplot(x=points[:, 0], y=points[:, 1], hue=list(labels), style=list(labels), ax=axis, s=28, legend=axis is axes[0][-1])
        axis.set(xticks=[], yticks=[], title=heading)
    if axes[0][-1].get_legend():
        sns.move_legend(axes[0][-1], "upper left", bbox_to_anchor=(1, 1), fontsize=7, title=None)
    figure.suptitle(title)
    figure.tight_layout()
    return figure


def matrix(values: np.ndarray, xlabel: str, ylabel: str, rows: Sequence[str] = (), title: str = "") -> Figure:
    """A matrix [R, C] as squares, dark where large; `rows` are the names of its rows."""
    figure, axis = plt.subplots(figsize=(9, 0.13 * len(values) + 0.8))
    axis.imshow(values, cmap="gray_r", aspect="auto", interpolation="nearest")
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if len(rows):
        axis.set_yticks(range(len(rows)), rows, fontsize=6)
    axis.grid(False)
    return figure


def seeds(values: dict[str, Sequence[float]], ylabel: str, reference: dict[str, float] | None = None, title: str = "") -> Figure:
    """A dot for every seed of every system and a bar at their mean: {system: values}; dashed lines at named reference values."""
    figure, axis = plt.subplots(figsize=(1.1 * len(values) + 2, 3.4))
    for i, points in enumerate(values.values()):
        axis.plot(np.full(len(points), i), points, "o", color="black", markersize=5, markerfacecolor="none")
        axis.hlines(np.mean(points), i - 0.3, i + 0.3, color="black", linewidth=2)
    for (name, value), dash in zip((reference or {}).items(), DASHES[1:], strict=False):
        axis.axhline(value, linestyle=dash, color="black", linewidth=1, label=f"{name} ({value:.3g})")
    axis.set_xticks(range(len(values)), [textwrap.fill(name, 12) for name in values], fontsize=9)
    axis.set(ylabel=ylabel, title=title)
    axis.set_ylim(bottom=0)
    if reference:
        axis.legend(fontsize=8)
    figure.tight_layout()
    return figure


def intervals(panels: dict[str, dict[str, tuple[float, float, float]]], xlabel: str) -> Figure:
    """Means with their intervals, {panel: {row: (mean, low, high)}}: panels above each other, a row each, around a line at 0.

    An interval that is infinite (of a single seed) is left out; its mean stays.
    """
    counts = [len(rows) for rows in panels.values()]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(7.5, 0.9 + sum(0.34 * n + 0.55 for n in counts)), squeeze=False, sharex=True, height_ratios=[n + 0.6 for n in counts]
    )
    for axis, (heading, rows) in zip(axes[:, 0], panels.items(), strict=True):
        axis.axvline(0, color="black", linewidth=1)
        for i, (mean, low, high) in enumerate(rows.values()):
            bounds = [[mean - low], [high - mean]] if np.isfinite(low) else None
            axis.errorbar(mean, i, xerr=bounds, fmt="o", color="black", capsize=4, markersize=5)
        axis.set_yticks(range(len(rows)), list(rows), fontsize=9)
        axis.set(title=heading, ylim=(len(rows) - 0.4, -0.6))
    axes[-1, 0].set_xlabel(xlabel)
    figure.tight_layout()
    return figure


def placed(scores: np.ndarray, values: dict[str, float], threshold: float, xlabel: str, title: str = "") -> Figure:
    """A histogram of scores [N] with a marked line for each of some values, {name: value}, and the side beyond `threshold` shaded."""
    figure, axis = plt.subplots(figsize=(9, 2.6))
    axis.hist(scores, bins=40, color="lightgrey", edgecolor="black", linewidth=0.5)
    right = 1.05 * max(float(np.max(scores)), threshold, *values.values())
    axis.axvspan(threshold, right, facecolor="none", edgecolor="grey", hatch="//", linewidth=0)
    for (name, value), dash in zip(values.items(), DASHES * len(values), strict=False):
        axis.axvline(value, linestyle=dash, color="black", linewidth=2, label=textwrap.shorten(name, 60))
    axis.set(xlabel=xlabel, ylabel="descriptions", title=title, xlim=(None, right))
    axis.grid(False)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), handlelength=4)
    return figure
