"""The networks that RDG trains together, and their optimisers."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from s2igan.config import RDG_SYSTEMS, Settings
from s2igan.rdg import Discriminator, Generator, RelationSupervisor
from s2igan.sen import SEN, ImageEncoder
from s2igan.training.devices import pick_device, seed_everything


class JointSpeechEncoder(nn.Module):
    """A speech encoder that learns in RDG's own training ("w/o SEN", "end-to-end"), for the generator.

    A BatchNorm without weights does here what `standardised` does to the embeddings of a finished SEN, which no longer
    change.
    """

    def __init__(self, encoder: nn.Module, size: int, standardise: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.BatchNorm1d(size, affine=False) if standardise else nn.Identity()

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mels [B, T, 40] and lengths [B] -> speech embeddings as the generator takes them, [B, size]."""
        return self.norm(self.encoder(mel, lengths))


@dataclass
class Networks:
    """What is trained together.

    The generator and its exponential moving average (EMA), a discriminator for each scale, the relation supervisor (or
    None); where the speech encoder learns too, it and its EMA.
    """

    generator: Generator
    ema: Generator
    discriminators: nn.ModuleList
    supervisor: RelationSupervisor | None
    speech_encoder: JointSpeechEncoder | None = None
    speech_encoder_ema: JointSpeechEncoder | None = None
    trained_steps: int = 0

    def trained(self) -> dict[str, nn.Module]:
        """The networks that have an optimiser with RDG's settings, by name."""
        nets = {"generator": self.generator}
        nets |= {f"discriminator{i}": d for i, d in enumerate(self.discriminators)}
        return nets | ({"supervisor": self.supervisor} if self.supervisor is not None else {})


def image_sizes(settings: Settings) -> list[int]:
    """Pixels of the images at each stage, small to large."""
    return [settings.data_image_size // 2**i for i in reversed(range(settings.rdg_stages))]


def make_networks(settings: Settings, embedding_size: int, net: SEN | None = None) -> Networks:
    """Networks of a system, seeded by the run's seed, where torch makes them. Arguments as of `build_networks`."""
    system = RDG_SYSTEMS[settings.system]
    seed_everything(settings.seed, "rdg")
    generator = make_generator(settings, embedding_size)
    width, condition_size = settings.rdg_discriminator_width, settings.rdg_condition_size
    discriminators = nn.ModuleList(Discriminator(size, width, condition_size) for size in image_sizes(settings))
    # Built even where it is not used, so that every system draws the same random numbers before its first step.
    supervisor = RelationSupervisor(embedding_size, settings.rdg_relation_size)
    nets = Networks(generator, copy.deepcopy(generator), discriminators, supervisor if system["relation"] else None)
    if net is not None:
        nets.speech_encoder = JointSpeechEncoder(net.caption_encoder, embedding_size, settings.rdg_standardise)
        nets.speech_encoder_ema = copy.deepcopy(nets.speech_encoder)
    return nets


def build_networks(settings: Settings, embedding_size: int, net: SEN | None = None) -> Networks:
    """Fresh networks of a system on its device, ready to be trained; the EMAs in eval mode, without gradients.

    Args:
        embedding_size: of speech and image embeddings, which share SEN's space.
        net: the SEN whose speech encoder learns too, where it does.
    """
    nets, device = make_networks(settings, embedding_size, net), pick_device(settings)
    for part in (*nets.trained().values(), nets.ema):
        part.to(device, memory_format=torch.channels_last).train()
    if nets.speech_encoder is not None:
        nets.speech_encoder.to(device).train()
        nets.speech_encoder_ema.to(device).eval().requires_grad_(False)
        for module in nets.speech_encoder_ema.modules():
            if isinstance(module, nn.RNNBase):
                module.flatten_parameters()  # a copy's weights lie apart, and cuDNN would gather them at each call
    nets.ema.eval().requires_grad_(False)
    return nets


def make_generator(settings: Settings, speech_size: int) -> Generator:
    """The generator of a run's system and sizes."""
    return Generator(
        speech_size,
        settings.rdg_condition_size,
        settings.rdg_noise_size,
        settings.rdg_width,
        settings.rdg_stages,
        image_sizes(settings)[0],
        dense=RDG_SYSTEMS[settings.system]["dense"],
    )


def make_optimisers(settings: Settings, nets: Networks, net: SEN | None) -> dict[str, torch.optim.Optimizer]:
    """An Adam for each network of `nets.trained()`, by its name; `net`: the SEN that learns too, as "SEN".

    Rates are constant (paper): towards a rate of zero a short training ends mottled, while its EMA over a steady one is
    clean.
    """
    rates = {"generator": settings.rdg_lr}
    optimisers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.Adam(
            part.parameters(), rates.get(name, settings.rdg_discriminator_lr), settings.rdg_betas, fused=True
        )
        for name, part in nets.trained().items()
    }
    if net is not None:  # as in SEN's own training, but at a constant rate
        learning = [p for p in net.parameters() if p.requires_grad]
        optimisers["SEN"] = torch.optim.Adam(
            learning, settings.sen_lr, settings.sen_betas, weight_decay=settings.sen_weight_decay
        )
    return optimisers


def frozen_image_encoder(encoder: ImageEncoder, bf16: bool) -> Callable[[Tensor], Tensor]:
    """`encoder.frozen`; under bf16 autocast with a copy of the backbone whose weights are cast once.

    Autocast keeps the casts of weights that learn. It casts frozen ones again at each forward.
    """
    if not bf16:
        return encoder.frozen
    backbone = copy.deepcopy(encoder.backbone)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(torch.bfloat16)
    return functools.partial(encoder.frozen, backbone=backbone)
