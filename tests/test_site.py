"""The site: which copy of a notebook is shown and how; a small one built and opened from disk in a headless browser. And the recorder."""

import base64
import contextlib
import importlib.util
import io
import itertools
import json
import re
import shutil
import subprocess
import time
import tomllib
from importlib import metadata
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import websocket
from IPython.display import Audio
from matplotlib import pyplot
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from packaging.markers import default_environment
from packaging.requirements import Requirement

from s2igan import BadInput
from s2igan.demo import widgets

ROOT = Path(__file__).resolve().parents[1]
SPEC = importlib.util.spec_from_file_location("site_build", ROOT / "site" / "build.py")
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)  # puts site/ on the path
from builder import alternative_texts, checks, library, notebooks, pages  # noqa: E402

has_sphinx = importlib.util.find_spec("myst_nb") is not None
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
needs_sphinx = pytest.mark.skipif(not has_sphinx, reason="the site's tools are not installed: `make site` does it")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


# ---- notebooks to try it with ----------------------------------------------------------------------------------------------------


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
    fields = new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "Panel()"})
    formula = r"$$ L = \sum_{i} \log\frac{e^{S_{ii}}}{\sum_j e^{S_{ij}}} + " + " + ".join(f"x_{{{i}}}" for i in range(40)) + "$$"
    cells = [
        new_markdown_cell("# 1 · Data: pictures\n\n**Question.** What is `losses.matching_loss`? See `02_sen`."),
        new_code_cell("seed = 0", metadata={"tags": ["parameters"]}),
        new_code_cell("seed = 3", metadata={"tags": ["injected-parameters"]}),
        new_code_cell("import numpy\n" + "x = " + " + ".join(["numpy.zeros(3)"] * 40)),
        new_markdown_cell(f"## 1.2 What goes in\n\n{formula}\n\nTwo plots of $L_d$:"),
        new_code_cell("plot()", outputs=[image(), new_output("stream", name="stderr", text="a warning\n"), image()]),
        new_markdown_cell("*What is seen: `x`, and\nmore.* And more.\n\n## 1.3 Sound"),
        new_code_cell("say()", outputs=[new_output("stream", name="stdout", text="“a \"blue\" flower”  (en-us)\n" * 80), shown(sound)]),
        new_code_cell("wide", outputs=[shown(wide), image("Its own words")]),
        new_code_cell("show()", outputs=[new_output("display_data", data={"text/markdown": "| a | b |\n| --- | ---: |\n| *x* | 1 |\n"})]),
        new_code_cell("panel", outputs=[fields]),
    ]
    about = {"papermill": {"end_time": ended, "exception": exception}, "kernelspec": {"name": "python3", "display_name": "Python 3"}}
    return new_notebook(cells=cells, metadata=about | {"language_info": {"name": "python"}})


def source():
    return new_notebook(cells=[new_markdown_cell("# 2 · SEN"), new_code_cell("x = 1")], metadata={"language_info": {"name": "python"}})


def write(notebook, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


# ---- which copy ------------------------------------------------------------------------------------------------------------------


def test_every_notebook_has_its_place():
    assert {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")} == {*notebooks.ORDER, *notebooks.OPTIONAL}
    assert list(notebooks.ORDER)[:3] == ["00_start_here", "06_speak", "01_data"]
    assert list(notebooks.ORDER)[2:] == sorted(list(notebooks.ORDER)[2:], key=lambda name: name[:2])


def test_the_copy_that_is_shown(tmp_path):
    ranked = [
        "mini/mini-flowers/rdg-s2igan-seed0", "mini/mini-flowers/rdg-s2igan-seed1", "mini/mini-flowers/rdg-s2igan-wo-rs-seed0",
        "mini/mini-birds/rdg-s2igan-seed0", "other/mini-flowers/rdg-s2igan-seed0", "reference/mini-flowers",
        "mini-reference/mini-flowers/rdg-s2igan-seed0",  # packed weights: one seed, few systems
    ]  # fmt: skip
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


# ---- a notebook as a page --------------------------------------------------------------------------------------------------------


def test_alternative_texts_say_where_and_what():
    assert alternative_texts.alt_texts(executed()) == {
        5: [f"What goes in ({k} of 2). What is seen: x, and more." for k in (1, 2)],
        8: ["Sound. Its own words. Data: pictures."],  # nothing introduces it
    }
    assert alternative_texts.plain(r"*So*: $L_{SEN} = L_d$, `x` of $\mathbb{R}^{D}$, $\frac1B\sum_i x$, [here](a.md).") == (
        "So: L_SEN = L_d, x of R^D, a formula, here."
    )  # fmt: skip
    told = executed()
    told.cells[6].source = "Nothing in italics. **But bold.**"
    assert alternative_texts.alt_texts(told)[5][0] == "What goes in (1 of 2). Two plots of L_d."


@pytest.mark.parametrize("path", sorted((ROOT / "results/reference").glob("*/0*.ipynb")), ids=lambda path: path.parent.name)
def test_alternative_texts_of_real_notebooks_are_sentences(path):
    texts = list(itertools.chain(*alternative_texts.alt_texts(nbformat.read(path, as_version=4)).values()))
    assert texts and all(30 < len(text) < 900 and len(text.split()) > 4 for text in texts)
    assert not any(mark in text for text in texts for mark in ("$", "`", "\\", "**"))
    assert len(set(texts)) == len(texts)


def test_a_page_shows_no_noise():
    page = notebooks.page_of(
        executed(), Path("results/mini/a/01_data.ipynb"), "make study", lambda text: text.replace("`02_sen`", "*there*"), "*Source*"
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
    for kept in ("[`02_sen`](x.md)", "```\n02_sen\n```", "{py:obj}`sen.SEN`", "``sen.SEN``", "`make study`", "`sen.md`", "`results`"):
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
    assert shown("[R](../results/README.md)") == "R (`results/README.md`)"
    assert shown("[R](../results/README.md)", "https://a.b/c") == "[R](https://a.b/c/blob/main/results/README.md)"
    assert shown("[W](https://a.b), [H](#here)") == "[W](https://a.b), [H](#here)"


def test_names_and_pages_of_the_library():
    found = library.names_of(ROOT / "lib/s2igan")
    assert {"losses.matching_loss", "rdg.Generator", "sen.SpeechEncoder.attention", "metrics", "training.rdg.train_rdg"} <= found.keys()
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
    lines = ["A loss of `x`, 2 * y_i | z.", "", "Args:", "    a: one", "        and two; ``b``: [B].", "Returns: a_ number. Raises: no."]
    assert library.docstring(lines) == [
        "A loss of ``x``, 2 \\* y\\_i \\| z.", "", "**Args:** a: one and two; ``b``: [B].", "", "**Returns:** a\\_ number. Raises: no.", "",
    ]  # fmt: skip


def test_faults_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<img src="x.png" alt=""><img src="y.png" alt="a plot"><a href="https://a.b">there</a>')
    elsewhere = '<script src="//cdn.x/y.js"></script><link href="https://fonts.x/z.css">'
    (tmp_path / "b.html").write_text(elsewhere + '<link rel="next" href="a.html">')
    found = checks.faults(tmp_path)
    assert len(found) == 3 and found[0].startswith("a.html: an image without") and all(line.startswith("b.html") for line in found[1:])


def test_bad_words_are_one_line(capsys):
    assert build.main(["SEEDS=1"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1


# ---- its dependencies ------------------------------------------------------------------------------------------------------------


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


# ---- a small site ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A project of two notebooks, one of them executed, and two modules; and its site."""
    if not has_sphinx:
        pytest.skip("the site's tools are not installed: `make site` does it")
    root = tmp_path_factory.mktemp("small")
    write(executed(), root / "results/mini/mini-flowers/data-store-seed0/01_data.ipynb")
    write(source(), root / "notebooks/01_data.ipynb")
    write(source(), root / "notebooks/02_sen.ipynb")
    (root / "lib/s2igan").mkdir(parents=True)
    for name in ("losses", "metrics"):
        shutil.copy(ROOT / "lib/s2igan" / f"{name}.py", root / "lib/s2igan")
    shutil.copytree(ROOT / "docs", root / "docs")
    for part in ("tables", "distinctive"):
        kept = f"results/reference/{part}"
        shutil.copytree(ROOT / kept, root / kept, ignore=shutil.ignore_patterns("*.ipynb"))
    for path in (ROOT / "results/reference").glob("*.*"):
        shutil.copy(path, root / "results/reference")
    shutil.copy(ROOT / "README.md", root)
    assert build.collect(root, root / "source") == ["02_sen"]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        assert build.render(root / "source", root / "html") == []
    assert "WARNING" not in said.getvalue(), said.getvalue()
    return root / "html"


@needs_sphinx
def test_the_small_site_has_its_pages(small):
    found = {path.stem for path in small.glob("*.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} | {"index", "networks", "search", "01_data", "02_sen"} <= found
    data = (small / "01_data.html").read_text()
    assert 'alt="What goes in (2 of 2). What is seen: x, and more."' in data
    for text in (data, (small / "differences.html").read_text()):
        assert 'href="api_losses.html#s2igan.losses.matching_loss"' in text
    assert "Not run here yet" in (small / "02_sen.html").read_text()
    assert "[B, 3, 256, 256]" in (small / "networks.html").read_text()
    assert "<table" in (small / "results.html").read_text()
    front = (small / "index.html").read_text()
    assert '<audio' in front and (small / "_static/demo.wav").is_file() and ">2 · SEN</a>" in front.replace("</span>", "").replace(
        '<span class="std std-doc">', ""
    )
    assert 'download=""' in data or "_downloads/" in data  # the source of the notebook
    assert (small / "_modules/s2igan/losses.html").is_file() and "copybutton.js" in front


class Browser:
    """A headless Chromium, spoken to by the DevTools protocol; `events` is what it reported since the last page was opened."""

    def __init__(self, profile):
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0",
                   "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",  # a microphone that beeps, and leave to use it
                   f"--user-data-dir={profile}", "about:blank"]  # fmt: skip
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        address = next(line.split()[-1] for line in self.process.stderr if line.startswith("DevTools listening on"))
        self.socket = websocket.create_connection(address, suppress_origin=True, timeout=120)
        self.numbers, self.events, self.session = itertools.count(1), [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": self.session} if self.session else {})
        self.socket.send(json.dumps(message))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url, width):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 800)
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self.socket.recv()))

    def evaluate(self, script):
        ended = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in ended, ended
        return ended["result"]["value"]

    def complaints(self):
        """Errors on the console, exceptions, and requests that failed or went elsewhere."""
        found = []
        for event in self.events:
            method, about = event["method"], event.get("params", {})
            if method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled" and about["type"] == "error"):
                found.append(json.dumps(about)[:500])
            if method == "Log.entryAdded" and about["entry"]["level"] == "error":
                found.append(about["entry"]["text"])
            if method == "Network.loadingFailed" and not about.get("canceled"):
                found.append(about["errorText"])
            if method == "Network.requestWillBeSent" and not about["request"]["url"].startswith(("file:", "data:", "blob:", "about:")):
                found.append(f"asked for {about['request']['url']}")
        return found

    def close(self):
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)


LOOK = """(async () => {
  const ready = (medium) => medium.readyState >= 1 || new Promise((done) => {
    medium.addEventListener("loadedmetadata", done); medium.addEventListener("error", done); setTimeout(done, 20000); });
  await Promise.all([...document.querySelectorAll("audio")].map(ready));
  if (window.MathJax && MathJax.startup && MathJax.startup.promise) await MathJax.startup.promise;
  const images = [...document.images].filter((image) => image.getClientRects().length);
  return {
    images: images.length,
    empty: images.filter((image) => !(image.complete && image.naturalWidth > 0)).map((image) => image.src.slice(-80)),
    mute: images.filter((image) => !image.alt.trim()).map((image) => image.src.slice(-80)),
    sounds: [...document.querySelectorAll("audio")].map((sound) => sound.duration),
    formulas: document.querySelectorAll("mjx-container svg").length, unset: document.querySelectorAll("mjx-merror").length,
    wide: document.scrollingElement.scrollWidth,
  };
})()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@needs_sphinx
@needs_browser
def test_every_page_opens_from_disk_on_a_phone(small, browser):
    seen = {}
    for path in sorted(small.glob("*.html")):
        browser.open(path.as_uri(), 390)
        page = seen[path.stem] = browser.evaluate(LOOK)
        assert browser.complaints() == [], path.name
        assert page["empty"] == page["mute"] == [] and page["unset"] == 0, (path.name, page)
        assert page["wide"] <= 390, (path.name, page["wide"])
        assert all(duration and duration > 0 for duration in page["sounds"]), path.name
    assert seen["01_data"]["images"] == 3 and len(seen["01_data"]["sounds"]) == 1 and seen["01_data"]["formulas"] >= 2
    assert seen["networks"]["images"] == 2


@needs_sphinx
@needs_browser
def test_search_works_from_disk(small, browser):
    browser.open(f"{(small / 'search.html').as_uri()}?q=matching+loss", 1280)
    deadline = time.monotonic() + 30
    while not (found := browser.evaluate('document.querySelectorAll("#search-results li").length')) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert found and browser.complaints() == []


RECORD = """(async () => {
  const recorder = (await import("data:text/javascript," + encodeURIComponent(%s))).default;
  const sent = {}, el = document.createElement("div");
  const saved = new Promise((done) => { recorder.render({ model: { set: (k, v) => { sent[k] = v; }, save_changes: done }, el }); });
  const button = el.querySelector("button");
  button.click();
  while (button.textContent !== "stop") await new Promise((wait) => setTimeout(wait, 50));
  await new Promise((wait) => setTimeout(wait, 1500));
  button.click();
  await saved;
  const bytes = new Uint8Array(sent.samples.buffer, sent.samples.byteOffset, sent.samples.byteLength);
  return { rate: sent.rate, samples: btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), "")), button: button.textContent };
})()"""


@needs_browser
def test_the_recorder_of_06_records(tmp_path, browser):
    (tmp_path / "page.html").write_text("<!doctype html><title>.</title><link rel=icon href=data:,>")
    browser.open((tmp_path / "page.html").as_uri(), 1280)
    said = browser.evaluate(RECORD % json.dumps(widgets.Recorder._esm))
    samples = np.frombuffer(base64.b64decode(said["samples"]), np.float32)
    assert browser.complaints() == [] and said["button"] == "record"
    assert said["rate"] >= 8000 and 0.5 < len(samples) / said["rate"] < 10
    assert 0.01 < np.abs(samples).max() < 1.5  # the beeps; decoders overshoot a little
