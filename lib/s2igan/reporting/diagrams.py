"""Diagrams of SEN and RDG, made from the networks themselves: the shape on every arrow is that of a forward pass.

A diagram computes on copies, in eval mode, and uses no random numbers, so it does not change a training.
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

from s2igan.rdg import Discriminator, Generator, NextStage, RelationSupervisor
from s2igan.reporting.alternative_text import set_alt
from s2igan.sen import SEN, SpeechEncoder

BATCH = 2  # rows of the forward pass, shown as B
LINE = 0.155  # inches that a line of text takes
# Light grey: words stay readable in print.
FACES = {"layer": "white", "frozen": "white", "data": "none", "loss": "#dddddd"}


class Passed(NamedTuple):
    """Shapes of the tensors that went into a layer, and that came out."""

    given: list[tuple[int, ...]]
    made: list[tuple[int, ...]]


def shapes(module: nn.Module, *inputs: Tensor, device: str = "meta") -> dict[str, Passed]:
    """Shapes at each layer below `module` ('' is itself) in one forward pass of a copy of it.

    On the device `meta`, nothing is computed and no weight is copied. Of a layer that is called several times the first
    call counts.
    """
    memo: dict[int, object] = {}
    if device == "meta":  # deepcopy takes what stands here in place of a copy
        memo |= {id(p): nn.Parameter(p.detach().to("meta"), requires_grad=False) for p in module.parameters()}
        memo |= {id(b): b.to("meta") for b in module.buffers()}
    twin = copy.deepcopy(module, memo).to(device).eval()
    seen: dict[str, Passed] = {}

    def record(name: str) -> None:
        def keep(_: nn.Module, given: tuple, made: object) -> None:
            seen.setdefault(name, Passed(sizes(given), sizes(made)))

        twin.get_submodule(name).register_forward_hook(keep)

    for name, _ in list(twin.named_modules()):
        record(name)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        twin(*(tensor.to(device) if tensor.is_floating_point() else tensor for tensor in inputs))
    return seen


def sizes(value: object) -> list[tuple[int, ...]]:
    """Shapes of all tensors in a tensor, a tuple or a list."""
    if isinstance(value, Tensor):
        return [tuple(value.shape)]
    return [size for part in value for size in sizes(part)] if isinstance(value, tuple | list) else []


def written(shape: Sequence[int]) -> str:
    """A shape as the diagrams show it, its first number being the batch: (2, 40, 300) is '[B, 40, 300]'."""
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
        """A box around its middle (x, y).

        `kind`: layer; frozen (dashed, never trained); data (without a frame); loss (grey).
        """
        half = 0.09 + LINE * (text.count("\n") + 1) / 2
        if kind != "data":
            line = {"edgecolor": "black", "linewidth": 1, "linestyle": "--" if kind == "frozen" else "-"}
            shape = {"boxstyle": "round,pad=0,rounding_size=0.06", "facecolor": FACES[kind]}
            self.axis.add_patch(FancyBboxPatch((x - width / 2, y - half), width, 2 * half, **shape, **line))
        self.axis.text(x, y, text, ha="center", va="center", fontsize=9, parse_math=True)
        return Box(x, y, width / 2, half)

    def arrow(
        self,
        points: Sequence[tuple[float, float]],
        label: str = "",
        at: tuple[float, float] | None = None,
        tip: bool = True,
    ) -> None:
        """A line through the points, with a tip at the last; the label is at `at`, or right of the first stretch."""
        self.axis.plot(*zip(*points, strict=True), color="black", linewidth=1, solid_capstyle="butt")
        if tip:
            look = {"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0}
            self.axis.annotate("", points[-1], points[-2], arrowprops=look)
        if label:
            (x0, y0), (x1, y1) = points[:2]
            x, y = at or ((x0 + x1) / 2 + 0.07, (y0 + y1) / 2)
            self.axis.text(x, y, label, ha="left", va="center", fontsize=8.5, family="monospace")

    def down(self, above: Box, below: Box, label: str = "") -> None:
        """An arrow straight down from a box into one below it, which may be wider or lie aside."""
        self.arrow([(above.x, above.y + above.half_height), (above.x, below.y - below.half_height)], label)


def sen(net: SEN, image_size: int, frames: int = 300) -> Figure:
    """SEN: speech encoder and image encoder, the space that they share, the two losses.

    Args: image_size: pixels. frames: of the caption's log-mel.
    Raises: TypeError where the captions are read and not encoded from speech.
    """
    encoder = net.caption_encoder
    if not isinstance(encoder, SpeechEncoder):
        raise TypeError("the diagram is of a speech encoder")
    mel, lengths = torch.zeros(BATCH, frames, encoder.conv1.in_channels), torch.full((BATCH,), frames)
    of_speech = shapes(encoder, mel, lengths, device="cpu")  # it looks at the lengths, which `meta` does not know
    of_image = shapes(net.image_encoder, torch.zeros(BATCH, 3, image_size, image_size))
    of_classifier = shapes(net.classifier, torch.zeros(of_speech[""].made[0]))
    a, v, logits = (written(seen[""].made[0]) for seen in (of_speech, of_image, of_classifier))

    sheet = Drawing(5.4, 7.0)
    left, right = 1.5, 3.95
    speech_vector = _speech_encoder(sheet, left, encoder, of_speech)
    image_vector = _image_encoder(sheet, right, of_image)
    space = sheet.box(2.62, 5.5, "one space: the cosine of $a$ and $v$ says how well they fit", 4.7)
    sheet.down(speech_vector, space, f"a: {a}")
    sheet.down(image_vector, space, f"v: {v}")
    matching = sheet.box(left, 6.72, "matching loss", kind="loss")
    classifier = sheet.box(right, 6.1, "classifier of both", 1.9)
    distinctive = sheet.box(right, 6.72, "distinctive loss $L_d$", 1.9, "loss")
    bottom = space.y + space.half_height
    sheet.arrow([(left, bottom), (left, matching.y - matching.half_height)], "[B, B] cosines")
    sheet.arrow([(right, bottom), (right, classifier.y - classifier.half_height)])
    sheet.down(classifier, distinctive, logits)

    first, second = (written(of_speech[name].made[0]) for name in ("norm1", "norm2"))
    states = written(of_speech["attend1"].given[0])
    set_alt(
        sheet.figure,
        f"Diagram of SEN, shapes in brackets. Left, the speech encoder: log-mel {written(of_speech[''].given[0])}, two "
        f"convolutions with BatchNorm {first} and {second}, GRU {states}, attention over time, a vector a of length "
        f"one {a}. Right, the image encoder: image {written(of_image[''].given[0])}, frozen backbone "
        f"{written(of_image['backbone'].made[0])}, linear layer, a vector v of length one {v}. Both lie in one space: "
        f"their cosines make the matching loss; a classifier of both {logits} makes the distinctive loss.",
    )
    return sheet.figure


def _speech_encoder(sheet: Drawing, x: float, encoder: SpeechEncoder, seen: dict[str, Passed]) -> Box:
    spoken = sheet.box(x, 0.2, "spoken caption, as a log-mel", kind="data")
    conv1 = sheet.box(x, 0.95, "convolution, stride 2\nBatchNorm")
    conv2 = sheet.box(x, 1.75, "convolution, stride 2\nBatchNorm")
    gru = sheet.box(x, 2.55, f"GRU, {encoder.gru.num_layers} layers,\nboth directions")
    attend = sheet.box(x, 3.35, "attention: softmax over time\nof $W_2$ tanh($W_1 h + b_1$) + $b_2$")
    pool = sheet.box(x, 4.1, "sum over time of $A \\odot h$")
    unit = sheet.box(x, 4.75, "brought to length one")
    sheet.down(spoken, conv1, written(seen[""].given[0]))
    sheet.down(conv1, conv2, written(seen["norm1"].made[0]))
    sheet.down(conv2, gru, written(seen["norm2"].made[0]))
    sheet.down(gru, attend, f"h: {written(seen['attend1'].given[0])}")
    sheet.down(attend, pool, f"A: {written(seen['attend2'].made[0])}")
    aside = x - attend.half_width - 0.15
    sheet.arrow([(x, 2.95), (aside, 2.95), (aside, pool.y), (x - pool.half_width, pool.y)])
    sheet.down(pool, unit, written(seen[""].made[0]))
    return unit


def _image_encoder(sheet: Drawing, x: float, seen: dict[str, Passed]) -> Box:
    image = sheet.box(x, 0.2, "image", kind="data")
    backbone = sheet.box(x, 1.35, "backbone $f$\n(frozen)", 1.6, "frozen")
    linear = sheet.box(x, 2.95, "linear layer", 1.6)
    unit = sheet.box(x, 4.75, "brought to length one", 1.9)
    sheet.down(image, backbone, written(seen[""].given[0]))
    sheet.down(backbone, linear, written(seen["backbone"].made[0]))
    sheet.down(linear, unit, written(seen["linear"].made[0]))
    return unit


# Columns of RDG's diagram, in inches from the left: the condition's line, the stages, the dense links, the images.
BUS, MAIN, LINK, SIDE = 0.22, 1.75, 3.45, 4.55


def rdg(
    generator: Generator,
    discriminators: Sequence[Discriminator] = (),
    supervisor: RelationSupervisor | None = None,
) -> Figure:
    """RDG: the generator stage by stage, each stage's discriminator, the relation supervisor where there is one."""
    inputs = (generator.noise_size, generator.augment.linear.in_features, generator.condition_size)
    seen = shapes(generator, *(torch.zeros(BATCH, n) for n in inputs))
    images = seen[""].made[: len(generator.heads)]
    hidden = [written(seen[name].made[0]) for name in ("first", *(f"next.{i}" for i in range(len(generator.next))))]

    sheet = Drawing(5.9, 2.95 + 2.6 * len(generator.next) + 1.75)
    augment, above = _first_stage(sheet, generator, seen)
    y = above.y + 0.55
    for i, image in enumerate(images):
        # The hidden image h: down into the next stage, and to the right into this stage's image.
        head = sheet.box(SIDE, y, "convolution, tanh", 1.5)
        sheet.arrow([(MAIN, above.y + above.half_height), (MAIN, y)], tip=False)
        sheet.arrow([(MAIN, y), (SIDE - head.half_width, y)], f"h: {hidden[i]}", (MAIN + 0.07, y - 0.11))
        _image(sheet, head, image, discriminators[i] if i < len(discriminators) else None, generator.condition_size)
        if i < len(generator.next):
            joint, above = _next_stage(sheet, y, i, generator.next[i], seen)
            y = above.y + 0.75
    if generator.next:  # the condition enters every later stage
        leaves = augment.y + augment.half_height + 0.12
        sheet.arrow([(MAIN, leaves), (BUS, leaves), (BUS, joint.y)], tip=False)
        sheet.axis.text(BUS - 0.04, joint.y - 0.14, "c", ha="right", va="center", fontsize=8.5, family="monospace")
    if supervisor is not None:
        _relation_supervisor(sheet, head, supervisor)

    dense = " and, by the dense link, past it" if generator.next and generator.next[0].dense else ""
    scored = ", each with a discriminator of its own" if len(discriminators) else ""
    supervised = " A relation supervisor compares the last one with the real image." if supervisor is not None else ""
    set_alt(
        sheet.figure,
        f"Diagram of RDG, shapes in brackets. The speech embedding {written(seen[''].given[1])} becomes a condition c "
        f"{written(seen['augment'].made[0])}; with noise {written(seen[''].given[0])} it enters stage 0, alone every "
        f"later stage. Each stage hands a hidden image to the next one{dense}: {', '.join(hidden)}. From each of them "
        f"an image is made: {', '.join(map(written, images))}{scored}.{supervised}",
    )
    return sheet.figure


def _first_stage(sheet: Drawing, generator: Generator, seen: dict[str, Passed]) -> tuple[Box, Box]:
    """Speech embedding, conditioning augmentation, noise and stage 0; the boxes of the second and the last."""
    ups = len(generator.first.ups)
    speech = sheet.box(MAIN, 0.2, "speech embedding $a$", kind="data")
    formula = "$\\mu, \\log\\sigma^2$;  $c = \\mu + \\epsilon\\,\\sigma$"
    augment = sheet.box(MAIN, 1.0, f"conditioning augmentation:\n{formula}")
    first = sheet.box(MAIN, 1.95, f"stage 0: linear layer,\n{ups} up-block{'s' * (ups > 1)}")
    noise = sheet.box(SIDE, 1.35, "noise $z$", 1.0, "data")
    sheet.down(speech, augment, written(seen[""].given[1]))
    sheet.down(augment, first, f"c: {written(seen['augment'].made[0])}")
    right = MAIN + first.half_width
    way = [(SIDE, noise.y + noise.half_height), (SIDE, first.y), (right, first.y)]
    sheet.arrow(way, written(seen[""].given[0]), (right + 0.12, first.y - 0.11))
    return augment, first


def _image(
    sheet: Drawing, head: Box, image: tuple[int, ...], discriminator: Discriminator | None, condition_size: int
) -> None:
    """A stage's image and, where there is one, its discriminator."""
    y = head.y + 0.95
    if discriminator is None:
        shown = sheet.box(SIDE, y, f"image, {image[-1]} pixels", 1.5, "data")
        sheet.down(head, shown, written(image))
        return
    seen = shapes(discriminator, torch.zeros(image), torch.zeros(BATCH, condition_size))
    asked = sheet.box(SIDE, y, f"discriminator {image[-1]}:\nreal? fits $\\mu$?", 1.5)
    answer = sheet.box(SIDE, y + 0.68, "two logits", 1.0, "data")
    sheet.down(head, asked, written(image))
    sheet.down(asked, answer, ", ".join(written(logits) for logits in seen[""].made))


def _next_stage(sheet: Drawing, y: float, i: int, stage: NextStage, seen: dict[str, Passed]) -> tuple[Box, Box]:
    """The stage after the i-th one, below height y: its first and its last box."""
    joint = sheet.box(MAIN, y + 0.55, f"stage {i + 1}: convolution of [$c, h$]")
    residual = sheet.box(MAIN, y + 1.15, f"{len(stage.residuals)} residual blocks")
    given = written(seen[f"next.{i}.up"].given[0])
    up = sheet.box(MAIN, y + 1.85, f"up-block of [$x, h$]:\n{given}" if stage.dense else f"up-block of $x$:\n{given}")
    sheet.arrow([(MAIN, y), (MAIN, joint.y - joint.half_height)])
    sheet.arrow([(BUS, joint.y), (MAIN - joint.half_width, joint.y)])
    sheet.down(joint, residual, written(seen[f"next.{i}.residuals"].given[0]))
    sheet.down(residual, up, f"x: {written(seen[f'next.{i}.residuals'].made[0])}")
    if stage.dense:
        sheet.arrow([(LINK, y), (LINK, up.y), (MAIN + up.half_width, up.y)])
        place = {"ha": "left", "va": "center", "fontsize": 8.5, "style": "italic"}
        sheet.axis.text(LINK + 0.06, y + 0.44, "dense\nlink", **place)
    return joint, up


def _relation_supervisor(sheet: Drawing, head: Box, supervisor: RelationSupervisor) -> None:
    """The relation supervisor, which compares the last image, of the box `head`, with the real one."""
    size = supervisor.layers[0].in_features // 2
    seen = shapes(supervisor, *(torch.zeros(BATCH, size) for _ in range(2)))
    encoder = sheet.box(MAIN, head.y + 0.6, "SEN's image encoder,\non this and the real image", kind="frozen")
    relation = sheet.box(MAIN, head.y + 1.35, "relation supervisor")
    logits = sheet.box(MAIN, head.y + 1.9, "which relation have they?", kind="data")
    fork = head.y + head.half_height + 0.14
    sheet.arrow([(SIDE, fork), (LINK, fork), (LINK, encoder.y), (MAIN + encoder.half_width, encoder.y)])
    sheet.down(encoder, relation, f"{written(seen[''].given[0])}, twice")
    sheet.down(relation, logits, written(seen[""].made[0]))
