"""The library's pages: its public names, its docstrings, and the networks drawn."""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path


def names_of(library: Path) -> dict[str, str]:
    """Every public name of the library with the first line of its docstring, modules and packages too.

    Such as 'losses.matching_loss', 'training.rdg.train_rdg', 'sen.SEN.state_without_backbone'.
    """
    names = {}

    def of(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                names[f"{prefix}.{node.name}"] = (ast.get_docstring(node) or "").split("\n")[0]
                if isinstance(node, ast.ClassDef):
                    of(node.body, f"{prefix}.{node.name}")

    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if module and "__" not in module:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names[module] = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
            of(tree.body, module)
    return names


def modules_of(library: Path) -> dict[str, list[str]]:
    """The library's pages and their modules, the method first: {'losses': ['losses'], 'data': ['data.audio', ...]}."""
    single = sorted(path.stem for path in library.glob("*.py") if not path.stem.startswith("__"))
    pages = {name: [name] for name in single}
    for package in sorted(path.parent for path in library.glob("*/__init__.py")):
        inside = sorted(path for path in package.rglob("*.py") if path.name != "__init__.py")
        pages[package.name] = [".".join(path.relative_to(library).with_suffix("").parts) for path in inside]
    return pages


def write_pages(library: Path, names: dict[str, str], out: Path) -> str:
    """Writes a page for each module of the method and each package; returns a table of them, in Markdown."""
    rows = []
    for page, modules in modules_of(library).items():
        text = f"# s2igan.{page}\n\n" if len(modules) == 1 else f"# s2igan.{page}\n\n{names.get(page, '')}\n\n"
        for module in modules:
            directive = f".. automodule:: s2igan.{module}\n   :members:\n   :member-order: bysource\n"
            text += ("" if len(modules) == 1 else f"## s2igan.{module}\n\n") + f"```{{eval-rst}}\n{directive}```\n\n"
        (out / f"api_{page}.md").write_text(text, encoding="utf-8")
        rows.append(f"| [`{page}`](api_{page}.md) | {names.get(page, '').replace('|', '')} |\n")
    return f"| page | what |\n| --- | --- |\n{''.join(rows)}"


def draw(out: Path) -> dict[str, str]:
    """Diagrams of SEN and RDG at the paper's size, made from the networks, in `out`/images.

    Returns: the directive that shows each, by name.
    """
    import torch
    from matplotlib import pyplot

    from s2igan import config
    from s2igan.evaluation.feature_networks import InceptionV3, freeze
    from s2igan.rdg import Discriminator, RelationSupervisor
    from s2igan.reporting import alternative_text, diagrams
    from s2igan.sen import SEN
    from s2igan.training.rdg_networks import image_sizes, make_generator

    values = config.resolve({"preset": "paper", "system": "S2IGAN", "device": "cpu"})
    size = 2 * values.sen_gru_size
    with warnings.catch_warnings(action="ignore"), torch.device("meta"):  # shapes alone are wanted: no weight is made
        backbone = freeze(InceptionV3("random"))
        generator = make_generator(values, size)
        discriminators = [
            Discriminator(side, values.rdg_discriminator_width, values.rdg_condition_size)
            for side in image_sizes(values)
        ]
        supervisor = RelationSupervisor(size, values.rdg_relation_size)
    net = SEN(values, backbone, 150)  # the training classes of CUB-200
    made = {
        "sen": diagrams.sen(net, values.data_image_size),
        "rdg": diagrams.rdg(generator, discriminators, supervisor),
    }
    (out / "images").mkdir(exist_ok=True)
    for name, figure in made.items():
        figure.savefig(out / "images" / f"diagram-{name}.svg", bbox_inches="tight", metadata={"Date": None})
        pyplot.close(figure)
    options = {name: f":alt: {alternative_text.alt(figure)}\n:figclass: diagram" for name, figure in made.items()}
    return {f"diagram {name}": f"```{{figure}} images/diagram-{name}.svg\n{options[name]}\n```\n" for name in made}


def docstring(lines: list[str]) -> list[str]:
    """A plain docstring as reStructuredText: marks escaped, names in code, a paragraph for Args, for Returns, ..."""
    text = re.sub(r"^(\s*)(Args|Returns|Yields|Raises):", r"\n\1**\2:**", "\n".join(lines), flags=re.MULTILINE)
    paragraphs = [" ".join(block.split()) for block in re.split(r"\n\s*\n", text) if block.strip()]
    made = []
    for paragraph in paragraphs:
        parts = re.split(r"(`+[^`]*`+|\*\*(?:Args|Returns|Yields|Raises):\*\*)", paragraph)
        made += ["".join(_marked(part) for part in parts), ""]
    return made


def _marked(part: str) -> str:
    """A part of a docstring: a name in code, a heading word as it is, and anything else with its marks escaped."""
    if part.startswith("`"):
        return f"``{part.strip('`')}``"
    return part if re.fullmatch(r"\*\*\w+:\*\*", part) else re.sub(r"([\\*_|])", r"\\\1", part)
