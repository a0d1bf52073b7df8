"""Digests of source code, so that a change of the code that makes a number reruns what depends on it."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

# Settings count by their values (`config.of_stage`), not by their code.
IGNORED = ("s2igan", "s2igan.config")


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.AST) -> set[str]:
    """Modules of this package that a piece of code imports, by full name, wherever in it the import stands."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name == "s2igan" or name.startswith("s2igan.")}


def _file_of(module: str) -> Path | None:
    """The source of a module of this package, None for a name that is no module (such as a function)."""
    path = Path(__file__).resolve().parents[1].joinpath(*module.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def modules_used(start: Iterable[str], without: tuple[str, ...] = ()) -> list[str]:
    """The modules of this package among `start`, and all that they import, directly or not, sorted.

    `without`: names of packages whose modules do not count.
    """
    skipped = (*IGNORED[1:], *without)
    found: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name in found or name in IGNORED or any(name == skip or name.startswith(skip + ".") for skip in skipped):
            continue
        if (path := _file_of(name)) is not None:
            found.add(name)
            waiting += _imports(_parsed(path))
    return sorted(found)


def source_digest(modules: Iterable[str] = (), notebook: Path | None = None, without: tuple[str, ...] = ()) -> str:
    """A digest of the code of these modules, of the notebook, and of all that they import.

    Comments, layout and a notebook's prose do not count.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"] if notebook else []
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    start, digest = set(modules), hashlib.sha256()
    for code in codes:
        try:
            tree = ast.parse(code)
        except SyntaxError:  # a notebook's % line
            digest.update(code.encode())
        else:
            start |= _imports(tree)
            digest.update(ast.dump(tree).encode())
    for name in modules_used(start, without):
        digest.update(ast.dump(_parsed(_file_of(name))).encode())
    return digest.hexdigest()
