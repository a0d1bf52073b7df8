"""Drawings of SEN and RDG, made from the networks themselves: the shape on every arrow is what a forward pass has there.

A drawing computes on copies, in eval mode, and draws no random numbers: a training goes on as if it had not been made.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

from s2igan.rdg import Discriminator, Generator, RelationSupervisor
from s2igan.reporting.alternative_text import set_alt
from s2igan.sen import SEN, SpeechEncoder

BATCH = 2  # rows of the forward pass, written as B
LINE = 0.155  # inches that a line of text takes
FACES = {"layer": "white", "frozen": "white", "data": "none", "loss": "#dddddd"}  # light grey: words stay readable in print


class Passed(NamedTuple):
    """Shapes of the tensors that went into a layer, and that came out."""

    given: list[tuple[int, ...]]
    made: list[tuple[int, ...]]


def shapes(module: nn.Module, *inputs: Tensor, device: str = "meta") -> dict[str, Passed]:
    """What passes each layer below `module` ('' is itself) in one forward pass of a copy of it.

    On the device `meta`, nothing is computed and no weight is copied. A layer that is called several times counts at the first.
    """
    memo: dict[int, object] = {}
    if device == "meta":  # deepcopy takes what stands here in place of a copy
        memo |= {id(p): nn.Parameter(p.detach().to("meta"), requires_grad=False) for p in module.parameters()}
        memo |= {id(b): b.to("meta") for b in module.buffers()}
    twin = copy.deepcopy(module, memo).to(device).eval()
    seen: dict[str, Passed] = {}

    def watch(name: str) -> None:
        def keep(_: nn.Module, given: tuple, made: object) -> None:
            seen.setdefault(name, Passed(sizes(given), sizes(made)))

        twin.get_submodule(name).register_forward_hook(keep)

    for name, _ in list(twin.named_modules()):
        watch(name)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        twin(*(tensor.to(device) if tensor.is_floating_point() else tensor for tensor in inputs))
    return seen


def sizes(value: object) -> list[tuple[int, ...]]:
    """Shapes of all tensors in a tensor, a tuple or a list."""
    if isinstance(value, Tensor):
        return [tuple(value.shape)]
    return [size for part in value for size in sizes(part)] if isinstance(value, tuple | list) else []


def written(shape: Sequence[int]) -> str:
    """A shape as the drawings show it, its first number being the batch: (2, 40, 300) is '[B, 40, 300]'."""
    return f"[{', '.join(['B', *(str(n) for n in shape[1:])])}]"


class Box(NamedTuple):
    """A box's middle, and half of its sides, in inches from the upper left corner."""

    x: float
    y: float
    half_width: float
    half_height: float


class Drawing:
    """Boxes and arrows on a sheet."""

    def __init__(self, width: float, height: float) -> None:
        self.figure, self.axis = plt.subplots(figsize=(width, height))
        self.axis.set(xlim=(0, width), ylim=(height, 0))
        self.axis.axis("off")
        self.figure.subplots_adjust(left=0, right=1, bottom=0, top=1)

    def box(self, x: float, y: float, text: str, width: float = 2.3, kind: str = "layer") -> Box:
        """A box around its middle (x, y). kind: layer; frozen (dashed, never trained); data (without a frame); loss (grey)."""
        half = 0.09 + LINE * (text.count("\n") + 1) / 2
        if kind != "data":
            self.axis.add_patch(FancyBboxPatch(
                (x - width / 2, y - half), width, 2 * half, boxstyle="round,pad=0,rounding_size=0.06", facecolor=FACES[kind],
                edgecolor="black", linewidth=1, linestyle="--" if kind == "frozen" else "-",
            ))  # fmt: skip
        self.axis.text(x, y, text, ha="center", va="center", fontsize=9)
        return Box(x, y, width / 2, half)

    def arrow(
        self, points: Sequence[tuple[float, float]], label: str = "", at: tuple[float, float] | None = None, tip: bool = True
    ) -> None:  # fmt: skip
        """A line through the points, with a tip at the last of them; the label stands at `at`, or right of the first stretch's middle."""
        self.axis.plot(*zip(*points, strict=True), color="black", linewidth=1, solid_capstyle="butt")
        if tip:
            self.axis.annotate("", points[-1], points[-2], arrowprops={"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0})
        if label:
            (x0, y0), (x1, y1) = points[:2]
            x, y = at or ((x0 + x1) / 2 + 0.07, (y0 + y1) / 2)
            self.axis.text(x, y, label, ha="left", va="center", fontsize=8.5, family="monospace")

    def down(self, above: Box, below: Box, label: str = "") -> None:
        """An arrow straight down from a box into one below it (which may be wider or aside, as long as it is hit)."""
        self.arrow([(above.x, above.y + above.half_height), (above.x, below.y - below.half_height)], label)


def sen(net: SEN, image_size: int, frames: int = 300) -> Figure:
    """SEN: speech encoder and image encoder, the space that they share and the two losses, for images of `image_size` pixels and a
    caption of `frames` log-mel frames."""
    encoder = net.caption_encoder
    if not isinstance(encoder, SpeechEncoder):
        raise TypeError("the drawing is of a speech encoder")
    mel, lengths = torch.zeros(BATCH, frames, encoder.conv1.in_channels), torch.full((BATCH,), frames)
    heard = shapes(encoder, mel, lengths, device="cpu")  # it looks at the lengths, which `meta` does not know
    looked = shapes(net.image_encoder, torch.zeros(BATCH, 3, image_size, image_size))
    told = shapes(net.classifier, torch.zeros(heard[""].made[0]))

    sheet = Drawing(5.4, 7.0)
    left, right = 1.5, 3.95
    spoken = sheet.box(left, 0.2, "spoken caption, as a log-mel", kind="data")
    conv1 = sheet.box(left, 0.95, "convolution, stride 2\nBatchNorm")
    conv2 = sheet.box(left, 1.75, "convolution, stride 2\nBatchNorm")
    gru = sheet.box(left, 2.55, f"GRU, {encoder.gru.num_layers} layers,\nboth directions")
    attend = sheet.box(left, 3.35, "attention: softmax over time\nof $W_2$ tanh($W_1 h + b_1$) + $b_2$")
    pool = sheet.box(left, 4.1, "sum over time of $A \\odot h$")
    unit = sheet.box(left, 4.75, "brought to length one")
    sheet.down(spoken, conv1, written(heard[""].given[0]))
    sheet.down(conv1, conv2, written(heard["norm1"].made[0]))
    sheet.down(conv2, gru, written(heard["norm2"].made[0]))
    sheet.down(gru, attend, f"h: {written(heard['attend1'].given[0])}")
    sheet.down(attend, pool, f"A: {written(heard['attend2'].made[0])}")
    aside = left - attend.half_width - 0.15
    sheet.arrow([(left, 2.95), (aside, 2.95), (aside, pool.y), (left - pool.half_width, pool.y)])
    sheet.down(pool, unit, written(heard[""].made[0]))

    image = sheet.box(right, 0.2, "image", kind="data")
    backbone = sheet.box(right, 1.35, "backbone $f$\n(frozen)", 1.6, "frozen")
    linear = sheet.box(right, 2.95, "linear layer", 1.6)
    length = sheet.box(right, 4.75, "brought to length one", 1.9)
    sheet.down(image, backbone, written(looked[""].given[0]))
    sheet.down(backbone, linear, written(looked["backbone"].made[0]))
    sheet.down(linear, length, written(looked["linear"].made[0]))

    space = sheet.box(2.62, 5.5, "one space: the cosine of $a$ and $v$ says how well they fit", 4.7)
    sheet.down(unit, space, f"a: {written(heard[''].made[0])}")
    sheet.down(length, space, f"v: {written(looked[''].made[0])}")
    matching = sheet.box(left, 6.72, "matching loss", kind="loss")
    classifier = sheet.box(right, 6.1, "classifier of both", 1.9)
    distinctive = sheet.box(right, 6.72, "distinctive loss $L_d$", 1.9, "loss")
    sheet.arrow([(left, space.y + space.half_height), (left, matching.y - matching.half_height)], "[B, B] cosines")
    sheet.arrow([(right, space.y + space.half_height), (right, classifier.y - classifier.half_height)])
    sheet.down(classifier, distinctive, written(told[""].made[0]))
    gru_given, gru_made = written(heard["norm2"].made[0]), written(heard["attend1"].given[0])
    set_alt(sheet.figure, (
        f"Diagram of SEN, shapes in brackets. Left, the speech encoder: log-mel {written(heard[''].given[0])}, two convolutions with "
        f"BatchNorm {written(heard['norm1'].made[0])} and {gru_given}, GRU {gru_made}, attention over time, a vector a of length one "
        f"{written(heard[''].made[0])}. Right, the image encoder: image {written(looked[''].given[0])}, frozen backbone "
        f"{written(looked['backbone'].made[0])}, linear layer, a vector v of length one {written(looked[''].made[0])}. Both lie in one "
        f"space: their cosines make the matching loss; a classifier of both {written(told[''].made[0])} makes the distinctive loss."
    ))  # fmt: skip
    return sheet.figure


def rdg(generator: Generator, discriminators: Sequence[Discriminator] = (), supervisor: RelationSupervisor | None = None) -> Figure:
    """RDG: the generator stage by stage, each stage's discriminator, and the relation supervisor where there is one."""
    speech_size = generator.augment.linear.in_features
    inputs = [torch.zeros(BATCH, n) for n in (generator.noise_size, speech_size, generator.condition_size)]
    painted = shapes(generator, *inputs)
    images = painted[""].made[: len(generator.heads)]

    sheet = Drawing(5.9, 2.95 + 2.6 * len(generator.next) + 1.75)
    main, side, bus, link = 1.75, 4.55, 0.22, 3.45
    speech = sheet.box(main, 0.2, "speech embedding $a$", kind="data")
    augment = sheet.box(main, 1.0, "conditioning augmentation:\n$\\mu, \\log\\sigma^2$;  $c = \\mu + \\epsilon\\,\\sigma$")
    first = sheet.box(main, 1.95, f"stage 0: linear layer,\n{len(generator.first.ups)} up-block{'s' * (len(generator.first.ups) > 1)}")
    noise = sheet.box(side, 1.35, "noise $z$", 1.0, "data")
    sheet.down(speech, augment, written(painted[""].given[1]))
    sheet.down(augment, first, f"c: {written(painted['augment'].made[0])}")
    right = main + first.half_width
    sheet.arrow([(side, noise.y + noise.half_height), (side, first.y), (right, first.y)], written(painted[""].given[0]),
                (right + 0.12, first.y - 0.11))  # fmt: skip

    above, y, made, hidden = first, first.y + 0.55, painted["first"].made[0], []
    for i, image in enumerate(images):
        # The hidden image h: down into the next stage, and to the right into this stage's image.
        head = sheet.box(side, y, "convolution, tanh", 1.5)
        hidden.append(written(made))
        sheet.arrow([(main, above.y + above.half_height), (main, y)], tip=False)
        sheet.arrow([(main, y), (side - head.half_width, y)], f"h: {written(made)}", (main + 0.07, y - 0.11))
        judged = y + 0.95
        if i < len(discriminators):
            seen = shapes(discriminators[i], torch.zeros(image), torch.zeros(BATCH, generator.condition_size))
            judge = sheet.box(side, judged, f"discriminator {image[-1]}:\nreal? fits $\\mu$?", 1.5)
            answer = sheet.box(side, judged + 0.68, "two logits", 1.0, "data")
            sheet.down(head, judge, written(image))
            sheet.down(judge, answer, ", ".join(written(logits) for logits in seen[""].made))
        else:
            answer = sheet.box(side, judged, f"image, {image[-1]} pixels", 1.5, "data")
            sheet.down(head, answer, written(image))
        if i == len(generator.next):
            break
        stage, passed = generator.next[i], f"next.{i}"
        joint = sheet.box(main, y + 0.55, f"stage {i + 1}: convolution of [$c, h$]")
        residual = sheet.box(main, y + 1.15, f"{len(stage.residuals)} residual blocks")
        given = written(painted[f"{passed}.up"].given[0])
        up = sheet.box(main, y + 1.85, f"up-block of [$x, h$]:\n{given}" if stage.dense else f"up-block of $x$:\n{given}")
        sheet.arrow([(main, y), (main, joint.y - joint.half_height)])
        sheet.arrow([(bus, joint.y), (main - joint.half_width, joint.y)])
        sheet.down(joint, residual, written(painted[f"{passed}.residuals"].given[0]))
        sheet.down(residual, up, f"x: {written(painted[f'{passed}.residuals'].made[0])}")
        if stage.dense:
            sheet.arrow([(link, y), (link, up.y), (main + up.half_width, up.y)])
            sheet.axis.text(link + 0.06, y + 0.44, "dense\nlink", ha="left", va="center", fontsize=8.5, style="italic")
        above, y, made = up, up.y + 0.75, painted[passed].made[0]
    if generator.next:
        leaves = augment.y + augment.half_height + 0.12
        sheet.arrow([(main, leaves), (bus, leaves), (bus, joint.y)], tip=False)
        sheet.axis.text(bus - 0.04, joint.y - 0.14, "c", ha="right", va="center", fontsize=8.5, family="monospace")
    if supervisor is not None:
        judged_by = shapes(supervisor, *(torch.zeros(BATCH, supervisor.layers[0].in_features // 2) for _ in range(2)))
        look = sheet.box(main, y + 0.6, "SEN's image encoder,\non this and the real image", kind="frozen")
        relation = sheet.box(main, y + 1.35, "relation supervisor")
        logits = sheet.box(main, y + 1.9, "which relation have they?", kind="data")
        fork = head.y + head.half_height + 0.14
        sheet.arrow([(side, fork), (link, fork), (link, look.y), (main + look.half_width, look.y)])
        sheet.down(look, relation, f"{written(judged_by[''].given[0])}, twice")
        sheet.down(relation, logits, written(judged_by[""].made[0]))
    dense = " and, by the dense link, past it" if generator.next and generator.next[0].dense else ""
    judges = ", each judged by a discriminator of its own" if len(discriminators) else ""
    supervised = " A relation supervisor compares the last one with the real image." if supervisor is not None else ""
    set_alt(sheet.figure, (
        f"Diagram of RDG, shapes in brackets. The speech embedding {written(painted[''].given[1])} becomes a condition c "
        f"{written(painted['augment'].made[0])}; with noise {written(painted[''].given[0])} it enters stage 0, alone every later stage. "
        f"Each stage hands a hidden image to the next one{dense}: {', '.join(hidden)}. From each of them an image is made: "
        f"{', '.join(map(written, images))}{judges}.{supervised}"
    ))  # fmt: skip
    return sheet.figure
