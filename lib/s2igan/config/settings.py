"""Every parameter of the study in one flat, validated, frozen object, and the presets.

The prefix of a name says which stage reads it (`data_`, `sen_`, `rdg_`, `eval_`), so a change reruns only what depends on it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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
    data_backbone: Literal["proxy", "inception"] = "proxy"
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
    rdg_discriminator_lr: Positive = 4.5e-4  # of the discriminators and the relation supervisor
    rdg_betas: tuple[Share, Share] = (0.0, 0.99)  # paper: 0.5, 0.999; without momentum and with a short memory short trainings learn more
    # Paper: 2, which in a short training leaves little of the condition but noise.
    rdg_kl_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.05
    rdg_relation_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    rdg_ema: Share = 0.999  # of the generator's weights
    rdg_ema_warmup: bool = True  # short trainings: min(rdg_ema, (1 + k) / (10 + k)) at step k
    rdg_recalibration_images: Annotated[int, Field(ge=2)] = 1280  # images on which the moving average's BatchNorm statistics are measured
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
        "rdg_kl_weight": 2.0, "rdg_steps": 20_000, "rdg_batch": 64, "rdg_lr": 2e-4, "rdg_discriminator_lr": 2e-4,
        "rdg_betas": (0.5, 0.999), "rdg_sample_every": 2000, "rdg_checkpoint_every": 1000,
    },
    "paper": {
        "data_image_size": 256, "data_crop_from": 304, "data_captions": 10, "data_backbone": "inception",
        "sen_gru_size": 512, "sen_text_channels": (384, 512, 256), "sen_text_rnn_size": 256,
        "sen_steps": None, "sen_text_steps": None, "sen_batch": 128, "sen_lr_decay": "step", "sen_validate_every": 500,
        "rdg_width": 64, "rdg_discriminator_width": 64, "rdg_condition_size": 128, "rdg_noise_size": 100, "rdg_standardise": False,
        "rdg_ema_warmup": False, "rdg_kl_weight": 2.0, "rdg_steps": None, "rdg_batch": 24, "rdg_lr": 2e-4,
        "rdg_discriminator_lr": 2e-4, "rdg_betas": (0.5, 0.999), "rdg_sample_every": 5000, "rdg_checkpoint_every": 1000,
    },
}  # fmt: skip
