"""The text baseline's encoder: a char-CNN-RNN (Reed et al. 2016, "Learning Deep Representations of Fine-Grained Visual Descriptions").

It takes SED's place where a caption is read and not heard (StackGAN-v2 on text); losses and image encoder are SEN's.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The 70 characters of Reed et al. (and of Zhang et al. 2015); any other counts as a space, upper case as lower case.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/\\|_@#$%^&*~`+=<>()[]{}\n "
LENGTH = 201  # characters of a caption that are read (Reed et al.)
_NUMBER = {character: number for number, character in enumerate(ALPHABET)}


def characters(texts: list[str]) -> tuple[Tensor, Tensor]:
    """Captions as numbers of `ALPHABET`, [B, 201] int64, -1 after the end of the shorter ones, and lengths [B]; longer ones are cut off."""
    space = _NUMBER[" "]
    rows = [[_NUMBER.get(character, space) for character in text.lower()[:LENGTH]] for text in texts]
    batch = torch.full((len(rows), LENGTH), -1)
    for numbers, row in zip(batch, rows, strict=True):
        numbers[: len(row)] = torch.tensor(row)
    return batch, torch.tensor([len(row) for row in rows])


class TextEncoder(nn.Module):
    """char-CNN-RNN: convolutions over characters, a recurrent network over what they find, the mean of its states (Reed et al. 2016)."""

    def __init__(self, channels: tuple[int, int, int] = (384, 512, 256), rnn_size: int = 256, embedding_size: int = 1024) -> None:
        """`channels` of the three convolutions; `rnn_size` of the recurrent network."""
        super().__init__()
        sizes = [len(ALPHABET), *channels]
        self.convolutions = nn.ModuleList(nn.Conv1d(before, after, kernel_size=4) for before, after in itertools.pairwise(sizes))
        self.rnn = nn.RNN(channels[-1], rnn_size, nonlinearity="relu", batch_first=True)
        nn.init.eye_(self.rnn.weight_hh_l0)  # a relu network that starts as the identity neither fades nor explodes (Le et al. 2015)
        self.linear = nn.Linear(rnn_size, embedding_size)

    def forward(self, numbers: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Characters [B, 201] as `characters` gives them -> unit vectors [B, embedding_size]. Every caption is read to the full 201
        characters, blank after its end (Reed et al.), so `lengths` are not looked at: they are there as for the speech encoder."""
        known = numbers >= 0
        x = F.one_hot(numbers.clamp_min(0), len(ALPHABET)).float() * known[..., None]  # (B, 201, 70), zeros after the end
        x = x.transpose(1, 2)
        for convolution, stride in zip(self.convolutions, (3, 3, 2), strict=True):
            x = F.max_pool1d(F.relu(convolution(x)), 3, stride)  # lengths 66, 21, 8
        states, _ = self.rnn(x.transpose(1, 2))  # (B, 8, rnn_size)
        return F.normalize(self.linear(states.mean(1)), dim=1)
