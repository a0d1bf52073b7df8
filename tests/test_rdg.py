"""RDG: sizes, the exact faster forms of layers, the paper's structure."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from s2igan.evaluation.fast_generator import FastGenerator
from s2igan.evaluation.generate import generate, to_uint8
from s2igan.rdg import (
    Discriminator,
    Generator,
    RelationSupervisor,
    UpBlock,
    conv3x3,
    inside_of_taps,
    joint_conv,
    sums_of_taps,
    upsample_conv,
)


def millions(net):
    return sum(p.numel() for p in net.parameters()) / 1e6


def test_parameter_counts_are_the_papers():
    assert millions(Generator()) == pytest.approx(21.29, abs=0.005)
    for size, count in ((64, 5.72), (128, 18.83), (256, 71.27)):
        assert millions(Discriminator(size)) == pytest.approx(count, abs=0.005)
    assert millions(RelationSupervisor()) == pytest.approx(0.263, abs=0.0005)


@pytest.mark.parametrize("size", [4, 8, 13])
def test_joint_conv_equals_tiling_the_condition(size):
    conv, condition, x = conv3x3(7 + 5, 6), torch.randn(3, 7), torch.randn(3, 5, size, size)
    tiled = condition[:, :, None, None].expand(-1, -1, size, size)
    assert torch.allclose(joint_conv(conv, condition, x), conv(torch.cat([tiled, x], 1)), atol=1e-5)
    two = torch.cat([x, -x])  # two batches of one condition
    assert torch.allclose(
        joint_conv(conv, condition, two), conv(torch.cat([tiled.repeat(2, 1, 1, 1), two], 1)), atol=1e-5
    )


@pytest.mark.parametrize("size", [4, 8, 16])
def test_upsample_conv_equals_its_plain_form_with_gradients(size):
    conv, x = conv3x3(5, 6), torch.randn(2, 5, size, size, requires_grad=True)
    fast, plain = upsample_conv(conv, x), conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    assert torch.allclose(fast, plain, atol=1e-5)
    weights = torch.randn_like(plain)
    gradients = [torch.autograd.grad((y * weights).sum(), (x, conv.weight), retain_graph=True) for y in (fast, plain)]
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(("stages", "first_size"), [(1, 8), (2, 16), (3, 8), (4, 8)])
def test_generator_images(stages, first_size):
    generator = Generator(12, condition_size=4, noise_size=3, width=16, stages=stages, first_size=first_size)
    images, mu, logvar = generator(torch.randn(2, 3), torch.randn(2, 12))
    assert [tuple(image.shape) for image in images] == [
        (2, 3, first_size * 2**i, first_size * 2**i) for i in range(stages)
    ]
    assert mu.shape == logvar.shape == (2, 4)
    assert all(image.abs().max() <= 1 for image in images)


def test_dense_and_plain_generators_differ_in_the_up_blocks_alone():
    dense, plain = (Generator(12, 4, 3, 16, 3, 8, dense=d).state_dict() for d in (True, False))
    assert dense.keys() == plain.keys()
    differ = {name for name in dense if dense[name].shape != plain[name].shape}
    assert differ == {"next.0.up.conv.weight", "next.1.up.conv.weight"}
    assert dense["next.0.up.conv.weight"].shape[1] == 2 * plain["next.0.up.conv.weight"].shape[1] == 32


def test_generation_is_deterministic_and_row_wise_in_eval_mode():
    generator = Generator(12, 4, 3, 16, 2, 8).eval()
    noise, speech, eps = torch.randn(5, 3), torch.randn(5, 12), torch.randn(5, 4)
    whole = generator(noise, speech, eps)[0][-1]
    assert torch.allclose(whole[2:3], generator(noise[2:3], speech[2:3], eps[2:3])[0][-1], atol=1e-5)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize(("first_size", "stages"), [(8, 3), (32, 1), (16, 3)])  # kernels of small and of large maps
def test_the_form_for_generation_draws_the_same(dense, first_size, stages):
    torch.manual_seed(0)
    generator = Generator(12, 4, 3, 16, stages, first_size, dense=dense)
    generator(torch.randn(64, 3), torch.randn(64, 12))  # statistics that are not 0 and 1
    for norm in (
        layer for layer in generator.modules() if isinstance(layer, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)
    ):
        torch.nn.init.normal_(norm.weight, 1, 0.5)
        torch.nn.init.normal_(norm.bias)
    generator.eval()
    given = torch.randn(5, 3), torch.randn(5, 12), torch.randn(5, 4)
    images, mu, logvar = generator(*given)
    fast = FastGenerator(generator)
    found, *rest = fast(*given)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip([*images, mu, logvar], [*found, *rest], strict=True))
    assert min(image.std() for image in images) > 0.01
    rough = FastGenerator(generator, torch.bfloat16)(*given)[0]
    assert all(a.dtype == torch.float32 and 0 < (a - b).abs().mean() < 0.05 for a, b in zip(rough, images, strict=True))
    random = torch.Generator().manual_seed(0)  # as `generate` draws
    plain, _, _ = generator(torch.randn(5, 3, generator=random), given[1], torch.randn(5, 4, generator=random))
    drawn = np.concatenate(list(generate(generator, given[1], 0, batch=2)))
    assert np.abs(to_uint8(plain[-1].detach()).astype(int) - drawn).max() <= 1


def test_condition_is_mu_plus_eps_sigma():
    generator = Generator(12, 4, 3, 16, 1, 8).eval()
    noise, speech = torch.randn(1, 3), torch.randn(1, 12)
    images, mu, logvar = generator(noise, speech, torch.zeros(1, 4))
    assert torch.allclose(torch.tanh(generator.heads[0](generator.first(mu, noise))), images[0])
    eps = torch.ones(1, 4)
    shifted = torch.tanh(generator.heads[0](generator.first(mu + torch.exp(logvar / 2), noise)))
    assert torch.allclose(generator(noise, speech, eps)[0][0], shifted, atol=1e-6)


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
def test_discriminator_logits(size):
    net = Discriminator(size, width=2, condition_size=3)
    conditional, unconditional = net(torch.rand(2, 3, size, size), torch.randn(2, 3))
    assert conditional.shape == unconditional.shape == (2,)
    # The unconditional answer does not know the condition; the conditional one does.
    net.eval()
    images = torch.rand(2, 3, size, size)
    a, b = net(images, torch.zeros(2, 3)), net(images, torch.ones(2, 3))
    assert torch.equal(a[1], b[1]) and not torch.equal(a[0], b[0])


def test_batches_that_pass_a_discriminator_together_are_batchnorm_groups():
    torch.manual_seed(0)
    together, apart = Discriminator(32, width=4, condition_size=3), Discriminator(32, width=4, condition_size=3)
    apart.load_state_dict(together.state_dict())
    batches, condition = [torch.randn(5, 3, 32, 32) * scale for scale in (1, 2, 3)], torch.randn(5, 3)
    found = together(torch.cat(batches), condition, 3)
    expected = [torch.cat(logits) for logits in zip(*(apart(images, condition) for images in batches), strict=True)]
    for a, b in zip(found, expected, strict=True):
        assert a.shape == (15,) and torch.allclose(a, b, atol=1e-5)
        weights = torch.randn(15)
        gradients = [
            torch.autograd.grad((x * weights).sum(), net.trunk[0].weight, retain_graph=True)[0]
            for x, net in ((a, together), (b, apart))
        ]
        assert torch.allclose(*gradients, atol=1e-4)
    for a, b in zip(together.buffers(), apart.buffers(), strict=True):
        assert torch.allclose(a.float(), b.float(), atol=1e-5)
    assert not torch.allclose(together(torch.cat(batches), condition.repeat(3, 1))[0], found[0], atol=1e-2)


def test_convolutions_have_no_bias_but_the_logits():
    for net in (Generator(12, 4, 3, 16, 3, 8), Discriminator(32, 4, 3)):
        biased = [
            name
            for name, module in net.named_modules()
            if isinstance(module, torch.nn.Conv2d) and module.bias is not None
        ]
        assert biased == (["conditional", "unconditional"] if isinstance(net, Discriminator) else [])


def test_up_block_doubles():
    assert UpBlock(6, 3)(torch.randn(2, 6, 8, 8)).shape == (2, 3, 16, 16)


def test_images_made_under_inference_mode_leave_no_constant_that_training_cannot_use():
    inside_of_taps.cache_clear()
    sums_of_taps.cache_clear()
    generator = Generator(12, 4, 3, 16, 2, 8)
    given = torch.randn(2, 3), torch.randn(2, 12), torch.randn(2, 4)
    with torch.inference_mode():
        generator(*given)
    generator(*given)[0][-1].sum().backward()
    assert all(p.grad is not None for p in generator.next.parameters())
