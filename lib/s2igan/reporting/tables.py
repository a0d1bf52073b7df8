"""The paper's two tables from what the runs left, and the published numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS

METRICS = ("mAP", "mAP released", "FID", "KID", "IS")  # a column that no run has figures for is left out
BETTER = {"mAP": 1, "mAP released": 1, "FID": -1, "KID": -1, "IS": 1, "SEN mAP": 1}  # 1: higher is better
TABLE_1 = tuple(system for system in RDG_SYSTEMS if system != "S2IGAN w/o L_d")
FLOORS = {"real": "real images, one half against the other", "chance": "chance", "training": "training classes' images"}
# Published figures (S2IGAN, Interspeech 2020, Tables 1 and 2, and figures of StackGAN-v2 on CUB): other data and other features
# than the embedded study's, so they have tables of their own. {system: {data set: {metric: value}}}, IS with its deviation where given.
PUBLISHED: dict[str, dict[str, dict[str, str]]] = {
    "S2IGAN w/o Dense": {"CUB": {"mAP": "8.66", "FID": "17.58", "IS": "4.19"},
                         "Oxford-102": {"mAP": "13.13", "FID": "64.37", "IS": "3.68 ± 0.05"}},
    "S2IGAN w/o RS": {"CUB": {"mAP": "8.54", "FID": "15.59", "IS": "4.14"},
                      "Oxford-102": {"mAP": "12.86", "FID": "53.24", "IS": "3.70 ± 0.08"}},
    "S2IGAN w/o SEN": {"CUB": {"mAP": "2.91", "FID": "19.56", "IS": "3.49"},
                       "Oxford-102": {"mAP": "7.38", "FID": "67.60", "IS": "2.77 ± 0.04"}},
    "S2IGAN end-to-end": {"CUB": {"mAP": "7.38", "FID": "21.54", "IS": "4.29"},
                          "Oxford-102": {"mAP": "12.47", "FID": "51.88", "IS": "3.55 ± 0.08"}},
    "S2IGAN": {"CUB": {"mAP": "9.04", "FID": "14.50", "IS": "4.29 ± 0.04"},
               "Oxford-102": {"mAP": "13.40", "FID": "48.64", "IS": "3.55 ± 0.04"}},
    "S2IGAN w/o L_d": {"CUB": {"SEN mAP": "23.68", "mAP": "6.80", "FID": "16.66", "IS": "4.19 ± 0.05"},
                       "Oxford-102": {"SEN mAP": "41.85", "mAP": "10.03", "FID": "69.47", "IS": "3.35 ± 0.08"}},
    "S2IGAN w/ L_d": {"CUB": {"SEN mAP": "24.24", "mAP": "9.04", "FID": "14.50", "IS": "4.29 ± 0.04"},
                      "Oxford-102": {"SEN mAP": "41.86", "mAP": "13.40", "FID": "48.64", "IS": "3.55 ± 0.08"}},
    "StackGAN-v2 (S2IG)": {"CUB": {"FID": "18.94", "IS": "4.14"}},
    "StackGAN-v2 (T2IG)": {"CUB": {"FID": "15.30", "IS": "4.04"}},
}  # fmt: skip


def values_of(table: pd.DataFrame, dataset: str, system: str, metric: str) -> pd.Series:
    """A metric of a system on a data set, {seed: value}. `SEN mAP` is the retrieval mAP of the embedding that the system starts from."""
    if metric == "SEN mAP":
        system, metric = RDG_SYSTEMS[system]["sen"], "mAP"
    rows = table[(table.dataset == dataset) & (table.system == system) & (table.metric == metric)]
    return rows.set_index("seed").value.sort_index()


def paper_table(table: pd.DataFrame, systems: Sequence[str], metrics: Sequence[str] = METRICS) -> pd.DataFrame:
    """A table in the paper's form: a row a system, a column (data set, metric); mean ± sample deviation over seeds, best in **bold**.

    Args: table: the rows of `analysis.collect`, of any number of data sets. systems: those without a figure are left out.
    Below them, in italics, chance, real images against real, and the training classes' images against the test classes'.
    """
    body = {}
    for dataset in dict.fromkeys(table.dataset):
        for metric in metrics:
            column = {system: values_of(table, dataset, system, metric) for system in systems}
            means = {system: values.mean() for system, values in column.items() if len(values)}
            best = max(means, key=lambda system: BETTER[metric] * means[system]) if means else None
            cells = {system: _cell(values, metric, system == best) for system, values in column.items()}
            for suffix, name in FLOORS.items():
                real = values_of(table, dataset, "real", f"{metric} {suffix}") if metric != "SEN mAP" else pd.Series(dtype=float)
                if metric == "SEN mAP" and suffix == "chance":
                    rows = table[(table.dataset == dataset) & (table.system == "SEN") & (table.metric == "mAP chance")]
                    real = rows.set_index("seed").value
                cells[f"*{name}*"] = _cell(real, metric, False)
            body[dataset, metric] = cells
    result = pd.DataFrame(body)
    result.columns.names = [None, None]
    return result.loc[(result != "").any(axis=1), (result != "").any(axis=0)]


def _cell(values: pd.Series, metric: str, best: bool) -> str:
    if values.empty:
        return ""
    digits = 3 if metric == "KID" else 2
    text = f"{values.mean():.{digits}f}" + (f" ± {values.std():.{digits}f}" if len(values) > 1 else "")
    return f"**{text}**" if best else text


def published(systems: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """The paper's own figures in the same form."""
    datasets = ("CUB", "Oxford-102")
    return pd.DataFrame({
        (dataset, metric): {system: PUBLISHED.get(system, {}).get(dataset, {}).get(metric, "") for system in systems}
        for dataset in datasets for metric in metrics
    })  # fmt: skip


def markdown(table: pd.DataFrame) -> str:
    """A table of `paper_table`, `published` or `claims` as Markdown."""
    header = [" ".join(filter(None, column)) if isinstance(column, tuple) else str(column) for column in table.columns]
    body = [[str(name), *map(_shown, row)] for name, row in zip(table.index, table.to_numpy(dtype=object), strict=True)]
    lines = [["", *header], ["---", *["---:"] * len(header)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _shown(value: object) -> str:
    """A cell's text; nothing where a figure is missing or has no end, as the interval of a single seed."""
    return "" if isinstance(value, float) and not np.isfinite(value) else str(value)


def latex(table: pd.DataFrame, caption: str) -> str:
    """The same as a LaTeX tabular (booktabs); bold and italics as LaTeX has them."""

    def cell(text: str) -> str:
        for mark, command in (("**", "textbf"), ("*", "textit")):
            if text.startswith(mark) and text.endswith(mark) and len(text) > 2 * len(mark):
                return f"\\{command}{{{cell(text[len(mark) : -len(mark)])}}}"
        return text.replace("_", r"\_").replace("±", r"$\pm$").replace("%", r"\%")

    shown = table.map(lambda value: cell(_shown(value)))
    shown.index = [cell(str(name)) for name in table.index]
    shown.columns = shown.columns.map(lambda name: tuple(map(cell, name)) if isinstance(name, tuple) else cell(str(name)))
    return shown.to_latex(escape=False, caption=cell(caption), column_format="l" + "r" * len(table.columns), multicolumn_format="c")


def attributes(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """How often, in percent, the evaluator sees the attribute that the caption names: a row an attribute, a column a system, mean ±
    deviation over seeds."""
    rows = table[(table.dataset == dataset) & table.metric.str.startswith("asked ") & table.system.isin(RDG_SYSTEMS)]
    body = {}
    for system in (s for s in RDG_SYSTEMS if s in set(rows.system)):
        mine = rows[rows.system == system]
        body[system] = {name.removeprefix("asked "): _cell(part.set_index("seed").value, "mAP", False)
                        for name, part in mine.groupby("metric", sort=False)}  # fmt: skip
    return pd.DataFrame(body)


def retrieval(table: pd.DataFrame) -> pd.DataFrame:
    """Retrieval mAP of SEN, SEN without L_d and the text encoder, with chance: for each data set a column where every description of the
    unseen classes asks, and one of the released protocol, where the first of each class does."""
    body = {}
    for dataset in dict.fromkeys(table.dataset):
        for metric, who in (("mAP", "every description asks"), ("mAP released", "one a class asks (released)")):
            column = {system: values_of(table, dataset, system, metric) for system in SEN_SYSTEMS}
            means = {system: values.mean() for system, values in column.items() if len(values)}
            best = max(means, key=means.get) if means else None
            cells = {system: _cell(values, metric, system == best) for system, values in column.items()}
            chance = values_of(table, dataset, "SEN", "mAP chance") if metric == "mAP" else pd.Series(dtype=float)
            body[dataset, who] = cells | {"*chance*": _cell(chance, metric, False)}
    return pd.DataFrame(body)


def summary(table: pd.DataFrame) -> str:
    """Tables of SEN and RDG as Markdown: mean over seeds, ± standard deviation where there are several, chance and real beside."""

    def cell(system: str, metric: str) -> str:
        values = table[(table.system == system) & (table.metric == metric)].value
        if values.empty:
            return ""
        digits = 4 if metric.startswith("KID") else 2
        spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
        return f"{values.mean():.{digits}f}{spread}"

    def rows(header: list[str], body: list[list[str]]) -> list[str]:
        return [" | ".join(["", *line, ""]).strip() for line in (header, ["---", *["---:"] * (len(header) - 1)], *body)]

    present = set(table.system)
    lines: list[str] = []  # the text baseline is found by and painted from what is written, as its name says
    if body := [[s, cell(s, "mAP"), cell(s, "mAP released"), cell(s, "mAP chance")] for s in SEN_SYSTEMS if s in present]:
        lines += [*rows(["descriptions retrieve images", "mAP", "one query a class", "chance"], body), ""]
    painted = table[table.system.isin(RDG_SYSTEMS)]
    metrics = [metric for metric in METRICS if metric in set(painted.metric)]
    if body := [[s, *(cell(s, m) for m in metrics)] for s in RDG_SYSTEMS if s in present]:
        floors = {"real images, one half against the other": "real", "chance": "chance", "training classes' images": "training"}
        for name, suffix in floors.items():
            body.append([f"*{name}*", *(cell("real", f"{m} {suffix}") for m in metrics)])
        lines += rows(["images from descriptions", *metrics], body)
    return "\n".join(lines).strip() + "\n"
