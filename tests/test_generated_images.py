"""Evaluation of generated images on a data set drawn small."""

import copy

import numpy as np
import pytest
import torch
from small_training import settings_for, train_rdg

from s2igan import BadInput
from s2igan.evaluation.evaluator import FeatureNetworks
from s2igan.evaluation.feature_networks import extract
from s2igan.evaluation.generate import generate
from s2igan.evaluation.images import diversity_rows, evaluate_rdg, nearest_pairs
from s2igan.evaluation.references import evaluate_real
from s2igan.reporting.cost import EVALUATION_FORWARDS


def test_evaluation_rows_and_their_repetition(world, tmp_path):
    settings = settings_for("S2IGAN")
    speech = torch.randn(len(world.store.caption_image), 16)
    features = extract(world.evaluator, world.store.images, 32)
    networks = FeatureNetworks(world.evaluator, world.evaluator, world.evaluator, features, features)
    generator = train_rdg(world, tmp_path, rdg_steps=2)
    first, second = (evaluate_rdg(generator, world.store, speech, networks, settings) for _ in range(2))
    assert first == second
    values = {row["metric"]: row for row in first}
    assert {"mAP", "FID", "KID", "IS", "IS_std", "attribute colour", "asked colour"} <= set(values)
    assert all(row["split"] == "test" for row in first)
    # 4 unseen classes of 5 images with a caption each.
    assert all(row["n"] == 20 for row in first if "asked" not in row["metric"] and row["metric"] != "diversity")
    assert values["diversity"]["n"] == 100  # five images of each caption
    assert {"R@1", "R@50", "precision", "recall", "density", "coverage", "training distance"} <= set(values)
    assert values["IS"]["per_split"] == 10  # two splits of as many images as there are real ones
    assert values["asked colour"]["value"] == values["attribute colour"]["value"]  # a flower's colour is always named
    naming = sum("ring" in world.store.caption_text[i] for i in world.store.caption_ids_of("test"))
    assert values["asked ring"]["n"] == naming < 20
    rows = evaluate_real(world.store, networks, settings)
    real = {row["metric"]: row["value"] for row in rows}
    assert 0 <= real["FID real"] < values["FID"]["value"]
    # A gallery of 20 generated images, 5 of each of 4 classes.
    harmonic = sum(1 / k for k in range(1, 21))
    assert real["mAP chance"] == pytest.approx(100 * (4 / 19 + harmonic / 20 * 15 / 19))
    beside = {f"{name} real" for name in ("precision", "coverage", "diversity", "training distance")}
    assert beside | {"R@1 chance", "R@50 class", "diversity fitting"} <= set(real)
    assert {"mAP nearest", "FID nearest", "KID nearest"} <= set(real)
    assert real["R@1 chance"] == pytest.approx(100 / 20) and real["R@1 class"] == pytest.approx(100 / 5)
    scores = [(row["n"], row["per_split"]) for row in [*first, *rows] if row["metric"] in ("IS", "IS real")]
    assert scores == [(20, 10), (20, 10)]
    attributes = [name for name in values if name.startswith(("asked ", "attribute "))]
    assert {f"{name} {kind}" for name in attributes for kind in ("chance", "uniform")} <= set(real)
    ids = world.store.caption_ids_of("test")
    said = [world.store.classes[world.store.image_class[world.store.caption_image[i]]] for i in ids]
    colours = [world.store.attributes[name]["colour"] for name in said]
    most = max(colours.count(colour) for colour in colours)
    assert real["asked colour chance"] == 100 * most / 20 >= real["asked colour uniform"]


def test_the_released_map_shows_generated_images_in_another_range(world, tmp_path):
    class Recording(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.lowest = torch.nn.Parameter(torch.zeros(())), []

        def forward(self, images):
            self.lowest.append(float(images.min()))
            return images.flatten(1)[:, ::97]

    settings, recording = settings_for("S2IGAN"), Recording()
    speech, generator = torch.randn(len(world.store.caption_image), 16), train_rdg(world, tmp_path, rdg_steps=2)
    features = extract(world.evaluator, world.store.images, 32)
    real = extract(recording, world.store.images, 32)
    recording.lowest.clear()
    networks = FeatureNetworks(recording, world.evaluator, world.evaluator, real, features)
    values = {row["metric"]: row["value"] for row in evaluate_rdg(generator, world.store, speech, networks, settings)}
    ours, released = recording.lowest[::2], recording.lowest[1::2]
    assert released == pytest.approx([(low + 1) / 2 for low in ours]) and min(ours) < 0
    assert values["mAP released"] != values["mAP"] and 0 < values["mAP released"] <= 100
    validation = evaluate_rdg(generator, world.store, speech, networks, settings, "val")
    assert "mAP released" not in {row["metric"] for row in validation}


@pytest.mark.parametrize("backbone", ["proxy", "inception"])
def test_the_cost_page_counts_the_forwards_of_an_evaluation(world, tmp_path, backbone):
    settings, calls = settings_for("S2IGAN"), []
    networks = [copy.deepcopy(world.evaluator) for _ in range(3 if backbone == "inception" else 1)]
    for network in networks:
        network.register_forward_hook(lambda network, given, made: calls.append(len(made)))
    features = extract(world.evaluator, world.store.images, 32)
    retrieval, fid, classifier = networks if backbone == "inception" else 3 * networks
    speech, generator = torch.randn(len(world.store.caption_image), 16), train_rdg(world, tmp_path, rdg_steps=2)
    scoring = FeatureNetworks(retrieval, fid, classifier, features, features)
    evaluate_rdg(generator, world.store, speech, scoring, settings)
    images = len(world.store.caption_ids_of("test"))
    of_diversity = 5 * images  # of at most 40 captions, by one network: too few to count at full size
    assert sum(calls) == images * EVALUATION_FORWARDS[backbone] + of_diversity


def test_a_generator_without_noise_has_no_diversity_and_the_nearest_pairs_can_be_shown(world, tmp_path):
    settings, store = settings_for("S2IGAN"), world.store
    speech, generator = torch.randn(len(store.caption_image), 16), train_rdg(world, tmp_path, rdg_steps=2)
    features = extract(world.evaluator, store.images, 32)
    networks = FeatureNetworks(world.evaluator, world.evaluator, world.evaluator, features, features)
    rows = evaluate_rdg(generator, store, speech, networks, settings)
    values = {row["metric"]: row["value"] for row in rows}
    assert values["diversity"] > 0 and values["change by z"] > 0 and values["change by eps"] > 0
    made, training, distances = nearest_pairs(generator, store, speech, settings, rows)
    assert made.shape == training.shape == (10, 32, 32, 3) and distances == sorted(distances)
    found = extract(world.evaluator, made, 32)
    near = extract(world.evaluator, training, 32)
    assert (found - near).norm(dim=1).numpy() == pytest.approx(distances, rel=1e-2)

    def of_noise(generator):
        rows = diversity_rows(generator, store, speech, networks, settings)
        return {row["metric"]: row["value"] for row in rows}

    with torch.no_grad():  # z has no weight, and sigma is exp(-100)
        size, linear = generator.condition_size, generator.augment.linear
        generator.first.linear.weight[:, size:] = 0
        assert of_noise(generator)["change by z"] == 0 < of_noise(generator)["change by eps"]
        for rows, bias in ((slice(size, 2 * size), -200), (slice(3 * size, None), 10)):
            linear.weight[rows], linear.bias[rows] = 0, bias
    assert of_noise(generator) == {"diversity": 0, "change by z": 0, "change by eps": 0}


def test_a_gpu_that_is_full_in_an_evaluation_names_the_parameter(world, tmp_path):
    settings, store = settings_for("S2IGAN", eval_batch=8), world.store
    speech, generator = torch.randn(len(store.caption_image), 16), train_rdg(world, tmp_path, rdg_steps=2)
    full = copy.deepcopy(world.evaluator)
    networks = FeatureNetworks(full, full, full, *(2 * [extract(full, store.images, 32)]))

    def refuse(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    full.register_forward_hook(refuse)
    for evaluate in (evaluate_rdg, diversity_rows):
        with pytest.raises(BadInput, match=r"memory is full \(CUDA out of memory\): parameter 'eval_batch' is 8"):
            evaluate(generator, store, speech, networks, settings)


def test_generated_images_do_not_depend_on_the_batch(world, tmp_path):
    generator = train_rdg(world, tmp_path, rdg_steps=2)
    speech = torch.randn(7, 16)
    one, other = (np.concatenate(list(generate(generator, speech, 3, batch))) for batch in (7, 2))
    assert one.shape == (7, 32, 32, 3) and one.dtype == np.uint8
    assert np.abs(one.astype(int) - other).max() <= 1
