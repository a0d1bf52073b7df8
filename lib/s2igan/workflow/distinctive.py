"""When the distinctive loss helps SEN: studies with and without it on data that are harder in one way each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from s2igan import BadInput, config
from s2igan.files import project_root
from s2igan.workflow import study
from s2igan.workflow.interrupts import stoppable
from s2igan.workflow.notebook import run_notebook
from s2igan.workflow.words import as_list, is_on, read_words, whole_number, with_file

# Where the distinctive loss might help SEN: what each condition changes of the data or of the training. Each is a study
# of its own.
ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-029")
MORE_VOICES = ",".join(accent + variant for accent in ACCENTS for variant in ("", "+f1", "+f3", "+m1", "+m5"))
CONDITIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "fewer classes": {"data_classes": 100},
    "closer classes": {"data_classes": 100, "data_most_values": 3},
    "vaguer captions": {"data_naming": 1},
    "more voices": {"data_voices": MORE_VOICES},
    "noise": {"data_noise_db": 5.0},
    # L_d is slow to learn: its logits are of embeddings of length 1. These two give it time, and larger logits.
    "longer training": {"sen_steps": 1500},
    "longer, larger logits": {"sen_steps": 1500, "sen_distinctive_scale": 10.0},
}
SET_HERE = {"study", "systems", "tables", "dry", *(name for changes in CONDITIONS.values() for name in changes)}


def condition_study(condition: str) -> str:
    """The name of the study of one of `CONDITIONS`."""
    return f"distinctive-{config.slug(condition)}"


def run_distinctive(words: Iterable[str]) -> int:
    """Runs a study of SEN with and without L_d for each condition, then the notebook that compares them.

    Returns the exit status. Raises BadInput before anything is run.
    """
    given = read_given(words)
    if "cores" in given:
        whole_number("cores", given["cores"])
    studies = {
        condition: {**given, **changes, "study": condition_study(condition), "systems": "SEN,SEN w/o L_d"}
        for condition, changes in CONDITIONS.items()
    }
    not_planned = ("list", "cores")
    plans = [
        study.plan({name: value for name, value in values.items() if name not in not_planned})
        for values in studies.values()
    ]
    os.chdir(project_root())
    status = stoppable(lambda: run_conditions(studies))
    if status or is_on("list", given.get("list", 0)):
        return status
    runs = next(iter(plans[-1].of.values())).analysis_runs  # their folders have the same names in every condition
    return compare_conditions(given, runs)


def read_given(words: Iterable[str]) -> dict[str, Any]:
    """Names and values for the studies of all conditions. Raises BadInput for a name that the experiment sets itself,
    or a data set that cannot be made harder."""
    given = with_file(read_words(words))
    if fixed := SET_HERE & set(given):
        raise BadInput(f"parameter {sorted(fixed)[0]!r} is set by the experiment itself: leave it out")
    given = {"datasets": study.DEFAULTS_FULL["datasets"], "seeds": study.DEFAULTS_FULL["seeds"], **given}
    if others := [name for name in as_list(given["datasets"]) if name not in config.SYNTHETIC]:
        raise BadInput(
            f"dataset {others[0]!r}: its classes and captions cannot be made harder; "
            f"choose some of {', '.join(config.SYNTHETIC)}"
        )
    return given


def run_conditions(studies: dict[str, dict[str, Any]]) -> int:
    """One study after the other, each in a process of its own, until one fails. Returns its exit status, or 0."""
    for condition, values in studies.items():
        changes = ", ".join(f"{name}={value}" for name, value in CONDITIONS[condition].items())
        print(f"{condition}: {changes or 'nothing changed'}", flush=True)
        words = [
            f"{name}={','.join(map(str, value)) if isinstance(value, list | tuple) else value}"
            for name, value in values.items()
        ]
        if status := subprocess.run([sys.executable, "-m", "s2igan", "study", *words]).returncode:
            return status
    return 0


def compare_conditions(given: dict[str, Any], runs: tuple[str, ...]) -> int:
    """Runs the notebook that puts the conditions side by side. Returns the exit status."""
    values = {
        "study": "distinctive", "preset": given.get("preset", "mini"),
        "analysis_datasets": as_list(given["datasets"]), "analysis_runs": list(runs),
    }  # fmt: skip
    notebook = Path("notebooks/05_distinctive_loss.ipynb")
    folder = Path("results/distinctive/tables")
    print(f"tables and figures: {folder.absolute()}/", flush=True)
    return run_notebook(notebook, folder / notebook.name, values, label="distinctive")
