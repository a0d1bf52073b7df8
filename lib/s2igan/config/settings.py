"""Every parameter of the study in one flat, validated, frozen object, and the presets.

The prefix of a name says which stage reads it (`data_`, `sen_`, `rdg_`, `eval_`), so a change reruns only what depends
on it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from s2igan.config.engines import ENGINE_VOICES
from s2igan.config.languages import DEFAULT_LANGUAGE

Count = Annotated[int, Field(ge=1, le=10**9)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Settings(BaseModel):
    """The resolved parameters of one run. Sizes are pixels, lengths of training are steps (batches)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # What runs, on what, with what.
    dataset: str = "mini-flowers"  # a row of datasets.py: mini-birds, mini-flowers, cub, oxford or folder
    data_dir: str = ""  # where cub, oxford (by default data/<dataset>) or folder data lies; synthetic sets need none
    preset: Literal["mini", "small", "paper"] = "mini"
    # Folder below results/ and data/; by default the preset.
    study: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] = ""
    # reference: load results/reference/weights instead of training; by default in a study called <preset>-reference.
    weights: Literal["", "reference"] = ""
    system: str = ""  # SEN_SYSTEMS or RDG_SYSTEMS, for the notebooks that train one
    seed: Seed = 0
    download: bool = False  # fetch what is missing of cub or oxford into data_dir, some 2 or 1 GB
    threads: Count = 1  # torch threads of one run; a study runs as many one-thread runs side by side as there are cores
    processes: Count = 1  # that train SEN or RDG together, one a GPU; each takes its rows of a batch
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 autocast where the device multiplies it natively

    # 01_data: images, speech and the networks that turn an image into features.
    data_seed: Seed = 0
    # Of the synthetic sets: the classes (a fifth of them, at most 20, are unseen) and the images drawn of each.
    data_classes: Annotated[int, Field(ge=4)] = 400
    data_images_per_class: Annotated[int, Field(ge=2)] = 5  # of a training class
    data_unseen_images: Annotated[int, Field(ge=2)] = 20  # of an unseen class
    data_naming: Annotated[int, Field(ge=1, le=5)] = 4  # attributes that a caption names beside the usual ones
    data_most_values: Annotated[int, Field(ge=2)] | None = None  # values of an attribute that occur, the first so many
    # Attributes in which an unseen class differs at least from every training class.
    data_unseen_distance: Annotated[int, Field(ge=1, le=8)] = 1
    # Of the captions, rows of languages.py; of several each caption's is drawn from seed, image and caption number.
    data_language: Annotated[tuple[str, ...], Field(min_length=1)] = (DEFAULT_LANGUAGE,)
    # Of data sets in folders: only the first so many images of each class, for trials.
    data_images: Annotated[int, Field(ge=2)] | None = None
    data_validation: Share = 0.1  # share of the training classes held out; every choice is made on them
    data_captions: Count = 2  # spoken captions used of each image, the first ones in file order
    # Recordings of some images and captions of others, which are spoken: the voice may then tell classes apart.
    data_mix_speech: bool = False
    data_engine: str = "espeak"  # what speaks, a row of engines.py: espeak or tacotron2
    # By default the language's. In other languages than English alone, each caption is spoken by those of its language,
    # by all where none is.
    data_voices: Annotated[tuple[str, ...], Field(min_length=1)] = ENGINE_VOICES["espeak"]
    data_words_per_minute: Annotated[int, Field(ge=80, le=450)] = 230
    # White noise in spoken captions, so many dB below the voice.
    data_noise_db: Annotated[float, Field(allow_inf_nan=False)] | None = None
    data_image_size: Literal[8, 16, 32, 64, 128, 256] = 32  # the largest generated image
    data_crop_from: Count = 34  # short side of the stored image, from which training crops `data_image_size`
    data_flip: bool | None = None  # mirror training images; by default not on synthetic sets
    data_backbone: Literal["proxy", "inception"] = "proxy"
    # Weights of Inception-v3: imagenet (downloaded once), a path, or random (for dry runs). Of FID's Inception:
    # pytorch-fid (downloaded once), a path to that file, or random.
    data_backbone_weights: str = "imagenet"
    data_fid_weights: str = "pytorch-fid"
    # What the proxy that SEN and RS see through learns from: the visible attributes that captions name and classes, the
    # classes alone, or nothing but the images. The evaluator, which scores, always learns from attributes.
    data_backbone_targets: Literal["attributes", "classes", "none"] = "attributes"
    data_backbone_steps: Count = 200  # training steps of each proxy feature network
    data_backbone_batch: Count = 64

    # 02_sen: speech embedding network.
    sen_conv_channels: tuple[Count, Count] = (64, 128)
    sen_gru_size: Count = 128  # of one direction; an embedding has twice as many values
    sen_attention_size: Count = 128
    sen_text_channels: tuple[Count, Count, Count] = (128, 128, 128)  # of the text baseline's char-CNN-RNN
    sen_text_rnn_size: Count = 128
    # Of the text encoder, which learns to spell first; None: sen_epochs decides.
    sen_text_steps: int | None = Field(1000, ge=1, le=10**9)
    # Retrieval is good after 150 steps, but a generator follows the words better after 300 (validation mAP 62 and 75).
    sen_steps: int | None = Field(300, ge=1, le=10**9)  # None: sen_epochs decides
    sen_epochs: Count = 150
    sen_batch: Annotated[int, Field(ge=2)] = 64
    sen_lr: Positive = 1e-3
    sen_betas: tuple[Share, Share] = (0.95, 0.999)
    sen_weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3
    sen_lr_decay: Literal["step", "linear"] = "linear"  # step: x0.1 every 50 epochs (released); linear: to 0
    # 0: a new random crop of each image at every step (released); k: one of k fixed crops, with features computed once.
    sen_crops: Annotated[int, Field(ge=0)] = 0
    sen_scale: Positive = 10.0  # factor on the cosines in the matching loss
    sen_distinctive_scale: Positive = 1.0  # factor on the logits of L_d's classifier; another than 1 is not the paper's
    sen_validate_every: Count = 50  # steps between validations; the best one's weights are kept

    # 02_classifier: Inception-v3 fine-tuned on the unseen classes, for the Inception Score of data_backbone inception.
    classifier_epochs: Count = 30
    classifier_batch: Annotated[int, Field(ge=2)] = 32
    classifier_lr: Positive = 1e-4
    classifier_held_out: Count = 5  # one image in so many is held out, to measure the accuracy

    # 03_rdg: relation-supervised densely-stacked generator.
    rdg_width: Annotated[int, Field(ge=2, multiple_of=2)] = 64  # channels after G's first stage, halved at each other
    rdg_discriminator_width: Count = 48  # channels of a discriminator's first layer
    rdg_stages: Annotated[int, Field(ge=1, le=4)] = 3
    rdg_condition_size: Count = 256
    rdg_noise_size: Count = 16
    rdg_relation_size: Count = 128
    rdg_standardise: bool = True  # speech embeddings to zero mean and unit variance, by statistics of the training set
    rdg_steps: int | None = Field(2000, ge=1, le=10**9)  # None: rdg_epochs decides
    rdg_epochs: Count = 600
    rdg_batch: Annotated[int, Field(ge=2)] = 32
    rdg_lr: Positive = 1e-3  # of the generator
    rdg_discriminator_lr: Positive = 4.5e-4  # of the discriminators and the relation supervisor
    # Paper: 0.5, 0.999. A short training learns more without momentum and with a short memory.
    rdg_betas: tuple[Share, Share] = (0.0, 0.99)
    # Paper: 2. In a short training that leaves little of the condition but noise.
    rdg_kl_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.05
    rdg_relation_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    rdg_ema: Share = 0.999  # of the generator's weights
    rdg_ema_warmup: bool = True  # short trainings: min(rdg_ema, (1 + k) / (10 + k)) at step k
    rdg_recalibration_images: Annotated[int, Field(ge=2)] = 1280  # for the BatchNorm statistics of the moving average
    rdg_log_every: Count = 50
    rdg_checkpoint_every: Count = 250  # steps
    rdg_sample_every: Count = 500  # steps between sample grids and validation mAP

    # Evaluation, at the end of 02_sen and 03_rdg.
    eval_batch: Count = 200
    eval_splits: Count = 10  # of the Inception Score

    # 04_analysis, 05_tables, 05_figures
    analysis_runs: tuple[str, ...] = ()  # folder names of the runs that they read; none given: every finished run
    analysis_datasets: tuple[str, ...] = ()  # data sets that 05 reads; none given: all that the study has
    analysis_kept: str = ""  # folder such as results/reference/runs; its runs of other seeds count in 05's tables too

    # 07_cost
    cost_systems: tuple[str, ...] = ()  # of RDG_SYSTEMS; none given: the paper's
    cost_batch: Count | None = None  # of the steps that are timed; None: the preset's on a GPU, 4 on a CPU
    cost_seeds: Count = 3  # of SEN and RDG
    cost_gpu: str = "H100 SXM"  # a GPU to plan for, beside the one at hand
    cost_gpu_peak: Positive = 989.0  # its TFLOP/s by the data sheet, dense bf16
    cost_gpu_share: Annotated[float, Field(gt=0, le=1)] = 0.1  # share of them that training reaches; assumed
    cost_gpu_hour: Positive = 2.5  # price of an hour of it, in your currency


# The presets that a CPU trains in hours. At any other, a GPU that is missing or does not compute is an error.
CPU_PRESETS = ("mini",)

# What a preset changes of the defaults above. The defaults are preset `mini`.
PRESETS: dict[str, dict[str, Any]] = {
    "mini": {},
    "small": {
        "data_image_size": 64, "data_crop_from": 76, "data_captions": 10, "data_backbone_steps": 2000,
        "sen_gru_size": 256, "sen_text_channels": (256, 256, 256), "sen_text_rnn_size": 256,
        "sen_steps": 3000, "sen_text_steps": 6000, "sen_batch": 128, "sen_validate_every": 300,
        "rdg_width": 64, "rdg_discriminator_width": 32, "rdg_condition_size": 128, "rdg_noise_size": 100,
        "rdg_kl_weight": 2.0, "rdg_steps": 20_000, "rdg_batch": 64, "rdg_lr": 2e-4, "rdg_discriminator_lr": 2e-4,
        "rdg_betas": (0.5, 0.999), "rdg_sample_every": 2000, "rdg_checkpoint_every": 1000,
    },
    "paper": {
        "data_image_size": 256, "data_crop_from": 304, "data_captions": 10, "data_backbone": "inception",
        "sen_gru_size": 512, "sen_text_channels": (384, 512, 256), "sen_text_rnn_size": 256,
        "sen_steps": None, "sen_text_steps": None, "sen_batch": 128, "sen_lr_decay": "step", "sen_validate_every": 500,
        "rdg_width": 64, "rdg_discriminator_width": 64, "rdg_condition_size": 128, "rdg_noise_size": 100,
        "rdg_standardise": False, "rdg_ema_warmup": False, "rdg_kl_weight": 2.0, "rdg_steps": None, "rdg_batch": 24,
        "rdg_lr": 2e-4, "rdg_discriminator_lr": 2e-4, "rdg_betas": (0.5, 0.999), "rdg_sample_every": 5000,
        "rdg_checkpoint_every": 1000,
    },
}  # fmt: skip
