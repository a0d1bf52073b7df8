"""Notebooks: what `python -m s2igan run` accepts, papermill must be able to prepare."""

import json
import warnings

import papermill
from mutations import changed, damaged, damaged_text

from s2igan.workflow.notebook import check_notebook, verbatim

CELLS = [
    {"cell_type": "markdown", "id": "a", "metadata": {}, "source": ["# A title\n", "and text"]},
    {"cell_type": "code", "id": "b", "metadata": {"tags": ["parameters"]}, "execution_count": None,
     "source": 'seed = 0\nsystem = "S2IGAN"  # a system', "outputs": []},
    {"cell_type": "code", "id": "c", "metadata": {}, "execution_count": 1, "source": "print(seed)",
     "outputs": [{"output_type": "stream", "name": "stdout", "text": ["0\n"]}]},
    {"cell_type": "raw", "id": "d", "metadata": {}, "source": "raw", "attachments": {"a.png": {"image/png": "aGk="}}},
]  # fmt: skip
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
NOTEBOOK = {
    "cells": CELLS, "nbformat": 4, "nbformat_minor": 5,
    "metadata": {"kernelspec": KERNEL, "language_info": {"name": "python", "version": "3.11"}, "papermill": {}},
}  # fmt: skip

NAMES = ["a.ipynb", "{}.ipynb", "a{seed}.ipynb", "{other}.ipynb", "}{.ipynb", "é 😀.ipynb", "http:a"]


def originals(folder):
    return NOTEBOOK, json.dumps(NOTEBOOK, indent=1)


def attempt(made, random, folder):
    notebook, text = made
    path, out = folder / random.choice(NAMES), folder / "out {seed}.ipynb"
    kind = random.random()
    if kind < 0.6:
        for _ in range(random.choice([1, 1, 1, 2, 3])):
            notebook = changed(notebook, random)
        path.write_text(json.dumps(notebook))
    elif kind < 0.98:
        path.write_bytes(damaged_text(text, random) if kind < 0.8 else damaged(text.encode(), random))
    elif kind < 0.99:
        path.mkdir()
    else:
        path.symlink_to(path.name)
    check_notebook(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        papermill.execute_notebook(
            verbatim(path), verbatim(out), parameters={"seed": 1}, kernel_name="python3", language="python",
            prepare_only=True, progress_bar=False,
        )  # fmt: skip
    cells = json.loads(out.read_text())["cells"]
    if not any("injected-parameters" in cell["metadata"].get("tags", []) for cell in cells):
        raise RuntimeError("no parameters")
