"""README and docs/: their size, their links, and that their tables are those of results/reference."""

import pydoc
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from s2igan import BadInput, config, losses
from s2igan.config import datasets, engines, systems
from s2igan.config import languages as language_voices
from s2igan.data import layout, names, sources, text_to_speech
from s2igan.data.synthetic import captions, classes, drawn_set, english, grammar, languages, sets
from s2igan.data.synthetic.dataset import draw_image

ROOT = Path(__file__).resolve().parents[1]
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("*/README.md")),
         *sorted((ROOT / "docs").glob("*.md"))]  # fmt: skip


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a Markdown text."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150 and max(map(len, text.splitlines())) <= 120 and len(text.split()) <= 1500


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        assert place.exists(), target
        assert not anchor or anchor in anchors(place.read_text()), target


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_of_code_exist(path):
    packages = {folder.name for folder in (ROOT / "lib/s2igan").iterdir() if (folder / "__init__.py").is_file()}
    modules = packages | {file.stem for file in (ROOT / "lib/s2igan").glob("*.py")}
    text = path.read_text()
    for word in re.findall(r"`([\w.]+)`", text):
        name = word.removeprefix("s2igan.")
        if "." in name and name.split(".")[0] in modules and not name.endswith((".py", ".md", ".csv", ".json")):
            assert pydoc.locate(f"s2igan.{name}") is not None, word
    for place in re.findall(r"`((?:lib|tests|docs|notebooks|benchmarks|site|results/reference)/[\w./-]+)`", text):
        assert (ROOT / place).exists(), place
    tests = "".join(file.read_text() for file in (ROOT / "tests").glob("test_*.py"))
    assert all(f"def {name}(" in tests for name in re.findall(r"`(test_[a-z_0-9]+)`", text))


def test_tables_are_those_of_the_reference():
    text = (ROOT / "docs/results.md").read_text()
    kept = ROOT / "results/reference"
    names = (
        "table1",
        "table2",
        "claims",
        "retrieval",
        "asked_mini-flowers",
        "asked_mini-birds",
        "words",
        "published1",
        "published2",
    )
    for path in [*(kept / "tables" / f"{name}.md" for name in names), kept / "distinctive/gains.md"]:
        assert path.read_text() in text, f"docs/results.md has another table than {path.relative_to(ROOT)}"


def test_the_readmes_table_is_table_1():
    text, table = (ROOT / "README.md").read_text(), (ROOT / "results/reference/tables/table1.md").read_text()
    rows = {
        row.split("|")[1].strip(): [cell.strip(" *").split(" ±")[0] for cell in row.split("|")[2:-1]]
        for row in table.splitlines()[2:]
    }
    for name, system in (
        ("S2IGAN", "S2IGAN"),
        ("w/o SEN", "S2IGAN w/o SEN"),
        ("StackGAN-v2, text", "StackGAN-v2 (T2IG)"),
    ):
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        shown = [float(cell.strip(" *")) for cell in row.split("|")[2:6]]
        assert shown == pytest.approx([float(rows[system][k]) for k in (0, 1, 4, 5)], abs=0.0501)


def test_the_citation_names_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    paper = citation["preferred-citation"]
    assert citation["cff-version"] == "1.2.0" and paper["year"] == 2020
    assert [author["family-names"] for author in paper["authors"]] == ["Wang", "Qiao", "Zhu", "Hanjalic", "Scharenborg"]
    assert "2005.06968" in paper["url"] and "2005.06968" in (ROOT / "README.md").read_text()


def blocks(heading: str) -> list[str]:
    """The Python blocks under a heading of docs/extending.md, each under 20 lines."""
    text = (ROOT / "docs/extending.md").read_text()
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)[1]
    found = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    assert found and all(len(block.splitlines()) < 20 for block in found)
    return found


@pytest.fixture
def run():
    """Runs the blocks of a section with the names of some modules; rows that they add to tables are taken out again."""
    tables = (losses.ADVERSARIAL, config.RDG_SYSTEMS, datasets.DATASETS, engines.ENGINE_VOICES, sets.SETS)
    tables = (*tables, english.ENGLISH.sets, languages.LANGUAGES, language_voices.LANGUAGE_VOICES)
    tables = (*tables, text_to_speech.ENGINES, sources.PUBLIC)
    before = [dict(table) for table in tables]

    def with_names_of(heading, *modules):
        names = {"np": np, "torch": torch, "Tensor": torch.Tensor, "Path": Path, "Generator": np.random.Generator}
        for module in modules:
            names |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
        for block in blocks(heading):
            exec(compile(block, heading, "exec"), names)
        return names

    yield with_names_of
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


def test_a_system_and_a_loss_are_added_as_the_docs_say(run):
    run("A system", systems)
    row = config.RDG_SYSTEMS["S2IGAN hinge w/o Dense"]
    assert (row["loss"], row["dense"], row["paper"]) == ("hinge", False, False)
    assert config.resolve({"system": "S2IGAN hinge w/o Dense"}).system == "S2IGAN hinge w/o Dense"
    run("A loss", losses)
    loss = losses.ADVERSARIAL["least squares"]
    logits = torch.tensor([1.0, 3.0])
    assert (
        loss.generator(logits) == loss.discriminator(logits, True) == 2.0 and loss.discriminator(logits, False) == 5.0
    )


def test_a_metric_is_added_as_the_docs_say(run):
    names = run("A metric")
    assert names["mean_distance"](torch.tensor([[0.0, 0.0], [3.0, 4.0]])) == 5.0


def test_data_sets_are_added_as_the_docs_say(run, tmp_path):
    run("A data set", layout, names, sources, datasets)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for image in "12":
            (tmp_path / name / f"{image}.jpg").write_bytes(b"x")
            (tmp_path / name / f"{image}.txt").write_text("a bird\na red bird\n")
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "test.txt").write_text("b\n")
    source = sources.read_source("mine", tmp_path)
    assert source.split == ("train", "test") and source.items[1].texts == ("a bird", "a red bird")
    assert "mine" in datasets.DATASETS

    run("A synthetic set", drawn_set, grammar, english, sets, datasets)
    chosen, rng = classes.choose_classes("mini-boats", 6, np.random.default_rng(0)), np.random.default_rng(1)
    assert draw_image("mini-boats", chosen[0], rng).size == (64, 64)
    said = captions.describe("mini-boats", chosen[0], rng)
    assert f" {chosen[0]['hull']} boat " in said and "hull" in captions.named_attributes("mini-boats", said)


def test_a_language_is_added_as_the_docs_say(run):
    run("A language", grammar, languages, language_voices)
    chosen = classes.choose_classes("mini-flowers", 6, np.random.default_rng(0))[0] | {"colour": "red"}
    said = captions.describe("mini-flowers", chosen, np.random.default_rng(1), language="indonesian")
    assert "bunga" in said and " merah" in said
    assert config.resolve({"data_language": "english,indonesian"}).data_voices[-2:] == ("id", "id+f3")


def test_an_engine_is_added_as_the_docs_say(run):
    run("A text-to-speech engine", text_to_speech, engines)
    assert len(text_to_speech.speak(["one", "two"], "anna", "mine")) == 2
    text_to_speech.check_voice("ben", "mine")
    with pytest.raises(BadInput, match="mine has anna, ben"):
        text_to_speech.check_voice("eve", "mine")
    assert config.resolve({"data_engine": "mine"}).data_voices == ("anna", "ben")
