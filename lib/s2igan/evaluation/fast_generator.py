"""A finished generator in its fastest form: the same images from fewer products and fewer passes over memory.

For evaluation and demonstrations alone: it has no gradients, and its BatchNorms keep the statistics of the generator
that it was made from. `evaluation.generate` uses it for images of 64 pixels or more, where they are more than a batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan.rdg import Generator, NextStage, inside_of_taps, sums_of_taps


def folded(weight: Tensor, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A layer's weight [out, ...] and bias [out] with the BatchNorm after it taken in.

    In eval mode BN(W x) = (g W) x + b with g = weight / sqrt(var + eps), b = bias - g mean, a value a channel.
    """
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return weight * scale.view(-1, *[1] * (weight.dim() - 1)), norm.bias - scale * norm.running_mean


def glu_(x: Tensor) -> Tensor:
    """First half of the channels * sigmoid(second half), in memory of its own."""
    a, b = x.chunk(2, 1)
    return b.clone().sigmoid_().mul_(a)


def transposed_conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Transposed convolution of stride 2, kernel 4x4, padding 1: [B, n, s, s] -> [B, out, 2s, 2s].

    The plain form: F.conv_transpose2d(x, weight, bias, stride=2, padding=1), weight [n, out, 4, 4]. On small
    maps there is more weight than image, and one matrix product by weight [n, out * 16], whose 4x4 patches are then
    summed, is faster.
    """
    if weight.dim() == 4:
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=1)
    patches = x.permute(0, 2, 3, 1).flatten(1, 2) @ weight  # (B, s * s, out * 16)
    y = F.fold(patches.transpose(1, 2), (2 * x.shape[2], 2 * x.shape[3]), 4, padding=1, stride=2)
    return y.add_(bias[:, None, None]).contiguous(memory_format=torch.channels_last)


class FastGenerator(nn.Module):
    """`rdg.Generator` in eval mode, as constants of one precision.

    The plain form: `generator.eval()(noise, speech, eps)` under `torch.no_grad()`. What differs, all of it exact up to
    rounding: BatchNorms are folded into the layers before them; kernels of upsampling convolutions
    (`rdg.upsample_conv`) and the rows of the first layer are put in order once; the condition's part
    (`rdg.joint_conv`) is added in place; weights are kept in `dtype`.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype = torch.float32) -> None:
        """`generator`: left as it is. `dtype`: float32, or bfloat16 where the device multiplies it natively."""
        super().__init__()
        self.noise_size, self.condition_size, self.top = (
            generator.noise_size,
            generator.condition_size,
            generator.first.top,
        )
        self.dense = [stage.dense for stage in generator.next]
        self.tensors = nn.ParameterDict()

        def keep(name: str, tensor: Tensor) -> None:
            tensor = tensor.detach().to(dtype)
            layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
            self.tensors[name] = nn.Parameter(tensor.contiguous(memory_format=layout), requires_grad=False)

        def keep_up(name: str, block: nn.Module, size: int) -> None:
            weight, bias = folded(block.conv.weight, block.norm)
            kernel = torch.matmul(sums_of_taps(weight.device), weight.permute(0, 2, 3, 1).flatten(1, 2)).unflatten(
                1, (4, 4)
            )
            kernel = kernel.permute(3, 0, 1, 2)  # (n, out, 4, 4)
            keep(f"{name}_weight", kernel.flatten(1) if size < 16 else kernel)
            keep(f"{name}_bias", bias)

        linear = generator.augment.linear
        keep("augment_weight", linear.weight)
        keep("augment_bias", linear.bias)
        # Rows of the first layer by place, then channel: its output is then a channels-last map as it lies.
        for name, tensor in zip(
            ("weight", "bias"), folded(generator.first.linear.weight, generator.first.norm), strict=True
        ):
            keep(f"first_{name}", tensor.unflatten(0, (2, self.top, 16)).transpose(1, 2).flatten(0, 2))
        for i, block in enumerate(generator.first.ups):
            keep_up(f"first_up{i}", block, 4 * 2**i)
        self.ups = len(generator.first.ups)
        for i, stage in enumerate(generator.next):
            self._keep_stage(stage, f"stage{i}", keep)
            keep_up(f"stage{i}_up", stage.up, 4 * 2 ** (self.ups + i))
        for i, head in enumerate(generator.heads):
            keep(f"head{i}_weight", head.weight)

    def _keep_stage(self, stage: NextStage, name: str, keep: Callable[[str, Tensor], None]) -> None:
        weight, bias = folded(stage.joint.weight, stage.norm)
        on_condition, on_x = weight.split([self.condition_size, weight.shape[1] - self.condition_size], 1)
        keep(f"{name}_taps_weight", on_condition.permute(2, 3, 0, 1).flatten(0, 2))  # (9 * out, C)
        # The bias goes to the tap in the middle, the fifth, which lies inside the image everywhere.
        keep(f"{name}_taps_bias", F.pad(bias[None], (0, 0, 4, 4)).flatten())
        keep(f"{name}_joint_weight", on_x)
        for j, block in enumerate(stage.residuals):
            for k, (conv, norm) in enumerate(((0, 1), (3, 4))):
                for part, tensor in zip(
                    ("weight", "bias"), folded(block.layers[conv].weight, block.layers[norm]), strict=True
                ):
                    keep(f"{name}_residual{j}_{k}_{part}", tensor)

    def _up(self, name: str, x: Tensor) -> Tensor:
        return glu_(transposed_conv(x, self.tensors[f"{name}_weight"], self.tensors[f"{name}_bias"]))

    def _stage(self, name: str, condition: Tensor, h: Tensor, dense: bool) -> Tensor:
        t = self.tensors
        taps = F.linear(condition, t[f"{name}_taps_weight"], t[f"{name}_taps_bias"]).unflatten(
            1, (9, -1)
        )  # (B, 9, out)
        inside = inside_of_taps(*h.shape[2:], h.device, h.dtype)  # (H * W, 9), of 0 and 1
        x = F.conv2d(h, t[f"{name}_joint_weight"], padding=1)
        x.permute(0, 2, 3, 1).flatten(1, 2).baddbmm_(inside.expand(len(h), -1, -1), taps)
        x = glu_(x)
        for j in range(2):
            y = glu_(F.conv2d(x, t[f"{name}_residual{j}_0_weight"], t[f"{name}_residual{j}_0_bias"], padding=1))
            x = F.conv2d(y, t[f"{name}_residual{j}_1_weight"], t[f"{name}_residual{j}_1_bias"], padding=1).add_(x)
        return self._up(f"{name}_up", torch.cat([x, h], 1) if dense else x)

    @torch.no_grad()
    def forward(self, noise: Tensor, speech: Tensor, eps: Tensor | None = None) -> tuple[list[Tensor], Tensor, Tensor]:
        """As of `rdg.Generator`; images, mu and logvar are float32."""
        t = self.tensors
        dtype = t["first_weight"].dtype
        mu, logvar = glu_(F.linear(speech.to(dtype), t["augment_weight"], t["augment_bias"])).float().chunk(2, 1)
        eps = torch.randn_like(mu) if eps is None else eps
        condition = (mu + eps * torch.exp(logvar / 2)).to(dtype)
        x = glu_(F.linear(torch.cat([condition, noise.to(dtype)], 1), t["first_weight"], t["first_bias"]))
        h = x.view(-1, 4, 4, self.top).permute(0, 3, 1, 2)
        for i in range(self.ups):
            h = self._up(f"first_up{i}", h)
        images = [torch.tanh(F.conv2d(h, t["head0_weight"], padding=1)).float()]
        for i, dense in enumerate(self.dense):
            h = self._stage(f"stage{i}", condition, h, dense)
            images.append(torch.tanh(F.conv2d(h, t[f"head{i + 1}_weight"], padding=1)).float())
        return images, mu, logvar
