"""Builds the study's site, a Jupyter Book by Sphinx and MyST-NB: executed notebooks, docs/, tables, and the library.

`make site` calls it. It collects what it shows into site/_build/source and writes site/_build/html/index.html. Nothing
is executed, no network is used, and the result opens from disk as from any web server. Settings are in conf.py.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from builder import library, pages  # noqa: E402
from builder.checks import faults  # noqa: E402
from builder.notebooks import OPTIONAL, ORDER, choose, page_of  # noqa: E402

from s2igan import BadInput  # noqa: E402
from s2igan.files import project_root  # noqa: E402
from s2igan.workflow.run_study import read_words  # noqa: E402

DEMO = Path("docs/img/demo.wav")


def main(words: list[str]) -> int:
    """Builds the site; returns the exit status: 0 built, 1 with faults, 2 bad input.

    Args: words: STUDY=name, DATASET=name.
    """
    try:
        given = read_words(words)
        if unknown := sorted(given.keys() - {"study", "datasets"}):
            raise BadInput(f"{unknown[0].upper()} is no word of `make site`: it knows STUDY and DATASET")
        if any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_nb", "sphinx_copybutton")):
            raise BadInput(
                "the site's tools are not installed: `make site` does it, or pip install -r requirements-site.lock"
            )
        import conf

        root, started = project_root(), time.monotonic()
        source, out = HERE / "_build" / "source", HERE / "_build" / "html"
        missing = collect(root, source, given.get("study", ""), given.get("datasets", "mini-flowers"), conf.REPOSITORY)
        found = render(source, out)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    count = len(list(out.glob("*.html")))
    if missing:
        print(f"without outputs, since they have not run here: {', '.join(missing)}")
    print(f"{count} pages, {size / 1e6:.1f} MB, in {time.monotonic() - started:.0f} s: {out / 'index.html'}")
    return 1 if found else 0


def collect(root: Path, out: Path, study: str = "", dataset: str = "mini-flowers", repository: str = "") -> list[str]:
    """Writes everything that Sphinx reads to the folder `out`, which it empties first.

    Returns: the notebooks that are shown without outputs.
    """
    shutil.rmtree(out, ignore_errors=True)
    (out / "sources").mkdir(parents=True)
    names = library.names_of(root / "lib" / "s2igan")
    of_notebooks = {**ORDER, **OPTIONAL}
    there = [name for name in of_notebooks if (root / "notebooks" / f"{name}.ipynb").is_file()]
    chosen = {name: choose(root, name, study, dataset) for name in there}
    chosen = {name: pair for name, pair in chosen.items() if name in ORDER or pair[0] is not None}
    texts = {path.stem: path for path in [*sorted((root / "docs").glob("*.md")), *sorted(HERE.glob("*.md"))]}
    titles = {name: pages.title_of(notebook.cells[0].source) or name for name, (_, notebook) in chosen.items()}
    titles |= {name: pages.title_of(path.read_text(encoding="utf-8")) or name for name, path in texts.items()}

    def with_links(text: str, folder: Path) -> str:
        return pages.linked(pages.with_paths(text, folder, root, out, titles, repository), titles, set(names))

    for name, (path, notebook) in chosen.items():
        source = source_of(root, name, out, repository)
        links = functools.partial(with_links, folder=root / "notebooks")
        page = page_of(notebook, path and path.relative_to(root), of_notebooks[name], links, source)
        (out / f"{name}.ipynb").write_text(json.dumps(page), encoding="utf-8")
    fills = {
        "notebooks": "".join(f"{name}\n" for name in chosen),
        "table of modules": library.write_pages(root / "lib" / "s2igan", names, out),
        "modules": "".join(f"{path.stem}\n" for path in sorted(out.glob("api_*.md"))),
        "sound": sound(root),
        **library.draw(out),
    }
    for path in texts.values():
        text = pages.filled(path.read_text(encoding="utf-8"), root, fills)
        (out / path.name).write_text(with_links(text, root if path.parent == HERE else path.parent), encoding="utf-8")
    return [name for name, (path, _) in chosen.items() if path is None]


def source_of(root: Path, name: str, out: Path, repository: str) -> str:
    """Markdown that leads to a notebook's source: in the repository, or else a copy to download."""
    path = Path("notebooks") / f"{name}.ipynb"
    if repository:
        return f"[Source: `{path.name}`]({repository}/blob/main/{path.as_posix()})"
    shutil.copy(root / path, out / "sources" / path.name)
    return f"{{download}}`Source: {path.name} <sources/{path.name}>`"


def sound(root: Path) -> str:
    """The player of the front page; nothing where there is no recording."""
    if not (root / DEMO).is_file():
        return ""
    return f'<audio controls preload="metadata" aria-label="The spoken sentence" src="_static/{DEMO.name}"></audio>\n'


def render(source: Path, out: Path) -> list[str]:
    """Runs Sphinx over the collected pages into `out`, which it empties first; returns the faults of the result."""
    from sphinx.cmd.build import build_main

    shutil.rmtree(out, ignore_errors=True)
    doctrees = source.parent / "doctrees"
    shutil.rmtree(doctrees, ignore_errors=True)
    if build_main(["-q", "-b", "html", "-c", str(HERE), "-d", str(doctrees), str(source), str(out)]):
        return ["Sphinx has failed: its messages are above"]
    (out / "_static" / "mathjax").mkdir(parents=True, exist_ok=True)
    shutil.copy(mathjax(), out / "_static" / "mathjax")
    if (recording := HERE.parent / DEMO).is_file():
        shutil.copy(recording, out / "_static")
    return faults(out)


def mathjax() -> Path:
    """MathJax in one file, for formulas as SVG: it needs no font files, which some browsers do not load from disk."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise BadInput("sphinx-mathjax-offline is not installed: pip install -r requirements-site.lock")
    return Path(spec.origin).parent / "static" / "mathjax" / "tex-svg.js"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
