"""What a training step sees and does: batches, phases, moving averages, their statistics; the loop around it."""

import contextlib

import numpy as np
import pytest
import torch
from small_training import equal, settings_for
from torch import nn

from s2igan import sen
from s2igan.training import rdg_step
from s2igan.training.batches import draw_image_ids, plan_epoch
from s2igan.training.checkpoints import Checkpoints
from s2igan.training.loop import Schedule, train
from s2igan.training.rdg import joint_embeddings, recalibrate_batchnorm
from s2igan.training.rdg_networks import build_networks, frozen_image_encoder
from s2igan.training.rdg_step import ema_decay, rdg_training_step, update_ema
from s2igan.training.sen import fresh_sen


def step_parts(world):
    settings = settings_for("S2IGAN", precision="fp32")
    nets = build_networks(settings, 16)
    optimisers = {name: torch.optim.SGD(net.parameters(), 0.1) for name, net in nets.trained().items()}
    torch.manual_seed(0)
    images = sen.ImageEncoder(world.backbone, 16).eval().requires_grad_(False)
    real, same_class, mismatched = torch.rand(3, 8, 3, 32, 32) * 2 - 1
    autocast = contextlib.nullcontext
    embedding, noise = torch.randn(8, 16), torch.randn(8, settings.rdg_noise_size)

    def step():
        return rdg_training_step(
            nets, optimisers, real, same_class, mismatched, embedding, noise, images, settings, autocast
        )

    return nets, images, step


def test_a_step_reports_every_loss_and_moves_every_network(world):
    nets, images, step = step_parts(world)
    before = {name: {k: v.clone() for k, v in net.named_parameters()} for name, net in nets.trained().items()}
    frozen = {name: tensor.clone() for name, tensor in images.state_dict().items()}
    report = step()
    assert set(report) == {"D8", "D16", "D32", "RS", "G_RS", "G", "KL"}
    # At the start nobody knows anything: each logit is near 0, so each cross-entropy is near ln 2 (or ln 4 for RS).
    assert all(report[f"D{size}"].item() == pytest.approx(6 * np.log(2), rel=0.35) for size in (8, 16, 32))
    assert report["RS"].item() == pytest.approx(4 * np.log(4), rel=0.35)
    for name, net in nets.trained().items():
        learnt = {k: p for k, p in net.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert learnt and all(not torch.equal(p, before[name][k]) for k, p in learnt.items())
        assert any(not torch.equal(p, before[name][k]) for k, p in net.named_parameters())
    assert equal(frozen, images.state_dict())


def test_the_generator_step_leaves_no_gradient_in_its_discriminators(world, monkeypatch):
    nets, _, step = step_parts(world)
    gradients = []

    def spy(update=rdg_step.update):
        def inner(optimisers, loss):
            update(optimisers, loss)
            asking = [p for d in nets.discriminators for p in d.parameters() if p.requires_grad]
            gradients.append([p.grad is not None for p in asking])

        return inner

    monkeypatch.setattr(rdg_step, "update", spy())
    step()
    assert len(gradients) == 3 and gradients[2] == []  # in the last update, the generator's, none asks for gradients
    assert all(p.requires_grad for d in nets.discriminators for p in d.parameters())  # and afterwards they do again


def test_batches_hold_images_of_the_right_classes(world):
    store, rng = world.store, np.random.default_rng(0)
    train = store.image_ids_of("train")
    by_class = {k: train[store.image_class[train] == k] for k in np.unique(store.image_class[train])}
    for _ in range(20):
        images = rng.choice(train, 8)
        same_class, mismatched = draw_image_ids(store, images, rng, by_class)
        assert (store.image_class[same_class] == store.image_class[images]).all() and (same_class != images).all()
        assert (store.image_class[mismatched] != store.image_class[images]).all()
        assert set(same_class) | set(mismatched) <= set(train)


@pytest.mark.parametrize("by_length", [False, True])
def test_an_epoch_of_rdg_holds_every_image_once_with_a_caption_of_its_own(world, by_length):
    train = world.store.image_ids_of("train")
    batches = plan_epoch(settings_for("S2IGAN"), world.store, train, 0, by_length)
    images, captions = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert all(len(part) == 8 for part, _ in batches) and len(images) == len(train) // 8 * 8
    assert len(set(images)) == len(images) and set(images) <= set(train)
    assert (world.store.caption_image[captions] == images).all()


def test_exponential_moving_average():
    live, ema = nn.Linear(2, 2), nn.Linear(2, 2)
    expected = 0.9 * ema.weight.detach() + 0.1 * live.weight.detach()
    update_ema(ema, live, 0.9)
    assert torch.allclose(ema.weight, expected)
    plain, warm = (settings_for("S2IGAN", rdg_ema=0.9, rdg_ema_warmup=warmup) for warmup in (False, True))
    assert [ema_decay(plain, step) for step in (0, 200)] == [0.9, 0.9]
    assert [ema_decay(warm, step) for step in (0, 8, 200)] == [0.1, 0.5, 0.9]


@pytest.mark.parametrize("system", ["S2IGAN", "S2IGAN end-to-end"])
def test_the_ema_is_normalised_by_statistics_of_its_own(world, tmp_path, system):
    settings = settings_for(system)
    net = fresh_sen(settings, world.store, world.backbone) if system == "S2IGAN end-to-end" else None
    nets = build_networks(settings, 16, net)
    embeddings = torch.randn(len(world.store.caption_image), 16) if net is None else None
    norm, outputs = nets.ema.first.norm, []
    norm.running_mean.fill_(100.0)  # of a network long gone
    state = torch.get_rng_state()
    recalibrate_batchnorm(nets, world.store, embeddings)
    assert torch.equal(state, torch.get_rng_state())  # the training beside it is the same with and without it
    assert not any(part.training for part in nets.ema.modules())
    norm.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    captions = torch.as_tensor(world.store.caption_ids_of("train")).repeat(20)
    embedding = (joint_embeddings(nets, world.store) if embeddings is None else embeddings)[captions]
    with torch.no_grad():
        nets.ema(torch.randn(len(captions), nets.ema.noise_size), embedding)
    assert torch.allclose(outputs[0].mean(0), norm.bias, atol=0.2)
    assert torch.allclose(outputs[0].std(0), norm.weight, atol=0.2)


def test_the_frozen_image_encoder_casts_its_weights_once_and_changes_no_bit(world):
    torch.manual_seed(0)
    encoder = sen.ImageEncoder(world.backbone, 16)
    weights = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    assert frozen_image_encoder(encoder, bf16=False) == encoder.frozen
    embed = frozen_image_encoder(encoder, bf16=True)
    found = []
    for function in (encoder.frozen, embed):
        images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1)).mul(2).sub(1).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            output = function(images)
        found.append((output, torch.autograd.grad(output.float()[:, 0].sum(), images)[0]))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert equal(weights, encoder.state_dict())
    assert {p.dtype for p in embed.keywords["backbone"].parameters() if p.dim() == 4} == {torch.bfloat16}


def test_the_loop_logs_means_validates_and_saves_when_it_is_due(tmp_path):
    part, lines, validated = nn.Linear(1, 1), [], []
    checkpoints = Checkpoints(tmp_path, "0123456789abcdef", {"part": part})
    assert checkpoints.load() == 0

    def validate(done):
        validated.append(done)
        return {"score": 10.0 * done}

    def run(start):
        train(
            Schedule(steps=7, log_every=2, validate_every=5, checkpoint_every=3),
            lambda step: step,
            lambda step, batch: {"loss": torch.tensor(float(batch))},
            lambda done, **values: lines.append((done, values)),
            start=start,
            validate=validate,
            checkpoints=checkpoints,
        )

    run(0)
    assert [line for line in lines if "score" not in line[1]] == [
        (2, {"loss": 0.5}), (3, {"loss": 2.0}), (4, {"loss": 3.0}), (6, {"loss": 5.0}),
    ]
    assert [line for line in lines if "score" in line[1]] == [
        (5, {"loss": 4.0, "score": 50.0}), (7, {"loss": 6.0, "score": 70.0}),
    ]
    assert [path.name for path in sorted(checkpoints.folder.iterdir())] == ["step-00000006.pt", "step-00000007.pt"]
    (checkpoints.folder / "step-00000007.pt").unlink()
    whole, lines[:] = list(lines), []
    assert checkpoints.load() == 6
    run(6)
    assert lines == whole[-1:] and validated == [5, 7, 7]


def test_a_loss_that_is_not_finite_stops_a_training_without_checkpoints_too():
    with pytest.raises(RuntimeError, match=r"not finite before step 2 .*lower learning rate"):
        train(Schedule(3, 1), lambda step: step, lambda step, _: {"loss": torch.tensor([1.0, float("nan")][step])},
              lambda done, **values: None)
