"""A data set drawn small, and trainings on it that take seconds: what several test files need."""

import os
import types

import torch

from s2igan.config import RDG_SYSTEMS, resolve
from s2igan.data.build import build_store
from s2igan.data.sources import read_source
from s2igan.data.store import attribute_targets, open_store
from s2igan.data.synthetic.dataset import write_dataset
from s2igan.evaluation.feature_networks import ProxyNetwork, extract, freeze, save_network
from s2igan.speech import log_mel
from s2igan.training import rdg as rdg_training
from s2igan.training import sen as sen_training
from s2igan.training.sen import fresh_sen

# `make test PRECISION=fp32`: all trainings of the tests in that precision, whatever the processor would choose.
OF_MACHINE = {"precision": os.environ["PRECISION"]} if os.environ.get("PRECISION") else {}
OF_DATA = {"data_classes": 20, "data_images_per_class": 3, "data_unseen_images": 5, "data_captions": 1}
OF_SEN = {"sen_gru_size": 8, "sen_steps": 6, "sen_text_steps": 6, "sen_batch": 8, "sen_validate_every": 2}
OF_RDG = {"rdg_width": 8, "rdg_discriminator_width": 4, "rdg_steps": 6, "rdg_batch": 8, "rdg_log_every": 2}
OFTEN = {"rdg_checkpoint_every": 2, "rdg_sample_every": 4}
TINY = {**OF_MACHINE, **OF_DATA, **OF_SEN, **OF_RDG, **OFTEN, "data_voices": "en-us", "eval_splits": 2, "device": "cpu"}


def make_drawn(root):
    """In folder `root`: the store of a data set drawn small, in store/, and an untrained backbone.safetensors."""
    write_dataset("mini-flowers", root / "drawn", 0, 20, 3, 5, 1, workers=1, progress=lambda line: None)
    build_store(
        read_source("mini-flowers", root / "drawn"),
        root / "store",
        log_mel=log_mel,
        crop_from=34,
        captions=1,
        voices=("en-us",),
        words_per_minute=300,
        seed=0,
        validation=0.2,
        workers=1,
        progress=lambda line: None,
    )
    torch.manual_seed(0)
    save_network(freeze(ProxyNetwork(20, {})), root / "backbone.safetensors")


def make_world(root):
    """A drawn and spoken data set with its store, and an untrained backbone and evaluator."""
    torch.set_num_threads(1)
    write_dataset("mini-flowers", root / "drawn", 0, 20, 3, 5, 1, workers=1, progress=lambda line: None)
    source, spoken = read_source("mini-flowers", root / "drawn"), {"voices": ("en-us",), "words_per_minute": 300}
    made = {"crop_from": 38, "captions": 1, "seed": 0, "validation": 0.2, "workers": 1}
    build_store(source, root / "store", log_mel=log_mel, **spoken, **made, progress=lambda line: None)
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


def some_embeddings(world):
    """In place of speech embeddings, for all captions, [M, 16]."""
    return torch.randn(len(world.store.caption_image), 16, generator=torch.Generator().manual_seed(0))


def train_rdg(world, folder, validate=None, **more):
    """The EMA of the generator; for systems whose speech encoder learns too, all networks."""
    settings = settings_for(more.pop("system", "S2IGAN"), **more)
    joint = RDG_SYSTEMS[settings.system]["sen"] is None
    net = fresh_sen(settings, world.store, world.backbone)
    embeddings = None if joint else some_embeddings(world)
    nets = rdg_training.train_rdg(settings, world.store, net, embeddings, folder, "upstream", validate)
    return nets if joint else nets.ema


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stop_after(monkeypatch, steps):
    """End a training with an error in Adam's step after `steps`, as a kill would, between checkpoints or at one."""
    counted, step = iter(range(10_000)), torch.optim.Adam.step

    def counting(self, *arguments, **named):
        if next(counted) >= steps:
            raise KeyboardInterrupt
        return step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", counting)
