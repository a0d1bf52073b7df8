"""When the distinctive loss helps SEN: studies with and without it on data harder in one way each."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from s2igan import BadInput, config
from s2igan.data.files import project_root
from s2igan.workflow import study
from s2igan.workflow.interrupts import stoppable
from s2igan.workflow.notebook import run_notebook
from s2igan.workflow.run_study import is_on, read_words

# Where the distinctive loss might help SEN: what `python -m s2igan distinctive` changes of the data, each a study of its own.
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029")
MORE_VOICES = ",".join(accent + variant for accent in ACCENTS for variant in ("", "+f1", "+f3", "+m1", "+m5"))
CONDITIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "fewer classes": {"data_classes": 100},
    "closer classes": {"data_classes": 100, "data_most_values": 3},
    "vaguer captions": {"data_naming": 1},
    "more voices": {"data_voices": MORE_VOICES},
    "noise": {"data_noise_db": 5.0},
}


def condition_study(condition: str) -> str:
    """The name of the study of one of `CONDITIONS`."""
    return f"distinctive-{config.slug(condition)}"


def run_distinctive(words: list[str]) -> int:
    """A study of SEN with and without L_d for each of study.CONDITIONS, then the notebook that puts them side by side."""
    given = read_words(words)
    if "params" in given:
        given = {**study.in_plural(config.from_yaml(given.pop("params"))), **given}
    if own := {"study", "systems", "tables", "dry", *(name for changes in CONDITIONS.values() for name in changes)} & set(given):
        raise BadInput(f"parameter {sorted(own)[0]!r} is the experiment's own: leave it out")
    given = {"datasets": study.DEFAULTS_FULL["datasets"], "seeds": study.DEFAULTS_FULL["seeds"], **given}
    if others := [name for name in study.as_list(given["datasets"]) if name not in config.SYNTHETIC]:
        raise BadInput(
            f"dataset {others[0]!r}: its classes and captions cannot be made harder; choose some of {', '.join(config.SYNTHETIC)}"
        )
    studies = {
        condition: {**given, **changes, "study": condition_study(condition), "systems": "SEN,SEN w/o L_d"}
        for condition, changes in CONDITIONS.items()
    }
    plans = [study.plan({n: value for n, value in values.items() if n not in ("list", "cores")}) for values in studies.values()]
    root = project_root()
    os.chdir(root)
    folder = root / "results" / "distinctive" / "tables"

    def train() -> int:
        for condition, values in studies.items():
            changes = CONDITIONS[condition]
            print(f"{condition}: {', '.join(f'{name}={value}' for name, value in changes.items()) or 'nothing changed'}", flush=True)
            words = [f"{name}={','.join(map(str, v)) if isinstance(v, list | tuple) else v}" for name, v in values.items()]
            if status := subprocess.run([sys.executable, "-m", "s2igan", "study", *words]).returncode:
                return status
        return 0

    status = stoppable(train)
    if status or is_on(given.get("list", 0)):
        return status
    values = {"study": "distinctive", "preset": given.get("preset", "mini"), "analysis_datasets": study.as_list(given["datasets"]),
              "analysis_runs": next(iter(plans[-1].of.values())).analysis_runs}  # fmt: skip
    notebook = Path("notebooks/05_distinctive_loss.ipynb")
    print(f"tables and figures: {folder}/", flush=True)
    return run_notebook(argparse.Namespace(
        notebook=notebook, params=None, values=json.dumps(values), out=folder / notebook.name, label="distinctive", parent=None
    ))  # fmt: skip
