"""Notebooks to try the site's builder with, and the builder itself."""

import base64
import importlib.util
import io
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from IPython.display import Audio
from matplotlib import pyplot
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from site_browser import CHROMIUM

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("site_build", ROOT / "site" / "build.py")
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)  # puts site/ on the path, where `builder` is

has_sphinx = all(importlib.util.find_spec(name) is not None for name in ("myst_nb", "sphinx_copybutton"))
needs_sphinx = pytest.mark.skipif(not has_sphinx, reason="the site's tools are not installed: `make site` does it")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


def image(alt="", **more):
    figure = pyplot.figure(figsize=(9, 2))
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    pyplot.close(figure)
    png = nbformat.from_dict({"image/png": base64.b64encode(stream.getvalue()).decode(), "text/plain": "<Figure>"})
    return new_output("display_data", data=png, metadata={"image/png": {"alt": alt}} if alt else {}, **more)


def shown(thing):
    return new_output("display_data", data={"text/html": thing._repr_html_(), "text/plain": repr(thing)[:80]})


def executed(ended="2026-01-02T03:04:05", exception=None):
    """What papermill leaves: the parameters that it was given, noise on stderr, images, a table, sound, fields."""
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 30)), columns=[f"a long name {i}" for i in range(30)])
    sound = Audio(np.sin(np.arange(4410) / 5), rate=22_050)
    fields = new_output(
        "display_data", data={"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "Panel()"}
    )
    formula = (
        r"$$ L = \sum_{i} \log\frac{e^{S_{ii}}}{\sum_j e^{S_{ij}}} + "
        + " + ".join(f"x_{{{i}}}" for i in range(40))
        + "$$"
    )
    cells = [
        new_markdown_cell("# 1 · Data: pictures\n\n**Question.** What is `losses.matching_loss`? See `02_sen`."),
        new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
        new_code_cell("seed = 3", metadata={"tags": ["injected-parameters"]}),
        new_code_cell("import numpy\n" + "x = " + " + ".join(["numpy.zeros(3)"] * 40)),
        new_markdown_cell(f"## 1.2 What goes in\n\n{formula}\n\nTwo plots of $L_d$:"),
        new_code_cell("plot()", outputs=[image(), new_output("stream", name="stderr", text="a warning\n"), image()]),
        new_markdown_cell("*What is seen: `x`, and\nmore.* And more.\n\n## 1.3 Sound"),
        new_code_cell(
            "say()",
            outputs=[new_output("stream", name="stdout", text='“a "blue" flower”  (en-us)\n' * 80), shown(sound)],
        ),
        new_code_cell("wide", outputs=[shown(wide), image("Its own words")]),
        new_code_cell(
            "show()",
            outputs=[new_output("display_data", data={"text/markdown": "| a | b |\n| --- | ---: |\n| *x* | 1 |\n"})],
        ),
        new_code_cell("panel", outputs=[fields]),
    ]
    about = {
        "papermill": {"end_time": ended, "exception": exception},
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
    }
    return new_notebook(cells=cells, metadata=about | {"language_info": {"name": "python"}})


def source():
    return new_notebook(
        cells=[new_markdown_cell("# 2 · SEN"), new_code_cell("x = 1")], metadata={"language_info": {"name": "python"}}
    )


def write(notebook, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
