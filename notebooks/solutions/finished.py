"""What the solutions start from: a finished study, opened. `python notebooks/solutions/02_sen.py` runs those of one
notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from s2igan import BadInput, sen
from s2igan.config import Settings
from s2igan.data.store import Store
from s2igan.evaluation.finished import open_run
from s2igan.files import project_root
from s2igan.rdg import Generator

STUDIES = ("mini", "mini-reference")  # of `make study`; of `make read`, which trains nothing


@dataclass(frozen=True)
class Finished:
    """The networks and data of one seed of a study, N images and M captions."""

    settings: Settings  # of its SEN, for further trainings
    store: Store
    backbone: nn.Module
    evaluator: nn.Module
    features: dict[str, Tensor]  # of all images, by network, [N, 128] each
    net: sen.SEN
    generator: Generator  # of S2IGAN
    speech_embeddings: Tensor  # of all captions as the generator takes them, [M, D]
    folder: Path  # results/<study>/<dataset>


def find_study(root: Path, dataset: str = "mini-flowers") -> Path:
    """The folder of the first of `STUDIES` that has finished on a data set. Raises BadInput where none has."""
    runs = ("data-store-seed0", "sen-sen-seed0", "rdg-s2igan-seed0")
    for study in STUDIES:
        folder = root / "results" / study / dataset
        if all((folder / run / "metrics.json").is_file() for run in runs):
            return folder
    raise BadInput(f"no finished study of {dataset} in {root / 'results'}: `make read` or `make study` makes one")


def open_study(dataset: str = "mini-flowers") -> Finished:
    """Opens what `make study`, or else `make read`, left. Raises BadInput where neither has run."""
    folder = find_study(project_root(), dataset)
    torch.set_num_threads(1)
    of_sen, of_rdg = (open_run(folder / run) for run in ("sen-sen-seed0", "rdg-s2igan-seed0"))
    return Finished(
        settings=of_rdg.settings.model_copy(update={"weights": "", "system": "SEN"}),
        store=of_sen.store,
        backbone=of_sen.network("backbone"),
        evaluator=of_sen.network("evaluator"),
        features=of_sen.beside("data").tensors("features"),
        net=of_sen.sen(),
        generator=of_rdg.generator(),
        speech_embeddings=of_rdg.speech_embeddings(),
        folder=folder,
    )
