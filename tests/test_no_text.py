"""Text reaches no speech system: noise in place of every caption changes no weight. The text baseline reads it."""

import copy
import string

import numpy as np
import pytest
from small_training import equal, settings_for, train_rdg, train_sen

from s2igan.training import rdg as rdg_training
from s2igan.training.embeddings import embed_captions, standardised


@pytest.fixture(scope="module")
def without_texts(world):
    """The same world, with random letters in place of every caption's text; its sounds and images are untouched."""
    rng, letters = np.random.default_rng(0), list(string.ascii_lowercase + " ")
    other = copy.copy(world)
    other.store = copy.copy(world.store)
    other.store.caption_text = ["".join(rng.choice(letters, 30)) for _ in world.store.caption_text]
    return other


def s2igan_on(net, world, folder):
    """S2IGAN's generator after a few steps, on the embeddings of a trained SEN."""
    settings = settings_for("S2IGAN")
    captions = np.arange(len(world.store.caption_image))
    embeddings = standardised(embed_captions(net.caption_encoder, world.store, captions), world.store)[0]
    return rdg_training.train_rdg(settings, world.store, net, embeddings, folder, "upstream").ema


def test_noise_in_place_of_every_caption_changes_no_weight_of_sen_and_s2igan(world, without_texts, tmp_path):
    nets = [train_sen(of, tmp_path / name) for name, of in (("with", world), ("without", without_texts))]
    assert equal(*(net.state_dict() for net in nets))
    generators = [
        s2igan_on(net, of, tmp_path / f"rdg {name}")
        for net, (name, of) in zip(nets, (("with", world), ("without", without_texts)), strict=True)
    ]
    assert equal(*(generator.state_dict() for generator in generators))
    fresh = train_rdg(world, tmp_path / "fresh", rdg_steps=1)
    assert not equal(fresh.state_dict(), generators[0].state_dict())  # these trainings did change weights


@pytest.mark.parametrize("system", ["S2IGAN w/o SEN", "S2IGAN end-to-end"])
def test_nor_of_systems_whose_speech_encoder_learns_with_the_generator(world, without_texts, tmp_path, system):
    found = [
        train_rdg(of, tmp_path / name, system=system, rdg_steps=2)
        for name, of in (("with", world), ("without", without_texts))
    ]
    parts = [{**nets.trained(), "speech encoder": nets.speech_encoder} for nets in found]
    assert len(parts[0]) > 2 and parts[0].keys() == parts[1].keys()
    for name, part in parts[0].items():
        assert equal(part.state_dict(), parts[1][name].state_dict()), name


def test_the_text_baseline_reads_the_captions(world, without_texts, tmp_path):
    nets = [
        train_sen(of, tmp_path / name, system="text encoder")
        for name, of in (("with", world), ("without", without_texts))
    ]
    assert not equal(*(net.state_dict() for net in nets))
