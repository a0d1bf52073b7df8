"""Executed notebooks: which copy is shown, and how it becomes a page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from builder.alternative_texts import IMAGES, alt_texts, html_text, last_heading, plain

# In reading order, and the command that executes each. Those of OPTIONAL are left out where they were not executed.
ORDER = {
    "00_start_here": "make read",
    "06_speak": "make read",
    "01_data": "make read",
    "02_sen": "make read",
    "02_text_encoder": "make read",
    "03_rdg": "make study",
    "04_analysis": "make study",
    "05_tables": "make study-full",
    "05_figures": "make study-full",
    "05_distinctive_loss": "make distinctive",
}
OPTIONAL = {"02_classifier": "make study PRESET=paper", "07_cost": "python -m s2igan cost"}
# Of the systems that a notebook trains, the run that is shown.
MAIN_RUNS = ("sen-sen-seed", "rdg-s2igan-seed", "sen-text-encoder-seed", "data-store-seed")


def candidates(root: Path, name: str, study: str = "", dataset: str = "mini-flowers") -> list[Path]:
    """Executed copies of a notebook below results/, the best one first.

    First of the study asked for, then of `mini`, of the other studies, of `reference`, and last of studies that loaded
    packed weights (`<name>-reference`), which have one seed and few systems. Within a study: of the data set asked for,
    of S2IGAN, of the lowest seed, the newest.
    """
    results = root / "results"

    def rank(path: Path) -> tuple:
        first, *_ = path.relative_to(results).parts
        run = path.parent.name
        seed = re.search(r"-seed(\d+)$", run)
        return (
            first != study,
            first.endswith("-reference"),
            first == "reference",
            first != "mini",
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


def page_of(
    notebook: Any, origin: Path | None, command: str, with_links: Callable[[str], str], source: str = ""
) -> Any:
    """An executed notebook made ready for Sphinx: alternative texts, where it comes from, links, nothing for a kernel.

    Args:
        origin: the executed copy; None where the notebook was not executed, which `command` does.
        with_links: adds links to Markdown. source: Markdown that leads to the notebook's source.
    """
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
            cell.source = with_links(cell.source)
            continue
        if "injected-parameters" in tags:
            hide(cell, "the parameters of this run")
        elif re.match(r"(import|from) \w", cell.source):
            hide(cell, "imports and settings")
        cell.metadata["alts"] = alts.get(i, [])
        cell.outputs = [
            shown for output in cell.get("outputs", []) if (shown := tidy(output, cell, heading)) is not None
        ]
    if origin is None:
        note = f"Not run here yet, so that there are no outputs: `{command}` runs it."
        where = f"```{{note}}\n{note}\n```\n\n{source}".strip()
    else:
        ended = (about.get("end_time") or "")[:10]
        where = f"*As it ran{f' on {ended}' if ended else ''}: `{origin.as_posix()}`.* {source}".strip()
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
        instead = "*In a running notebook (`make lab`) there are fields here to type, upload or record a sentence.*"
        output.data = nbformat.from_dict({"text/markdown": instead})
    elif "text/html" in data and not set(IMAGES) & set(data):
        text = re.sub(r"<style scoped>.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
        if "<audio" in text:
            printed = next(
                (other.text for other in cell.outputs if other.output_type == "stream" and other.name == "stdout"),
                heading,
            )
            label = html_text(plain(printed.splitlines()[0] if printed else heading))
            text = re.sub(
                r'<audio\s+controls="controls"\s*>', f'<audio controls preload="metadata" aria-label="{label}">', text
            )
        output.data = nbformat.from_dict({"text/html": text})
    return output
