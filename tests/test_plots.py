"""Figures: whole pixels, one look for a run in all panels, names on every axis."""

import numpy as np
import pytest
from matplotlib import pyplot
from PIL import Image

from s2igan.reporting import alternative_text, plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def images(rows, columns, size=8):
    rng = np.random.default_rng(0)
    return [[rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(columns)] for _ in range(rows)]


def holds(path, sheet, factor):
    """Whether a picture file holds the sheet with each of its pixels `factor` times `factor` times."""
    found, wanted = np.asarray(Image.open(path).convert("RGB")), sheet.repeat(factor, 0).repeat(factor, 1)
    corners = np.argwhere((found == wanted[0, 0]).all(2))
    return any(np.array_equal(found[y : y + len(wanted), x : x + wanted.shape[1]], wanted) for y, x in corners)


@pytest.mark.parametrize(("inch", "factor"), [(0.75, 8), (0.5, 6), (0.01, 1)])
def test_a_pixel_of_an_image_is_whole_pixels_of_the_file(tmp_path, inch, factor):
    rows = images(3, 4)
    figure = plots.contact_sheet(rows, ["one", "two words", "three"], "A title", inch)
    plots.save(figure, tmp_path / "sheet", vector=False)
    assert holds(tmp_path / "sheet.png", plots.grid(rows), factor)
    blocks = {"ground truth": rows, "a system with a long name": images(3, 2)}
    plots.save(plots.columns_of_rows(blocks, ["one", "two", "three"], inch), tmp_path / "blocks", vector=False)
    assert all(holds(tmp_path / "blocks.png", plots.grid(block), factor) for block in blocks.values())


def test_a_run_looks_alike_in_every_panel():
    logs = {"a": [{"step": 1, "D": 1.0}], "b": [{"step": 1, "D": 2.0, "RS": 3.0}]}
    d, rs, _ = plots.curves(logs, ["D", "RS"]).axes
    looks = [(line.get_color(), line.get_linestyle()) for line in (*d.lines, *rs.lines)]
    assert looks[1] == looks[2] != looks[0]  # b has no other look where a lacks the value


def test_small_multiples_are_narrow_and_mark_chance():
    values = {f"attribute {i}": {f"system {k}": 10.0 * k for k in range(8)} for i in range(7)}
    chance = {name: 50.0 for name in values}
    figure = plots.small_multiples(values, "percent", {"a guess": chance}, "Attributes")
    assert figure.get_figwidth() < 10
    shown = [axis for axis in figure.axes if axis.axison]
    assert len(shown) == 7 and all(50.0 in axis.lines[-1].get_xdata() for axis in shown)
    text = alternative_text.alt(figure)
    assert "Legend: a guess" in text and "Across: percent" in text


def test_every_plot_names_its_axes():
    points = {"a": (np.zeros((2, 2)), ["x", "y"])}
    one = {"S2IGAN": [1.0, 2.0]}
    figures = [
        plots.curves({"a": [{"step": 1, "loss": 1.0}]}, ["loss"]),
        plots.scatter(points),
        plots.seeds(one, "mAP"),
        plots.intervals({"birds": {"a": (1.0, 0.5, 1.5)}}, "points", "condition"),
        plots.placed(np.arange(5.0), {"a": 1.0}, 3.0, "score"),
        plots.matrix(np.eye(3), "column", "row"),
        plots.attention(np.zeros((40, 40)), np.ones(10), "words"),
    ]
    for figure in figures:
        shown = [axis for axis in figure.axes if axis.axison]
        assert all(axis.get_ylabel() for axis in shown) and shown[-1].get_xlabel()
