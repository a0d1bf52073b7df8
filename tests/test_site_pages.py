"""A small site, built and opened from disk in a headless browser; and the recorder of 06_speak in that browser."""

import base64
import contextlib
import io
import json
import shutil
import time

import numpy as np
import pytest
from site_browser import Browser
from site_examples import ROOT, build, executed, has_sphinx, needs_browser, needs_sphinx, source, write

from s2igan.demo import widgets


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
    of_docs = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert of_docs | {"index", "networks", "search", "01_data", "02_sen"} <= found
    data = (small / "01_data.html").read_text()
    assert 'alt="What goes in (2 of 2). What is seen: x, and more."' in data
    for text in (data, (small / "differences.html").read_text()):
        assert 'href="api_losses.html#s2igan.losses.matching_loss"' in text
    assert "Not run here yet" in (small / "02_sen.html").read_text()
    assert "[B, 3, 256, 256]" in (small / "networks.html").read_text()
    assert "<table" in (small / "results.html").read_text()
    front = (small / "index.html").read_text()
    assert "<audio" in front and (small / "_static/demo.wav").is_file()
    assert ">2 · SEN</" in front  # a link shows the title of its page
    assert 'download=""' in data or "_downloads/" in data  # the source of the notebook
    assert (small / "_modules/s2igan/losses.html").is_file() and "copybutton.js" in front


LOOK = """(async () => {
  const ready = (medium) => medium.readyState >= 1 || new Promise((done) => {
    medium.addEventListener("loadedmetadata", done); medium.addEventListener("error", done);
    setTimeout(done, 20000); });
  await Promise.all([...document.querySelectorAll("audio")].map(ready));
  if (window.MathJax && MathJax.startup && MathJax.startup.promise) await MathJax.startup.promise;
  const images = [...document.images].filter((image) => image.getClientRects().length);
  return {
    images: images.length,
    empty: images.filter((image) => !(image.complete && image.naturalWidth > 0)).map((image) => image.src.slice(-80)),
    mute: images.filter((image) => !image.alt.trim()).map((image) => image.src.slice(-80)),
    sounds: [...document.querySelectorAll("audio")].map((sound) => sound.duration),
    formulas: document.querySelectorAll("mjx-container svg").length,
    unset: document.querySelectorAll("mjx-merror").length,
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
    while (
        not (found := browser.evaluate('document.querySelectorAll("#search-results li").length'))
        and time.monotonic() < deadline
    ):
        time.sleep(0.2)
    assert found and browser.complaints() == []


RECORD = """(async () => {
  const recorder = (await import("data:text/javascript," + encodeURIComponent(%s))).default;
  const sent = {}, el = document.createElement("div");
  const saved = new Promise((done) => {
    const get = (k) => ({ rate: 22050, longest: 60 })[k], set = (k, v) => { sent[k] = v; };
    const model = { get, set, save_changes: done };
    recorder.render({ model, el });
  });
  const button = el.querySelector("button");
  button.click();
  while (button.textContent !== "stop") await new Promise((wait) => setTimeout(wait, 50));
  await new Promise((wait) => setTimeout(wait, 1500));
  button.click();
  await saved;
  const bytes = new Uint8Array(sent.samples.buffer, sent.samples.byteOffset, sent.samples.byteLength);
  const text = bytes.reduce((text, byte) => text + String.fromCharCode(byte), "");
  return { rate: sent.rate, samples: btoa(text), button: button.textContent };
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
