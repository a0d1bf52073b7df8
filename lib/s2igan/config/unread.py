"""Which of the parameters that a user gave no stage of a study reads."""

from __future__ import annotations

from collections.abc import Collection

from s2igan.config.datasets import DOWNLOADABLE, SYNTHETIC
from s2igan.config.settings import Settings
from s2igan.config.stages import of_stage
from s2igan.config.systems import RDG_SYSTEMS, SEN_SYSTEMS

# They say how a study runs, and are read by whatever does.
HOW = ("preset", "study", "weights", "dataset", "seed", "system", "threads", "processes", "device", "precision")
_OF_SYNTHETIC = ("data_classes", "data_images_per_class", "data_unseen_images", "data_naming", "data_most_values")
_OF_SYNTHETIC += ("data_unseen_distance", "data_language")
_OF_PROXY = ("data_backbone_steps", "data_backbone_batch", "data_backbone_targets")
_OF_INCEPTION = ("data_backbone_weights", "data_fid_weights")


def unread(
    settings: Settings, sen: Collection[str], rdg: Collection[str], tables: bool, names: Collection[str]
) -> set[str]:
    """Those of `names` that change nothing in a study of these SEN and RDG systems on one data set.

    Args: tables: whether tables over all systems end it. settings: of the data set, with no system.
    """
    read = {*HOW, "eval_batch", "data_language", *of_stage(settings, "data"), *(["analysis_kept"] if tables else [])}
    trained = [] if settings.weights else [("sen", system) for system in sen] + [("rdg", system) for system in rdg]
    for stage, system in trained:
        read |= of_stage(settings.model_copy(update={"system": system}), stage).keys()
    inception = settings.data_backbone == "inception"
    read |= set(of_stage(settings, "classifier")) if inception else set()
    read |= {"download"} if settings.dataset in DOWNLOADABLE else set()
    read -= set(_OF_PROXY if inception else _OF_INCEPTION)
    read -= {"data_images", "data_dir"} if settings.dataset in SYNTHETIC else set(_OF_SYNTHETIC)
    if not any(RDG_SYSTEMS[system]["relation"] for system in rdg):
        read -= {"rdg_relation_weight"}
    lengths = {settings.sen_text_steps if SEN_SYSTEMS[system]["text"] else settings.sen_steps for system in sen}
    read -= set() if None in lengths else {"sen_epochs"}
    read -= set() if settings.rdg_steps is None else {"rdg_epochs"}
    return set(names) - read
