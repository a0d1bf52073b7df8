"""Training on a data set drawn small: a stopped run equals one that was not, a step does what it says, seeds fix everything."""

import shutil
import types

import numpy as np
import pytest
import torch
from torch import nn

from s2igan import BadInput, losses, sen
from s2igan.config import RDG_SYSTEMS, resolve, slug
from s2igan.data.batches import pad_mels, random_crops
from s2igan.data.build import build_store
from s2igan.data.sources import read_source
from s2igan.data.store import attribute_targets, open_store, training_targets
from s2igan.data.synthetic.dataset import write_dataset
from s2igan.evaluation.evaluator import FeatureNetworks
from s2igan.evaluation.feature_networks import ProxyNetwork, extract, freeze
from s2igan.evaluation.finished import load_sen
from s2igan.evaluation.generate import generate
from s2igan.evaluation.images import evaluate_rdg
from s2igan.evaluation.references import evaluate_real
from s2igan.speech import log_mel
from s2igan.training import rdg as rdg_training
from s2igan.training import sen as sen_training
from s2igan.training.batches import caption_batch, draw_image_ids, plan_epoch
from s2igan.training.embeddings import embed_captions
from s2igan.training.logs import read_log
from s2igan.training.rdg import joint_embeddings, rdg_training_step, recalibrate_batchnorm, update_ema
from s2igan.training.rdg_networks import build_networks
from s2igan.training.sen import crop_features, fresh_sen, sen_training_step

TINY = {
    "data_classes": 20, "data_images_per_class": 3, "data_unseen_images": 5, "data_captions": 1, "data_voices": "en-us", "sen_gru_size": 8,
    "sen_steps": 6, "sen_text_steps": 6, "sen_batch": 8, "sen_validate_every": 2,
    "rdg_width": 8, "rdg_discriminator_width": 4, "rdg_steps": 6, "rdg_batch": 8,
    "rdg_log_every": 2, "rdg_checkpoint_every": 2, "rdg_sample_every": 4, "eval_splits": 2, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A drawn and spoken data set with its store, and an untrained backbone and evaluator."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("world")
    write_dataset("mini-flowers", root / "drawn", 0, 20, 3, 5, 1, workers=1, progress=lambda line: None)
    source = read_source("mini-flowers", root / "drawn")
    build_store(
        source, root / "store", log_mel=log_mel, crop_from=38, captions=1, voices=("en-us",), words_per_minute=300, seed=0, validation=0.2, workers=1,
        progress=lambda line: None,
    )  # fmt: skip
    store = open_store(root / "store")
    values, _ = attribute_targets(store)
    torch.manual_seed(0)
    networks = [freeze(ProxyNetwork(20, {name: len(v) for name, v in values.items()})) for _ in range(2)]
    return types.SimpleNamespace(root=root, store=store, backbone=networks[0], evaluator=networks[1])


def settings_for(system, **more):
    return resolve({**TINY, "system": system, **more})


def train_sen(world, folder, **more):
    settings = settings_for(more.pop("system", "SEN"), **more)
    features = extract(world.backbone, world.store.images, 32)
    return sen_training.train_sen(settings, world.store, world.backbone, features, folder, "upstream")


def train_rdg(world, folder, watch=None, **more):
    """The averaged generator; for systems whose speech encoder learns too, all networks."""
    settings = settings_for(more.pop("system", "S2IGAN"), **more)
    speech = torch.randn(len(world.store.caption_image), 16, generator=torch.Generator().manual_seed(0))
    learns = RDG_SYSTEMS[settings.system]["sen"] is None
    net = fresh_sen(settings, world.store, world.backbone)
    nets = rdg_training.train_rdg(settings, world.store, net, None if learns else speech, folder, "upstream", watch)
    return nets if learns else nets.ema


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stop_after(monkeypatch, steps):
    """Makes the training end with an error in the step after `steps`, as a kill would, between two checkpoints or at one."""
    counted, step = iter(range(10_000)), torch.optim.Adam.step

    def counting(self, *arguments, **named):
        if next(counted) >= steps:
            raise KeyboardInterrupt
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", counting)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stopped_rdg_training_goes_on_as_if_nothing_had_been(world, tmp_path, monkeypatch, precision):
    whole = train_rdg(world, tmp_path / "whole", precision=precision).state_dict()
    with monkeypatch.context() as patch:
        stop_after(patch, 5 * 3 + 2)  # five optimisers a step: in the middle of step 4, after the checkpoint of step 2
        with pytest.raises(KeyboardInterrupt):
            train_rdg(world, tmp_path / "stopped", precision=precision)
    assert [p.name for p in (tmp_path / "stopped").glob("checkpoints/*/step-*.pt")] == ["step-00000002.pt"]
    resumed = train_rdg(world, tmp_path / "stopped", precision=precision).state_dict()
    assert equal(whole, resumed)
    assert read_log(tmp_path / "whole/log.jsonl") == read_log(tmp_path / "stopped/log.jsonl")
    assert not equal(whole, train_rdg(world, tmp_path / "other", precision=precision, seed=1).state_dict())


def test_stopped_sen_training_goes_on_as_if_nothing_had_been(world, tmp_path, monkeypatch):
    whole = train_sen(world, tmp_path / "whole").state_without_backbone()
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train_sen(world, tmp_path / "stopped")
    assert equal(whole, train_sen(world, tmp_path / "stopped").state_without_backbone())
    assert read_log(tmp_path / "whole/log.jsonl") == read_log(tmp_path / "stopped/log.jsonl")


def test_features_of_fixed_crops_are_those_of_the_crops(world, tmp_path, monkeypatch):
    settings = settings_for("SEN", sen_crops=2)
    images = world.store.image_ids_of("train")
    kept = crop_features(world.backbone, world.store, images, settings)
    assert kept.shape == (len(images), 2, 128) and not torch.allclose(kept[:, 0], kept[:, 1], atol=1e-3)
    pixels = random_crops(world.store.images, images, 32, np.random.default_rng([0, 6, 1, 0]), flip=False)
    labels = training_targets(world.store)[torch.as_tensor(world.store.image_class[images])]
    nets = [fresh_sen(settings, world.store, world.backbone) for _ in range(2)]
    heard, lengths = caption_batch(nets[0].caption_encoder, world.store, world.store.caption_ids_of("train"))
    reports = [
        sen_training_step(net, torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1), seen, heard, lengths, labels, settings)
        for net, seen in zip(nets, (pixels, kept[:, 1]), strict=True)
    ]
    assert all(torch.allclose(reports[0][name], reports[1][name], rtol=1e-5) for name in ("matching", "L_d"))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*(net.parameters() for net in nets), strict=True))
    whole = train_sen(world, tmp_path / "whole", sen_crops=2).state_without_backbone()
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train_sen(world, tmp_path / "stopped", sen_crops=2)
    assert equal(whole, train_sen(world, tmp_path / "stopped", sen_crops=2).state_without_backbone())


def test_the_distinctive_loss_is_what_tells_the_two_systems_apart(world, tmp_path):
    with_it, without = (train_sen(world, tmp_path / slug(system), system=system) for system in ("SEN", "SEN w/o L_d"))
    first = [read_log(tmp_path / slug(system) / "log.jsonl")[0]["matching"] for system in ("SEN", "SEN w/o L_d")]
    assert first[0] == pytest.approx(first[1], rel=0.05)  # the same start and the same batches
    untouched = fresh_sen(settings_for("SEN"), world.store, world.backbone)
    assert torch.equal(without.classifier.bias, untouched.classifier.bias)  # never followed
    assert not torch.equal(with_it.classifier.bias, untouched.classifier.bias)


def step_parts(world):
    settings = settings_for("S2IGAN", precision="fp32")
    nets = build_networks(settings, 16)
    optimisers = {name: torch.optim.SGD(net.parameters(), 0.1) for name, net in nets.trained().items()}
    torch.manual_seed(0)
    images = sen.ImageEncoder(world.backbone, 16).eval().requires_grad_(False)
    real, similar, wrong = torch.rand(3, 8, 3, 32, 32) * 2 - 1
    autocast = lambda: torch.autocast("cpu", torch.bfloat16, enabled=False)  # noqa: E731
    step = lambda: rdg_training_step(  # noqa: E731
        nets, optimisers, real, similar, wrong, torch.randn(8, 16), torch.randn(8, settings.rdg_noise_size), images, settings, autocast
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
        assert all(not torch.equal(p, before[name][k]) for k, p in net.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0)
        assert any(not torch.equal(p, before[name][k]) for k, p in net.named_parameters())
    assert equal(frozen, images.state_dict())


def test_the_generator_step_leaves_no_gradient_in_its_discriminators(world, monkeypatch):
    nets, _, step = step_parts(world)
    seen = {}

    def spy(update=rdg_training.update):
        def inner(optimisers, loss):
            update(optimisers, loss)
            seen[len(seen)] = [p.grad is not None for d in nets.discriminators for p in d.parameters() if p.requires_grad]

        return inner

    monkeypatch.setattr(rdg_training, "update", spy())
    step()
    assert len(seen) == 3 and seen[2] == []  # in the last update, the generator's, no critic asks for gradients
    assert all(p.requires_grad for d in nets.discriminators for p in d.parameters())  # and afterwards they do again


def test_batches_hold_images_of_the_right_classes(world):
    store, rng = world.store, np.random.default_rng(0)
    train = store.image_ids_of("train")
    by_class = {k: train[store.image_class[train] == k] for k in np.unique(store.image_class[train])}
    for _ in range(20):
        images = rng.choice(train, 8)
        similar, wrong = draw_image_ids(store, images, rng, by_class)
        assert (store.image_class[similar] == store.image_class[images]).all() and (similar != images).all()
        assert (store.image_class[wrong] != store.image_class[images]).all()
        assert set(similar) | set(wrong) <= set(train)


@pytest.mark.parametrize("by_length", [False, True])
def test_an_epoch_of_rdg_holds_every_image_once_with_a_caption_of_its_own(world, by_length):
    train = world.store.image_ids_of("train")
    batches = plan_epoch(settings_for("S2IGAN"), world.store, train, 0, by_length)
    images, captions = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert all(len(part) == 8 for part, _ in batches) and len(images) == len(train) // 8 * 8
    assert len(set(images)) == len(images) and set(images) <= set(train)
    assert (world.store.caption_image[captions] == images).all()


@pytest.mark.parametrize("system", ["S2IGAN w/o SEN", "S2IGAN end-to-end"])
def test_a_speech_encoder_that_learns_here_is_stopped_and_goes_on_too(world, tmp_path, monkeypatch, system):
    whole = train_rdg(world, tmp_path / "whole", system=system)
    with monkeypatch.context() as patch:
        stop_after(patch, 6 * 3 + 2)  # six optimisers a step
        with pytest.raises(KeyboardInterrupt):
            train_rdg(world, tmp_path / "stopped", system=system)
    resumed = train_rdg(world, tmp_path / "stopped", system=system)
    assert equal(whole.ema.state_dict(), resumed.ema.state_dict())
    assert equal(whole.speech_encoder_ema.state_dict(), resumed.speech_encoder_ema.state_dict())
    assert read_log(tmp_path / "whole/log.jsonl") == read_log(tmp_path / "stopped/log.jsonl")
    speech = joint_embeddings(whole, world.store)
    assert speech.shape == (len(world.store.caption_image), 16) and torch.isfinite(speech).all()
    assert (joint_embeddings(whole, world.store, "val") != 0).any(1).sum() == len(world.store.caption_ids_of("val"))


def test_what_learns_in_the_two_systems_without_a_finished_sen(world, tmp_path):
    start = fresh_sen(settings_for("S2IGAN w/o SEN"), world.store, world.backbone)
    kept = {name: tensor.clone() for name, tensor in start.state_without_backbone().items()}
    for system, matching in (("S2IGAN w/o SEN", False), ("S2IGAN end-to-end", True)):
        net = fresh_sen(settings_for(system), world.store, world.backbone)
        rdg_training.train_rdg(settings_for(system), world.store, net, None, tmp_path / slug(system), "upstream")
        moved = {name: not torch.equal(tensor, kept[name]) for name, tensor in net.state_without_backbone().items()}
        assert moved["caption_encoder.gru.weight_hh_l0"]  # the generator's loss reaches the speech encoder
        assert moved["image_encoder.linear.weight"] == moved["classifier.weight"] == matching  # SEN's losses alone reach these
        assert ("SEN" in read_log(tmp_path / slug(system) / "log.jsonl")[0]) == matching


def test_the_text_encoder_reads_what_the_others_hear(world, tmp_path):
    net = train_sen(world, tmp_path, system="text encoder")
    store = types.SimpleNamespace(**vars(world.store))
    store.mels = None  # not a frame of speech is looked at
    embeddings = embed_captions(net.caption_encoder, store, np.arange(6), batch=4)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(6), atol=1e-5)
    alone = net.caption_encoder(*sen.characters([world.store.caption_text[5]]))[0]
    assert torch.allclose(alone, embeddings[5], atol=1e-5)


def test_moving_average():
    live, average = nn.Linear(2, 2), nn.Linear(2, 2)
    expected = 0.9 * average.weight.detach() + 0.1 * live.weight.detach()
    update_ema(average, live, 0.9)
    assert torch.allclose(average.weight, expected)


@pytest.mark.parametrize("system", ["S2IGAN", "S2IGAN end-to-end"])
def test_the_average_is_normalised_by_statistics_of_its_own(world, tmp_path, system):
    nets = build_networks(settings_for(system), 16, fresh_sen(settings_for(system), world.store, world.backbone)
                              if system == "S2IGAN end-to-end" else None)  # fmt: skip
    speech = torch.randn(len(world.store.caption_image), 16) if nets.speech_encoder is None else None
    norm, seen = nets.ema.first.norm, []
    norm.running_mean.fill_(100.0)  # of a network long gone
    state = torch.get_rng_state()
    recalibrate_batchnorm(nets, world.store, speech)
    assert torch.equal(state, torch.get_rng_state())  # the training beside it goes on as if nothing had been
    assert not any(part.training for part in nets.ema.modules())
    norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    captions = torch.as_tensor(world.store.caption_ids_of("train")).repeat(20)
    embedding = (joint_embeddings(nets, world.store) if speech is None else speech)[captions]
    with torch.no_grad():
        nets.ema(torch.randn(len(captions), nets.ema.noise_size), embedding)
    assert torch.allclose(seen[0].mean(0), norm.bias, atol=0.2)
    assert torch.allclose(seen[0].std(0), norm.weight, atol=0.2)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_checkpoint(world, tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "kl_loss", lambda mu, logvar: mu.sum() * float("nan"))
    with pytest.raises(RuntimeError, match=r"not finite.*checkpoints"):
        train_rdg(world, tmp_path)


def test_evaluation_rows_and_their_repetition(world, tmp_path):
    settings = settings_for("S2IGAN")
    speech = torch.randn(len(world.store.caption_image), 16)
    features = extract(world.evaluator, world.store.images, 32)
    judges = FeatureNetworks(world.evaluator, world.evaluator, world.evaluator, features, features)
    generator = train_rdg(world, tmp_path, rdg_steps=2)
    first, second = (evaluate_rdg(generator, world.store, speech, judges, settings) for _ in range(2))
    assert first == second
    values = {row["metric"]: row for row in first}
    assert {"mAP", "FID", "KID", "IS", "IS_std", "attribute colour", "asked colour"} <= set(values)
    assert all(row["split"] == "test" for row in first)
    assert all(row["n"] == 20 for row in first if "asked" not in row["metric"])  # 4 unseen classes x 5 images x 1 caption
    assert values["asked colour"]["value"] == values["attribute colour"]["value"]  # a flower's colour is always named
    naming = sum("ring" in world.store.caption_text[i] for i in world.store.caption_ids_of("test"))
    assert values["asked ring"]["n"] == naming < 20
    real = {row["metric"]: row["value"] for row in evaluate_real(world.store, judges, settings)}
    assert 0 <= real["FID real"] < values["FID"]["value"]


def test_the_released_map_shows_generated_images_in_another_range(world, tmp_path):
    class Watching(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.lowest = torch.nn.Parameter(torch.zeros(())), []

        def forward(self, images):
            self.lowest.append(float(images.min()))
            return images.flatten(1)[:, ::97]

    settings, watching = settings_for("S2IGAN"), Watching()
    speech, generator = torch.randn(len(world.store.caption_image), 16), train_rdg(world, tmp_path, rdg_steps=2)
    features = extract(world.evaluator, world.store.images, 32)
    real = extract(watching, world.store.images, 32)
    watching.lowest.clear()
    judges = FeatureNetworks(watching, world.evaluator, world.evaluator, real, features)
    values = {row["metric"]: row["value"] for row in evaluate_rdg(generator, world.store, speech, judges, settings)}
    ours, released = watching.lowest[::2], watching.lowest[1::2]
    assert released == pytest.approx([(low + 1) / 2 for low in ours]) and min(ours) < 0
    assert values["mAP released"] != values["mAP"] and 0 < values["mAP released"] <= 100
    assert "mAP released" not in {row["metric"] for row in evaluate_rdg(generator, world.store, speech, judges, settings, "val")}


def test_generated_images_do_not_depend_on_the_batch(world, tmp_path):
    generator = train_rdg(world, tmp_path, rdg_steps=2)
    speech = torch.randn(7, 16)
    one, other = (np.concatenate(list(generate(generator, speech, 3, batch))) for batch in (7, 2))
    assert one.shape == (7, 32, 32, 3) and one.dtype == np.uint8
    assert np.abs(one.astype(int) - other).max() <= 1


def test_weights_from_other_settings_are_refused_in_one_line(world, tmp_path):
    from safetensors.torch import save_file

    save_file(train_sen(world, tmp_path, sen_steps=2).state_without_backbone(), tmp_path / "weights.safetensors")
    assert load_sen(settings_for("SEN"), world.store, world.backbone, tmp_path / "weights.safetensors")
    with pytest.raises(BadInput, match=r"weights.safetensors is from other settings"):
        load_sen(settings_for("SEN", sen_gru_size=4), world.store, world.backbone, tmp_path / "weights.safetensors")
    shutil.rmtree(tmp_path)
    with pytest.raises(BadInput, match="run 02_sen"):
        load_sen(settings_for("SEN"), world.store, world.backbone, tmp_path / "weights.safetensors")


def test_speech_embeddings_come_back_in_order(world):
    torch.manual_seed(0)
    encoder = sen.SpeechEncoder(gru_size=4).eval()
    captions = np.array([9, 3, 14, 0, 7])
    together = embed_captions(encoder, world.store, captions, batch=2)
    for row, caption in zip(together, captions, strict=True):
        mel, lengths = pad_mels([world.store.mel(caption)])
        assert torch.allclose(encoder(mel, lengths)[0], row, atol=1e-5)
