"""Weights: of a feature network, packed ones, and checkpoints of a training."""

import shutil

import torch
from mutations import damaged

from s2igan.demo import packed_weights
from s2igan.evaluation.feature_networks import load_network
from s2igan.training.checkpoints import load_checkpoint, save_checkpoint
from s2igan.training.weights import read_weights, save_weights

ABOUT = {
    "network": "backbone", "dataset": "mini-flowers", "seed": 0, "settings": {}, "steps": 5, "commit": "abc",
    "device": "cpu", "precision": "fp32", "versions": {"torch": "2"}, "metrics": [],
}  # fmt: skip


def originals(folder):
    torch.manual_seed(0)
    state = {"weight": torch.randn(4, 3), "bias": torch.randn(4), "steps": torch.tensor(7)}
    save_weights(state, folder / "network.safetensors", {"kind": "ProxyNetwork"})
    packed_weights.write(folder / "packed.safetensors", packed_weights.pack(state, whole=True), ABOUT)
    save_checkpoint(folder, 10, {"net": state, "optimiser": {"state": {0: {"step": 3.0}}, "betas": (0.5, 0.9)}}, "mark")
    wanted = {path.name: _read(path) for path in sorted(folder.iterdir())}
    return folder, wanted


def _read(path):
    if path.suffix == ".pt":
        return load_checkpoint(path.parent, "mark")
    return packed_weights.read(path) if path.stem == "packed" else read_weights(path)


def attempt(made, random, folder):
    of, wanted = made
    name = random.choice(sorted(wanted))
    shutil.copy(of / name, folder)
    (folder / name).write_bytes(damaged((folder / name).read_bytes(), random))
    found = _read(folder / name)
    assert found is None or _equal(found, wanted[name]) or not _has_checksum(folder / name)
    if name == "network.safetensors":
        load_network(folder / name)


def _has_checksum(path):
    content = path.read_bytes()
    return path.suffix == ".pt" or (b'"about"' in content and b"sha256" in content)


def _equal(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return a == b
