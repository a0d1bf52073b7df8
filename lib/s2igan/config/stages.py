"""Which settings each stage reads, so that a change of any of them, and of no other, reruns it."""

from __future__ import annotations

from typing import Any

from s2igan.config.settings import Settings
from s2igan.config.systems import RDG_SYSTEMS, SEN_SYSTEMS

# Which settings each stage reads. `threads`, `processes`, `device` and `download` are left out on purpose: they change how a run
# comes about, not what it is.
_STAGE_PREFIXES = {
    "data": ("data_", "eval_splits"),
    "classifier": ("classifier_", "eval_splits"),
    "sen": ("sen_", "eval_"),
    "rdg": ("rdg_", "eval_"),
    "analysis": ("analysis_runs",),
    "tables": ("analysis_",),
    "cost": ("cost_",),
}


def of_stage(settings: Settings, stage: str) -> dict[str, Any]:
    """The settings that a stage (data, classifier, sen, rdg, analysis, tables, cost) reads: those whose change means another result."""
    common = ["preset", "study"] + (["dataset"] if stage != "tables" else [])
    if stage == "data":
        common += ["data_dir"]
    if stage in ("sen", "rdg"):
        common += ["system", "seed", "precision"]
    if stage in ("classifier", "sen", "rdg"):
        common += ["data_image_size", "data_flip"]
    if stage == "classifier":
        common += ["precision", "data_seed", "data_backbone", "data_backbone_weights"]
    prefixes, without = _STAGE_PREFIXES[stage], ()
    if stage == "sen":
        text = SEN_SYSTEMS.get(settings.system, {}).get("text")
        without = ("sen_conv_channels", "sen_attention_size", "sen_steps") if text else ("sen_text_",)
    if stage == "rdg" and settings.system in RDG_SYSTEMS and RDG_SYSTEMS[settings.system]["sen"] is None:
        # Its speech encoder learns in this very run, at RDG's pace.
        common += [f"sen_{name}" for name in ("conv_channels", "gru_size", "attention_size", "lr", "betas", "weight_decay", "scale")]
    return {name: value for name, value in _dump(settings, (*common, *prefixes)).items() if not name.startswith(tuple(without))}


def read_up_to(settings: Settings, stage: str) -> dict[str, Any]:
    """All settings that a stage or any before it may read, whatever the system."""
    if stage == "tables":
        return of_stage(settings, stage)
    names = ["preset", "study", "dataset", "data_dir"] + (["system", "seed"] if stage in ("sen", "rdg") else [])
    names += ["precision"] if stage in ("classifier", "sen", "rdg") else []
    order = list(_STAGE_PREFIXES)
    for name in order[: order.index(stage) + 1]:
        names += _STAGE_PREFIXES[name]
    return _dump(settings, tuple(names))


def _dump(settings: Settings, names: tuple[str, ...]) -> dict[str, Any]:
    """The settings of these names, a name that ends in _ stands for all that begin with it; and `weights` where any are loaded: so the
    settings of a run that trains are what they were before there was a choice."""
    whole, prefixes = {name for name in names if not name.endswith("_")}, tuple(name for name in names if name.endswith("_"))
    whole |= {"weights"} if settings.weights else set()
    return {name: value for name, value in settings.model_dump(mode="json").items() if name in whole or name.startswith(prefixes)}


def identity(settings: Settings, stage: str) -> dict[str, Any]:
    """The settings that make a checkpoint what it is: not the study's name, nor how often a run is logged, saved or sampled."""
    skip = ("eval_", "rdg_checkpoint_every", "rdg_log_every", "rdg_sample_every", "rdg_recalibration_images", "study")
    return {name: value for name, value in of_stage(settings, stage).items() if not name.startswith(skip)}


def notebook_parameters(values: Settings, stage: str, threads: int = 1) -> dict[str, Any]:
    """What a stage's notebook is given and params.yaml keeps: all settings that it or a stage before it reads, and where it runs."""
    how = {"threads": threads, "processes": values.processes, "device": values.device, "download": values.download}
    return {**read_up_to(values, stage), **how}
