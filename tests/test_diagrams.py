"""Diagrams made from networks, and the alternative texts of figures."""

import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from IPython.core.pylabtools import print_figure
from matplotlib import pyplot
from matplotlib.figure import Figure

from s2igan import sen
from s2igan.config import resolve
from s2igan.evaluation.feature_networks import ProxyNetwork, freeze
from s2igan.rdg import Discriminator, Generator, RelationSupervisor
from s2igan.reporting import alternative_text, diagrams, plots


def words(figure):
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def generator(**sizes):
    return Generator(**{"speech_size": 16, "condition_size": 6, "noise_size": 5, "width": 16, "first_size": 8, **sizes})


def small_sen(**values):
    settings = resolve({"system": "SEN", "sen_gru_size": 12, "sen_conv_channels": (6, 10), **values})
    return sen.SEN(settings, freeze(ProxyNetwork(5, {})), 7)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot.close("all")


def test_shapes_on_the_drawing_of_rdg_are_those_of_a_forward_pass():
    net = generator()
    discriminators = [Discriminator(side, 4, 6) for side in (8, 16, 32)]
    said = words(diagrams.rdg(net, discriminators, RelationSupervisor(16, 8)))
    hidden = []
    for part in (net.first, *net.next):
        part.register_forward_hook(lambda _, given, made: hidden.append(list(made.shape)))
    images, mu, _ = net.eval()(torch.zeros(3, 5), torch.zeros(3, 16))
    for image, h in zip(images, hidden, strict=True):
        assert f"[B, {', '.join(map(str, image.shape[1:]))}]" in said
        assert f"h: [B, {', '.join(map(str, h[1:]))}]" in said
    assert {"[B, 16]", "[B, 5]", f"c: [B, {mu.shape[1]}]", "[B, 16], twice", "[B, 4]", "[B], [B]"} <= set(said)
    assert any(text.endswith("[B, 32, 8, 8]") for text in said)  # [x, h] into the first up-block


@pytest.mark.parametrize(
    "sizes", [{"width": 24}, {"stages": 2}, {"dense": False}, {"first_size": 16}, {"speech_size": 20}]
)
def test_another_network_is_drawn_otherwise(sizes):
    assert words(diagrams.rdg(generator(**sizes))) != words(diagrams.rdg(generator()))


def test_without_dense_links_none_is_drawn():
    assert any("dense" in text for text in words(diagrams.rdg(generator())))
    figure = diagrams.rdg(generator(dense=False))
    assert not any("dense" in text for text in words(figure)) and "dense" not in alternative_text.alt(figure)


def test_shapes_on_the_drawing_of_sen_are_those_of_a_forward_pass():
    net = small_sen().eval()
    said = words(diagrams.sen(net, 32, frames=100))
    weights, h = net.caption_encoder.attention(torch.zeros(1, 100, 40), torch.tensor([100]))
    features = net.image_encoder.backbone(torch.zeros(1, 3, 32, 32))
    expected = [f"A: [B, {weights.shape[1]}, {weights.shape[2]}]", f"h: [B, {h.shape[1]}, {h.shape[2]}]"]
    expected += ["a: [B, 24]", "v: [B, 24]", "[B, 100, 40]", "[B, 3, 32, 32]"]
    expected += [f"[B, {features.shape[1]}]", f"[B, {net.classifier.out_features}]"]
    for text in expected:
        assert text in said, text
    assert words(diagrams.sen(small_sen(sen_gru_size=14), 32, frames=100)) != said
    with pytest.raises(TypeError, match="speech encoder"):
        diagrams.sen(small_sen(system="text encoder"), 32)


def test_drawing_leaves_networks_and_random_numbers_as_they_were():
    net, discriminator, encoders = generator().train(), Discriminator(8, 4, 6).train(), small_sen().train()
    parts = (net, discriminator, encoders)
    before = [{name: tensor.clone() for name, tensor in part.state_dict().items()} for part in parts]
    modes = [[module.training for module in part.modules()] for part in parts]
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    diagrams.rdg(net, [discriminator])
    diagrams.sen(encoders, 32)
    assert torch.equal(torch.get_rng_state(), torch_state) and np.array_equal(np.random.get_state()[1], numpy_state)
    for part, kept, mode in zip(parts, before, modes, strict=True):
        assert all(torch.equal(tensor, kept[name]) for name, tensor in part.state_dict().items())
        assert [module.training for module in part.modules()] == mode
        assert not any(module._forward_hooks for module in part.modules())
        assert all(parameter.device.type == "cpu" and parameter.grad is None for parameter in part.parameters())


def test_networks_that_have_no_weights_are_drawn_too():
    with torch.device("meta"):
        net = generator(width=64, first_size=64, condition_size=128)
    assert "[B, 3, 256, 256]" in words(diagrams.rdg(net))


def test_figures_say_what_they_show():
    log = [{"step": step, "loss": step / 3, "val_mAP": step} for step in (1, 2)]
    text = alternative_text.alt(
        plots.curves({"S2IGAN": log, "S2IGAN w/o RS": log}, ["loss", "val_mAP"], "Training L_d")
    )
    assert text == "Lines: Training L_d. Legend: S2IGAN; S2IGAN w/o RS. Across: step. Up: loss; val_mAP."
    picture = np.zeros((8, 8, 3), np.uint8)
    sheet = plots.contact_sheet([[picture], [picture]], ["a red one", "a blue one"], "Two")
    assert alternative_text.alt(sheet) == "Images: Two. Rows: a red one; a blue one."
    bars = alternative_text.alt(plots.bars({"flowers": {"S2IGAN": 1.0}, "birds": {"S2IGAN": 2.0}}, "mAP"))
    assert bars.startswith("Bars") and "Groups: flowers; birds" in bars and text.startswith("Lines: ")
    drawn = diagrams.rdg(generator())
    assert "[B, 3, 32, 32]" in alternative_text.alt(drawn) and "$" not in alternative_text.alt(drawn)


def test_a_notebook_keeps_the_text_with_the_figure():
    formatter = DisplayFormatter()
    formatter.formatters["image/png"].for_type(Figure, lambda figure: print_figure(figure, "png"))
    alternative_text.tell_alternative_texts(formatter)
    shown, about = formatter.format(plots.matrix(np.eye(3), "letter", "row", title="A diagonal"))
    assert shown["image/png"][:4] == b"\x89PNG"
    assert about["image/png"]["alt"] == "Heat map: A diagonal. Across: letter. Up: row."
