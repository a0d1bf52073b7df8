"""Where runs and data lie: `results/<study>/<dataset>/<stage>-<system>-seed<k>` and `data/<study>/<dataset>`."""

from __future__ import annotations

import re
from pathlib import Path

from s2igan.config.settings import Settings


def slug(system: str) -> str:
    """A system's name as part of a folder name: 'S2IGAN w/o L_d' -> 's2igan-wo-ld'."""
    return re.sub(r"[^a-z0-9]+", "-", system.lower().replace("w/o", "wo").replace("l_d", "ld")).strip("-")


def run_dir(settings: Settings, stage: str, system: str = "", root: str | Path = ".") -> Path:
    """The folder of a run, `results/<study>/<dataset>/<stage>-<system>-seed<k>`.

    The data stage is `data-store-seed<k>`, the analysis `analysis`; tables over all data sets are in
    `results/<study>/tables`, and what a study costs is in `results/<study>/cost`.

    Args: system: by default from the settings.
    """
    base = Path(root) / "results" / settings.study / settings.dataset
    if stage == "data":
        return base / f"data-store-seed{settings.data_seed}"
    if stage == "classifier":
        return base / f"classifier-inception-seed{settings.data_seed}"
    if stage == "analysis":
        return base / "analysis"
    if stage in ("tables", "cost"):
        return base.parent / stage
    return base / f"{stage}-{slug(system or settings.system)}-seed{settings.seed}"


def store_dir(settings: Settings, root: str | Path = ".") -> Path:
    """`data/<study>/<dataset>`: the memory-mapped images and log-mels that every run reads."""
    return Path(root) / "data" / settings.study / settings.dataset
