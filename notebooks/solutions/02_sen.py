"""Solutions to the exercises of 02_sen."""

from __future__ import annotations

import math
import tempfile
import unittest.mock
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan import losses, sen
from s2igan.config import Settings
from s2igan.data.batches import pad_mels
from s2igan.data.store import Store
from s2igan.training.sen import train_sen, validation_map


def loss_before_training(sizes: tuple[int, ...] = (8, 64, 512), dimensions: int = 256) -> pd.DataFrame:
    """1. What is the matching loss of vectors that know nothing? Near 2 ln B: each of the two cross-entropies guesses
    among B. It lies a little above, by the variance of the logits 10 cos, 100 / D, since a guess that varies is worse
    than an even one."""
    rows = []
    for batch in sizes:
        generator = torch.Generator().manual_seed(batch)
        images, speech = (torch.randn(batch, dimensions, generator=generator) for _ in range(2))
        loss = losses.matching_loss(images, speech, torch.arange(batch)).item()
        rows.append({"batch": batch, "matching loss": loss, "2 ln B": 2 * math.log(batch)})
    return pd.DataFrame(rows).set_index("batch")


def dependence_on_the_batch(store: Store, mask_padding: bool) -> float:
    """2. By how much does an embedding move when a longer caption joins its batch, with and without the mask (released
    code)?"""
    torch.manual_seed(0)
    encoder = sen.SpeechEncoder(gru_size=16, mask_padding=mask_padding).eval()
    lengths = store.mel_lengths
    shortest, longest = int(np.argmin(lengths)), int(np.argmax(lengths))
    with torch.no_grad():
        alone = encoder(*pad_mels([store.mel(shortest)]))[0]
        together = encoder(*pad_mels([store.mel(shortest), store.mel(longest)]))[0]
    return float((alone - together).norm())


def loss_of_a_perfect_batch() -> tuple[float, float]:
    """3. Take the -inf for pairs of one class out of the matching loss: what does it then say of embeddings that cannot
    be better?

    Two images of one class, equal to their descriptions and to each other, and a third of another class. With the mask
    the loss is nearly 0. Without it the loss asks to tell the two apart although they are the same: each of the two has
    to guess between both, ln 2, so 2 * (2 / 3) ln 2 in all.
    """

    def without_mask(v: Tensor, a: Tensor) -> Tensor:
        logits = 10 * F.normalize(v, dim=1) @ F.normalize(a, dim=1).T
        target = torch.arange(len(v))
        return F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)

    perfect = torch.eye(2)[[0, 0, 1]]
    masked = losses.matching_loss(perfect, perfect, torch.tensor([0, 0, 1]))
    return masked.item(), without_mask(perfect, perfect).item()


class MeanPooled(sen.SpeechEncoder):
    """SED with the mean over time in place of the attention."""

    def attention(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Equal weights over the frames that are no padding."""
        weights, h = super().attention(mel, lengths)
        real = (weights > 0).float()
        return real / real.sum(1, keepdim=True), h


def mean_in_place_of_attention(
    settings: Settings, store: Store, backbone: nn.Module, features: Tensor
) -> dict[str, float]:
    """4. (a change in the code) Is the attention worth its parameters? Validation mAP of both after the same steps from
    the same weights. One seed says little: repeat it with others before you believe a difference."""
    found = {}
    for name, encoder in (("attention", sen.SpeechEncoder), ("mean over time", MeanPooled)):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(sen, "SpeechEncoder", encoder):
            net = train_sen(settings, store, backbone, features, Path(folder), name)
        found[name] = validation_map(net, store, features, torch.device("cpu"))
    return found


if __name__ == "__main__":
    from finished import open_study

    study = open_study()
    print(loss_before_training().round(2), end="\n\n")
    print({mask: round(dependence_on_the_batch(study.store, mask), 6) for mask in (True, False)}, end="\n\n")
    print("loss of a perfect batch: {:.3f} with the mask, {:.3f} without\n".format(*loss_of_a_perfect_batch()))
    print(mean_in_place_of_attention(study.settings, study.store, study.backbone, study.features["backbone"]))
