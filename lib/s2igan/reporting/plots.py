"""The study's figures. Each function returns a matplotlib Figure; `save` writes it as PNG and SVG, images as PNG alone.

Images are uint8 arrays [s, s, 3]. Colours are seaborn's colour-blind palette, and lines differ in dashes too, so that
grey suffices. In a notebook every figure has an alternative text (`alternative_text.alt`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from s2igan.files import replacing
from s2igan.reporting import alternative_text
from s2igan.reporting.sheets import columns_of_rows, contact_sheet, enlarged, framed, grid
from s2igan.reporting.text import distinct, shown

# With the sheets of images, so that a notebook finds every figure here, and the module that gives figures their texts.
__all__ = [
    "alternative_text", "attention", "attention_by_feature", "bars", "by_number", "columns_of_rows", "contact_sheet",
    "curves", "enlarged", "framed", "grid", "intervals", "matrix", "placed", "save", "scatter", "seeds",
    "small_multiples", "waveform_and_mel",
]  # fmt: skip
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 2, 1, 2)), (0, (1, 4)))
LABEL = 48  # characters of a name beside or below a plot
HATCHES = ("", "//", "..", "xx", "\\\\", "oo", "++", "**", "--")
# For letters that the first font lacks: of these, the ones that the machine has. What no font has becomes a box.
MORE_FONTS = (
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei",
    "PingFang SC", "Hiragino Sans", "Malgun Gothic", "Nirmala UI", "Noto Sans Devanagari", "Arial Unicode MS",
    "Noto Emoji",
)  # fmt: skip
_installed = set(font_manager.get_font_names())
sns.set_theme(
    context="notebook", style="whitegrid", palette="colorblind",
    rc={
        "figure.dpi": 100, "svg.hashsalt": "s2igan", "text.parse_math": False,  # a $ in a caption is no formula
        "font.family": ["sans-serif", *(name for name in MORE_FONTS if name in _installed)],
    },
)  # fmt: skip
pd.set_option("display.html.use_mathjax", False)  # nor in a table on a page
warnings.filterwarnings("ignore", "Glyph .* missing from")  # the figure shows that, once and not for every letter


def save(figure: Figure, path: str | Path, vector: bool = True) -> None:
    """Write a figure as `path`.png, and as `path`.svg too where it is a plot. Equal figures give equal bytes."""
    path = Path(path)
    if vector:
        with replacing(path.with_suffix(".svg")) as temporary:
            figure.savefig(temporary, bbox_inches="tight", metadata={"Date": None})
    with replacing(path.with_suffix(".png")) as temporary:
        if vector:
            figure.savefig(temporary, bbox_inches="tight", dpi=150)
        else:
            figure.savefig(temporary, bbox_inches=whole_pixels(figure), dpi=figure.dpi)


def whole_pixels(figure: Figure, margin: int = 6) -> Bbox:
    """What is drawn in a figure, in inches, rounded outwards to whole pixels; `margin` in pixels."""
    box = figure.get_tightbbox(figure.canvas.get_renderer()).get_points() * figure.dpi
    return Bbox([np.floor(box[0]) - margin, np.ceil(box[1]) + margin] / np.float64(figure.dpi))


def attention(mel: np.ndarray, weights: np.ndarray, text: str) -> Figure:
    """Attention over time [T'] above the log-mel [T, 40] that it belongs to."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 3.2), sharex=True, height_ratios=(1, 2))
    # A step of T' is four frames of 10 ms, and sees sixteen.
    top.fill_between((np.arange(len(weights)) * 4 + 8) / 100, weights, step="mid", alpha=0.8)
    top.axhline(1 / len(weights), linestyle="--", color="black", linewidth=1)
    top.set(ylabel="attention", title=shown(f"“{shown(text, 160, 1)}” (dashed: equal weights)"))
    bottom.imshow(mel.T, origin="lower", aspect="auto", cmap="cividis", extent=(0, len(mel) / 100, 0, mel.shape[1]))
    bottom.set(xlabel="seconds", ylabel="mel band")
    bottom.grid(False)
    figure.tight_layout()
    return figure


def attention_by_feature(mel: np.ndarray, weights: np.ndarray, title: str = "", count: int = 30) -> Figure:
    """The `count` features that attend most to a single moment, below the log-mel [T, 40], in order of time.

    Args: weights: attention, for each feature a softmax over time, [T', D].
    """
    sharp = np.argsort(-weights.max(0), kind="stable")[:count]
    sharp = sharp[np.argsort(weights[:, sharp].argmax(0), kind="stable")]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(9, 4.8), sharex=True, height_ratios=(2, 3))
    seconds = len(mel) / 100
    top.imshow(mel.T, origin="lower", aspect="auto", cmap="cividis", extent=(0, seconds, 0, mel.shape[1]))
    top.set(ylabel="mel band", title=shown(title))
    # A step of T' is four frames of 10 ms, and sees sixteen.
    start, end = 0.06, 0.06 + 0.04 * len(weights)
    bottom.imshow(
        weights[:, sharp].T, cmap="gray_r", aspect="auto", interpolation="nearest", extent=(start, end, len(sharp), 0)
    )
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
    top.set(ylabel="amplitude", title=shown(title))
    image = bottom.imshow(mel.T, origin="lower", aspect="auto", cmap="cividis", extent=(0, seconds, 0, mel.shape[1]))
    bottom.set(xlabel="seconds", ylabel="mel band")
    bottom.grid(False)
    figure.colorbar(image, ax=[top, bottom], label="standard deviations", pad=0.01)
    return figure


def curves(
    runs: dict[str, list[dict[str, float]]], names: Sequence[str] = (), title: str = "", columns: int = 3
) -> Figure:
    """Logged values over training steps: a panel for each name, a line for each run.

    A run has one colour and one dash in all panels, also where other runs lack a value.

    Args:
        runs: {run: records of log.jsonl}.
        names: of the logged values, all where none is given; those that no run has are left out.
    """
    names = names or [name for name in dict.fromkeys(n for log in runs.values() for n in log[-1]) if name != "step"]
    names = [name for name in names if any(name in record for log in runs.values() for record in log)]
    rows = -(-len(names) // columns)
    size = (3.6 * columns, 2.5 * rows + 0.6)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    lines = {}
    for axis, name in zip(axes.flat, names, strict=False):
        for i, (run, log) in enumerate(runs.items()):
            if points := [(record["step"], record[name]) for record in log if name in record]:
                dash = DASHES[i % len(DASHES)]
                (lines[run],) = axis.plot(*zip(*points, strict=True), color=f"C{i % 10}", linestyle=dash, linewidth=1.4)
        axis.set_xlabel("step", fontsize=9)
        axis.set_ylabel(shown(name, 40, 1), fontsize=9)
        axis.tick_params(labelsize=8)
    for axis in list(axes.flat)[len(names) :]:
        axis.axis("off")
    figure.suptitle(shown(title))
    if len(runs) > 1:
        _legend_below(figure, {run: lines[run] for run in runs if run in lines})
    return figure


def _legend_below(figure: Figure, lines: dict[str, Line2D]) -> None:
    """A legend below the panels of a figure with constrained layout."""
    names = [shown(name, LABEL, 1) for name in lines]
    figure.legend(lines.values(), names, fontsize=9, ncol=4, handlelength=4, loc="outside lower center")


def _mark(axis: Axes, values: dict[str, float]) -> None:
    """Horizontal lines at named reference values such as chance, told apart by their dashes."""
    for (name, value), dash in zip(values.items(), DASHES[1:], strict=False):
        axis.axhline(value, linestyle=dash, color="black", linewidth=1, label=f"{shown(name, LABEL, 1)} ({value:.3g})")


def bars(
    values: dict[str, dict[str, float]],
    ylabel: str,
    reference: dict[str, float] | None = None,
    title: str = "",
    xlabel: str = "",
) -> Figure:
    """Grouped bars, {group: {bar: value}}, with dashed horizontal lines at named reference values such as chance.

    For a few groups; `small_multiples` shows many.
    """
    names = list(dict.fromkeys(bar for group in values.values() for bar in group))
    figure, axis = plt.subplots(figsize=(min(12, max(5, 0.9 * len(values) * len(names))), 3.2))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        heights = [group.get(name, np.nan) for group in values.values()]
        places = np.arange(len(values)) + (i - (len(names) - 1) / 2) * width
        drawn = axis.bar(places, heights, width * 0.95, label=shown(name, LABEL, 1), hatch=HATCHES[i % len(HATCHES)])
        axis.bar_label(drawn, fmt="%.3g", fontsize=8)
    _mark(axis, reference or {})
    axis.set_xticks(np.arange(len(values)), [shown(name, LABEL, 1) for name in values])
    axis.set(xlabel=xlabel, ylabel=ylabel, title=shown(title))
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def small_multiples(
    values: dict[str, dict[str, float]],
    xlabel: str,
    references: dict[str, dict[str, float]] | None = None,
    title: str = "",
    columns: int = 4,
) -> Figure:
    """A small panel for each quantity, such as an attribute, and in it a dot for each system, on a scale from 0 to 100.

    Args:
        values: {panel: {system: value}}.
        references: values that are drawn as dashed lines, such as chance, {name: {panel: value}}.
    """
    references, lines = references or {}, {}
    systems = list(dict.fromkeys(system for panel in values.values() for system in panel))
    rows, columns = -(-len(values) // columns), min(columns, len(values))
    size = (2.6 + 1.75 * columns, rows * (0.24 * len(systems) + 0.5) + 1.0)
    figure, axes = plt.subplots(
        rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (name, panel) in zip(axes.flat, values.items(), strict=False):
        for i, system in enumerate(systems):
            if system in panel:
                axis.plot(panel[system], i, "o", color="black", markersize=5)
        for (reference, of_panels), dash in zip(references.items(), DASHES[1:], strict=False):
            if name in of_panels:
                lines[reference] = axis.axvline(of_panels[name], color="black", linestyle=dash, linewidth=1.2)
        axis.set_title(shown(name, 32), fontsize=10)
        axis.tick_params(labelsize=8)
        axis.set(xlim=(-4, 104), ylim=(len(systems) - 0.5, -0.5), yticks=range(len(systems)))
        axis.set_yticklabels([shown(system, LABEL, 1) for system in systems], fontsize=8)
    for i, axis in enumerate(axes.flat):
        if i >= len(values):
            axis.axis("off")
        elif i + columns >= len(values):  # the last panel of a column
            axis.tick_params(labelbottom=True)
            axis.set_xlabel(xlabel, fontsize=8)
    figure.suptitle(shown(title))
    if lines:
        _legend_below(figure, lines)
    return figure


def by_number(lines: dict[str, pd.Series], ylabel: str, title: str = "") -> Figure:
    """How values change with the number of images: {name: values indexed by that number}, which doubles."""
    figure, axis = plt.subplots(figsize=(8, 3.4))
    for (name, values), dash in zip(lines.items(), DASHES * len(lines), strict=False):
        axis.plot(values.index, values, linestyle=dash, marker="o", markersize=4, label=shown(name, LABEL, 1))
    numbers = sorted({n for values in lines.values() for n in values.index})
    axis.set_xscale("log", base=2)
    axis.set_xticks(numbers, list(map(str, numbers)))
    axis.minorticks_off()
    axis.set(xlabel="images on each side", ylabel=ylabel, title=shown(title), ylim=(0, None))
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), handlelength=4)
    return figure


def scatter(panels: dict[str, tuple[np.ndarray, Sequence[str]]], title: str = "") -> Figure:
    """Points [N, 2] coloured and marked by label, side by side: {heading: (points, labels)}.

    The axes of t-SNE have no unit, so they have no ticks.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 4), squeeze=False)
    for axis, (heading, (points, labels)) in zip(axes[0], panels.items(), strict=True):
        last, names = axis is axes[0][-1], distinct(list(labels), 36)
        groups = [names[label] for label in labels]
        sns.scatterplot(x=points[:, 0], y=points[:, 1], hue=groups, style=groups, ax=axis, s=28, legend=last)
        axis.set(xticks=[], yticks=[], title=shown(heading, 48), xlabel="t-SNE 1", ylabel="t-SNE 2")
    if axes[0][-1].get_legend():
        sns.move_legend(axes[0][-1], "upper left", bbox_to_anchor=(1, 1), fontsize=7, title=None)
    figure.suptitle(shown(title))
    figure.tight_layout()
    return figure


def matrix(values: np.ndarray, xlabel: str, ylabel: str, rows: Sequence[str] = (), title: str = "") -> Figure:
    """A matrix [R, C] as squares, dark where large; `rows` are the names of its rows."""
    figure, axis = plt.subplots(figsize=(9, 0.13 * len(values) + 0.8))
    axis.imshow(values, cmap="gray_r", aspect="auto", interpolation="nearest")
    axis.set(xlabel=xlabel, ylabel=ylabel, title=shown(title))
    if len(rows):
        axis.set_yticks(range(len(rows)), [shown(row, LABEL, 1) for row in rows], fontsize=6)
    axis.grid(False)
    return figure


def seeds(
    values: dict[str, Sequence[float]], ylabel: str, reference: dict[str, float] | None = None, title: str = ""
) -> Figure:
    """A dot for every seed of every system, a bar at their mean: {system: values}; dashed lines at reference values."""
    figure, axis = plt.subplots(figsize=(1.1 * len(values) + 2, 3.4))
    for i, points in enumerate(values.values()):
        axis.plot(np.full(len(points), i), points, "o", color="black", markersize=5, markerfacecolor="none")
        axis.hlines(np.mean(points), i - 0.3, i + 0.3, color="black", linewidth=2)
    _mark(axis, reference or {})
    axis.set_xticks(range(len(values)), [shown(name, 12, 6) for name in values], fontsize=9)
    axis.set(xlabel="system (a ring is a seed, a bar the mean)", title=shown(title))
    axis.set_ylabel(ylabel, fontsize=10)
    axis.set_ylim(bottom=0)
    if reference:
        axis.legend(fontsize=8)
    figure.tight_layout()
    return figure


def intervals(panels: dict[str, dict[str, tuple[float, float, float]]], xlabel: str, ylabel: str = "system") -> Figure:
    """Means with their intervals around a line at 0: {panel: {row: (mean, low, high)}}, the panels above each other.

    An interval that is infinite (of a single seed) is left out; its mean stays.
    """
    counts = [len(rows) for rows in panels.values()]
    size, heights = (7.5, 0.9 + sum(0.34 * n + 0.55 for n in counts)), [n + 0.6 for n in counts]
    figure, axes = plt.subplots(len(panels), 1, figsize=size, squeeze=False, sharex=True, height_ratios=heights)
    for axis, (heading, rows) in zip(axes[:, 0], panels.items(), strict=True):
        axis.axvline(0, color="black", linewidth=1)
        for i, (mean, low, high) in enumerate(rows.values()):
            bounds = [[mean - low], [high - mean]] if np.isfinite(low) else None
            axis.errorbar(mean, i, xerr=bounds, fmt="o", color="black", capsize=4, markersize=5)
        axis.set_yticks(range(len(rows)), [shown(row, LABEL, 1) for row in rows], fontsize=9)
        axis.set(title=shown(heading), ylabel=ylabel, ylim=(len(rows) - 0.4, -0.6))
    axes[-1, 0].set_xlabel(xlabel)
    figure.tight_layout()
    return figure


def placed(scores: np.ndarray, values: dict[str, float], threshold: float, xlabel: str, title: str = "") -> Figure:
    """A histogram of scores [N] with a line at each of some values, {name: value}; beyond `threshold` it is shaded."""
    figure, axis = plt.subplots(figsize=(9, 2.6))
    axis.hist(scores, bins=40, color="lightgrey", edgecolor="black", linewidth=0.5)
    right = 1.05 * max(float(np.max(scores)), threshold, *values.values())
    axis.axvspan(threshold, right, facecolor="none", edgecolor="grey", hatch="//", linewidth=0)
    for (name, value), dash in zip(values.items(), DASHES * len(values), strict=False):
        axis.axvline(value, linestyle=dash, color="black", linewidth=2, label=shown(name, 60, 1))
    axis.set(xlabel=xlabel, ylabel="captions", title=shown(title), xlim=(None, right))
    axis.grid(False)
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), handlelength=4)
    return figure
