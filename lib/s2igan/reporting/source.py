"""Code of the library on a notebook's page, read from the library itself, so that it cannot differ from what runs."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable

from IPython.display import Markdown


def show(*things: Callable) -> Markdown:
    """The code of functions, methods or classes for a notebook to display, each under its full name.

    A page shows 79 columns: functions that notebooks show keep to that (tests/test_notebook_sources.py).
    """
    blocks = (f"`{thing.__module__}.{thing.__qualname__}`\n\n```python\n{code_of(thing)}\n```" for thing in things)
    return Markdown("\n\n".join(blocks))


def code_of(thing: Callable) -> str:
    """The source of a function or class as it runs, without docstrings, since the page explains it in its own words."""
    lines = textwrap.dedent(inspect.getsource(thing)).splitlines()
    dropped: set[int] = set()
    for node in ast.walk(ast.parse("\n".join(lines))):
        documented = isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None
        if documented and len(node.body) > 1:
            first, last = node.body[0].lineno, node.body[0].end_lineno
            dropped |= set(range(first, last + 1 + (lines[last : last + 1] == [""])))
    kept = [line for number, line in enumerate(lines, 1) if number not in dropped]
    return "\n".join(line.removesuffix("  # fmt: skip") for line in kept)
