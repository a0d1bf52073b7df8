"""Networks of the demo, loaded from packed weights or from a finished study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS, resolve
from s2igan.data.store import attribute_targets
from s2igan.demo import packed_weights
from s2igan.demo.out_of_distribution import OutOfDistribution, fit_out_of_distribution
from s2igan.demo.pipeline import Pipeline
from s2igan.evaluation.feature_networks import fold_norms
from s2igan.evaluation.finished import open_run
from s2igan.reporting.collect import finished, first_runs
from s2igan.sen import ImageEncoder, SpeechEncoder
from s2igan.training.rdg_networks import make_generator


def load(folder: str | Path) -> Pipeline:
    """Networks from a folder such as results/reference/weights/mini-flowers, or from a finished study's results/<study>/<dataset>.

    Raises: BadInput where there are none, or they are damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(f"there are no weights: {folder} is no folder; `python -m s2igan weights results/<study>/<dataset>` makes them of a "
                       "finished study")  # fmt: skip
    return _from_study(folder) if any(folder.glob("rdg-*/metrics.json")) else _from_weights(folder)


def _from_weights(folder: Path) -> Pipeline:
    parts = {name: packed_weights.read(folder / f"{name}.safetensors") for name in ("sen", "s2igan", "backbone", "evaluator")}
    (heard, _), (generator, about), (seen, _), (judge, of_judge) = parts.values()
    if len({of["dataset"] for _, of in parts.values()}) > 1:
        raise BadInput(f"the weights in {folder} are of different data sets: make them anew")
    novelty = OutOfDistribution(heard["out_of_distribution.inverse"], heard["out_of_distribution.scores"])
    return _pipeline(
        packed_weights.describe(about), about["settings"], heard, generator, (heard["mean"], heard["std"]),
        fold_norms(packed_weights.proxy_of(seen)), fold_norms(packed_weights.proxy_of(judge)), of_judge["values"], novelty, folder,
    )  # fmt: skip


def _from_study(folder: Path) -> Pipeline:
    """The run of the first of the systems that start from a finished SEN, S2IGAN before all others, with the lowest seed."""

    hearing = [s for s, parts in RDG_SYSTEMS.items() if parts["sen"] is not None and not SEN_SYSTEMS[parts["sen"]]["text"]]
    found = first_runs(finished(folder), hearing)
    if not found:
        raise BadInput(f"{folder} has no finished run of {', '.join(hearing)}: `make study` makes them")
    system, run = next(iter(found.items()))
    run = open_run(run)
    of_sen = run.beside("sen", run.sen_system)
    store, kept = run.store, of_sen.tensors("embeddings")
    x = (kept["speech"] - kept["mean"]) / kept["std"]
    evaluator = run.network("evaluator")
    values = attribute_targets(store)[0] if hasattr(evaluator, "attributes") else {}
    said = {"network": system, "dataset": run.settings.dataset, "seed": run.settings.seed, "steps": run.settings.rdg_steps}
    return _pipeline(
        packed_weights.describe(said), run.settings.model_dump(), of_sen.tensors("weights"), run.tensors("weights"),
        (kept["mean"], kept["std"]), run.network("backbone"), evaluator, values,
        fit_out_of_distribution(x, store.caption_ids_of("train"), store.caption_ids_of("val")), folder.absolute().parents[2], system,
    )  # fmt: skip


def _pipeline(
    name: str, parameters: dict[str, Any], heard: dict[str, Tensor], generator: dict[str, Tensor], standard: tuple[Tensor, Tensor],
    backbone: nn.Module, evaluator: nn.Module, values: dict[str, list[str]], novelty: OutOfDistribution, root: Path, system: str = "S2IGAN",
) -> Pipeline:  # fmt: skip
    """The networks of a run from its parameters and the states of SEN and the generator."""
    own = resolve(parameters).model_copy(update={"system": system})

    def part(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): tensor for key, tensor in heard.items() if key.startswith(prefix)}

    encoder = SpeechEncoder(40, own.sen_conv_channels, own.sen_gru_size, own.sen_attention_size)
    image_encoder = ImageEncoder(backbone, 2 * own.sen_gru_size)
    net = make_generator(own, 2 * own.sen_gru_size)
    try:
        encoder.load_state_dict(part("caption_encoder."))
        image_encoder.linear.load_state_dict(part("image_encoder.linear."))
        net.load_state_dict(generator)
    except RuntimeError:
        raise BadInput(f"the weights of {name} do not fit each other: make them anew") from None
    for network in (encoder, image_encoder, net):
        network.eval().requires_grad_(False)
    net.to(memory_format=torch.channels_last)
    return Pipeline(name, own, encoder, *standard, image_encoder, net, evaluator, values, novelty, root)
