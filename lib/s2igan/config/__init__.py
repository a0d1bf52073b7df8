"""Settings of the study: every parameter, the systems, which stage reads what, and where runs lie."""

from s2igan.config.paths import run_dir, slug, store_dir
from s2igan.config.resolve import from_notebook, from_yaml, resolve
from s2igan.config.settings import PRESETS, Settings
from s2igan.config.stages import identity, notebook_parameters, of_stage, read_up_to
from s2igan.config.systems import (
    DATASETS,
    DEFAULT_SYSTEMS,
    DOWNLOADABLE,
    RDG_SYSTEMS,
    REFERENCE_SYSTEMS,
    SEN_SYSTEMS,
    SYNTHETIC,
)

__all__ = [
    "DATASETS",
    "DEFAULT_SYSTEMS",
    "DOWNLOADABLE",
    "PRESETS",
    "RDG_SYSTEMS",
    "REFERENCE_SYSTEMS",
    "SEN_SYSTEMS",
    "SYNTHETIC",
    "Settings",
    "from_notebook",
    "from_yaml",
    "identity",
    "notebook_parameters",
    "of_stage",
    "read_up_to",
    "resolve",
    "run_dir",
    "slug",
    "store_dir",
]
