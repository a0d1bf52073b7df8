"""Captions and names of any kind: in figures, tables and printed lines they stay the text that they are."""

import re
import warnings
from html import unescape
from xml.etree import ElementTree

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot
from packed_study import ROOT
from PIL import Image

from s2igan.reporting import plots, tables
from s2igan.reporting.alternative_text import alt
from s2igan.reporting.text import distinct, in_latex, in_markdown, one_line, shown
from s2igan.workflow.notebook import Lines

HOSTILE = [
    "$x", "a $5 and $6 flower", r"\frac{a", "$\\frac$", "x_1^2 & 50 %", "<b>bold</b> &amp;", "a|b", "`code`", "*star*",
    "_hidden", "-- {brace} }", "two\nlines\r\nthree", "\x1b[31mred\x07", "a\0b", "\ud800half", "\u202eright to left",
    "שלום وردة", "红花", "😀 flower", "cafe\u0301", "", "   ", "nan", "#1 [link](x) ~~no~~",
    "w" * 300, "a long one " * 2000,
]  # fmt: skip


def image(size=8):
    return np.zeros((size, size, 3), np.uint8)


def mel():
    return np.zeros((40, 40), np.float32)


def by_seed(names):
    return {name: [1.0, 2.0] for name in names}


FIGURES = {
    "attention": lambda names: plots.attention(mel(), np.ones(10), names[0]),
    "attention_by_feature": lambda names: plots.attention_by_feature(mel(), np.ones((10, 40)), names[0]),
    "waveform_and_mel": lambda names: plots.waveform_and_mel(np.zeros(9000), mel(), title=names[0]),
    "curves": lambda names: plots.curves({n: [{"step": 1, "a": 1.0}] for n in names}, (), names[0]),
    "bars": lambda names: plots.bars({n: {m: 1.0 for m in names[:3]} for n in names}, "mAP", {names[0]: 1.0}, names[0]),
    "small_multiples": lambda names: plots.small_multiples(
        {n: {m: 50.0 for m in names[:3]} for n in names}, "percent", {names[0]: {n: 20.0 for n in names}}, names[0]
    ),
    "by_number": lambda names: plots.by_number({n: pd.Series([2.0, 1.0], [50, 100]) for n in names}, "FID", names[0]),
    "scatter": lambda names: plots.scatter({names[0]: (np.zeros((len(names), 2)), names)}, names[0]),
    "matrix": lambda names: plots.matrix(np.eye(len(names)), "column", "row", names, names[0]),
    "seeds": lambda names: plots.seeds(by_seed(names), "mAP", {names[0]: 1.0}, names[0]),
    "intervals": lambda names: plots.intervals({names[0]: {n: (1.0, 0.5, 1.5) for n in names}}, "points"),
    "placed": lambda names: plots.placed(np.arange(5.0), {n: 1.0 for n in names}, 3.0, "score", names[0]),
    "contact_sheet": lambda names: plots.contact_sheet([[image(), image()] for _ in names], names, names[0]),
    "columns_of_rows": lambda names: plots.columns_of_rows({n: [[image()]] * 2 for n in names[:4]}, names[:2]),
}  # fmt: skip


def test_every_figure_is_drawn_here():
    not_drawn = {"alternative_text", "enlarged", "framed", "grid", "save"}
    assert set(plots.__all__) - not_drawn == set(FIGURES)


@pytest.mark.filterwarnings("ignore:Glyph .* missing from")
@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_shows_any_name_as_it_is(figure, tmp_path):
    for number in range(0, len(HOSTILE), 9):
        names = HOSTILE[number : number + 9]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "Glyph .* missing from")
            drawn = FIGURES[figure](names)
            plots.save(drawn, tmp_path / "figure")
        ElementTree.parse(tmp_path / "figure.svg")
        with Image.open(tmp_path / "figure.png") as picture:
            assert max(picture.size) < 6000
        texts = drawn.findobj(matplotlib.text.Text)
        assert any(shown(names[0], 8, 1).rstrip("…") in text.get_text() for text in texts)
        assert not any(text.get_parse_math() for text in texts)
        alt(drawn).encode()
        pyplot.close(drawn)


def test_a_legend_has_every_name():
    names = ["_hidden", "$a$", "b" * 60, "b" * 61]
    figure = plots.scatter({"": (np.zeros((4, 2)), names)})
    assert len(figure.axes[0].get_legend().get_texts()) == 4
    pyplot.close(figure)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_has_a_row_a_name_and_the_name_in_it(name):
    table = pd.DataFrame({name: [name, 1.5], "**best**": ["**2**", float("nan")]}, index=[name, f"*{name}*"])
    lines = tables.markdown(table.rename_axis(name)).split("\n")
    assert len(lines) == 5 and lines[-1] == "" and all(line.count("|") == 4 for line in lines[:4])
    first = [unescape(re.sub("</?span>", "", cell)) for cell in lines[2][2:-2].split(" | ")]
    if name != "*star*":  # a cell in stars is in italics
        assert first[0] == first[1] == one_line(name)
    tex = tables.latex(table, name)
    assert len(re.findall(r"(?<!\\)&", tex)) == 3 * 2 and not re.search(r"(?<!\\)[%#_^~]", tex)
    bare = re.sub(r"\\[{}]", "", tex)
    assert bare.count("{") == bare.count("}")


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.text(st.characters(codec=None)))
def test_any_text_is_one_line_of_text(text):
    line = one_line(text)
    line.encode()
    assert len(line.splitlines()) <= 1 and "\x1b" not in line and one_line(line) == line
    assert unescape(re.sub("</?span>", "", in_markdown(text))) == line
    assert not set("$\\|`*<") & set(re.sub("</?span>", "", in_markdown(text)))
    assert in_latex("".join(c for c in text if c.isalnum() and c.isascii())) in in_latex(text) or text
    assert len(shown(text, 10, 2).replace("\u200b", "")) <= 21


def test_names_that_are_cut_alike_stay_apart():
    names = ["a" * 50, "a" * 51, "a" * 52, "b"]
    assert len(set(distinct(names, 10).values())) == 4 and distinct(names, 10)["b"] == "b"


def test_formulas_in_notebooks_are_none_in_a_figure():
    """A notebook's own labels use no $: figures take it as a dollar sign."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "code":
                assert not re.search(r"(label|title) = .*\$", cell.source), path


def test_a_printed_line_stays_a_line(capsys):
    Lines("a run").write("class \x1b[31mred\r\ud800\u2028two\nnext\n")
    assert capsys.readouterr().out == "[a run] class \ufffd[31mred \ufffd two\n[a run] next\n"


def test_a_table_of_a_notebook_holds_no_formulas():
    assert "mathjax_ignore" in pd.DataFrame({"caption": ["$5 or $6"]}).to_html(notebook=True)
