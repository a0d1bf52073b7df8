"""The networks that RDG trains together."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from s2igan.config import RDG_SYSTEMS, Settings
from s2igan.rdg import Discriminator, Generator, RelationSupervisor
from s2igan.sen import SEN
from s2igan.training.devices import pick_device, seed_everything


class JointSpeechEncoder(nn.Module):
    """A speech encoder that learns in RDG's own training ("w/o SEN", "end-to-end"), and its embeddings as the generator wants them.

    A BatchNorm without weights does here what `sen.standardised` does to the embeddings of a finished SEN, which no longer change.
    """

    def __init__(self, encoder: nn.Module, size: int, standardise: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.norm = nn.BatchNorm1d(size, affine=False) if standardise else nn.Identity()

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mels [B, T, 40] and lengths [B] -> [B, size]."""
        return self.norm(self.encoder(mel, lengths))


@dataclass
class Networks:
    """What is trained together: generator, its moving average, a discriminator for each scale, the relation supervisor (or None); where
    the speech encoder learns too, `speech_encoder` and its moving average."""

    generator: Generator
    ema: Generator
    discriminators: nn.ModuleList
    supervisor: RelationSupervisor | None
    speech_encoder: JointSpeechEncoder | None = None
    speech_encoder_ema: JointSpeechEncoder | None = None

    def trained(self) -> dict[str, nn.Module]:
        """The networks that have an optimiser with RDG's settings, by name."""
        nets = {"generator": self.generator}
        nets |= {f"discriminator{i}": d for i, d in enumerate(self.discriminators)}
        return nets | ({"supervisor": self.supervisor} if self.supervisor is not None else {})


def image_sizes(settings: Settings) -> list[int]:
    """Pixels of the images at each stage, small to large."""
    return [settings.data_image_size // 2**i for i in reversed(range(settings.rdg_stages))]


def build_networks(settings: Settings, embedding_size: int, net: SEN | None = None) -> Networks:
    """Fresh networks of a system, seeded by the run's seed. `net`: the SEN whose speech encoder learns too, where it does.

    Speech and images share SEN's space, so `embedding_size` is that of both.
    """
    system = RDG_SYSTEMS[settings.system]
    seed_everything(settings.seed, "rdg")
    generator = make_generator(settings, embedding_size)
    discriminators = nn.ModuleList(
        Discriminator(size, settings.rdg_discriminator_width, settings.rdg_condition_size) for size in image_sizes(settings)
    )  # fmt: skip
    # Built even where it is not used, so that every system draws the same random numbers before its first step.
    supervisor = RelationSupervisor(embedding_size, settings.rdg_relation_size)
    nets = Networks(generator, copy.deepcopy(generator), discriminators, supervisor if system["relation"] else None)
    device = pick_device(settings)
    for part in (*nets.trained().values(), nets.ema):
        part.to(device, memory_format=torch.channels_last).train()
    if net is not None:
        nets.speech_encoder = JointSpeechEncoder(net.caption_encoder, embedding_size, settings.rdg_standardise).to(device).train()
        nets.speech_encoder_ema = copy.deepcopy(nets.speech_encoder).eval().requires_grad_(False)
    nets.ema.eval().requires_grad_(False)
    return nets


def make_generator(settings: Settings, speech_size: int) -> Generator:
    """The generator of a run's system and sizes."""
    return Generator(
        speech_size, settings.rdg_condition_size, settings.rdg_noise_size, settings.rdg_width, settings.rdg_stages, image_sizes(settings)[0],
        dense=RDG_SYSTEMS[settings.system]["dense"],
    )  # fmt: skip
