"""RDG: networks and one training step, at the released cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan import losses


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
        self,
        speech_size: int = 1024,
        condition_size: int = 128,
        noise_size: int = 100,
        width: int = 64,
        stages: int = 3,
        first_size: int = 64,
        dense: bool = True,
    ) -> None:
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
            layers.append(
                nn.Sequential(nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2))
            )
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
            nn.Linear(2 * embedding_size, hidden_size),
            nn.BatchNorm1d(hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, 4),
        )

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.layers(torch.cat([a, b], 1))


@dataclass
class Networks:
    """What is trained together; `ema` is the moving average of the generator."""

    generator: Generator
    ema: Generator
    discriminators: list[Discriminator]
    supervisor: RelationSupervisor

    def trained(self) -> dict[str, nn.Module]:
        """The networks with an optimiser, by the library's names."""
        return {
            "generator": self.generator,
            **{f"discriminator{i}": d for i, d in enumerate(self.discriminators)},
            "supervisor": self.supervisor,
        }


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


def discriminator_loss(
    discriminator: nn.Module, real: Tensor, mismatched: Tensor, fake: Tensor, condition: Tensor
) -> Tensor:
    """The conditional and the unconditional loss of one discriminator, from three forwards."""
    (real_c, real_u), (mismatched_c, mismatched_u), (fake_c, fake_u) = (
        discriminator(images, condition) for images in (real, mismatched, fake)
    )
    conditional = bce(real_c, 1) + bce(mismatched_c, 0) + bce(fake_c, 0)
    return conditional + bce(real_u, 1) + bce(mismatched_u, 1) + bce(fake_u, 0)


def update(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step down the gradient of `loss`."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def training_step(
    nets: Networks,
    optimisers: dict[str, torch.optim.Optimizer],
    real: Tensor,
    same_class: Tensor,
    mismatched: Tensor,
    speech: Tensor,
    noise: Tensor,
    eps: Tensor,
    embed_image: Callable[[Tensor], Tensor],
    kl_weight: float = 2.0,
    relation_weight: float = 1.0,
    decay: float = 0.999,
) -> dict[str, Tensor]:
    """One step in the released order and at its cost; arguments and losses as of `training.rdg_step.rdg_training_step`.

    Args: embed_image: the frozen image encoder, one batch of images of any size -> unit vectors [B, D].
    """
    # 1. One forward of G.
    fakes, mu, logvar = nets.generator(noise, speech, eps)
    sizes = [fake.shape[-1] for fake in fakes]
    three = ([resized(images, size) for size in sizes] for images in (real, same_class, mismatched))
    reals, same_classes, mismatches = three
    report = {}

    # 2. D of each scale: three forwards, one loss, one update.
    c = mu.detach()
    for i, discriminator in enumerate(nets.discriminators):
        loss = discriminator_loss(discriminator, reals[i], mismatches[i], fakes[i].detach(), c)
        update(optimisers[f"discriminator{i}"], loss)
        report[f"D{sizes[i]}"] = loss.detach()

    # 3. RS. The image encoder sees real, same-class and mismatched images at every scale; the largest ones are used.
    for images in zip(reals, same_classes, mismatches, strict=True):
        f_real, f_same, f_mismatched = (embed_image(part) for part in images)
    f_fake = embed_image(fakes[-1])  # the tenth pass
    pairs = (
        (f_real, losses.UNDESIRED),
        (f_same, losses.POSITIVE),
        (f_fake.detach(), losses.POSITIVE),
        (f_mismatched, losses.NEGATIVE),
    )
    loss = sum(relation(nets.supervisor(f_real, other), answer) for other, answer in pairs)
    update(optimisers["supervisor"], loss)
    report["RS"] = loss.detach()

    # 4. G. Gradients of D and RS are computed too, and dropped at their next zero_grad.
    adversarial = 0.0
    for fake, discriminator in zip(fakes, nets.discriminators, strict=True):
        conditional, unconditional = discriminator(fake, mu)
        adversarial = adversarial + bce(conditional, 1) + bce(unconditional, 1)
    of_relation = relation(nets.supervisor(f_real, f_fake), losses.POSITIVE)
    kl = -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())
    loss = adversarial + kl_weight * kl + relation_weight * of_relation
    update(optimisers["generator"], loss)

    # 5. Moving average of G.
    for mean, now in zip(nets.ema.parameters(), nets.generator.parameters(), strict=True):
        mean.data.mul_(decay).add_(now.data, alpha=1 - decay)
    return report | {"G_RS": of_relation.detach(), "G": adversarial.detach(), "KL": kl.detach()}
