"""Which settings each stage reads, so that a change of any of them, and of no other, reruns it."""

from __future__ import annotations

from typing import Any

from s2igan.config.languages import DEFAULT_LANGUAGE
from s2igan.config.settings import Settings
from s2igan.config.systems import RDG_SYSTEMS, SEN_SYSTEMS

# A name that ends in _ stands for all settings that begin with it. `threads`, `processes`, `device` and `download` are
# left out: they change how a run comes about, not what it is.
_STAGE_PREFIXES = {
    "data": ("data_", "eval_splits"),
    "classifier": ("classifier_", "eval_splits"),
    "sen": ("sen_", "eval_"),
    "rdg": ("rdg_", "eval_"),
    "analysis": ("analysis_runs",),
    "tables": ("analysis_",),
    "cost": ("cost_",),
}
# What a stage reads beside them.
_ALSO_READ = {
    "data": ("dataset", "data_dir"),
    "classifier": (
        "dataset", "data_image_size", "data_flip", "precision", "data_seed", "data_backbone", "data_backbone_weights",
    ),
    "sen": ("dataset", "system", "seed", "precision", "data_image_size", "data_flip"),
    "rdg": ("dataset", "system", "seed", "precision", "data_image_size", "data_flip"),
    "analysis": ("dataset",),
    "tables": (),
    "cost": ("dataset",),
}  # fmt: skip
# The settings of SEN that RDG reads where the speech encoder learns in RDG's run.
_SEN_IN_RDG = (
    "sen_conv_channels", "sen_gru_size", "sen_attention_size", "sen_lr", "sen_betas", "sen_weight_decay", "sen_scale",
    "sen_distinctive_scale",
)  # fmt: skip


def of_stage(settings: Settings, stage: str) -> dict[str, Any]:
    """The settings that a stage (data, classifier, sen, rdg, analysis, tables, cost) reads: a change of one means
    another result."""
    names = ("preset", "study", *_ALSO_READ[stage], *_STAGE_PREFIXES[stage])
    without: tuple[str, ...] = ()
    if stage == "sen":
        reads_text = SEN_SYSTEMS.get(settings.system, {}).get("text")
        without = ("sen_conv_channels", "sen_attention_size", "sen_steps") if reads_text else ("sen_text_",)
    if stage == "rdg" and settings.system in RDG_SYSTEMS and RDG_SYSTEMS[settings.system]["sen"] is None:
        names += _SEN_IN_RDG
    return {name: value for name, value in _dump(settings, names).items() if not name.startswith(without)}


def definition(settings: Settings, stage: str) -> dict[str, Any]:
    """What the system of a SEN or RDG run is made of, its row of the table. Other stages belong to no system: {}.

    `paper` is left out: it decides where a system is shown, not what it is.
    """
    row = {"sen": SEN_SYSTEMS, "rdg": RDG_SYSTEMS}.get(stage, {}).get(settings.system, {})
    return {name: value for name, value in row.items() if name != "paper"}


def read_up_to(settings: Settings, stage: str) -> dict[str, Any]:
    """All settings that a stage or any stage before it may read, whatever the system."""
    if stage == "tables":
        return of_stage(settings, stage)
    names = ["preset", "study", "dataset", "data_dir"] + (["system", "seed"] if stage in ("sen", "rdg") else [])
    names += ["precision"] if stage in ("classifier", "sen", "rdg") else []
    order = list(_STAGE_PREFIXES)
    for name in order[: order.index(stage) + 1]:
        names += _STAGE_PREFIXES[name]
    return _dump(settings, tuple(names))


def _dump(settings: Settings, names: tuple[str, ...]) -> dict[str, Any]:
    """The settings of these names, in the order of the class. `weights`, `data_mix_speech` and `data_language` are
    among them only where they are given, so that the settings of other runs are the same as before these parameters
    existed."""
    whole = {name for name in names if not name.endswith("_")} | {"weights"}
    prefixes = tuple(name for name in names if name.endswith("_"))
    dumped = settings.model_dump(mode="json")
    left_out = {name for name in ("weights", "data_mix_speech") if not dumped[name]}
    left_out |= {"data_language"} if set(dumped["data_language"]) == {DEFAULT_LANGUAGE} else set()
    return {
        name: value for name, value in dumped.items()
        if (name in whole or name.startswith(prefixes)) and name not in left_out
    }  # fmt: skip


def identity(settings: Settings, stage: str) -> dict[str, Any]:
    """What a checkpoint depends on: the system's definition and the settings that the training reads. Left out are the
    study's name and how often a run is logged, saved or sampled."""
    skip = ("eval_", "rdg_checkpoint_every", "rdg_log_every", "rdg_sample_every", "rdg_recalibration_images", "study")
    read = {name: value for name, value in of_stage(settings, stage).items() if not name.startswith(skip)}
    return {**read, "definition": definition(settings, stage)}


def notebook_parameters(values: Settings, stage: str, threads: int = 1) -> dict[str, Any]:
    """What a stage's notebook is given and params.yaml keeps: all settings that it or a stage before it reads, and
    where it runs."""
    how = {"threads": threads, "processes": values.processes, "device": values.device, "download": values.download}
    return {**read_up_to(values, stage), **how}
