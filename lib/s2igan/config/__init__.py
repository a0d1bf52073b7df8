"""Settings of the study: every parameter, the systems, the data sets, which stage reads what, and where runs lie."""

from s2igan.config.datasets import DATASETS, DOWNLOADABLE, SYNTHETIC
from s2igan.config.engines import ENGINE_VOICES
from s2igan.config.languages import DEFAULT_LANGUAGE, LANGUAGE_VOICES, voices_of
from s2igan.config.paths import run_dir, slug, store_dir
from s2igan.config.resolve import from_notebook, from_yaml, quoted, resolve
from s2igan.config.settings import CPU_PRESETS, PRESETS, Settings
from s2igan.config.stages import definition, identity, notebook_parameters, of_stage, read_up_to
from s2igan.config.systems import (
    DEFAULT_SYSTEMS,
    PAPER_SYSTEMS,
    RDG_SYSTEMS,
    REFERENCE_SYSTEMS,
    SEN_SYSTEMS,
)
from s2igan.config.unread import unread

__all__ = [
    "CPU_PRESETS",
    "DATASETS",
    "DEFAULT_LANGUAGE",
    "DEFAULT_SYSTEMS",
    "DOWNLOADABLE",
    "ENGINE_VOICES",
    "LANGUAGE_VOICES",
    "PAPER_SYSTEMS",
    "PRESETS",
    "RDG_SYSTEMS",
    "REFERENCE_SYSTEMS",
    "SEN_SYSTEMS",
    "SYNTHETIC",
    "Settings",
    "definition",
    "from_notebook",
    "from_yaml",
    "identity",
    "notebook_parameters",
    "of_stage",
    "quoted",
    "read_up_to",
    "resolve",
    "run_dir",
    "slug",
    "store_dir",
    "unread",
    "voices_of",
]
