"""Sizes and inputs of the benchmark's rows: images, networks, utterances, settings."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import types
import unittest.mock
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan import speech
from s2igan.config import Settings, resolve
from s2igan.data.batches import to_float
from s2igan.evaluation.feature_networks import InceptionV3, ProxyNetwork, fold_norms, freeze


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large everything is; the defaults are the paper's sizes, and large ones for the metrics."""

    image: int = 256  # pixels of the largest scale
    width: int = 64  # of G and of the discriminators
    embedding: int = 1024
    network: str = "inception"  # or proxy, in tests
    batch: int = 8  # of the RDG step: on a CPU a third of the paper's 24, see Sizes.of
    generated: int = 16  # images in one forward of G
    gru: int = 512
    sen_batch: int = 128
    captions: int = 256
    frames: int = 450  # mean length of a caption
    pictures: int = 32  # for the image network
    queries: int = 3000
    gallery: int = 30_000
    features: int = 2048
    scored: tuple[int, int] = (5000, 1000)  # images and classes of the Inception Score
    clips: int = 64  # of 4 s
    repeats: int = 5
    seconds: float = 15.0  # during which two workers are timed

    @classmethod
    def of(cls, quick: bool, device: torch.device) -> Sizes:
        """The sizes of a whole or a quick run on a device."""
        if quick:
            return cls(
                image=128,
                batch=4,
                generated=4,
                sen_batch=16,
                captions=24,
                pictures=4,
                queries=600,
                gallery=3000,
                features=512,
                scored=(1000, 1000),
                clips=8,
                repeats=3,
                seconds=4.0,
            )
        return cls() if device.type == "cpu" else cls(batch=24, generated=64, pictures=256, captions=1024)


def pictures(count: int, size: int, seed: int) -> np.ndarray:
    """Blurred coloured noise that differs from picture to picture, (count, size, size, 3) uint8."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False).mul(255)
    return smooth.permute(0, 2, 3, 1).contiguous().to(torch.uint8).numpy()


def normal(*shape: int, seed: int) -> Tensor:
    """Standard normal values that follow from the seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@contextlib.contextmanager
def quick_initialisation() -> Iterator[None]:
    """Normal weights of the same scale in place of orthogonal ones, which take minutes at paper size and do not change
    a step's time.
    """

    def initialise(weight: Tensor) -> Tensor:
        return nn.init.normal_(weight, 0.0, max(weight.shape[0], weight[0].numel()) ** -0.5)

    with unittest.mock.patch.object(nn.init, "orthogonal_", initialise):
        yield


@functools.cache
def network_state(kind: str) -> dict[str, Tensor]:
    """A random image network whose BatchNorm statistics are those of some pictures, so that its features tell pictures
    apart.
    """
    torch.manual_seed(0)
    net = new_network(kind)
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain mean
    with torch.no_grad():
        net.train()(to_float(torch.from_numpy(pictures(8, 64, 1))))
    return net.state_dict()


def new_network(kind: str) -> nn.Module:
    """An image network with random weights: inception or proxy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return InceptionV3("random") if kind == "inception" else ProxyNetwork(4, {})


def image_network(kind: str, device: torch.device, folded: bool) -> nn.Module:
    """The frozen image network; `folded` as the library loads it, otherwise as it is written."""
    net = new_network(kind)
    net.load_state_dict(network_state(kind))
    return (fold_norms(freeze(net)) if folded else freeze(net)).to(device)


def utterances(count: int, frames: int) -> types.SimpleNamespace:
    """What of a store the speech encoder's functions read: random log-mels of normally distributed length, one caption
    an image.
    """
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.normal(frames, 0.27 * frames, count), 16, 2 * frames).astype(int)
    stored = [rng.standard_normal((length, speech.BANDS)).astype(np.float16) for length in lengths]
    mels = [mel.astype(np.float32) for mel in stored]
    return types.SimpleNamespace(
        mel=mels.__getitem__,
        mels=mels,
        stored_mel=stored.__getitem__,
        mel_lengths=lengths,
        caption_ids_by_image=np.arange(count)[:, None],
    )


def settings_of(sizes: Sizes, device: torch.device, **more: Any) -> Settings:
    """The paper's settings at these sizes."""
    return resolve(
        {
            "preset": "paper",
            "dataset": "cub",
            "device": device.type,
            "data_image_size": sizes.image,
            "data_crop_from": sizes.image,
            "rdg_width": sizes.width,
            "rdg_discriminator_width": sizes.width,
            "rdg_batch": sizes.batch,
            "sen_gru_size": sizes.gru,
            "sen_batch": sizes.sen_batch,
            **more,
        }
    )


def new_size(kind: str) -> int:
    """Features of an image network."""
    return (InceptionV3 if kind == "inception" else ProxyNetwork).feature_size
