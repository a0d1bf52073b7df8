"""Steps at full size on a GPU that is not there: no tensor of another device, no value asked for, memory counted."""

import sys
from pathlib import Path

import pytest
import torch

from s2igan import losses, rdg
from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

import fake_gpu

ROOT = Path(__file__).resolve().parents[1]
PAPER = {"preset": "paper", "dataset": "cub", "precision": "auto"}
SMALL = {"preset": "small", "rdg_batch": 4, "sen_batch": 4, "rdg_width": 8, "rdg_discriminator_width": 4}
RATE = 4 / 2**30


def test_every_system_steps_at_full_size_as_documented():
    found = fake_gpu.table(PAPER)
    assert list(found) == [*SEN_SYSTEMS, *RDG_SYSTEMS, "evaluation"]
    end_to_end = found["S2IGAN end-to-end"]
    # The generator twice, discriminators of 64, 128 and 256 pixels, and RS: README and the paper have their sizes.
    least = (2 * 21.29 + 5.72 + 18.83 + 71.27 + 0.26) * 1e6 * RATE
    assert least < end_to_end["weights"] < 1.5 * least
    assert end_to_end["optimisers"] == pytest.approx(2 * end_to_end["gradients"], rel=0.01)  # Adam's two moments
    lines = (ROOT / "docs/paper_scale.md").read_text(encoding="utf-8").splitlines()
    told = {cells[1].strip(): cells[2:-1] for line in lines if len(cells := line.split("|")) == 8}
    for system, row in found.items():
        assert list(map(float, told[system])) == pytest.approx([row[name] for name in fake_gpu.COLUMNS], abs=0.02)
    assert rdg.inside_of_taps.cache_info().currsize == 0  # no fake tensor stays


def test_activations_grow_with_the_batch():
    of_batch = [fake_gpu.table({**SMALL, "rdg_batch": n}, ["S2IGAN"])["S2IGAN"] for n in (4, 8)]
    assert of_batch[0]["weights"] == pytest.approx(of_batch[1]["weights"], rel=1e-3)
    assert of_batch[1]["activations"] > 1.5 * of_batch[0]["activations"]


def brought_to_the_cpu(mu, logvar):
    return mu.mean().cpu() + logvar.mean().cpu()


def made_on_the_cpu(mu, logvar):
    return torch.mean(mu.float() * torch.ones(mu.shape))


def waits(mu, logvar):
    return mu.mean() if mu.mean().item() > 0 else logvar.mean()


@pytest.mark.parametrize("fault", [brought_to_the_cpu, made_on_the_cpu, waits])
def test_a_tensor_on_the_cpu_or_a_value_asked_for_fails(monkeypatch, fault):
    monkeypatch.setattr(losses, "kl_loss", fault)
    with pytest.raises((RuntimeError, torch._subclasses.fake_tensor.DataDependentOutputException)):
        fake_gpu.table(SMALL, ["S2IGAN"])
