"""RDG, the relation-supervised densely-stacked generator (paper, section 2.2).

In this order: layers that both sides share; the generator, from the speech embedding to the images; the discriminators;
the relation supervisor. B batch, s pixels of a side, w width, n channels. Parameters are those of the named layers in
torch's own shapes. Layers as in the released code: every convolution of G and D is without bias except the logits.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def initialise(module: nn.Module) -> None:
    """For `nn.Module.apply` (released code): orthogonal weights, zero biases, BatchNorm weights from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.orthogonal_(module.weight)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def glu(x: Tensor) -> Tensor:
    """Gated linear unit: [B, 2n, ...] -> [B, n, ...], the first half of the channels * sigmoid(second half).

    On a CPU in channels-last layout F.glu is slow, and so is a sigmoid of the second half where it lies, between the
    values of the first: a copy of it is twice as fast.
    """
    a, b = x.chunk(2, 1)
    return a * torch.sigmoid(b if b.is_cuda else b.clone())


class GLU(nn.Module):
    """`glu` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return glu(x)


def conv3x3(before: int, after: int) -> nn.Conv2d:
    """3x3 convolution that keeps the size, without bias."""
    return nn.Conv2d(before, after, 3, padding=1, bias=False)


def cached_outside_inference(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Cache a constant tensor by its arguments. Made outside of inference mode, so that a later training may use it."""
    return functools.cache(torch.inference_mode(False)(make))


@cached_outside_inference
def inside_of_taps(height: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Which taps of a 3x3 kernel with padding 1 lie inside an image at each of its pixels: [H * W, 9], of 0 and 1."""
    ones = torch.ones(1, 1, height, width, device=device, dtype=dtype)
    return F.unfold(ones, 3, padding=1)[0].T


def joint_conv(conv: nn.Conv2d, condition: Tensor, x: Tensor) -> Tensor:
    """`conv` (3x3, padding 1) of [condition tiled over space, x], without ever tiling it.

    The plain form: conv(cat([condition[:, :, None, None].expand(-1, -1, H, W), x], 1)). A convolution is linear in its
    input channels, and on a constant map each of its nine taps W_t gives the vector W_t c where it lies inside the
    image: result(p) = conv(x)(p) + sum over t of inside(t, p) * W_t c. Exact.

    Args:
        conv: its weight is [out, C + n, 3, 3].
        condition: c, [B, C].
        x: [k * B, n, H, W], k batches that share the condition.
    Returns: [k * B, out, H, W].
    """
    on_condition, on_x = conv.weight.split([condition.shape[1], conv.weight.shape[1] - condition.shape[1]], 1)
    of_taps = on_condition.permute(2, 3, 0, 1).flatten(0, 2)  # (9 * out, C)
    taps = F.linear(condition, of_taps).unflatten(1, (9, -1))  # W_t c, (B, 9, out)
    inside = inside_of_taps(*x.shape[2:], x.device, x.dtype)  # (H * W, 9)
    part = torch.matmul(inside, taps).unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)  # (B, out, H, W), channels last
    return F.conv2d(x, on_x, padding=1) + part.repeat(len(x) // len(part), 1, 1, 1)


def whole_conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """`conv` whose kernel is as large as x, as the inner product that it is: [B, n, s, s] -> [B, out]. Exact."""
    return F.linear(x.permute(0, 2, 3, 1).flatten(1), conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)


@cached_outside_inference
def sums_of_taps(device: torch.device) -> Tensor:
    """Which taps of a 3x3 kernel sum to each of the 4x4 kernel of `upsample_conv`: [16, 9], of 0 and 1."""
    along_a_side = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.float32)
    return torch.kron(along_a_side, along_a_side).to(device)


def upsample_conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """`conv` (3x3, padding 1) of x upsampled by nearest x2, without ever upsampling it.

    The plain form: conv(F.interpolate(x, scale_factor=2, mode="nearest")). An output pixel sees only 2x2 different
    inputs there, so the pair is a transposed convolution of stride 2, whose 4x4 kernel is the flipped 3x3 kernel summed
    over 2x2 windows: 16 products an input pixel in place of 36. Exact. At 4 pixels the plain form is faster, and used.

    Args: x: [B, n, H, W]; conv.weight: [out, n, 3, 3]. Returns: [B, out, 2H, 2W].
    """
    if x.shape[-1] < 8:
        return conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    taps = conv.weight.permute(0, 2, 3, 1).flatten(1, 2)  # (out, 9, n)
    kernel = torch.matmul(sums_of_taps(x.device), taps).unflatten(1, (4, 4))  # (out, 4, 4, n)
    return F.conv_transpose2d(x, kernel.permute(3, 0, 1, 2), stride=2, padding=1)


class UpBlock(nn.Module):
    """Nearest x2, conv3x3 before -> 2 * after, BatchNorm, GLU: [B, before, s, s] -> [B, after, 2s, 2s]."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = conv3x3(before, 2 * after)
        self.norm = nn.BatchNorm2d(2 * after)

    def forward(self, x: Tensor) -> Tensor:
        return glu(self.norm(upsample_conv(self.conv, x)))


class ResidualBlock(nn.Module):
    """x + BN(conv(GLU(BN(conv(x))))), n channels; nothing follows the sum."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv3x3(n, 2 * n), nn.BatchNorm2d(2 * n), GLU(), conv3x3(n, n), nn.BatchNorm2d(n))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class ConditioningAugmentation(nn.Module):
    """A Gaussian around the speech embedding (StackGAN): Linear, GLU -> mu, logvar; c = mu + eps * exp(logvar / 2)."""

    def __init__(self, speech_size: int, condition_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(speech_size, 4 * condition_size)

    def forward(self, speech: Tensor) -> tuple[Tensor, Tensor]:
        """Speech embeddings [B, speech_size] -> mu, logvar, [B, condition_size] each."""
        mu, logvar = glu(self.linear(speech)).chunk(2, 1)
        return mu, logvar


class FirstStage(nn.Module):
    """[c, z] -> Linear, BatchNorm, GLU -> [B, top, 4, 4] -> up-blocks -> [B, w, first_size, first_size].

    Each up-block doubles the size and halves the channels, from top = w * first_size / 4.
    """

    def __init__(self, input_size: int, width: int, first_size: int) -> None:
        super().__init__()
        ups = int(math.log2(first_size // 4))
        self.top = width * 2**ups
        self.linear = nn.Linear(input_size, 2 * 16 * self.top, bias=False)
        self.norm = nn.BatchNorm1d(2 * 16 * self.top)
        self.ups = nn.Sequential(*(UpBlock(width * 2**i, width * 2 ** (i - 1)) for i in range(ups, 0, -1)))

    def forward(self, condition: Tensor, noise: Tensor) -> Tensor:
        x = glu(self.norm(self.linear(torch.cat([condition, noise], 1))))  # (B, 16 * top)
        x = x.view(-1, self.top, 4, 4)
        # The layers below follow the layout of their input.
        if self.ups[0].conv.weight.is_contiguous(memory_format=torch.channels_last):
            x = x.contiguous(memory_format=torch.channels_last)
        return self.ups(x)


class NextStage(nn.Module):
    """A later stage (paper, section 2.2, "densely-stacked"): h [B, n, s, s] -> [B, n / 2, 2s, 2s].

    The condition joins h, two residual blocks, the dense link, an up-block. The dense link concatenates the stage's
    input with the residual output; without it this is StackGAN-v2's stage.
    """

    def __init__(self, n: int, condition_size: int, dense: bool) -> None:
        super().__init__()
        self.dense = dense
        self.joint = conv3x3(condition_size + n, 2 * n)
        self.norm = nn.BatchNorm2d(2 * n)
        self.residuals = nn.Sequential(ResidualBlock(n), ResidualBlock(n))
        self.up = UpBlock(2 * n if dense else n, n // 2)

    def forward(self, condition: Tensor, h: Tensor) -> Tensor:
        x = glu(self.norm(joint_conv(self.joint, condition, h)))
        x = self.residuals(x)  # (B, n, s, s)
        return self.up(torch.cat([x, h], 1) if self.dense else x)


class Generator(nn.Module):
    """The densely-stacked generator; width 64 with three stages from 64 pixels is the paper's (21.29 M parameters)."""

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
        """Layers of every stage.

        Args:
            first_size: pixels at the first stage (a power of two, at least 8), doubled at each later one.
            width: channels of the first stage's output, halved at each later one.
            dense: False is "w/o Dense" and StackGAN-v2.
        """
        super().__init__()
        self.noise_size, self.condition_size = noise_size, condition_size
        self.augment = ConditioningAugmentation(speech_size, condition_size)
        self.first = FirstStage(condition_size + noise_size, width, first_size)
        self.next = nn.ModuleList(NextStage(width // 2**i, condition_size, dense) for i in range(stages - 1))
        self.heads = nn.ModuleList(conv3x3(width // 2**i, 3) for i in range(stages))
        self.apply(initialise)

    def forward(
        self,
        noise: Tensor,
        speech: Tensor,
        eps: Tensor | None = None,
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """Generate one image a row at every scale (paper, section 2.2).

        Args:
            noise: z ~ N(0, I), [B, noise_size].
            speech: embedding, [B, speech_size].
            eps: noise of the conditioning augmentation, [B, condition_size]; drawn from N(0, I) when None.
        Returns: images, small to large, [B, 3, s, s] in [-1, 1]; mu and logvar, [B, condition_size].
        """
        mu, logvar = self.augment(speech)  # (B, condition_size) each
        eps = torch.randn_like(mu) if eps is None else eps
        condition = mu + eps * torch.exp(logvar / 2)  # c ~ N(mu, sigma^2)
        h = self.first(condition, noise)  # (B, w, first_size, first_size)
        images = [torch.tanh(self.heads[0](h))]
        for stage, head in zip(self.next, self.heads[1:], strict=True):
            h = stage(condition, h)  # (B, n / 2, 2s, 2s)
            images.append(torch.tanh(head(h)))
        return images, mu, logvar


def down_block(before: int, after: int) -> nn.Sequential:
    """conv4x4 stride 2, BatchNorm, LeakyReLU 0.2: half the size."""
    return nn.Sequential(nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2))


def same_block(before: int, after: int) -> nn.Sequential:
    """conv3x3, BatchNorm, LeakyReLU 0.2: the same size."""
    return nn.Sequential(conv3x3(before, after), nn.BatchNorm2d(after), nn.LeakyReLU(0.2))


def per_group(layers: nn.Module, x: Tensor, groups: int) -> Tensor:
    """Layers on several batches stacked, [groups * B, ...], as if each passed alone: each is a BatchNorm group."""
    if isinstance(layers, nn.Sequential):
        for layer in layers:
            x = per_group(layer, x, groups)
        return x
    if isinstance(layers, nn.BatchNorm2d) and groups > 1:
        return torch.cat([layers(part) for part in x.chunk(groups)])
    return layers(x)


class Discriminator(nn.Module):
    """Discriminator of one scale, with a conditional and an unconditional head (StackGAN-v2).

    At width 64 it has 5.72, 18.83 and 71.27 M parameters for 64, 128 and 256 pixels.
    """

    def __init__(self, image_size: int, width: int = 64, condition_size: int = 128) -> None:
        """Layers that halve `image_size` (a power of two, at least 8) down to 4 pixels.

        The channels double from `width`. More than 8 * width are halved again by 3x3 convolutions; below 64 pixels
        there are width * image_size / 8 at the end.
        """
        super().__init__()
        halvings = int(math.log2(image_size // 4))
        channels = [width * 2**i for i in range(halvings)]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        layers += [down_block(a, b) for a, b in itertools.pairwise(channels)]
        while channels[-1] > 8 * width:
            layers.append(same_block(channels[-1], channels[-1] // 2))
            channels.append(channels[-1] // 2)
        top = channels[-1]
        self.trunk = nn.Sequential(*layers)
        self.joint = conv3x3(condition_size + top, top)
        self.joint_norm = nn.BatchNorm2d(top)
        self.conditional = nn.Conv2d(top, 1, 4, stride=4)
        self.unconditional = nn.Conv2d(top, 1, 4, stride=4)
        self.apply(initialise)

    def forward(self, images: Tensor, condition: Tensor, groups: int = 1) -> tuple[Tensor, Tensor]:
        """Conditional and unconditional logits of images (paper, section 2.2).

        Args:
            images: [groups * B, 3, s, s] in [-1, 1]: one batch, or several stacked that share the condition.
            condition: mu, [B, condition_size].
            groups: number of batches stacked. The logits equal those of as many forwards one after the other. This is
                faster: convolutions take all batches at once, each BatchNorm takes them one by one.
        Returns: conditional logits, unconditional logits, [groups * B] each.
        """
        x = per_group(self.trunk, images, groups)  # (groups * B, top, 4, 4)
        joint = per_group(self.joint_norm, joint_conv(self.joint, condition, x), groups)
        joint = F.leaky_relu(joint, 0.2)
        return whole_conv(self.conditional, joint).flatten(), whole_conv(self.unconditional, x).flatten()


class RelationSupervisor(nn.Module):
    """RS (paper, section 2.2): which relation two images have, from their frozen embeddings; 0.263 M parameters."""

    def __init__(
        self, embedding_size: int = 1024, hidden_size: int = 128
    ) -> None:
        super().__init__()
        # Four outputs as in the released code; of them undesired 0,
        # positive 1 and negative 2 occur.
        self.layers = nn.Sequential(
            nn.Linear(2 * embedding_size, hidden_size),
            nn.BatchNorm1d(hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, 4),
        )
        self.apply(initialise)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Unit image embeddings a (of the real image) and b, [B, embedding_size] each -> logits [B, 4]."""
        return self.layers(torch.cat([a, b], 1))
