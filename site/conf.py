"""Sphinx's settings of the study's site; `build.py` collects the pages and calls it."""

import sys
from pathlib import Path
from typing import Any

from docutils import nodes

sys.path.insert(0, str(Path(__file__).resolve().parent))
from builder import library

# Where the project is published, such as "https://example.org/you/s2igan": pages then link to their sources there.
REPOSITORY = ""
# Where notebooks can be run, in the terms of the theme's `launch_buttons`, such as {"binderhub_url": "https://..."};
# needs REPOSITORY.
LAUNCH: dict[str, str] = {}

project = "S2IGAN"
author = "the authors of this reimplementation"
html_title = "S2IGAN: spoken descriptions to images"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.viewcode", "sphinx_copybutton"]

exclude_patterns = ["sources"]  # to download

# Notebooks are shown as they ran: nothing is executed here.
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"
nb_render_markdown_format = "myst"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
mathjax_path = "mathjax/tex-svg.js"  # build.py puts it there
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_inherit_docstrings = False  # a `forward` without words would say what torch says of it
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
add_module_names = False
toc_object_entries = False

html_theme = "sphinx_book_theme"
html_theme_options = {
    "home_page_in_toc": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "search_bar_text": "Search the study",
    "navbar_persistent": [],
    "footer_content_items": [],
    "primary_sidebar_end": [],
    "repository_url": REPOSITORY,
    "repository_provider": next((name for name in ("gitlab", "bitbucket") if name in REPOSITORY), "github"),
    "use_repository_button": bool(REPOSITORY),
    "repository_branch": "main",
    "path_to_docs": "notebooks",
    "launch_buttons": LAUNCH if REPOSITORY else {},
}
copybutton_exclude = ".linenos, .gp, .go"
copybutton_selector = "div.cell_input div.highlight pre, div.highlight-default pre, div.highlight-none pre"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("from_disk.js", {"priority": 900})]
html_favicon = "_static/favicon.svg"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_domain_indices = False


def give_alternative_texts(app: Any, doctree: nodes.document) -> None:
    """Gives every image that a notebook shows the text that builder found for it."""
    for cell in doctree.findall(
        lambda node: isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"
    ):
        bundles = [node for node in cell.findall(nodes.container) if node.get("nb_element") == "mime_bundle"]
        shown = [images for bundle in bundles if (images := list(bundle.findall(nodes.image)))]
        for images, alt in zip(shown, cell["cell_metadata"].get("alts", []), strict=True):
            for image in images:
                image["alt"] = alt


def read_docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Turns a plain docstring, in place, into what Sphinx reads."""
    lines[:] = library.docstring(lines)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("doctree-read", give_alternative_texts)
    app.connect("autodoc-process-docstring", read_docstring)
