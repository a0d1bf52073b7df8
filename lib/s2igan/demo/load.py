"""Networks of the demo, loaded from packed weights or from a finished study."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS, Settings
from s2igan.data.store import attribute_targets
from s2igan.demo import packed_weights
from s2igan.demo.out_of_distribution import OutOfDistribution, fit_out_of_distribution
from s2igan.demo.pipeline import Pipeline
from s2igan.evaluation.feature_networks import fold_norms
from s2igan.evaluation.finished import open_run
from s2igan.rdg import Generator
from s2igan.reporting.collect import finished, first_runs
from s2igan.sen import ImageEncoder, SpeechEncoder
from s2igan.training.rdg_networks import make_generator


def load(folder: str | Path) -> Pipeline:
    """Networks from a folder such as results/reference/weights/mini-flowers, or from a finished study's
    results/<study>/<dataset>.

    Raises: BadInput if there are none, or they are damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadInput(
            f"there are no weights: {folder} is no folder; `python -m s2igan weights results/<study>/<dataset>` packs "
            "the networks of a finished study"
        )
    return _from_study(folder) if any(folder.glob("rdg-*/metrics.json")) else _from_weights(folder)


def _from_weights(folder: Path) -> Pipeline:
    names = ("sen", "s2igan", "backbone", "evaluator")
    needed = {"sen": ("mean", "std", "out_of_distribution.inverse", "out_of_distribution.scores")}
    paths = [folder / f"{name}.safetensors" for name in names]
    read = [packed_weights.read(path, *needed.get(path.stem, ())) for path in paths]
    states, about = zip(*read, strict=True)
    if "values" not in about[3]:
        raise BadInput(f"{paths[3]} does not say the attributes' values: pack the weights again")
    if len({of["dataset"] for of in about}) > 1:
        raise BadInput(f"the weights in {folder} are of different data sets: pack them again")
    sen, generator, backbone, evaluator = states
    settings = packed_weights.settings_of(about[1], paths[1]).model_copy(update={"system": "S2IGAN"})
    name = packed_weights.describe(about[1])
    speech_encoder, image_encoder, net = _networks(
        name, settings, sen, generator, fold_norms(packed_weights.proxy_of(backbone, paths[2]))
    )
    return Pipeline(
        name=name,
        settings=settings,
        encoder=speech_encoder,
        mean=sen["mean"],
        std=sen["std"],
        image_encoder=image_encoder,
        generator=net,
        evaluator=fold_norms(packed_weights.proxy_of(evaluator, paths[3])),
        values=about[3]["values"],
        detector=OutOfDistribution(sen["out_of_distribution.inverse"], sen["out_of_distribution.scores"]),
        root=folder,
    )


def _from_study(folder: Path) -> Pipeline:
    """The finished run with the lowest seed of the first system with a pretrained speech encoder; S2IGAN comes
    first."""
    systems = [
        s for s, parts in RDG_SYSTEMS.items() if parts["sen"] is not None and not SEN_SYSTEMS[parts["sen"]]["text"]
    ]
    found = first_runs(finished(folder), systems)
    if not found:
        raise BadInput(f"{folder} has no finished run of {', '.join(systems)}: `make study` makes them")
    run = open_run(next(iter(found.values())))
    settings, store = run.settings, run.store
    sen_run = run.beside("sen", run.sen_system)
    name = packed_weights.describe(
        {"network": settings.system, "dataset": settings.dataset, "seed": settings.seed, "steps": settings.rdg_steps}
    )
    speech_encoder, image_encoder, net = _networks(
        name, settings, sen_run.tensors("weights"), run.tensors("weights"), run.network("backbone")
    )
    kept = sen_run.embeddings()
    standardised = (kept["speech"] - kept["mean"]) / kept["std"]
    detector = fit_out_of_distribution(standardised, store.caption_ids_of("train"), store.caption_ids_of("val"))
    evaluator = run.network("evaluator")
    return Pipeline(
        name=name,
        settings=settings,
        encoder=speech_encoder,
        mean=kept["mean"],
        std=kept["std"],
        image_encoder=image_encoder,
        generator=net,
        evaluator=evaluator,
        values=attribute_targets(store)[0] if hasattr(evaluator, "attributes") else {},
        detector=detector,
        root=folder.absolute().parents[2],
    )


def _networks(
    name: str, settings: Settings, sen: dict[str, Tensor], generator: dict[str, Tensor], backbone: nn.Module
) -> tuple[SpeechEncoder, ImageEncoder, Generator]:
    """Speech encoder, image encoder and generator in eval mode, from the states of SEN and of the generator."""

    def part(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): tensor for key, tensor in sen.items() if key.startswith(prefix)}

    speech_encoder = SpeechEncoder(40, settings.sen_conv_channels, settings.sen_gru_size, settings.sen_attention_size)
    image_encoder = ImageEncoder(backbone, 2 * settings.sen_gru_size)
    net = make_generator(settings, 2 * settings.sen_gru_size)
    try:
        speech_encoder.load_state_dict(part("caption_encoder."))
        image_encoder.linear.load_state_dict(part("image_encoder.linear."))
        net.load_state_dict(generator)
    except RuntimeError:
        raise BadInput(f"the weights of {name} do not fit each other: pack them again") from None
    for network in (speech_encoder, image_encoder, net):
        network.eval().requires_grad_(False)
    return speech_encoder, image_encoder, net.to(memory_format=torch.channels_last)
