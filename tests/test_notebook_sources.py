"""The notebooks' sources: prose, lines, what stands on the page."""

import ast
from pathlib import Path

import nbformat
import pytest

from s2igan.reporting.source import code_of

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_sources_are_for_readers(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert all(f"**{word}.**" in first.source for word in ("Question", "Prerequisites", "Minutes"))
    headings = [cell.source.split("\n")[0] for cell in notebook.cells if cell.cell_type == "markdown"]
    assert "## Answer" in headings
    assert all(len(cell.source.splitlines()) <= 25 for cell in code)
    assert max(len(line) for cell in notebook.cells for line in cell.source.splitlines()) <= 79  # what the site shows


def shown_functions(path: Path) -> list:
    """What a notebook's cells give to `show`: functions, methods and classes of the library."""
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    trees = [ast.parse(source) for source in cells]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    if not any(getattr(node, "module", "") == "s2igan.reporting.source" for node in imports):
        return []
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "show"]
    names = {}
    exec("\n".join(map(ast.unparse, imports)), names)
    return [eval(ast.unparse(argument), names) for call in calls for argument in call.args]


def test_the_decisive_code_stands_on_the_page():
    shown = {thing.__qualname__: code_of(thing) for path in NOTEBOOKS for thing in shown_functions(path)}
    assert {
        "SpeechEncoder.attention", "SpeechEncoder.forward", "ImageEncoder.forward", "matching_loss", "distinctive_loss",
        "NextStage.forward", "RelationSupervisor", "relation_loss", "rdg_training_step",
    } <= shown.keys()  # fmt: skip
    for name, code in shown.items():
        assert max(map(len, code.splitlines())) <= 79, name
        assert '"""' not in code, name  # the page explains it in its own words
