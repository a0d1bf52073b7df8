"""The solutions of the exercises: each runs, and says what its text claims."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from small_training import TINY

from s2igan import BadInput, losses, metrics, speech
from s2igan.config import RDG_SYSTEMS, resolve
from s2igan.data.batches import pad_mels
from s2igan.data.store import attribute_targets, open_store
from s2igan.evaluation.evaluator import FeatureNetworks
from s2igan.evaluation.feature_networks import ProxyNetwork, extract, freeze, load_network
from s2igan.losses import kl_loss
from s2igan.rdg import Generator
from s2igan.training.sen import fresh_sen

SOLUTIONS = Path(__file__).resolve().parents[1] / "notebooks" / "solutions"


def solutions(name):
    spec = importlib.util.spec_from_file_location(f"solutions_{name}", SOLUTIONS / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def store(drawn):
    return open_store(drawn / "store")


@pytest.fixture(scope="module")
def settings():
    return resolve({**TINY, "system": "SEN"})


def test_every_notebook_with_exercises_has_its_solutions():
    notebooks = [path for path in SOLUTIONS.parent.glob("*.ipynb") if "## Exercises" in path.read_text()]
    assert {path.stem for path in notebooks} == {path.stem for path in SOLUTIONS.glob("0*.py")}
    for path in notebooks:
        asked = path.read_text().split("## Exercises")[1]
        for number in range(1, asked.count("**") // 2 + 1):
            assert f"\n    {number}. " in (SOLUTIONS / f"{path.stem}.py").read_text() or f'"""{number}. ' in (
                SOLUTIONS / f"{path.stem}.py"
            ).read_text(), f"{path.stem}: exercise {number}"


def test_data(store):
    module = solutions("01_data")
    named = module.what_is_named(store)
    assert named["colour"] == 1 and 0 < named["ring"] < 1  # a flower's colour is always named
    waveform = speech.speak(["a blue flower"])[0]
    normalised, plain = module.effect_of_volume(waveform)
    assert normalised < 0.05 and plain == pytest.approx(math.log(4), abs=0.01)
    features = torch.randn(len(store.images), 4, generator=torch.Generator().manual_seed(0))
    chance = module.chance_by_classes(store, features)
    assert chance["closed form"].is_monotonic_decreasing
    assert all(chance["closed form"] > [100 / count for count in chance.index])
    left = module.speech_in_noise(waveform)
    assert left.is_monotonic_decreasing and left.iloc[0] > 0.5
    mel = torch.rand(120, 40) + 1
    one, same, other = (module.masked(mel, seed) for seed in ((0, 1), (0, 1), (0, 2)))
    assert torch.equal(one, same) and not torch.equal(one, other) and (mel > 0).all()
    blank = one == 0
    # Whole frames and whole bands.
    assert blank.any() and torch.equal(blank, blank.all(1)[:, None] | blank.all(0)[None])
    assert torch.equal(one[~blank], mel[~blank])


def test_sen(store, settings, drawn):
    module = solutions("02_sen")
    table = module.loss_before_training()
    assert np.allclose(table["matching loss"], table["2 ln B"] + 100 / 256, atol=0.35)
    assert module.dependence_on_the_batch(store, True) < 1e-5 < 1e-3 < module.dependence_on_the_batch(store, False)
    masked, unmasked = module.loss_of_a_perfect_batch()
    assert masked < 0.001 and unmasked == pytest.approx(4 / 3 * math.log(2), abs=0.001)
    net = load_network(drawn / "backbone.safetensors")
    found = module.mean_in_place_of_attention(settings, store, net, extract(net, store.images, 32))
    assert set(found) == {"attention", "mean over time"} and len(set(found.values())) == 2
    weights, _ = module.MeanPooled(gru_size=4).attention(*pad_mels([store.mel(0), store.mel(1)]))
    assert torch.allclose(weights.sum(1), torch.ones(2, 8)) and len(weights[0, :, 0].unique()) <= 2


def test_rdg_without_training(store):
    module = solutions("03_rdg")
    more = module.cost_of_the_dense_link()
    assert dict(more) == {"next.0.up.conv.weight": 9 * 64**2, "next.1.up.conv.weight": 9 * 32**2}
    generator = Generator(16, 8, 4, 8, 2, 8).eval()
    # One whose condition says nothing: neither description nor epsilon gets through.
    without_condition = Generator(16, 8, 4, 8, 2, 8).eval()
    torch.nn.init.zeros_(without_condition.augment.linear.weight)
    changed = module.noise_or_description(without_condition, torch.randn(12, 16), 12)
    assert changed["another description"] == 0 < changed["another z"]
    assert (module.noise_or_description(generator, torch.randn(12, 16), 12) > 0).all()
    measured, expected = module.mismatched_that_matches(store)
    assert measured == pytest.approx(expected, abs=0.01)
    assert module.squared_error(torch.tensor([1.0, 3.0]), 1.0) == 2


@pytest.fixture(scope="module")
def embeddings(store):
    return torch.randn(len(store.caption_image), 16, generator=torch.Generator().manual_seed(0))


def test_the_kl_term_holds_the_condition(store, settings, drawn, embeddings):
    """How a short GAN training turns out is chaotic, so its numbers differ between processors. The pull of the term on
    mu and sigma is not: with a weight that outweighs everything else, mu stays near 0."""
    mu, logvar = (torch.randn(6, 5, requires_grad=True) for _ in range(2))
    kl_loss(mu, logvar).backward()
    assert torch.allclose(mu.grad, mu / 30) and torch.allclose(logvar.grad, (logvar.exp() - 1) / 60)
    net = fresh_sen(settings, store, load_network(drawn / "backbone.safetensors"))
    longer = settings.model_copy(update={"rdg_steps": 60, "rdg_lr": 0.01})
    table = solutions("03_rdg").without_the_kl_term(longer, store, net, embeddings, (0.0, 1000.0))
    mu = table["mu, root mean square"]
    assert mu[1000.0] < 0.5 * mu[0.0]  # 0.10 to 0.13 over six seeds


def test_least_squares_is_a_row_more(store, settings, drawn, embeddings):
    module, rows = solutions("03_rdg"), (set(RDG_SYSTEMS), set(losses.ADVERSARIAL))
    net = fresh_sen(settings, store, load_network(drawn / "backbone.safetensors"))
    proxy = freeze(ProxyNetwork(20, {}))
    features = extract(proxy, store.images, 32)
    networks = FeatureNetworks(proxy, proxy, proxy, features, features)
    table = module.with_least_squares(settings, store, net, embeddings, networks)
    assert list(table.index) == ["non-saturating", "least squares"]
    assert table.FID.nunique() == 2 and table.notna().all(axis=None)
    assert rows == (set(RDG_SYSTEMS), set(losses.ADVERSARIAL))


def test_a_study_is_found_after_make_read_too(tmp_path):
    module = solutions("finished")
    with pytest.raises(BadInput, match="make read"):
        module.find_study(tmp_path)
    for study in reversed(module.STUDIES):  # trained networks come before reference weights
        folder = tmp_path / "results" / study / "mini-flowers"
        for run in ("data-store-seed0", "sen-sen-seed0", "rdg-s2igan-seed0"):
            (folder / run).mkdir(parents=True)
            (folder / run / "metrics.json").write_text("{}")
        assert module.find_study(tmp_path) == folder


def test_analysis():
    module, rng = solutions("04_analysis"), np.random.default_rng(0)
    labels = np.arange(40) % 4
    features = torch.as_tensor(np.eye(4)[labels] + rng.normal(size=(40, 4)))
    mean, low, high = module.interval_over_queries(features[:20], labels[:20], features[20:], labels[20:], 200)
    assert low < mean < high
    drawn = torch.as_tensor(rng.normal(size=(400, 8)))
    table = module.distance_by_number(drawn)
    assert table.FID.is_monotonic_decreasing and table.FID.iloc[0] > 5 * table.FID.iloc[-1] > 0
    p = torch.as_tensor(np.eye(4)[labels] * 0.9 + 0.025)
    by_class, shuffled = module.score_by_order(p, labels, 4)
    assert by_class == pytest.approx(1) and shuffled > 1.5  # one class a split: no diversity
    unit = torch.nn.functional.normalize(features.float(), dim=1)
    given = unit[:20], labels[:20], unit[20:], labels[20:]
    assert module.euclidean_map(*given) == pytest.approx(metrics.mean_average_precision(*given))
    stretched = unit[20:] * torch.linspace(1, 9, 20)[:, None]
    of_stretched = module.euclidean_map(unit[:20], labels[:20], stretched, labels[20:])
    assert of_stretched != pytest.approx(module.euclidean_map(*given))


def test_tables():
    module, rng = solutions("05_tables"), np.random.default_rng(0)
    common, noise = rng.normal(scale=5, size=(2, 6))
    paired, alone = module.paired_or_not(common + 0.1 * noise, common)
    assert paired < alone / 4
    # Nothing shared, three seeds.
    paired, alone = module.paired_or_not(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 1.0]))
    assert paired > alone
    assert module.seeds_needed(1.0, 100.0) == 2
    few = module.seeds_needed(3.0, 2.0)
    assert 4 < few < 20 and module.seeds_needed(3.0, 1.0) > few


def test_figures(store, settings):
    module = solutions("05_figures")
    values, _ = attribute_targets(store)
    evaluator = freeze(ProxyNetwork(20, {name: len(v) for name, v in values.items()}))
    generator = Generator(16, 8, 4, 8, 3, 8).eval()

    def encode(texts, mels):
        return torch.randn(len(texts), 16)

    table = module.confused_values(settings, store, generator, encode, evaluator)
    assert list(table.columns) == values["colour"] and np.allclose(table.sum(axis=1), 100)
    between = module.between_sentences(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 3)
    assert torch.allclose(between, torch.tensor([[1.0, 0.0], [math.sqrt(0.5)] * 2, [0.0, 1.0]]))


def test_distinctive_loss():
    module = solutions("05_distinctive_loss")
    assert module.cross_entropy(0.0, 342) == pytest.approx(math.log(342))  # a guess
    for scale in (1.0, 10.0):
        assert module.cross_entropy(module.length_needed(1.0, 342, scale), 342, scale) == pytest.approx(1.0)
    classifier, embedding = torch.nn.Linear(8, 5, bias=False), torch.eye(8)[:1]
    with torch.no_grad():
        classifier.weight.zero_()[0, 0] = 0.9
    found = torch.nn.functional.cross_entropy(classifier(embedding), torch.tensor([0])).item()
    assert module.cross_entropy(0.9, 5) == pytest.approx(found)
    gains = pd.DataFrame({"data set": ["a", "a"], "condition": ["x", "y"], "high": [2.0, 0.5]})
    assert module.largest_gains(gains).to_dict() == {("a", "y"): 0.5, ("a", "x"): 2.0}


def test_cost():
    module = solutions("07_cost")
    hours = {"features of all images": 1.0, "evaluation of all systems": 0.25}
    hours |= {"SEN": 2.0, "SEN w/o L_d": 2.5, "text encoder": 9.0}
    hours |= {"S2IGAN": 10.0, "S2IGAN end-to-end": 11.0, "StackGAN-v2 (T2IG)": 5.0}
    assert module.longest_chain(pd.Series(hours)) == 1 + 9 + 5 + 0.25  # the text encoder, then its generator
    assert module.kept_features(pd.Series({"features of all images": 2.0, "S2IGAN": 30.0})) == pytest.approx(0.2)
