"""Every step of the method as it reads in the paper and as the authors' code schedules it, in fp32 and contiguous memory.

What the library is timed against, written for this purpose: condition tiled to a map, upsampling before the convolution, each discriminator
three times, ten Inception passes a step, gradients of D and RS computed in G's step and thrown away, packed sequences, batches padded to
the longest, one utterance at a time, loops in Python. Networks have the library's parameters by the library's names, so that one state
dict fits both.

B batch, s pixels of a side, T frames, D embedding size.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from s2igan import losses

# --- generator, discriminators, relation supervisor ---


class GLU(nn.Module):
    """First half of the channels * sigmoid(second half)."""

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[1] // 2
        return x[:, :half] * torch.sigmoid(x[:, half:])


def conv3x3(before: int, after: int) -> nn.Conv2d:
    """3x3 convolution that keeps the size, without bias."""
    return nn.Conv2d(before, after, 3, 1, 1, bias=False)


def with_condition(condition: Tensor, x: Tensor) -> Tensor:
    """The condition [B, C] written out at every place of x [B, n, s, s], and x: [B, C + n, s, s]."""
    tiled = condition[:, :, None, None].repeat(1, 1, *x.shape[2:])
    return torch.cat([tiled, x], 1)


class UpBlock(nn.Module):
    """Nearest x2, conv3x3, BatchNorm, GLU."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.conv = conv3x3(before, 2 * after)
        self.norm = nn.BatchNorm2d(2 * after)
        self.glu = GLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.glu(self.norm(self.conv(self.upsample(x))))


class ResidualBlock(nn.Module):
    """x + BN(conv(GLU(BN(conv(x)))))."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv3x3(n, 2 * n), nn.BatchNorm2d(2 * n), GLU(), conv3x3(n, n), nn.BatchNorm2d(n))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ConditioningAugmentation(nn.Module):
    """Linear, GLU -> mu, logvar."""

    def __init__(self, speech_size: int, condition_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(speech_size, 4 * condition_size)
        self.glu = GLU()

    def forward(self, speech: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = self.glu(self.linear(speech)).chunk(2, 1)
        return mu, logvar


class FirstStage(nn.Module):
    """[c, z] -> Linear, BatchNorm, GLU -> (top, 4, 4) -> up-blocks."""

    def __init__(self, input_size: int, width: int, first_size: int) -> None:
        super().__init__()
        ups = int(math.log2(first_size // 4))
        self.top = width * 2**ups
        self.linear = nn.Linear(input_size, 2 * 16 * self.top, bias=False)
        self.norm = nn.BatchNorm1d(2 * 16 * self.top)
        self.glu = GLU()
        self.ups = nn.Sequential(*(UpBlock(width * 2**i, width * 2 ** (i - 1)) for i in range(ups, 0, -1)))

    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        x = self.glu(self.norm(self.linear(torch.cat([condition, noise], 1))))
        return self.ups(x.view(-1, self.top, 4, 4))


class NextStage(nn.Module):
    """[c tiled, h] -> conv3x3, BatchNorm, GLU -> two residual blocks -> [., h] if dense -> up-block."""

    def __init__(self, n: int, condition_size: int, dense: bool) -> None:
        super().__init__()
        self.dense = dense
        self.joint = conv3x3(condition_size + n, 2 * n)
        self.norm = nn.BatchNorm2d(2 * n)
        self.glu = GLU()
        self.residuals = nn.Sequential(ResidualBlock(n), ResidualBlock(n))
        self.up = UpBlock(2 * n if dense else n, n // 2)

    def forward(self, condition: Tensor, h: Tensor) -> Tensor:
        x = self.residuals(self.glu(self.norm(self.joint(with_condition(condition, h)))))
        return self.up(torch.cat([x, h], 1) if self.dense else x)


class Generator(nn.Module):
    """The densely-stacked generator; arguments as of `rdg.Generator`."""

    def __init__(
        self, speech_size: int = 1024, condition_size: int = 128, noise_size: int = 100, width: int = 64, stages: int = 3,
        first_size: int = 64, dense: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.augment = ConditioningAugmentation(speech_size, condition_size)
        self.first = FirstStage(condition_size + noise_size, width, first_size)
        self.next = nn.ModuleList(NextStage(width // 2**i, condition_size, dense) for i in range(stages - 1))
        self.heads = nn.ModuleList(conv3x3(width // 2**i, 3) for i in range(stages))

    def forward(self, noise: Tensor, speech: Tensor, eps: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """z, speech embedding, noise of the conditioning augmentation -> images, small to large; mu; logvar."""
        mu, logvar = self.augment(speech)
        condition = mu + eps * torch.exp(logvar / 2)
        h = self.first(condition, noise)
        images = [torch.tanh(self.heads[0](h))]
        for stage, head in zip(self.next, self.heads[1:], strict=True):
            h = stage(condition, h)
            images.append(torch.tanh(head(h)))
        return images, mu, logvar


class Discriminator(nn.Module):
    """Discriminator of one scale, of one batch at a time; arguments as of `rdg.Discriminator`."""

    def __init__(self, image_size: int, width: int = 64, condition_size: int = 128) -> None:
        super().__init__()
        channels = [width * 2**i for i in range(int(math.log2(image_size // 4)))]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for before, after in itertools.pairwise(channels):
            layers.append(nn.Sequential(nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)))
        top = channels[-1]
        while top > 8 * width:
            layers.append(nn.Sequential(conv3x3(top, top // 2), nn.BatchNorm2d(top // 2), nn.LeakyReLU(0.2)))
            top //= 2
        self.trunk = nn.Sequential(*layers)
        self.joint = conv3x3(condition_size + top, top)
        self.joint_norm = nn.BatchNorm2d(top)
        self.conditional = nn.Conv2d(top, 1, 4, stride=4)
        self.unconditional = nn.Conv2d(top, 1, 4, stride=4)

    def forward(self, images: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, 3, s, s], condition [B, C] -> conditional logits [B], unconditional logits [B]."""
        x = self.trunk(images)
        joint = F.leaky_relu(self.joint_norm(self.joint(with_condition(condition, x))), 0.2)
        return self.conditional(joint).flatten(), self.unconditional(x).flatten()


class RelationSupervisor(nn.Module):
    """[f_a, f_b] -> Linear, BatchNorm, ReLU, Linear -> four logits."""

    def __init__(self, embedding_size: int = 1024, hidden_size: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2 * embedding_size, hidden_size), nn.BatchNorm1d(hidden_size), nn.ReLU(), nn.Linear(hidden_size, 4)
        )  # fmt: skip

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.layers(torch.cat([a, b], 1))


# --- a training step of RDG ---


@dataclass
class Nets:
    """What is trained together; `average` is the moving average of the generator."""

    generator: Generator
    ema: Generator
    discriminators: list[Discriminator]
    supervisor: RelationSupervisor

    def trained(self) -> dict[str, nn.Module]:
        """The networks with an optimiser, by the library's names."""
        return {"generator": self.generator, **{f"discriminator{i}": d for i, d in enumerate(self.discriminators)},
                "supervisor": self.supervisor}  # fmt: skip


def adam(parameters: object, lr: float, betas: tuple[float, float], weight_decay: float = 0.0) -> torch.optim.Adam:
    """Adam, a tensor at a time."""
    return torch.optim.Adam(parameters, lr, betas, weight_decay=weight_decay, foreach=False, fused=False)


def resized(images: Tensor, size: int) -> Tensor:
    """The crop at a smaller scale, antialiased: [B, 3, S, S] -> [B, 3, size, size]."""
    if images.shape[-1] == size:
        return images
    return F.interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=True)


def bce(logits: Tensor, target: float) -> Tensor:
    """Mean of -log sigmoid(x) for target 1, of -log(1 - sigmoid(x)) for target 0."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def relation(logits: Tensor, answer: int) -> Tensor:
    """Cross-entropy of [B, 4] logits towards one answer for all pairs."""
    return F.cross_entropy(logits, torch.full((len(logits),), answer, device=logits.device))


def train_step(
    nets: Nets, optimisers: dict[str, torch.optim.Optimizer], real: Tensor, similar: Tensor, wrong: Tensor, speech: Tensor, noise: Tensor,
    eps: Tensor, embed_image: Callable[[Tensor], Tensor], kl_weight: float = 2.0, relation_weight: float = 1.0, decay: float = 0.999,
) -> dict[str, Tensor]:  # fmt: skip
    """One step in the released order and at its cost; arguments and returned losses as of `rdg_training.train_step`.

    Args: embed_image: the frozen image encoder, one batch of images of any size -> unit vectors [B, D].
    """
    # 1. One forward of G.
    fakes, mu, logvar = nets.generator(noise, speech, eps)
    sizes = [fake.shape[-1] for fake in fakes]
    reals, similars, wrongs = ([resized(images, size) for size in sizes] for images in (real, similar, wrong))
    report = {}

    # 2. D of each scale: three forwards, one loss, one update.
    c = mu.detach()
    for i, discriminator in enumerate(nets.discriminators):
        (real_c, real_u), (wrong_c, wrong_u), (fake_c, fake_u) = (
            discriminator(images, c) for images in (reals[i], wrongs[i], fakes[i].detach())
        )
        loss = bce(real_c, 1) + bce(wrong_c, 0) + bce(fake_c, 0) + bce(real_u, 1) + bce(wrong_u, 1) + bce(fake_u, 0)
        optimisers[f"discriminator{i}"].zero_grad()
        loss.backward()
        optimisers[f"discriminator{i}"].step()
        report[f"D{sizes[i]}"] = loss.detach()

    # 3. RS. The image encoder sees real, similar and wrong images at every scale; those of the largest alone are used.
    for images in zip(reals, similars, wrongs, strict=True):
        f_real, f_similar, f_wrong = (embed_image(part) for part in images)
    f_fake = embed_image(fakes[-1])  # the tenth pass
    pairs = ((f_real, losses.UNDESIRED), (f_similar, losses.POSITIVE), (f_fake.detach(), losses.POSITIVE), (f_wrong, losses.NEGATIVE))
    loss = sum(relation(nets.supervisor(f_real, other), answer) for other, answer in pairs)
    optimisers["supervisor"].zero_grad()
    loss.backward()
    optimisers["supervisor"].step()
    report["RS"] = loss.detach()

    # 4. G. Gradients of D and RS are computed too, and thrown away at their next zero_grad.
    adversarial = 0.0
    for fake, discriminator in zip(fakes, nets.discriminators, strict=True):
        conditional, unconditional = discriminator(fake, mu)
        adversarial = adversarial + bce(conditional, 1) + bce(unconditional, 1)
    of_relation = relation(nets.supervisor(f_real, f_fake), losses.POSITIVE)
    kl = -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())
    loss = adversarial + kl_weight * kl + relation_weight * of_relation
    optimisers["generator"].zero_grad()
    loss.backward()
    optimisers["generator"].step()

    # 5. Moving average of G.
    for mean, now in zip(nets.ema.parameters(), nets.generator.parameters(), strict=True):
        mean.data.mul_(decay).add_(now.data, alpha=1 - decay)
    return report | {"G_RS": of_relation.detach(), "G": adversarial.detach(), "KL": kl.detach()}


# --- SEN ---


class SpeechEncoder(nn.Module):
    """SED on packed sequences, its attention masked; arguments as of `sen.SpeechEncoder`."""

    def __init__(
        self, bands: int = 40, conv_channels: tuple[int, int] = (64, 128), gru_size: int = 512, attention_size: int = 128
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
    return torch.stack([F.pad(torch.as_tensor(mel), (0, 0, 0, max(lengths) - len(mel))) for mel in mels]), torch.tensor(lengths)


def matching_loss(v: Tensor, a: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Each image among all descriptions that are not another one of its class, and the reverse (paper, section 2.1).

    Args: v, a: [B, D]; labels: [B]. Returns: a scalar.
    """
    cosines = scale * (v @ a.T) / (v.norm(dim=1)[:, None] * a.norm(dim=1)[None])  # (B, B)
    neither = (labels[:, None] == labels[None]) & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    table = cosines.masked_fill(neither, float("-inf"))
    own = cosines.diagonal()
    return (table.logsumexp(1) - own).mean() + (table.logsumexp(0) - own).mean()


def sen_step(
    encoder: SpeechEncoder, embed_image: Callable[[Tensor], Tensor], classifier: nn.Module, optimiser: torch.optim.Optimizer,
    images: Tensor, mel: Tensor, lengths: Tensor, labels: Tensor, scale: float = 10.0,
) -> dict[str, Tensor]:  # fmt: skip
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


# --- metrics ---


def mean_average_precision(queries: Tensor, query_labels: np.ndarray, gallery: Tensor, gallery_labels: np.ndarray) -> float:
    """mAP, 0 .. 1: all cosines [Q, G] at once, then query by query down the whole ranking. AP = mean over positives of k / rank_k."""
    similarity = (queries / queries.norm(dim=1, keepdim=True)) @ (gallery / gallery.norm(dim=1, keepdim=True)).T
    values = []
    for row, label in zip(similarity.numpy(), query_labels, strict=True):
        ranked = gallery_labels[np.argsort(-row, kind="stable")]
        found, precision = 0, 0.0
        for rank, answer in enumerate(ranked == label, 1):
            if answer:
                found += 1
                precision += found / rank
        if found:
            values.append(precision / found)
    return sum(values) / len(values)


def inception_score(probabilities: np.ndarray, splits: int = 10) -> tuple[float, float]:
    """exp(mean_x KL(p(y|x) || p(y))) of each split, image by image and class by class: mean and population deviation."""
    n, scores = len(probabilities), []
    for i in range(splits):
        part = probabilities[i * n // splits : (i + 1) * n // splits]
        mean = part.mean(0).tolist()
        total = 0.0
        for row in part.tolist():
            for p, q in zip(row, mean, strict=True):
                if p > 0:
                    total += p * (math.log(p) - math.log(q))
        scores.append(math.exp(total / len(part)))
    return float(np.mean(scores)), float(np.std(scores))


# --- speech features ---


def mel_bank(bands: int = 40, n_fft: int = 551, rate: int = 22_050) -> np.ndarray:
    """(bands, n_fft // 2 + 1) triangles of area one on Slaney's scale, 0 to rate / 2."""
    def to_mel(hz: float) -> float:
        return 3 * hz / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)

    def to_hz(mel: float) -> float:
        return 200 * mel / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)

    edges = [to_hz(to_mel(rate / 2) * i / (bands + 1)) for i in range(bands + 2)]
    bank = np.zeros((bands, n_fft // 2 + 1))
    for band, (low, centre, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for k in range(bank.shape[1]):
            hz = k * rate / n_fft
            bank[band, k] = max(0.0, min((hz - low) / (centre - low), (high - hz) / (high - centre))) * 2 / (high - low)
    return bank


def log_mel(samples: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """(n,) samples at 22,050 Hz -> (T, 40), frame by frame: power spectrum of 551 samples under a Hann window each 220, reflected at
    the ends; mel bands; ln(. + 1e-6); zero mean and unit deviation a band."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(551) / 551)
    around = np.pad(samples.astype(np.float64), 276, mode="reflect")[1:]  # 275 samples before, 276 behind
    frames = []
    for t in range(1 + len(samples) // 220):
        spectrum = np.fft.rfft(window * around[220 * t : 220 * t + 551])
        frames.append(np.log(bank @ np.abs(spectrum) ** 2 + 1e-6))
    mel = np.stack(frames)
    return (mel - mel.mean(0)) / (mel.std(0) + 1e-16)
