"""Training on a data set drawn small: a resumed run equals an uninterrupted one, seeds fix everything."""

import shutil
import subprocess
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from small_training import equal, settings_for, some_embeddings, stop_after, train_rdg, train_sen

from s2igan import BadInput, losses, sen
from s2igan.config import RDG_SYSTEMS, slug
from s2igan.data.batches import pad_mels, random_crops
from s2igan.data.store import training_targets
from s2igan.evaluation.inputs import load_sen
from s2igan.training import rdg as rdg_training
from s2igan.training.batches import caption_batch
from s2igan.training.embeddings import embed_captions
from s2igan.training.logs import read_log
from s2igan.training.rdg import joint_embeddings
from s2igan.training.rdg_networks import build_networks
from s2igan.training.records import commit
from s2igan.training.sen import crop_features, fresh_sen, sen_training_step


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_training_of_rdg_equals_an_uninterrupted_one(world, tmp_path, monkeypatch, precision):
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


def test_a_resumed_training_of_sen_equals_an_uninterrupted_one(world, tmp_path, monkeypatch):
    whole = train_sen(world, tmp_path / "whole").state_without_backbone()
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            train_sen(world, tmp_path / "stopped")
    assert equal(whole, train_sen(world, tmp_path / "stopped").state_without_backbone())
    assert read_log(tmp_path / "whole/log.jsonl") == read_log(tmp_path / "stopped/log.jsonl")


def test_features_of_fixed_crops_are_those_of_the_crops(world, tmp_path, monkeypatch):
    settings = settings_for("SEN", sen_crops=2)
    image_ids = world.store.image_ids_of("train")
    features = crop_features(world.backbone, world.store, image_ids, settings)
    assert features.shape == (len(image_ids), 2, 128) and not torch.allclose(features[:, 0], features[:, 1], atol=1e-3)
    pixels = random_crops(world.store.images, image_ids, 32, np.random.default_rng([0, 6, 1, 0]), flip=False)
    labels = training_targets(world.store)[torch.as_tensor(world.store.image_class[image_ids])]
    nets = [fresh_sen(settings, world.store, world.backbone) for _ in range(2)]
    captions, lengths = caption_batch(nets[0].caption_encoder, world.store, world.store.caption_ids_of("train"))
    reports = []
    for net, images in zip(nets, (pixels, features[:, 1]), strict=True):
        optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1)
        reports.append(sen_training_step(net, optimiser, images, captions, lengths, labels, settings))
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


@pytest.mark.parametrize("system", ["S2IGAN w/o SEN", "S2IGAN end-to-end"])
def test_a_resumed_training_equals_an_uninterrupted_one_where_speech_is_learnt_too(
    world, tmp_path, monkeypatch, system
):
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
    before = {name: tensor.clone() for name, tensor in start.state_without_backbone().items()}
    for system, matching in (("S2IGAN w/o SEN", False), ("S2IGAN end-to-end", True)):
        net = fresh_sen(settings_for(system), world.store, world.backbone)
        rdg_training.train_rdg(settings_for(system), world.store, net, None, tmp_path / slug(system), "upstream")
        moved = {name: not torch.equal(tensor, before[name]) for name, tensor in net.state_without_backbone().items()}
        assert moved["caption_encoder.gru.weight_hh_l0"]  # the generator's loss reaches the speech encoder
        # SEN's losses alone reach these.
        assert moved["image_encoder.linear.weight"] == moved["classifier.weight"] == matching
        assert ("SEN" in read_log(tmp_path / slug(system) / "log.jsonl")[0]) == matching


def test_the_text_encoder_reads_the_captions_that_the_others_take_as_speech(world, tmp_path):
    net = train_sen(world, tmp_path, system="text encoder")
    store = types.SimpleNamespace(**vars(world.store))
    store.mels = None  # it needs no speech
    embeddings = embed_captions(net.caption_encoder, store, np.arange(6), batch=4)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(6), atol=1e-5)
    alone = net.caption_encoder(*sen.characters([world.store.caption_text[5]]))[0]
    assert torch.allclose(alone, embeddings[5], atol=1e-5)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_checkpoint(world, tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "kl_loss", lambda mu, logvar: mu.sum() * float("nan"))
    with pytest.raises(RuntimeError, match=r"not finite.*checkpoints"):
        train_rdg(world, tmp_path)


def test_weights_from_other_settings_are_refused_in_one_line(world, tmp_path):
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


def test_built_networks_train_as_those_that_the_training_builds_and_only_once(world, tmp_path):
    settings, net = settings_for("S2IGAN"), fresh_sen(settings_for("SEN"), world.store, world.backbone)

    def trained(nets, folder):
        return rdg_training.train_rdg(
            settings, world.store, net, some_embeddings(world), tmp_path / folder, "upstream", None, nets
        )

    expected = trained(None, "a").ema.state_dict()
    nets = build_networks(settings, 16)
    assert trained(nets, "b") is nets and equal(nets.ema.state_dict(), expected)
    again = trained(nets, "c")  # trained already: a new training starts from fresh ones
    assert again is not nets and equal(again.ema.state_dict(), expected)
    assert trained(again, "c") is not again  # as does a resumed one, whose checkpoint then fills them
    assert equal(trained(again, "c").ema.state_dict(), expected)


def test_batchnorm_is_recalibrated_once_where_the_last_step_is_validated(world, tmp_path, monkeypatch):
    calls = []

    def counting(*arguments, recalibrate=rdg_training.recalibrate_batchnorm):
        calls.append(1)
        recalibrate(*arguments)

    monkeypatch.setattr(rdg_training, "recalibrate_batchnorm", counting)
    validated = train_rdg(world, tmp_path / "a", lambda ema, embeddings, step: {"at": step}).state_dict()
    assert len(calls) == 2  # at steps 4 and 6, and not again after the last
    assert [record.get("at") for record in read_log(tmp_path / "a" / "log.jsonl")] == [None, 4, 6]
    calls.clear()
    assert equal(validated, train_rdg(world, tmp_path / "b").state_dict()) and len(calls) == 1
    calls.clear()
    assert equal(validated, train_rdg(world, tmp_path / "a").state_dict()) and len(calls) == 1  # resumed at its end


@pytest.mark.parametrize("system", ["S2IGAN hinge", "S2IGAN least squares"])
def test_a_system_names_its_adversarial_loss(world, tmp_path, monkeypatch, system):
    def least_squares(logits, real):
        return (logits.float() - float(real)).square().mean()

    row = losses.Adversarial(least_squares, lambda logits: least_squares(logits, real=True))
    monkeypatch.setitem(losses.ADVERSARIAL, "least squares", row)
    monkeypatch.setitem(RDG_SYSTEMS, "S2IGAN least squares", {**RDG_SYSTEMS["S2IGAN"], "loss": "least squares"})
    trained = train_rdg(world, tmp_path / "other", system=system).state_dict()
    assert all(torch.isfinite(tensor).all() for tensor in trained.values())
    assert not equal(trained, train_rdg(world, tmp_path / "cross-entropy").state_dict())
    first, usual = (read_log(tmp_path / name / "log.jsonl")[0] for name in ("other", "cross-entropy"))
    assert all(first[name] != usual[name] for name in ("D8", "D16", "D32", "G"))


def test_a_run_names_the_commit_of_its_code():
    root = Path(__file__).resolve().parents[1]
    found = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True)
    if found.returncode or not (root / ".git").exists():
        assert commit() == "unknown"
    else:
        assert commit().removesuffix("-dirty") == found.stdout.strip()
