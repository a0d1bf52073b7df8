"""Weights and checkpoints: what is damaged, not finite or of another network is refused in one line."""

import shutil

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from s2igan import BadInput
from s2igan.metrics import frechet_distance, inception_score, kernel_distance, mean_average_precision
from s2igan.training.checkpoints import load_checkpoint, save_checkpoint
from s2igan.training.weights import content_digest, load_into, read_weights, save_weights


def flip(path, tensor):
    """Flips two bits in the bytes of a tensor of file `path`."""
    content, data = bytearray(path.read_bytes()), tensor.numpy().tobytes()
    at = bytes(content).index(data)
    content[at + 1] ^= 0b101
    path.write_bytes(content)


def test_weights_come_back_or_are_refused(tmp_path):
    path, state = tmp_path / "a.safetensors", {"weight": torch.randn(4, 3), "count": torch.tensor(3)}
    save_weights(state, path, {"kind": "one"})
    read, about = read_weights(path, "weight")
    assert about == {"kind": "one"} and all(torch.equal(read[name], state[name]) for name in state)
    with pytest.raises(BadInput, match="no tensor 'bias'"):
        read_weights(path, "bias")
    flip(path, state["weight"])
    with pytest.raises(BadInput, match=r"a\.safetensors is damaged \(its checksum differs\)"):
        read_weights(path)
    for content in (b"", b"<html>", b"[]", bytes(100)):
        path.write_bytes(content)
        with pytest.raises(BadInput, match=r"a\.safetensors is damaged"):
            read_weights(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(BadInput, match=r"a\.safetensors is damaged \(Is a directory\)"):
        read_weights(path)
    shutil.rmtree(path)
    with pytest.raises(BadInput, match="does not exist"):
        read_weights(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_neither_written_nor_read(tmp_path, value):
    state = {"good": torch.ones(2), "bad": torch.tensor([1.0, value])}
    with pytest.raises(BadInput, match="tensor bad is not finite"):
        save_weights(state, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())
    save_file(state, tmp_path / "old.safetensors")  # without a checksum, as older versions wrote it
    with pytest.raises(BadInput, match="tensor bad is not finite"):
        read_weights(tmp_path / "old.safetensors")


def test_weights_of_another_network_are_refused(tmp_path):
    net = nn.Linear(3, 2)
    load_into(net, {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}, "a")
    assert net.weight.unique() == 1
    for state, said in (
        ({"weight": torch.ones(2, 3)}, "lacks 'bias'"),
        ({"weight": torch.ones(2, 4), "bias": torch.zeros(2)}, "'weight' does not fit"),
        ({"weight": torch.ones(2, 3), "bias": torch.zeros(2, dtype=torch.int64)}, "'bias' does not fit"),
    ):
        with pytest.raises(BadInput, match=said):
            load_into(net, state, "a")


def test_a_checkpoint_with_two_bits_flipped_is_passed_over(tmp_path, capsys):
    tensors = {step: torch.randn(50) for step in (10, 20)}
    for step, tensor in tensors.items():
        save_checkpoint(tmp_path, step, {"net": tensor, "rate": (0.1, {"last": None})}, "mark")
    assert load_checkpoint(tmp_path, "mark")[0] == 20
    flip(tmp_path / "step-00000020.pt", tensors[20])
    step, state = load_checkpoint(tmp_path, "mark")
    assert step == 10 and torch.equal(state["net"], tensors[10]) and "checksum differs" in capsys.readouterr().out
    save_checkpoint(tmp_path, 30, {"net": torch.tensor([float("nan")])}, "mark", keep=3)
    assert load_checkpoint(tmp_path, "mark")[0] == 10 and "net is not finite" in capsys.readouterr().out


def test_damaged_checkpoints_do_not_count_among_those_that_are_kept(tmp_path):
    for step in (10, 20, 30):
        save_checkpoint(tmp_path, step, {"net": torch.ones(2)}, "mark", keep=3)
    for step in (20, 30):
        (tmp_path / f"step-{step:08d}.pt").write_bytes(b"damaged")
    assert load_checkpoint(tmp_path, "mark")[0] == 10
    save_checkpoint(tmp_path, 15, {"net": torch.zeros(2)}, "mark")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010.pt", "step-00000015.pt"]
    (tmp_path / "step-00000015.pt").write_bytes(b"damaged")
    assert load_checkpoint(tmp_path, "mark")[0] == 10


def test_the_checksum_is_of_names_kinds_shapes_and_values():
    one = {"a": torch.zeros(2), "b": [1, None]}
    others = [{"a": torch.zeros(2, 1), "b": [1, None]}, {"a": torch.zeros(2).int(), "b": [1, None]}]
    others += [{"c": torch.zeros(2), "b": [1, None]}, {"a": torch.zeros(2), "b": (1, None)}]
    assert content_digest(one) == content_digest(dict(reversed(one.items())))
    assert len({content_digest(each) for each in (one, *others)}) == 5


def test_features_that_are_not_finite_are_named_by_every_metric():
    good, bad, labels = torch.rand(30, 4), torch.rand(30, 4), torch.arange(30) % 3
    bad[17, 2] = float("nan")
    for metric in (
        lambda: frechet_distance(bad, good),
        lambda: kernel_distance(good, bad),
        lambda: mean_average_precision(bad, labels, good, labels),
        lambda: mean_average_precision(good, labels, bad, labels),
        lambda: inception_score(bad),
    ):
        with pytest.raises(BadInput, match="of image 17 are not finite"):
            metric()
