"""SEN: speech encoder, losses, one training step, embeddings; and features of an image network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class SpeechEncoder(nn.Module):
    """SED on packed sequences, its attention masked; arguments as of `sen.SpeechEncoder`."""

    def __init__(
        self,
        bands: int = 40,
        conv_channels: tuple[int, int] = (64, 128),
        gru_size: int = 512,
        attention_size: int = 128,
    ) -> None:
        super().__init__()
        first, second = conv_channels
        self.conv1, self.norm1 = nn.Conv1d(bands, first, 6, 2), nn.BatchNorm1d(first)
        self.conv2, self.norm2 = nn.Conv1d(first, second, 6, 2), nn.BatchNorm1d(second)
        self.gru = nn.GRU(second, gru_size, num_layers=2, batch_first=True, bidirectional=True)
        self.attend1, self.attend2 = nn.Linear(2 * gru_size, attention_size), nn.Linear(attention_size, 2 * gru_size)

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Log-mels [B, T, bands], zero-padded, and their lengths [B] -> unit vectors [B, 2 * gru_size]."""
        x = self.norm2(self.conv2(self.norm1(self.conv1(mel.transpose(1, 2))))).transpose(1, 2)
        for _ in range(2):
            lengths = (lengths - 6) // 2 + 1
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True)  # (B, T', 2 * gru_size)
        scores = self.attend2(torch.tanh(self.attend1(h)))
        beyond = torch.arange(h.shape[1])[None] >= lengths[:, None]
        weights = scores.masked_fill(beyond.to(h.device)[..., None], float("-inf")).softmax(1)
        return F.normalize((weights * h).sum(1), dim=1)


def padded(mels: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Log-mels (T_i, 40), zero-padded to the longest, and their lengths."""
    lengths = [len(mel) for mel in mels]
    return torch.stack([F.pad(torch.as_tensor(mel), (0, 0, 0, max(lengths) - len(mel))) for mel in mels]), torch.tensor(
        lengths
    )


def matching_loss(v: Tensor, a: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Each image among all descriptions that are not another one of its class, and the reverse (paper, section 2.1).

    Args: v, a: [B, D]; labels: [B]. Returns: a scalar.
    """
    cosines = scale * (v @ a.T) / (v.norm(dim=1)[:, None] * a.norm(dim=1)[None])  # (B, B)
    neither = (labels[:, None] == labels[None]) & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    table = cosines.masked_fill(neither, float("-inf"))
    own = cosines.diagonal()
    return (table.logsumexp(1) - own).mean() + (table.logsumexp(0) - own).mean()


def training_step(
    encoder: SpeechEncoder,
    embed_image: Callable[[Tensor], Tensor],
    classifier: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    mel: Tensor,
    lengths: Tensor,
    labels: Tensor,
    scale: float = 10.0,
) -> dict[str, Tensor]:
    """One training step of SEN with L_d: the backbone sees every image at every step.

    Args: embed_image: IED, [B, 3, s, s] -> [B, D]. images: float in [-1, 1]. Returns: matching loss and L_d, detached.
    """
    v, a = embed_image(images), encoder(mel, lengths)
    matching = matching_loss(v, a, labels, scale)
    distinctive = F.cross_entropy(classifier(v), labels) + F.cross_entropy(classifier(a), labels)
    optimiser.zero_grad()
    (matching + distinctive).backward()
    optimiser.step()
    return {"matching": matching.detach(), "L_d": distinctive.detach()}


def embed_captions(encoder: SpeechEncoder, mels: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """Embeddings [N, D] of log-mels (T_i, 40), one utterance at a time, each with a graph."""
    rows = []
    for mel in mels:
        batch, lengths = padded([mel])
        rows.append(encoder(batch.to(device), lengths).detach().cpu())
    return torch.cat(rows)


def features(network: nn.Module, images: Tensor, device: torch.device, batch: int = 200) -> Tensor:
    """An image network's features [N, F] of float images [N, 3, s, s], in batches."""
    return torch.cat([network(part.to(device)).cpu() for part in images.split(batch)])
