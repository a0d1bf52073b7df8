"""The site's builder: which copy of a notebook is shown and how, links, names, faults; and its dependencies."""

import itertools
import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_output
from packaging.markers import default_environment
from packaging.requirements import Requirement
from site_examples import ROOT, build, executed, needs_sphinx, source, write

from s2igan import BadInput

from builder import alternative_texts, checks, library, notebooks, pages  # isort: skip


# ---- which copy ----------------------------------------------------------------------------------


def test_every_notebook_has_its_place():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == {*notebooks.ORDER, *notebooks.OPTIONAL}
    assert list(notebooks.ORDER)[:3] == ["00_start_here", "06_speak", "01_data"]
    assert list(notebooks.ORDER)[2:] == sorted(list(notebooks.ORDER)[2:], key=lambda name: name[:2])


def test_the_copy_that_is_shown(tmp_path):
    ranked = [
        "mini/mini-flowers/rdg-s2igan-seed0",
        "mini/mini-flowers/rdg-s2igan-seed1",
        "mini/mini-flowers/rdg-s2igan-wo-rs-seed0",
        "mini/mini-birds/rdg-s2igan-seed0",
        "other/mini-flowers/rdg-s2igan-seed0",
        "reference/mini-flowers",
        "mini-reference/mini-flowers/rdg-s2igan-seed0",  # packed weights: one seed, few systems
    ]
    left_out = ["mini-dry/mini-flowers/rdg-s2igan-seed0", "mini/.ipynb_checkpoints"]
    for folder in [*reversed(ranked), *left_out]:
        write(executed(), tmp_path / "results" / folder / "03_rdg.ipynb")
    found = [str(path.parent.relative_to(tmp_path / "results")) for path in notebooks.candidates(tmp_path, "03_rdg")]
    assert found == ranked
    assert notebooks.candidates(tmp_path, "03_rdg", study="other")[0].parts[-4] == "other"
    assert notebooks.candidates(tmp_path, "03_rdg", dataset="mini-birds")[0].parts[-3] == "mini-birds"
    # One that is still running, failed, or is half written gives way to the next.
    write(executed(ended=None), tmp_path / "results" / ranked[0] / "03_rdg.ipynb")
    write(executed(exception=True), tmp_path / "results" / ranked[1] / "03_rdg.ipynb")
    (tmp_path / "results" / ranked[2] / "03_rdg.ipynb").write_text('{"cells": [')
    assert notebooks.choose(tmp_path, "03_rdg")[0] == tmp_path / "results" / ranked[3] / "03_rdg.ipynb"
    write(source(), tmp_path / "notebooks/02_sen.ipynb")
    path, notebook = notebooks.choose(tmp_path, "02_sen")
    assert path is None and notebook.cells[0].source == "# 2 · SEN"


def test_finished_is_with_outputs_without_error():
    assert notebooks.is_finished(executed()) and not notebooks.is_finished(source())
    by_hand = executed()
    del by_hand.metadata["papermill"]
    assert notebooks.is_finished(by_hand)
    by_hand.cells[-1].outputs.append(new_output("error", ename="ValueError", evalue="", traceback=[]))
    assert not notebooks.is_finished(by_hand)


# ---- a notebook as a page ------------------------------------------------------------------------


def test_alternative_texts_say_where_and_what():
    assert alternative_texts.alt_texts(executed()) == {
        5: [f"What goes in ({k} of 2). What is seen: x, and more." for k in (1, 2)],
        8: ["Sound. Its own words. Data: pictures."],  # nothing introduces it
    }
    text = r"*So*: $L_{SEN} = L_d$, `x` of $\mathbb{R}^{D}$, $\frac1B\sum_i x$, [here](a.md)."
    assert alternative_texts.plain(text) == (
        "So: L_SEN = L_d, x of R^D, a formula, here."
    )  # fmt: skip
    told = executed()
    told.cells[6].source = "Nothing in italics. **But bold.**"
    assert alternative_texts.alt_texts(told)[5][0] == "What goes in (1 of 2). Two plots of L_d."


@pytest.mark.parametrize(
    "path", sorted((ROOT / "results/reference").glob("*/0*.ipynb")), ids=lambda path: path.parent.name
)
def test_alternative_texts_of_real_notebooks_are_sentences(path):
    texts = list(itertools.chain(*alternative_texts.alt_texts(nbformat.read(path, as_version=4)).values()))
    assert texts and all(30 < len(text) < 900 and len(text.split()) > 4 for text in texts)
    assert not any(mark in text for text in texts for mark in ("$", "`", "\\", "**"))
    assert len(set(texts)) == len(texts)


def test_a_page_shows_no_noise():
    page = notebooks.page_of(
        executed(),
        Path("results/mini/a/01_data.ipynb"),
        "make study",
        lambda text: text.replace("`02_sen`", "*there*"),
        "*Source*",
    )
    nbformat.validate(page)
    text = json.dumps(page, ensure_ascii=False)
    assert set(page.metadata) == {"kernelspec", "language_info"}
    assert "a warning" not in text and "style scoped" not in text and "widget-view" not in text and "make lab" in text
    assert page.cells[1].source == "*As it ran on 2026-01-02: `results/mini/a/01_data.ipynb`.* *Source*"
    assert "See *there*" in page.cells[0].source
    hidden = [cell.source.split()[0] for cell in page.cells if "hide-input" in cell.metadata.get("tags", [])]
    assert hidden == ["seed", "import"]
    assert 'aria-label="“a &quot;blue&quot; flower” (en-us)"' in "".join(page.cells[8].outputs[1].data["text/html"])
    plots = next(cell for cell in page.cells if cell.source == "plot()")
    assert len(plots.outputs) == len(plots.metadata.alts) == 2
    unrun = notebooks.page_of(source(), None, "make study", str)
    assert "Not run here yet" in unrun.cells[1].source and "`make study` runs it" in unrun.cells[1].source


def test_links_lead_from_words_to_pages():
    names = {"sen", "sen.SEN", "training.rdg.train_rdg"}
    titles = {"02_sen": "2 · SEN", "results": "Results"}
    assert pages.linked("`sen`, `sen.SEN`", {}, names) == "`sen`, {py:obj}`sen.SEN <s2igan.sen.SEN>`"
    assert pages.linked("`s2igan.training.rdg.train_rdg`", {}, names) == (
        "{py:obj}`s2igan.training.rdg.train_rdg <s2igan.training.rdg.train_rdg>`"
    )
    assert pages.linked("`02_sen`", titles, names) == "[2 · SEN](02_sen.ipynb)"
    assert pages.linked("`docs/results.md`", titles, names) == "[Results](results.md)"
    for kept in (
        "[`02_sen`](x.md)",
        "```\n02_sen\n```",
        "{py:obj}`sen.SEN`",
        "``sen.SEN``",
        "`make study`",
        "`sen.md`",
        "`results`",
    ):
        assert pages.linked(kept, titles, names) == kept
    assert pages.title_of("# 2 · SEN: a space that is shared\n\nText: more") == "2 · SEN"


def test_relative_paths_lead_somewhere(tmp_path):
    root, out = tmp_path / "project", tmp_path / "source"
    for path in ("docs/img/a.png", "results/README.md"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    out.mkdir()
    titles = {"02_sen": "2 · SEN", "style": "Style"}

    def shown(text, repository=""):
        return pages.with_paths(text, root / "docs", root, out, titles, repository)

    assert shown("![a](img/a.png) and ![b](img/none.png)") == "![a](images/img-a.png) and "
    assert (out / "images/img-a.png").is_file()
    assert shown("[S](style.md#words), [N](../notebooks/02_sen.ipynb)") == "[S](style.md#words), [N](02_sen.ipynb)"
    assert shown("[`02_sen`](../notebooks/02_sen.ipynb)") == "[`02_sen`](02_sen.ipynb)"
    assert shown("[R](../results/README.md)") == "R (`results/README.md`)"
    assert shown("[R](../results/README.md)", "https://a.b/c") == "[R](https://a.b/c/blob/main/results/README.md)"
    assert shown("[W](https://a.b), [H](#here)") == "[W](https://a.b), [H](#here)"


def test_names_and_pages_of_the_library():
    found = library.names_of(ROOT / "lib/s2igan")
    assert {
        "losses.matching_loss",
        "rdg.Generator",
        "sen.SpeechEncoder.attention",
        "metrics",
        "training.rdg.train_rdg",
    } <= found.keys()
    assert all(found[name] for name in ("losses.matching_loss", "metrics"))
    of_pages = library.modules_of(ROOT / "lib/s2igan")
    assert of_pages["losses"] == ["losses"] and "data.synthetic.classes" in of_pages["data"]


def test_what_pages_include_exists(tmp_path):
    texts = {path.name: path.read_text() for path in (ROOT / "site").glob("*.md")}
    fills = dict.fromkeys(("notebooks", "modules", "table of modules", "diagram sen", "diagram rdg", "sound"), "")
    for text in [*texts.values(), *(path.read_text() for path in (ROOT / "docs").glob("*.md"))]:
        made = pages.filled(text, ROOT, fills)
        assert "<!-- include" not in made and "Not there yet" not in made
    with pytest.raises(BadInput, match="which nothing fills"):
        pages.filled("<!-- nothing such -->", ROOT, {})
    assert "make study-full" in pages.filled("<!-- include results/reference/tables/none.md -->", tmp_path, {})


def test_docstrings_become_what_sphinx_reads():
    lines = ["A loss of `x`, 2 * y_i | z.", "", "Args:", "    a: one", "        and two; ``b``: [B].", "Returns: a_."]
    assert [line for line in library.docstring(lines) if line] == [
        "A loss of ``x``, 2 \\* y\\_i \\| z.",
        "**Args:** a: one and two; ``b``: [B].",
        "**Returns:** a\\_.",
    ]


def test_faults_are_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<img src="x.png" alt=""><img src="y.png" alt="a plot"><a href="https://a.b">there</a>'
    )
    elsewhere = '<script src="//cdn.x/y.js"></script><link href="https://fonts.x/z.css">'
    (tmp_path / "b.html").write_text(elsewhere + '<link rel="next" href="a.html">')
    found = checks.faults(tmp_path)
    assert (
        len(found) == 3
        and found[0].startswith("a.html: an image without")
        and all(line.startswith("b.html") for line in found[1:])
    )


def test_bad_words_are_one_line(capsys):
    assert build.main(["SEEDS=1"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1


# ---- its dependencies ----------------------------------------------------------------------------


def locked(name):
    found = [Requirement(line) for line in (ROOT / name).read_text().splitlines() if line.strip()]
    return {one.name.lower().replace("_", "-"): str(one.specifier).removeprefix("==") for one in found}


def test_the_sites_lock_holds_exactly_what_the_other_lacks():
    text = (ROOT / "requirements-site.lock").read_text()
    assert "://" not in text and all(re.fullmatch(r"[a-z0-9.-]+==[^*,; ]+", line) for line in text.splitlines())
    site, both = locked("requirements-site.lock"), locked("requirements.lock")
    assert not site.keys() & both.keys()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [Requirement(line) for line in project["optional-dependencies"]["site"]]
    assert all(one.specifier.contains(site[one.name]) for one in wanted)
    others = {Requirement(line).name for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]}
    assert not others & {one.name for one in wanted}


@needs_sphinx
def test_the_sites_lock_is_complete():
    site, both = locked("requirements-site.lock"), locked("requirements.lock")
    for name in site:
        for line in metadata.requires(name) or []:
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({**default_environment(), "extra": ""}):
                version = (both | site).get(one.name.lower().replace("_", "-"))
                assert version and one.specifier.contains(version), f"{name} needs {line}, and {version} is locked"
