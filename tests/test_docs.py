"""README and docs/: their size, their links, and that their tables are those of results/reference."""

import re
from pathlib import Path

import pytest
import yaml

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
