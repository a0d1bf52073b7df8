"""Images from speech embeddings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from s2igan.evaluation.fast_generator import FastGenerator
from s2igan.rdg import Generator


@torch.no_grad()
def generate(
    generator: Generator,
    speech_embeddings: Tensor,
    seed: int = 0,
    batch: int = 200,
    all_scales: bool = False,
    same_noise: bool = False,
    noises: tuple[Tensor, Tensor] | None = None,
) -> Iterator[np.ndarray | list[np.ndarray]]:
    """Images for speech embeddings, a batch at a time.

    Args:
        speech_embeddings: [N, speech_size].
        seed: the noise of a row follows from it and the row's place alone, so two generators get the same noise.
        all_scales: yields a list of such arrays, the images of all stages, small to large.
        same_noise: one noise for all rows, so that they differ in their embeddings alone.
        noises: z [N, noise_size] and eps [N, condition_size] in place of those from the seed.
    Yields: uint8 [b, s, s, 3], b at most `batch`.
    """
    generator.eval()
    device = next(generator.parameters()).device
    # Folding pays from 64 pixels on, where many images share it; at 32 pixels it is no faster (benchmarks/README.md).
    size = 4 * 2 ** (len(generator.first.ups) + len(generator.next))
    network = FastGenerator(generator) if size >= 64 and len(speech_embeddings) > batch else generator
    noise, eps = noises or draw_noises(generator, len(speech_embeddings), seed)
    if same_noise:
        noise, eps = noise[:1].expand_as(noise), eps[:1].expand_as(eps)
    for start in range(0, len(speech_embeddings), batch):
        rows = slice(start, start + batch)
        images, _, _ = network(noise[rows].to(device), speech_embeddings[rows].to(device), eps[rows].to(device))
        yield [to_uint8(image) for image in images] if all_scales else to_uint8(images[-1])


def draw_noises(generator: Generator, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """The noises of `count` images from a seed: z [N, noise_size] and eps [N, condition_size]."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, generator.noise_size, generator=random)
    return noise, torch.randn(count, generator.condition_size, generator=random)


def to_uint8(images: Tensor) -> np.ndarray:
    """Images [B, 3, s, s] in [-1, 1] -> pixels [B, s, s, 3], uint8, as an image file holds them."""
    pixels = images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(0, 2, 3, 1).cpu().numpy()
