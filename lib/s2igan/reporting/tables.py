"""The paper's tables from what the runs left, the published numbers, and how a table becomes Markdown or LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from s2igan.config import PAPER_SYSTEMS, RDG_SYSTEMS, SEN_SYSTEMS
from s2igan.reporting.text import emphasised, in_latex, in_markdown

METRICS = ("mAP", "mAP released", "FID", "KID", "IS", "IS all")  # a column without any value is left out
RECALLS = ("R@1", "R@5", "R@10", "R@50")
NEIGHBOURS = ("precision", "recall", "density", "coverage")
VARIETY = ("diversity", "change by z", "change by eps", "training distance")
# 1: higher is better, -1: lower. Of others neither is: there is a value to be near to, or none.
BETTER = {"mAP": 1, "mAP released": 1, "FID": -1, "KID": -1, "IS": 1, "IS all": 1, "SEN mAP": 1}
BETTER |= dict.fromkeys((*RECALLS, *NEIGHBOURS), 1)
DIGITS = {"KID": 3}  # after the point; of all other metrics 2
TABLE_1 = tuple(system for system in PAPER_SYSTEMS if system != "S2IGAN w/o L_d")
TABLE_2 = ("S2IGAN w/o L_d", "S2IGAN")
# Rows below the systems: what each metric is without a generator, {suffix of its name in the data run: row label}.
REFERENCES = {
    "real": "real images, one half against the other",
    "fitting": "real images that fit the caption",
    "class": "right class, random image",
    "chance": "chance",
    "training": "training classes' images",
    "nearest": "images of the nearest training class",
}
# Published metrics (S2IGAN, Interspeech 2020, Tables 1 and 2; StackGAN-v2's on CUB). They are of other data and other
# feature networks than the synthetic study's, so they have tables of their own. {system: {data set: {metric: value}}},
# IS with its std where given.
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
    """A metric of a system on a data set, {seed: value}.

    `SEN mAP` is the retrieval mAP of the embedding that the system starts from.
    """
    if metric == "SEN mAP":
        system, metric = RDG_SYSTEMS[system]["sen"], "mAP"
    rows = table[(table.dataset == dataset) & (table.system == system) & (table.metric == metric)]
    return rows.set_index("seed").value.sort_index()


def extra_systems(table: pd.DataFrame) -> list[str]:
    """Systems with finished runs that do not stand in the paper's tables, such as one of your own."""
    return [system for system in RDG_SYSTEMS if system not in PAPER_SYSTEMS and system in set(table.system)]


def cell(values: pd.Series, digits: int = 2, bold: bool = False) -> str:
    """A table's cell: mean ± sample standard deviation over seeds; the mean alone of one seed, nothing of none."""
    if values.empty:
        return ""
    text = f"{values.mean():.{digits}f}" + (f" ± {values.std():.{digits}f}" if len(values) > 1 else "")
    return f"**{text}**" if bold else text


def column(values: dict[str, pd.Series], better: int = 1, digits: int = 2) -> dict[str, str]:
    """Cells of a column, {system: values by seed}, the best mean in bold; `better`: 1 if higher is better, -1 if lower
    is, 0 for no bold."""
    means = {system: of.mean() for system, of in values.items() if len(of)}
    best = max(means, key=lambda system: better * means[system]) if means and better else None
    return {system: cell(of, digits, system == best) for system, of in values.items()}


def images_a_split(table: pd.DataFrame, dataset: str, metric: str) -> str:
    """How many images are in a split of the Inception Score, of generated and of real images; nothing of others."""
    if "per_split" not in table:
        return ""
    names = (metric, f"{metric} real")
    found = table[(table.dataset == dataset) & table.metric.isin(names)].per_split.dropna().unique()
    return " / ".join(f"{number:.0f}" for number in sorted(found))


def paper_table(
    table: pd.DataFrame, systems: Sequence[str], metrics: Sequence[str] = METRICS, digits: dict[str, int] | None = None
) -> pd.DataFrame:
    """A table in the paper's form: a row a system, a column (data set, metric); mean ± std over seeds.

    The best mean of a column is in **bold**. Below the systems, in *italics*, are the rows of `REFERENCES`, and the
    number of images in a split of IS, without which two scores cannot be compared. Empty rows and columns are left out.

    Args: table: the rows of `collect`, of any number of data sets. digits: after the point, by metric.
    """
    digits = DIGITS if digits is None else digits
    body = {}
    for dataset in dict.fromkeys(table.dataset):
        for metric in metrics:
            shown = digits.get(metric, 2)
            cells = column(
                {system: values_of(table, dataset, system, metric) for system in systems}, BETTER.get(metric, 0), shown
            )
            for suffix, label in REFERENCES.items():
                # Retrieval by SEN has a chance of its own.
                source = ("SEN", f"mAP {suffix}") if metric == "SEN mAP" else ("real", f"{metric} {suffix}")
                cells[f"*{label}*"] = cell(values_of(table, dataset, *source), shown)
            cells["*images in a split*"] = images_a_split(table, dataset, metric)
            body[dataset, metric] = cells
    result = pd.DataFrame(body)
    result.columns.names = [None, None]
    return result.loc[(result != "").any(axis=1), (result != "").any(axis=0)]


def published(systems: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """The paper's own metrics in the same form."""
    datasets = ("CUB", "Oxford-102")
    return pd.DataFrame({
        (dataset, metric): {system: PUBLISHED.get(system, {}).get(dataset, {}).get(metric, "") for system in systems}
        for dataset in datasets for metric in metrics
    })  # fmt: skip


def attributes(table: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """How often, in percent, the evaluator sees the attribute value that the caption names; mean ± std over seeds.

    A row an attribute, a column a system.
    """
    rows = table[(table.dataset == dataset) & table.metric.str.startswith("asked ") & table.system.isin(RDG_SYSTEMS)]
    names = list(dict.fromkeys(rows.metric))
    return pd.DataFrame({
        system: {name.removeprefix("asked "): cell(values_of(rows, dataset, system, name)) for name in names}
        for system in RDG_SYSTEMS if system in set(rows.system)
    })  # fmt: skip


ALL_CAPTIONS, ONE_PER_CLASS = "mAP, all captions", "mAP, first caption of each class (released)"


def retrieval(table: pd.DataFrame) -> pd.DataFrame:
    """Retrieval mAP of SEN, SEN without L_d and the text encoder, with chance.

    For each data set a column where every caption of the unseen classes is a query, and one of the released protocol,
    where the first caption of each class is.
    """
    body = {}
    for dataset in dict.fromkeys(table.dataset):
        for metric, queries in (("mAP", ALL_CAPTIONS), ("mAP released", ONE_PER_CLASS)):
            cells = column({system: values_of(table, dataset, system, metric) for system in SEN_SYSTEMS})
            chance = values_of(table, dataset, "SEN", f"{metric} chance")
            body[dataset, queries] = cells | {"*chance*": cell(chance)}
    return pd.DataFrame(body)


def summary(table: pd.DataFrame) -> str:
    """Markdown tables of one data set: retrieval by the SEN systems, metrics of the images of all RDG systems.

    Of the systems that have finished runs.
    """
    dataset, parts = table.dataset.iloc[0], []
    embeddings, generators = ([s for s in systems if s in set(table.system)] for systems in (SEN_SYSTEMS, RDG_SYSTEMS))
    if embeddings:
        columns = {ALL_CAPTIONS: "mAP", ONE_PER_CLASS: "mAP released", "chance": "mAP chance"}
        cells = {
            heading: {system: cell(values_of(table, dataset, system, metric)) for system in embeddings}
            for heading, metric in columns.items()
        }
        parts.append(pd.DataFrame(cells).rename_axis("retrieval of real images"))
    if generators:
        for metrics in (METRICS, RECALLS + NEIGHBOURS, VARIETY):
            made = paper_table(table, generators, metrics, {"KID": 4})
            if len(made):  # records of earlier versions lack some
                parts.append(made[dataset].rename_axis("generated images"))
    return "\n".join(markdown(part) for part in parts)


def markdown(table: pd.DataFrame) -> str:
    """Any table as Markdown, in which names stay text; the index has its name as heading, if it has one."""

    def escaped(text: str) -> str:
        return emphasised(text, in_markdown, "**{}**", "*{}*")

    header = [" ".join(filter(None, name)) if isinstance(name, tuple) else str(name) for name in table.columns]
    body = [[str(name), *map(_shown, row)] for name, row in zip(table.index, table.to_numpy(dtype=object), strict=True)]
    lines = [[table.index.name or "", *header], *body]
    lines = [[escaped(text) for text in line] for line in lines]
    lines.insert(1, ["---", *["---:"] * len(header)])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _shown(value: object) -> str:
    """A cell's text; nothing where a value is missing or infinite, as the interval of a single seed."""
    return "" if isinstance(value, float) and not np.isfinite(value) else str(value)


def latex(table: pd.DataFrame, caption: str) -> str:
    """Any table as a LaTeX tabular (booktabs); bold and italics as LaTeX has them."""

    def escaped(text: str) -> str:
        return emphasised(text, in_latex, r"\textbf{{{}}}", r"\textit{{{}}}")

    shown = table.map(lambda value: escaped(_shown(value)))
    shown.index = [escaped(str(name)) for name in table.index]
    shown.columns = shown.columns.map(
        lambda name: tuple(map(escaped, name)) if isinstance(name, tuple) else escaped(str(name))
    )
    return shown.to_latex(
        escape=False, caption=escaped(caption), column_format="l" + "r" * len(table.columns), multicolumn_format="c"
    )
