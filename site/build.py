"""Builds the study's site, a Jupyter Book by Sphinx and MyST-NB: executed notebooks, tables, figures, glossary, and the library's pages.

`make site` calls it. It collects what it shows into site/_build/source and writes site/_build/html/index.html. Nothing is executed, no
network is used, and the result opens from disk as from any web server.
"""

from __future__ import annotations

import ast
import html.parser
import importlib.util
import json
import re
import shutil
import sys
import textwrap
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat

from s2igan import BadInput
from s2igan.data.files import project_root
from s2igan.workflow.run_study import read_words

HERE = Path(__file__).resolve().parent
# In reading order, and what makes an executed copy of each. Those of OPTIONAL are left out where they were not executed.
ORDER = {
    "00_start_here": "make read", "01_data": "make read", "02_sen": "make read", "02_text_encoder": "make read",
    "03_rdg": "make study", "04_analysis": "make study", "05_tables": "make study-full", "05_figures": "make study-full",
    "05_distinctive_loss": "make distinctive", "06_speak": "make read",
}  # fmt: skip
OPTIONAL = {"02_classifier": "make study PRESET=paper", "07_cost": "python -m s2igan cost"}
STUDIES = ("mini", "mini-reference")  # in this order; then the others, the newest first; then results/reference
MAIN_RUNS = ("sen-sen-seed", "rdg-s2igan-seed", "sen-text-encoder-seed", "data-store-seed")  # of the systems that trained a notebook's runs
IMAGES = ("image/png", "image/svg+xml", "image/jpeg")


def main(words: list[str]) -> int:
    """Builds the site; returns the exit status: 0 built, 1 with faults, 2 bad input. words: STUDY=name, DATASET=name."""
    try:
        given = read_words(words)
        if unknown := sorted(given.keys() - {"study", "datasets"}):
            raise BadInput(f"{unknown[0].upper()} is no word of `make site`: it knows STUDY and DATASET")
        if importlib.util.find_spec("sphinx") is None or importlib.util.find_spec("myst_nb") is None:
            raise BadInput("the site's tools are not installed: `make site` does it, or pip install -r requirements-site.lock")
        root, started = project_root(), time.monotonic()
        missing = collect(root, HERE / "_build" / "source", given.get("study", ""), given.get("datasets", "mini-flowers"))
        out = HERE / "_build" / "html"
        found = render(HERE / "_build" / "source", out)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for fault in found:
        print(f"error: {fault}", file=sys.stderr)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    pages = len(list(out.glob("*.html")))
    if missing:
        print(f"without outputs, since they have not run here: {', '.join(missing)}")
    print(f"{pages} pages, {size / 1e6:.1f} MB, in {time.monotonic() - started:.0f} s: {out / 'index.html'}")
    return 1 if found else 0


def render(source: Path, out: Path) -> list[str]:
    """Sphinx over the collected pages into `out`, anew; returns what is wrong with the result."""
    from sphinx.cmd.build import build_main

    shutil.rmtree(out, ignore_errors=True)
    doctrees = source.parent / "doctrees"
    shutil.rmtree(doctrees, ignore_errors=True)
    if build_main(["-q", "-b", "html", "-c", str(HERE), "-d", str(doctrees), str(source), str(out)]):
        return ["Sphinx has failed: its messages are above"]
    (out / "_static" / "mathjax").mkdir(parents=True, exist_ok=True)
    shutil.copy(mathjax(), out / "_static" / "mathjax")
    return faults(out)


def mathjax() -> Path:
    """The one file of MathJax that sets formulas as SVG: it needs no font files, which some browsers do not load from disk."""
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise BadInput("sphinx-mathjax-offline is not installed: pip install -r requirements-site.lock")
    return Path(spec.origin).parent / "static" / "mathjax" / "tex-svg.js"


# ---- which copy of a notebook ----------------------------------------------------------------------------------------------------


def candidates(root: Path, name: str, study: str = "", dataset: str = "mini-flowers") -> list[Path]:
    """Executed copies of a notebook below results/, the best one first: of the study asked for, `mini`, the others, `reference`; of the
    data set asked for; of S2IGAN and the lowest seed; the newest."""
    results = root / "results"
    order = [*([study] if study else []), *STUDIES]

    def rank(path: Path) -> tuple:
        first, *_ = path.relative_to(results).parts
        run = path.parent.name
        seed = re.search(r"-seed(\d+)$", run)
        return (
            first == "reference",
            order.index(first) if first in order else len(order),
            dataset not in path.parts,
            not run.startswith(MAIN_RUNS),
            int(seed[1]) if seed else 0,
            -path.stat().st_mtime,
        )

    found = [path for path in results.glob(f"*/**/{name}.ipynb") if ".ipynb_checkpoints" not in path.parts]
    return sorted((path for path in found if not path.relative_to(results).parts[0].endswith("-dry")), key=rank)


def is_finished(notebook: Any) -> bool:
    """Whether a notebook has outputs, ran to its end, and without an error."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    about = notebook.metadata.get("papermill")
    ended = about is None or (bool(about.get("end_time")) and not about.get("exception"))
    return bool(outputs) and ended and not any(output.output_type == "error" for output in outputs)


def choose(root: Path, name: str, study: str = "", dataset: str = "mini-flowers") -> tuple[Path | None, Any]:
    """The executed copy to show, path and content; (None, the source) where there is none."""
    for path in candidates(root, name, study, dataset):
        try:
            notebook = nbformat.read(path, as_version=4)
        except (OSError, ValueError):  # such as a file that is being written
            continue
        if is_finished(notebook):
            return path, notebook
    return None, nbformat.read(root / "notebooks" / f"{name}.ipynb", as_version=4)


# ---- a notebook as a page --------------------------------------------------------------------------------------------------------


def page_of(notebook: Any, origin: Path | None, command: str, pages: Iterable[str], names: set[str]) -> Any:
    """An executed notebook, made ready: alternative texts, a line on where it comes from, links, and nothing that needs a kernel."""
    alts = alt_texts(notebook)
    about = notebook.metadata.get("papermill", {})
    # What papermill notes is no metadata of a page; and of widgets no state is needed, since they are replaced.
    kept = {key: notebook.metadata[key] for key in ("kernelspec", "language_info") if key in notebook.metadata}
    notebook.metadata = nbformat.from_dict(kept)
    heading = ""
    for i, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": list(tags)})
        if cell.cell_type == "markdown":
            heading = last_heading(cell.source) or heading
            cell.source = linked(cell.source, pages, names)
            continue
        if "injected-parameters" in tags:
            hide(cell, "the parameters of this run")
        elif re.match(r"(import|from) \w", cell.source):
            hide(cell, "imports and settings")
        cell.metadata["alts"] = alts.get(i, [])
        cell.outputs = [shown for output in cell.get("outputs", []) if (shown := tidy(output, cell, heading)) is not None]
    if origin is None:
        where = f"```{{note}}\nNot run here yet, so that there are no outputs: `{command}` runs it.\n```"
    else:
        ended = (about.get("end_time") or "")[:10]
        where = f"*As it ran{f' on {ended}' if ended else ''}: `{origin.as_posix()}`.*"
    notebook.cells.insert(1, nbformat.v4.new_markdown_cell(where, id="where-from"))
    return notebook


def hide(cell: Any, what: str) -> None:
    """Fold a cell's code away, with a word on what it is."""
    cell.metadata["tags"] = [*cell.metadata["tags"], "hide-input"]
    cell.metadata["mystnb"] = {"code_prompt_show": f"Show {what}", "code_prompt_hide": f"Hide {what}"}


def tidy(output: Any, cell: Any, heading: str) -> Any | None:
    """An output as the page shows it, None where it is left out."""
    if output.output_type == "stream":
        return None if output.name == "stderr" else output
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        instead = "*Where the notebook runs (`make lab`), fields to type, upload and record a sentence are here.*"
        output.data = nbformat.from_dict({"text/markdown": instead})
    elif "text/html" in data and not set(IMAGES) & set(data):
        text = re.sub(r"<style scoped>.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
        if "<audio" in text:
            printed = next((other.text for other in cell.outputs if other.output_type == "stream" and other.name == "stdout"), heading)
            label = html_text(plain(printed.splitlines()[0] if printed else heading))
            text = re.sub(r'<audio\s+controls="controls"\s*>', f'<audio controls preload="metadata" aria-label="{label}">', text)
        output.data = nbformat.from_dict({"text/html": text})
    return output


def html_text(text: str) -> str:
    """A text as the value of an HTML attribute."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


# ---- alternative texts -----------------------------------------------------------------------------------------------------------


def alt_texts(notebook: Any) -> dict[int, list[str]]:
    """For each code cell (its number) that shows images, a text for each of them: the heading above it; what the figure says of itself
    (`figures.alt`, which newer runs keep); and its caption, an italic paragraph below, or what introduces it."""
    texts, heading, before = {}, "", ""
    cells = notebook.cells
    title = last_heading(cells[0].source) if cells else ""
    for i, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            heading, before = last_heading(cell.source) or heading, introduction(cell.source)
            continue
        shown = [output for output in cell.get("outputs", []) if set(IMAGES) & set(output.get("data", {}))]
        if not shown:
            continue
        following = next((other.source for other in cells[i + 1 : i + 2] if other.cell_type == "markdown"), "")
        described = caption(following) or before
        texts[i] = []
        for k, output in enumerate(shown):
            own = next((text for mime in IMAGES if (text := output.get("metadata", {}).get(mime, {}).get("alt", ""))), "")
            count = f" ({k + 1} of {len(shown)})" if len(shown) > 1 and not own else ""
            more = "" if len(own) > 300 else textwrap.shorten(described or title, 300, placeholder=" …")
            parts = [part.strip() for part in (f"{heading}{count}", own, more) if part.strip()]
            texts[i].append(" ".join(part if part[-1] in ".?!…" else f"{part.rstrip(':;,')}." for part in parts))
    return texts


def last_heading(text: str) -> str:
    """The last heading of a Markdown text without its number, '' without one."""
    found = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return re.sub(r"^[\d.]+b?[\d.]* (· )?", "", plain(found[-1])) if found else ""


def caption(text: str) -> str:
    """The italic paragraph that a Markdown text starts with, '' without one."""
    found = re.match(r"\*(?!\*)(.+?)(?<!\*)\*(?!\*)(\s|$)", text.strip(), flags=re.DOTALL)
    return plain(found[1]) if found else ""


def introduction(text: str) -> str:
    """The last paragraph below a Markdown text's last heading that is one, and no figure's caption; '' without one."""
    below = re.split(r"^#+ .*$", text.strip(), flags=re.MULTILINE)[-1]
    blocks = [block for block in re.split(r"\n\s*\n", below.strip()) if not re.match(r"\s*(\||\$\$|\d+\. |- |```|\*(?!\*))", block)]
    return plain(blocks[-1]) if blocks else ""


def plain(text: str) -> str:
    """Markdown as words: without marks, dollars and backslashes; a formula that no one would read aloud is said to be one."""

    def spoken(found: re.Match) -> str:
        if re.search(r"\\frac|\\sum|\\log|\\Big", found[1]):
            return "a formula"
        return re.sub(r"\\(?:mathrm|mathbb|text|[,; ])|[\\{}]", "", found[1])

    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\$([^$]*)\$", spoken, text)
    return " ".join(re.sub(r"[*`$\\]", "", text).split())


# ---- links -----------------------------------------------------------------------------------------------------------------------


def linked(text: str, pages: Iterable[str], names: set[str]) -> str:
    """Markdown in which `02_sen` leads to that page, and `losses.matching_loss` to its place in the library's pages."""
    shown = set(pages)

    def link(found: re.Match) -> str:
        word = found[1]
        name = word.removeprefix("s2igan.")
        if word in shown:
            return f"[`{word}`]({word}.ipynb)"
        if name in names and "." in word:  # `speech` alone is a word or a variable
            return f"{{py:obj}}`{word} <s2igan.{name}>`"
        return found[0]

    return re.sub(r"(?<![`\[{}:])`([\w.]+)`(?!`)", link, text)


def names_of(library: Path) -> dict[str, str]:
    """Every public name of the library ('losses.matching_loss', 'sen.SEN.state_without_backbone') with the first line of its docstring, modules too."""
    names = {}

    def of(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                names[f"{prefix}.{node.name}"] = (ast.get_docstring(node) or "").split("\n")[0]
                if isinstance(node, ast.ClassDef):
                    of(node.body, f"{prefix}.{node.name}")

    for path in sorted(library.glob("*.py")):
        if not path.stem.startswith("__"):
            tree = ast.parse(path.read_text())
            names[path.stem] = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
            of(tree.body, path.stem)
    return names


# ---- pages from the project's own texts ------------------------------------------------------------------------------------------


def section(text: str, heading: str) -> str:
    """What stands under a second-level heading of a Markdown text. Raises BadInput without it."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)
    if found is None:
        raise BadInput(f"there is no section {heading!r} in the text that a page of site/ includes")
    return found[1].strip() + "\n"


def filled(template: str, root: Path, fills: dict[str, str]) -> str:
    """A page of site/ with its places filled: <!-- include README.md: Heading -->, <!-- include docs/glossary.md -->, and the names of
    `fills`, <!-- notebooks -->. A result that is not there yet is said so."""

    def fill(found: re.Match) -> str:
        word, _, heading = found[1].partition(":")
        if word.strip() in fills:
            return fills[word.strip()]
        path = root / word.strip().removeprefix("include ").strip()
        if not word.startswith("include "):
            raise BadInput(f"site/ has a place for {word!r}, which nothing fills")
        if not path.is_file() and "results" in path.parts:
            return "*Not there yet: `make study-full` makes it, `python -m s2igan keep` keeps it.*\n"
        text = path.read_text()
        return section(text, heading.strip()) if heading else text

    return re.sub(r"<!-- (.*?) -->\n?", fill, template)


def with_images(text: str, root: Path, out: Path) -> str:
    """Markdown whose images of the project are copied to `out`/images; an image that is not there is left out."""

    def copy(found: re.Match) -> str:
        path = root / found[2]
        if not path.is_file():
            return ""
        (out / "images").mkdir(exist_ok=True)
        name = "-".join(Path(found[2]).parts[-2:])
        shutil.copy(path, out / "images" / name)
        return f"![{found[1]}](images/{name})"

    return re.sub(r"!\[([^\]]*)\]\(((?:results|docs)/[^)]*)\)", copy, text)


def draw(out: Path) -> dict[str, str]:
    """SEN and RDG at the paper's size, drawn from the networks into `out`/images; the directives that show them, by name."""
    import torch
    from matplotlib import pyplot

    from s2igan import config
    from s2igan.evaluation.feature_networks import InceptionV3, freeze
    from s2igan.rdg import Discriminator, RelationSupervisor
    from s2igan.reporting import alternative_text, diagrams
    from s2igan.sen import SEN
    from s2igan.training.rdg_networks import image_sizes, make_generator

    values = config.resolve({"preset": "paper", "system": "S2IGAN", "device": "cpu"})
    size = 2 * values.sen_gru_size
    with warnings.catch_warnings(action="ignore"), torch.device("meta"):  # shapes alone are wanted: no weight is made
        backbone = freeze(InceptionV3("random"))
        generator = make_generator(values, size)
        judges = [Discriminator(side, values.rdg_discriminator_width, values.rdg_condition_size) for side in image_sizes(values)]
        supervisor = RelationSupervisor(size, values.rdg_relation_size)
    net = SEN(values, backbone, 150)  # the training classes of CUB-200
    made = {"sen": diagrams.sen(net, values.data_image_size), "rdg": diagrams.rdg(generator, judges, supervisor)}
    (out / "images").mkdir(exist_ok=True)
    for name, figure in made.items():
        figure.savefig(out / "images" / f"diagram-{name}.svg", bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)
    return {f"diagram {name}": f"```{{figure}} images/diagram-{name}.svg\n:alt: {alternative_text.alt(figure)}\n:figclass: diagram\n```\n"
            for name, figure in made.items()}  # fmt: skip


def collect(root: Path, out: Path, study: str = "", dataset: str = "mini-flowers") -> list[str]:
    """Everything that Sphinx reads, in the folder `out`, anew; returns the notebooks that are shown without outputs."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    names = names_of(root / "lib" / "s2igan")
    chosen = {name: choose(root, name, study, dataset) for name in [*ORDER, *OPTIONAL] if (root / "notebooks" / f"{name}.ipynb").is_file()}
    chosen = dict(sorted((name, pair) for name, pair in chosen.items() if name in ORDER or pair[0] is not None))
    order = [*(name for name in ORDER if name in chosen), *(name for name in OPTIONAL if name in chosen)]
    for name, (path, notebook) in chosen.items():
        origin = path.relative_to(root) if path else None
        page = page_of(notebook, origin, {**ORDER, **OPTIONAL}[name], chosen, set(names))
        (out / f"{name}.ipynb").write_text(json.dumps(page))
    modules = [name for name in names if "." not in name]
    for module in modules:
        of_module = f".. automodule:: s2igan.{module}\n   :members:\n   :member-order: bysource\n"
        (out / f"api_{module}.md").write_text(f"# s2igan.{module}\n\n```{{eval-rst}}\n{of_module}```\n")
    rows = "".join(f"| [`{module}`](api_{module}.md) | {names[module].replace('|', '')} |\n" for module in modules)
    fills = {
        "notebooks": "".join(f"{name}\n" for name in order),
        "modules": "".join(f"api_{module}\n" for module in modules),
        "table of modules": f"| module | what |\n| --- | --- |\n{rows}",
        **draw(out),
    }
    for template in sorted(HERE.glob("*.md")):
        text = linked(filled(template.read_text(), root, fills), chosen, set(names))
        (out / template.name).write_text(with_images(text, root, out))
    return [name for name, (path, _) in chosen.items() if path is None]


# ---- the library's docstrings ----------------------------------------------------------------------------------------------------


def docstring(lines: list[str]) -> list[str]:
    """A plain docstring as reStructuredText that says the same: marks escaped, names in code, and a paragraph for each of Args, Returns,
    Yields and Raises."""
    text = re.sub(r"^(\s*)(Args|Returns|Yields|Raises):", r"\n\1**\2:**", "\n".join(lines), flags=re.MULTILINE)
    paragraphs = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text) if block.strip()]
    made = []
    for paragraph in paragraphs:
        parts = re.split(r"(`+[^`]*`+|\*\*(?:Args|Returns|Yields|Raises):\*\*)", paragraph)
        made += ["".join(_marked(part) for part in parts), ""]
    return made


def _marked(part: str) -> str:
    """A part of a docstring: a name in code as it is meant, a heading word as it is, and anything else without marks."""
    if part.startswith("`"):
        return f"``{part.strip('`')}``"
    return part if re.fullmatch(r"\*\*\w+:\*\*", part) else re.sub(r"([\\*_|])", r"\\\1", part)


# ---- what may not be in the result -----------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """Collects the faults of one page: images without a text, and what a browser would fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        values = dict(attrs)
        fetched = values.get("href" if tag == "link" else "src") or ""
        if tag in ("link", "script", "img", "source", "audio", "iframe") and re.match(r"(https?:)?//", fetched):
            self.faults.append(f"<{tag}> fetches {fetched}")
        if tag == "img" and not (values.get("alt") or "").strip():
            self.faults.append(f"an image without alternative text: {(values.get('src') or '')[:80]}")


def faults(folder: Path) -> list[str]:
    """Faults of all pages of a built site, each with its page."""
    found = []
    for path in sorted(folder.rglob("*.html")):
        page = Page()
        page.feed(path.read_text())
        found += [f"{path.relative_to(folder)}: {fault}" for fault in page.faults]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
