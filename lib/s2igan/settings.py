"""Every parameter of the study in one flat, validated, frozen object.

A notebook's parameters cell, a `NAME=value` after `make study`, and a YAML file all end in `resolve`, which starts from the
defaults below, lays the preset over them, then what the user gave, and refuses names and values that do not exist.
The prefix of a name says which stage reads it (`data_`, `sen_`, `rdg_`, `eval_`), so a change reruns only what depends on it.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s2igan import BadInput

DATASETS = ("mini-birds", "mini-flowers", "cub", "oxford", "folder")
EMBEDDED = ("mini-birds", "mini-flowers")
FETCHED = ("cub", "oxford")  # can be downloaded

# What turns a caption into a vector. `text`: the caption is read by a char-CNN-RNN; the others hear it.
SEN_SYSTEMS: dict[str, dict[str, Any]] = {
    "SEN": {"distinctive": True, "text": False},
    "SEN w/o L_d": {"distinctive": False, "text": False},
    "text encoder": {"distinctive": True, "text": True},
}
# The systems of the paper's tables (its Tables 1 and 2). `sen` names the embedding
# that conditions the generator; None: the speech encoder starts untrained and learns in the same run, with the generator's loss alone
# or (`matching`) with SEN's losses as well.
RDG_SYSTEMS: dict[str, dict[str, Any]] = {
    "S2IGAN": {"sen": "SEN", "dense": True, "relation": True, "matching": False},
    "S2IGAN w/o Dense": {"sen": "SEN", "dense": False, "relation": True, "matching": False},
    "S2IGAN w/o RS": {"sen": "SEN", "dense": True, "relation": False, "matching": False},
    "S2IGAN w/o SEN": {"sen": None, "dense": True, "relation": True, "matching": False},
    "S2IGAN end-to-end": {"sen": None, "dense": True, "relation": True, "matching": True},
    "S2IGAN w/o L_d": {"sen": "SEN w/o L_d", "dense": True, "relation": True, "matching": False},
    "StackGAN-v2 (S2IG)": {"sen": "SEN", "dense": False, "relation": False, "matching": False},
    "StackGAN-v2 (T2IG)": {"sen": "text encoder", "dense": False, "relation": False, "matching": False},
}
REFERENCE_SYSTEMS = ("SEN", "SEN w/o L_d", "text encoder", "S2IGAN")  # of which results/reference/weights has networks
DEFAULT_SYSTEMS = ("S2IGAN", "S2IGAN w/o L_d")  # what `make study` trains; `make study-full` trains all

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """The resolved parameters of one run. Sizes are pixels, lengths of training are steps (batches)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # What runs, on what, with what.
    dataset: Literal["mini-birds", "mini-flowers", "cub", "oxford", "folder"] = "mini-flowers"
    data_dir: str = ""  # where cub, oxford (by default data/<dataset>) or folder data lies; the embedded sets need none
    preset: Literal["mini", "small", "paper"] = "mini"
    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = ""  # folder below results/ and data/; by default the preset
    # reference: load results/reference/weights where a training would start; such runs are a study of their own, <preset>-reference.
    weights: Literal["", "reference"] = ""
    system: str = ""  # SEN_SYSTEMS or RDG_SYSTEMS, for the notebooks that train one
    seed: Seed = 0
    download: bool = False  # fetch what is missing of cub or oxford into data_dir, some 2 or 1 GB
    threads: Count = 1  # torch threads of one run; the study runs as many one-thread runs side by side as there are cores
    processes: Count = 1  # that train SEN or RDG together, one a GPU; each takes its rows of a batch
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 autocast where the device multiplies it natively

    # 01_data: pictures, speech and the networks that turn a picture into features.
    data_seed: Seed = 0
    data_classes: Annotated[int, Field(ge=4)] = 400  # classes drawn (embedded sets); of them a fifth, at most 20, unseen
    data_images_per_class: Annotated[int, Field(ge=2)] = 5  # pictures drawn of a training class (embedded sets)
    data_unseen_images: Annotated[int, Field(ge=2)] = 20  # and of an unseen class
    data_images: Annotated[int, Field(ge=2)] | None = None  # of each class the first so many, for trials of data sets in folders
    data_naming: Annotated[int, Field(ge=1, le=5)] = 4  # attributes that a caption names beside the usual ones (embedded sets)
    data_most_values: Annotated[int, Field(ge=2)] | None = None  # an attribute takes its first so many values alone (embedded sets)
    data_validation: Share = 0.1  # share of the training classes held out; every choice is made on them
    data_captions: Count = 2  # spoken captions used of each image, the first ones in file order
    data_engine: Literal["espeak", "tacotron2"] = "espeak"  # what speaks; tacotron2, as the authors' captions, wants a GPU
    data_voices: Annotated[tuple[str, ...], Field(min_length=1)] = ("en-us", "en-gb", "en-gb-scotland", "en-us+f3", "en-gb+f4")
    data_words_per_minute: Annotated[int, Field(ge=80, le=450)] = 230
    data_noise_db: Annotated[float, Field(allow_inf_nan=False)] | None = None  # white noise in spoken captions, so many dB below the voice
    data_image_size: Literal[8, 16, 32, 64, 128, 256] = 32  # the largest generated image
    data_crop_from: Count = 34  # short side of the stored image, from which training crops `data_image_size`
    data_flip: bool | None = None  # mirror training images; by default everything but the embedded sets, whose birds face right
    data_backbone: Literal["standin", "inception"] = "standin"
    data_backbone_weights: str = "imagenet"  # of Inception-v3: imagenet (fetched once), a path, or random (dry runs: DRY=1)
    data_fid_weights: str = "pytorch-fid"  # of FID's own Inception: pytorch-fid (fetched once), or a path to that file; random as above
    data_backbone_steps: Count = 200  # training steps of each stand-in network
    data_backbone_batch: Count = 64

    # 02_sen: speech embedding network.
    sen_conv_channels: tuple[Count, Count] = (64, 128)
    sen_gru_size: Count = 128  # of one direction; an embedding has twice as many values
    sen_attention_size: Count = 128
    sen_text_channels: tuple[Count, Count, Count] = (128, 128, 128)  # of the text baseline's char-CNN-RNN
    sen_text_rnn_size: Count = 128
    sen_text_steps: int | None = Field(1000, ge=1)  # of the text encoder, which learns to spell first; None: sen_epochs decides
    # Retrieval is good after 150 steps; a generator follows the words better in the space that 300 leave (validation mAP 62 and 75).
    sen_steps: int | None = Field(300, ge=1)  # None: sen_epochs decides
    sen_epochs: Count = 150
    sen_batch: Annotated[int, Field(ge=2)] = 64
    sen_lr: Positive = 1e-3
    sen_betas: tuple[Share, Share] = (0.95, 0.999)
    sen_weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3
    sen_lr_decay: Literal["step", "linear"] = "linear"  # step: x0.1 every 50 epochs (released); linear: to zero from half-way
    # 0: a new random crop of each image at every step (released); k: one of k fixed crops, whose backbone features are computed once.
    sen_crops: Annotated[int, Field(ge=0)] = 0
    sen_scale: Positive = 10.0  # factor on the cosines in the matching loss
    sen_validate_every: Count = 50  # steps between validations; the best one's weights are kept

    # 02_classifier: Inception-v3 fine-tuned on the unseen classes, for the Inception Score where data_backbone is inception.
    classifier_epochs: Count = 30
    classifier_batch: Annotated[int, Field(ge=2)] = 32
    classifier_lr: Positive = 1e-4
    classifier_held_out: Count = 5  # every so many-th image of a class is kept out, to measure the accuracy

    # 03_rdg: relation-supervised densely-stacked generator.
    rdg_width: Annotated[int, Field(ge=2, multiple_of=2)] = 64  # channels after G's first stage, halved at each later one
    rdg_discriminator_width: Count = 48  # channels of a discriminator's first layer
    rdg_stages: Annotated[int, Field(ge=1, le=4)] = 3
    rdg_condition_size: Count = 256
    rdg_noise_size: Count = 16
    rdg_relation_size: Count = 128
    rdg_standardise: bool = True  # zero mean and unit variance a dimension of the speech embedding, from training statistics
    rdg_steps: int | None = Field(2000, ge=1)  # None: rdg_epochs decides
    rdg_epochs: Count = 600
    rdg_batch: Annotated[int, Field(ge=2)] = 32
    rdg_lr: Positive = 1e-3  # of the generator
    rdg_critic_lr: Positive = 4.5e-4  # of the discriminators and the relation supervisor
    rdg_betas: tuple[Share, Share] = (0.0, 0.99)  # paper: 0.5, 0.999; without momentum and with a short memory short trainings learn more
    # Paper: 2, which in a short training leaves little of the condition but noise.
    rdg_kl_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.05
    rdg_relation_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    rdg_ema: Share = 0.999  # of the generator's weights
    rdg_ema_warmup: bool = True  # short trainings: min(rdg_ema, (1 + k) / (10 + k)) at step k
    rdg_settle: Annotated[int, Field(ge=2)] = 1280  # images on which the moving average's BatchNorm statistics are measured
    rdg_log_every: Count = 50
    rdg_checkpoint_every: Count = 250  # steps
    rdg_sample_every: Count = 500  # steps between sample grids and validation mAP

    # Evaluation, at the end of 02_sen and 03_rdg.
    eval_batch: Count = 200
    eval_splits: Count = 10  # of the Inception Score

    # 04_analysis, 05_tables_and_figures
    analysis_runs: tuple[str, ...] = ()  # folder names of the runs that they read; none named: every finished run
    analysis_datasets: tuple[str, ...] = ()  # data sets that 05 reads; none named: all that the study has
    analysis_kept: str = ""  # folder such as results/reference/runs, whose runs of other seeds count in 05's tables too

    # 07_cost
    cost_batch: Count | None = None  # of the steps that are timed; None: the preset's on a GPU, 4 on a CPU
    cost_seeds: Count = 3  # of SEN and RDG
    cost_gpu: str = "H100 SXM"  # a GPU to plan for beside the one at hand,
    cost_gpu_peak: Positive = 989.0  # its TFLOP/s by its data sheet: dense bf16,
    cost_gpu_share: Annotated[float, Field(gt=0, le=1)] = 0.1  # and the share of them that training reaches: assumed, if not measured
    cost_gpu_hour: Positive = 2.5  # what an hour of it costs, in your currency


# What a preset lays over the defaults above, which are those of `mini`.
PRESETS: dict[str, dict[str, Any]] = {
    "mini": {},
    "small": {
        "data_image_size": 64, "data_crop_from": 76, "data_captions": 10, "data_backbone_steps": 2000,
        "sen_gru_size": 256, "sen_text_channels": (256, 256, 256), "sen_text_rnn_size": 256,
        "sen_steps": 3000, "sen_text_steps": 6000, "sen_batch": 128, "sen_validate_every": 300,
        "rdg_width": 64, "rdg_discriminator_width": 32, "rdg_condition_size": 128, "rdg_noise_size": 100,
        "rdg_kl_weight": 2.0, "rdg_steps": 20_000, "rdg_batch": 64, "rdg_lr": 2e-4, "rdg_critic_lr": 2e-4,
        "rdg_betas": (0.5, 0.999), "rdg_sample_every": 2000, "rdg_checkpoint_every": 1000,
    },
    "paper": {
        "data_image_size": 256, "data_crop_from": 304, "data_captions": 10, "data_backbone": "inception",
        "sen_gru_size": 512, "sen_text_channels": (384, 512, 256), "sen_text_rnn_size": 256,
        "sen_steps": None, "sen_text_steps": None, "sen_batch": 128, "sen_lr_decay": "step", "sen_validate_every": 500,
        "rdg_width": 64, "rdg_discriminator_width": 64, "rdg_condition_size": 128, "rdg_noise_size": 100, "rdg_standardise": False,
        "rdg_ema_warmup": False, "rdg_kl_weight": 2.0, "rdg_steps": None, "rdg_batch": 24, "rdg_lr": 2e-4,
        "rdg_critic_lr": 2e-4, "rdg_betas": (0.5, 0.999), "rdg_sample_every": 5000, "rdg_checkpoint_every": 1000,
    },
}  # fmt: skip

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


def resolve(parameters: dict[str, Any]) -> Settings:
    """Defaults, then the preset's values, then `parameters`; values may be strings as they come from a command line.

    Raises BadInput, one line for the first fault: an unknown name (with the nearest known one) or a value out of range.
    """
    for name in parameters:
        if not isinstance(name, str):
            raise BadInput(f"parameter name {name!r} is no text: write it as in lib/s2igan/settings.py")
        if name not in Settings.model_fields:
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "lib/s2igan/settings.py lists all parameters"
            raise BadInput(f"unknown parameter {name!r}: {hint}")
    preset = parameters.get("preset", Settings.model_fields["preset"].default)
    if not isinstance(preset, str) or preset not in PRESETS:
        raise BadInput(f"preset {preset!r} does not exist: choose one of {', '.join(PRESETS)}")
    values = {**PRESETS[preset], **parameters}
    dataset = values.get("dataset", Settings.model_fields["dataset"].default)
    if not isinstance(dataset, str) or dataset not in DATASETS:
        raise BadInput(f"dataset {dataset!r} does not exist: choose one of {', '.join(DATASETS)}")
    for name, value in values.items():
        if isinstance(value, str) and "tuple" in str(Settings.model_fields[name].annotation):
            values[name] = tuple(part.strip() for part in value.split(",") if part.strip())
        if isinstance(value, str) and value.lower() in ("none", "null") and "None" in str(Settings.model_fields[name].annotation):
            values[name] = None
        if name == "data_image_size" and isinstance(value, str) and value.isdecimal():
            values[name] = int(value)  # pydantic turns texts into numbers, but not into one of a list of numbers
    values["study"] = values.get("study") or (f"{preset}-reference" if values.get("weights") else preset)
    if dataset in FETCHED and not values.get("data_dir"):
        values["data_dir"] = f"data/{dataset}"
    if values.get("data_flip") is None:
        values["data_flip"] = dataset not in EMBEDDED
    if values.get("data_engine") == "tacotron2" and "data_voices" not in parameters:
        values["data_voices"] = ("en-us",)  # it has no other
    try:
        settings = Settings(**values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadInput(f"parameter {fault['loc'][0]!r} is {fault['input']!r}: {fault['msg'][0].lower()}{fault['msg'][1:]}") from None
    if settings.data_crop_from < settings.data_image_size:
        raise BadInput(
            f"parameter 'data_crop_from' is {settings.data_crop_from}: it must be at least data_image_size, {settings.data_image_size}"
        )
    if settings.data_image_size < 8 * 2 ** (settings.rdg_stages - 1):
        raise BadInput(f"parameter 'rdg_stages' is {settings.rdg_stages}: too many for data_image_size {settings.data_image_size}, "
                       "whose smallest stage must have at least 8 pixels")  # fmt: skip
    if settings.rdg_width < 2 ** (settings.rdg_stages - 1):
        raise BadInput(f"parameter 'rdg_width' is {settings.rdg_width}: {settings.rdg_stages} stages halve it, so that it must be at least "
                       f"{2 ** (settings.rdg_stages - 1)}")  # fmt: skip
    for name in ("sen_batch", "rdg_batch"):
        batch = getattr(settings, name)
        if settings.processes > 1 and (batch % settings.processes or batch < 2 * settings.processes):
            raise BadInput(f"parameter 'processes' is {settings.processes}: {name}, {batch}, cannot be split evenly among them in parts of "
                           "two or more")  # fmt: skip
    if settings.study == "reference":
        raise BadInput("parameter 'study' is 'reference': results/reference is for results that are kept, choose another name")
    if settings.weights and settings.dataset not in EMBEDDED:
        raise BadInput(f"parameter 'weights' is {settings.weights!r}: there are none of {settings.dataset}, only of {', '.join(EMBEDDED)}")
    known_systems = {"", *SEN_SYSTEMS, *RDG_SYSTEMS}
    if settings.system not in known_systems:
        raise BadInput(f"system {settings.system!r} does not exist: choose one of {', '.join([*SEN_SYSTEMS, *RDG_SYSTEMS])}")
    return settings


def from_notebook(namespace: dict[str, Any], systems: Iterable[str] = ()) -> Settings:
    """Settings from a notebook's globals, once its parameters cell (and papermill's injected one) has run.

    Every plain value in the namespace counts as a parameter, so that a mistyped name is refused and not silently ignored.

    Args: systems: those that the notebook trains, if it trains one. Raises BadInput for another, and as `resolve`.
    """
    plain = (bool, int, float, str, list, tuple, dict, types.NoneType)
    jupyter = {"In", "Out", "exit", "quit"}
    given = {k: v for k, v in namespace.items() if isinstance(v, plain) and not k.startswith("_") and k not in jupyter and not k.isupper()}
    if isinstance(namespace.get("settings"), Settings):  # the cell is run again, when later cells have left values of their own
        given = {name: value for name, value in given.items() if name in Settings.model_fields}
    settings = resolve(given)
    if systems and settings.system not in systems:
        raise BadInput(f"system {settings.system!r} is not trained in this notebook: choose one of {', '.join(systems)}")
    return settings


def from_yaml(path: str | Path) -> dict[str, Any]:
    """Parameters written as `name: value` lines. Raises BadInput if the file is missing or is no such mapping."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"parameter file {path} does not exist")
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise BadInput(f"parameter file {path} is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise BadInput(f"parameter file {path} must hold 'name: value' lines")
    return values


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
    skip = ("eval_", "rdg_checkpoint_every", "rdg_log_every", "rdg_sample_every", "rdg_settle", "study")
    return {name: value for name, value in of_stage(settings, stage).items() if not name.startswith(skip)}


def slug(system: str) -> str:
    """A system's name as part of a folder name: 'S2IGAN w/o L_d' -> 's2igan-wo-ld'."""
    return re.sub(r"[^a-z0-9]+", "-", system.lower().replace("w/o", "wo").replace("l_d", "ld")).strip("-")


def run_dir(settings: Settings, stage: str, system: str = "", seed: int | None = None, root: str | Path = ".") -> Path:
    """`results/<study>/<dataset>/<stage>-<system>-seed<k>`; the data stage is `data-store-seed<k>`, the analysis `analysis`; tables over
    all data sets are in `results/<study>/tables`, what a study costs in `results/<study>/cost`."""
    base = Path(root) / "results" / settings.study / settings.dataset
    if stage == "data":
        return base / f"data-store-seed{settings.data_seed}"
    if stage == "classifier":
        return base / f"classifier-inception-seed{settings.data_seed}"
    if stage == "analysis":
        return base / "analysis"
    if stage in ("tables", "cost"):
        return base.parent / stage
    return base / f"{stage}-{slug(system or settings.system)}-seed{settings.seed if seed is None else seed}"


def store_dir(settings: Settings, root: str | Path = ".") -> Path:
    """`data/<study>/<dataset>`: the memory-mapped images and log-mels that every run reads."""
    return Path(root) / "data" / settings.study / settings.dataset
