"""What the solutions start from: a finished study, opened. `python notebooks/solutions/02_sen.py` runs those of one notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from s2igan import BadInput, sen
from s2igan.config import Settings, resolve, run_dir, store_dir
from s2igan.data.files import project_root
from s2igan.data.store import Store, open_store
from s2igan.evaluation.feature_networks import load_network
from s2igan.evaluation.finished import load_sen, open_run
from s2igan.rdg import Generator


@dataclass(frozen=True)
class Finished:
    """The networks and data of one seed of a study, N images and M captions."""

    settings: Settings
    store: Store
    backbone: nn.Module
    evaluator: nn.Module
    features: dict[str, Tensor]  # of all images, by network, [N, 128] each
    net: sen.SEN
    generator: Generator  # of S2IGAN
    speech: Tensor  # embeddings of all captions as the generator takes them, [M, D]
    folder: Path  # results/<study>/<dataset>


def open_study(dataset: str = "mini-flowers", study: str = "mini") -> Finished:
    """Opens what `make study` left. Raises BadInput where it has not run."""
    root = project_root()
    settings = resolve({"dataset": dataset, "study": study, "system": "SEN"})
    folder = run_dir(settings, "data", root=root)
    if not (folder / "metrics.json").is_file():
        raise BadInput(f"{folder} holds no finished run: `make study` makes it")
    torch.set_num_threads(1)
    store = open_store(store_dir(settings, root))
    backbone, evaluator = (load_network(folder / f"{name}.safetensors") for name in ("backbone", "evaluator"))
    net = load_sen(settings, store, backbone, run_dir(settings, "sen", root=root) / "weights.safetensors")
    run = open_run(run_dir(settings, "rdg", "S2IGAN", root=root))
    return Finished(settings, store, backbone, evaluator, load_file(folder / "features.safetensors"), net,
                    run.generator(), run.speech_embeddings(), folder.parent)  # fmt: skip
