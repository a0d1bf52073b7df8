"""Table attributes.csv: of each class, the values of its visible attributes."""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from s2igan import BadInput
from s2igan.data.names import CONTROL, class_name, is_file, plain
from s2igan.data.unused import UnusedFiles
from s2igan.files import read_text

LONGEST_VALUE = 100  # characters of a value or an attribute's name: they are words in tables and figures


def read_attributes(path: Path, classes: tuple[str, ...], unused: UnusedFiles) -> dict[str, dict[str, str]]:
    """{class: {name: value}} of a table with the columns class and one a visible attribute; {} without such a table.

    Rows of classes that are not in `classes` are added to `unused`. Blanks at the ends of values are left out. Raises
    BadInput, naming the line, for a row without a value for each column, a column or class that is there twice, two
    values that differ in case only, and a class without a row.
    """
    if not is_file(path) and not path.exists():
        return {}
    rows = _rows(path)
    names = _columns(path, rows)
    at, table, lines = names.index("class"), {}, {}
    spellings: dict[tuple[str, str], str] = {}
    for number, row in rows[1:]:
        where = f"table {path}, line {number}"
        if len(row) != len(names) or "" in row:
            raise BadInput(f"{where} does not have one value for each column: {len(names)} are named in the first line")
        row = [" ".join(cell.split()) for cell in row]
        name = class_name(row[at], where)
        if name in lines:
            raise BadInput(f"{where} is of class {name!r}, as line {lines[name]} is: remove one")
        lines[name] = number
        if name not in classes:
            unused.add("table whose rows are of classes that no list names", path)
            continue
        table[name] = {column: value for column, value in zip(names, row, strict=True) if column != "class"}
        for column, value in table[name].items():
            if (other := spellings.setdefault((column, value.casefold()), value)) != value:
                raise BadInput(f"{where} has {column} {value!r}, another line {other!r}: write both in one way")
    if missing := [name for name in classes if name not in table]:
        raise BadInput(f"table {path} has no row of class {missing[0]!r}: it needs one for each class")
    return table


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """(line, cells) of every row that is not empty."""
    lines = read_text(path).split("\n")
    reader = csv.reader((line + "\n" for line in lines), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            cells = [plain(cell) for cell in row]
            if any(CONTROL.search(cell.replace("\t", " ")) or len(cell) > LONGEST_VALUE for cell in cells):
                raise BadInput(
                    f"table {path}, line {reader.line_num} has a value with a control character or more than "
                    f"{LONGEST_VALUE} characters: a value is a word or two; is a quote open?"
                )
            if any(cells):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise BadInput(f"table {path}, line {reader.line_num} cannot be read: {error}") from None
    return rows


def _columns(path: Path, rows: list[tuple[int, list[str]]]) -> list[str]:
    """The names in the first row."""
    names = rows[0][1] if rows else []
    if "class" not in names:
        other = next((sign for sign in (";", "\t", "|") if len(names) == 1 and sign in names[0]), "")
        remedy = f"put commas, not {other!r}, between its columns" if other else "its first line names the columns"
        raise BadInput(f"table {path} has no column 'class': {remedy}")
    if len(names) < 2:
        raise BadInput(f"table {path} has no column beside 'class': it needs one for each visible attribute")
    names = [" ".join(name.split()) for name in names]
    folded: set[str] = set()
    for name in names:
        # Networks have a part of each attribute's name: torch allows no dots there, and no names that it has itself.
        if not name or "." in name or hasattr(torch.nn.ModuleDict(), name):
            raise BadInput(f"table {path} has a column {name!r}: give that attribute another name, without dots")
        if name.casefold() in folded:
            raise BadInput(f"table {path} has the column {name!r} twice: remove or rename one")
        folded.add(name.casefold())
    return names
