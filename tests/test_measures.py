"""Instance retrieval, precision, recall, density, coverage, diversity and memory: closed forms, on made-up features."""

import itertools

import numpy as np
import pytest
import torch

from s2igan import BadInput, metrics
from s2igan.evaluation import diversity, scores


def test_recall_at_by_hand():
    # Cosines of [1, 0] fall from item to item; ids 3, 5, 5, 7, 3.
    gallery, ids = np.array([[1, 0], [1, 0.2], [1, 0.5], [1, 1], [0, 1]]), [3, 5, 5, 7, 3]
    queries = np.array([[2.0, 0]] * 3)
    found = metrics.recall_at(queries, [3, 5, 7], gallery, ids, (1, 2, 3, 4))
    assert list(found.values()) == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1])
    assert metrics.recall_at(queries[:2], [3, 9], gallery, ids, (1,)) == {1: 1}  # 9 has no image and is left out
    with pytest.raises(BadInput, match="instance retrieval"):
        metrics.recall_at(queries, [0, 1, 2], gallery, ids, (1,))
    # Equal similarities keep the gallery's order.
    assert metrics.recall_at(queries[:1], [5], np.ones((4, 2)), [3, 5, 7, 5], (1, 2)) == {1: 0, 2: 1}


@pytest.mark.parametrize(("size", "own"), [(5, 1), (7, 2), (6, 6)])
def test_chance_of_recall_at_is_the_mean_over_all_orders(size, own):
    every = list(itertools.combinations(range(size), own))  # the places of the query's own items
    ids = (np.arange(size) >= own).astype(int)
    found = metrics.chance_recall_at([0], ids, range(1, size + 2))
    for k, value in found.items():
        assert value == pytest.approx(np.mean([min(places) < k for places in every]))


def test_chance_of_recall_at_of_800_images_and_of_random_features():
    ids = np.arange(800) // 2
    found = metrics.chance_recall_at(np.arange(400), ids, (1, 10))
    assert found == pytest.approx({1: 2 / 800, 10: 1 - 790 * 789 / (800 * 799)})
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(2000, 9)), rng.normal(size=(40, 9))
    reached = metrics.recall_at(queries, np.arange(2000) % 5, gallery, ids[:40], (3,))
    expected = metrics.chance_recall_at(np.arange(5), ids[:40], (3,))[3]
    assert reached[3] == pytest.approx(expected, abs=4 * np.sqrt(expected / 2000))


def test_chance_within_the_class_is_that_of_a_gallery_of_the_class():
    of_generated, generated_labels = np.arange(12) // 2, np.arange(12) // 6  # two images of each of six real ones
    rows = scores.chance_recall_rows((of_generated, np.arange(6)), (generated_labels, np.arange(6) // 3))
    values = {row["metric"]: row["value"] for row in rows}
    assert values["R@1 chance"] == pytest.approx(100 * 2 / 12) and values["R@1 class"] == pytest.approx(100 * 2 / 6)
    assert values["R@5 class"] == 100 and all(row["n"] == 6 for row in rows)


def test_precision_recall_density_coverage_by_hand():
    real, generated = np.array([[0.0], [1], [2], [3]]), np.array([[0.5], [10]])
    found = metrics.precision_recall_density_coverage(real, generated, 1)
    # All real balls have radius 1: 0.5 lies in those of 0 and 1. Generated balls have radius 9.5: all real are in one.
    assert found == {"precision": 0.5, "recall": 1.0, "density": 1.0, "coverage": 0.5}
    x = np.random.default_rng(0).normal(size=(30, 4))
    same = metrics.precision_recall_density_coverage(x, x)
    assert same == pytest.approx({"precision": 1, "recall": 1, "density": 1, "coverage": 1})
    assert set(metrics.precision_recall_density_coverage(x, x + 100).values()) == {0}
    with pytest.raises(BadInput, match="5 images have no 5"):
        metrics.precision_recall_density_coverage(x[:5], x)


def test_density_and_coverage_of_one_distribution():
    """Naeem et al. 2020: density is expected to be 1, coverage 1 - (N - 1) ... (N - k) / ((2N - 1) ... (2N - k))."""
    rng, n, k = np.random.default_rng(0), 60, 5
    draws = rng.normal(size=(60, 2, n, 6))
    found = [metrics.precision_recall_density_coverage(*pair, k) for pair in draws]
    expected = 1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)])
    for name, value in (("density", 1), ("coverage", expected)):
        values = [of_draw[name] for of_draw in found]
        assert np.mean(values) == pytest.approx(value, abs=4 * np.std(values) / np.sqrt(60))


def test_neighbour_scores_compare_equally_many_images():
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    assert set(scores.neighbour_scores(x, x).values()) == {100}
    some = np.random.default_rng(0).permutation(40)[:20]
    expected = metrics.precision_recall_density_coverage(x[:20], x[some], 5)
    assert scores.neighbour_scores(x, x[:20]) == {name: 100 * value for name, value in expected.items()}


def test_fid_of_one_distribution_falls_with_the_number_of_images():
    rng = np.random.default_rng(0)
    halves = [tuple(torch.tensor(rng.normal(size=(250, 16))) for _ in "ab") for _ in range(4)]
    rows = scores.fid_by_number(halves, " real")
    assert [(row["metric"], row["n"]) for row in rows] == [
        ("FID of 50 real", 50), ("FID of 100 real", 100), ("FID of 200 real", 200),
    ]  # fmt: skip
    values = [row["value"] for row in rows]
    assert values[0] > 1.5 * values[1] > 2 * values[2] > 0
    assert values[1] == pytest.approx(np.mean([metrics.frechet_distance(a[:100], b[:100]) for a, b in halves]))
    assert scores.fid_by_number([(torch.zeros(49, 2), torch.zeros(200, 2))]) == []


def test_diversity_is_the_mean_distance_within_groups():
    features = np.array([[0.0, 0], [3, 4], [0, 0], [0, 1], [0, 3], [9, 9]])
    assert metrics.mean_distance(features, [0, 0, 1, 1, 1, 2]) == pytest.approx((5 + (1 + 3 + 2) / 3) / 2)
    assert metrics.mean_distance(features[[0, 2]], [0, 0]) == 0  # a generator whose noise does nothing
    with pytest.raises(BadInput, match="no group"):
        metrics.mean_distance(features[:2], [0, 1])


def test_memory_finds_a_copied_training_image():
    rng = np.random.default_rng(0)
    training, made = torch.tensor(100 + rng.normal(size=(50, 8))), torch.tensor(100 + rng.normal(size=(30, 8)))
    made[7] = training[13]
    row = scores.memory_row(made.float(), training.float(), " real")
    assert row["metric"] == "training distance real" and row["n"] == 30 and len(row["nearest"]) == 10
    assert row["nearest"][0] == [7, 13, 0.0]
    plain = np.linalg.norm(made.numpy()[:, None] - training.numpy(), axis=2)
    assert row["value"] == pytest.approx(plain.min(1).mean(), rel=1e-5)
    assert [distance for _, _, distance in row["nearest"]] == pytest.approx(np.sort(plain.min(1))[:10], abs=1e-4)


def test_images_that_fit_a_caption_have_all_that_it_names(world):
    store = world.store
    captions = diversity.chosen_captions(store)
    assert len(captions) == 20 and set(captions) <= set(store.caption_ids_of("test"))
    for caption, image_ids in zip(captions, diversity.fitting_images(store, captions), strict=True):
        label = store.image_class[store.caption_image[caption]]
        own = np.flatnonzero(store.image_class == label)
        assert set(own) <= set(image_ids) and len(image_ids) <= diversity.FITTING
        colours = {store.attributes[store.classes[store.image_class[i]]]["colour"] for i in image_ids}
        assert colours == {store.attributes[store.classes[label]]["colour"]}  # always named
    found = {row["metric"]: row for row in diversity.real_diversity_rows(store, torch.randn(len(store.images), 4))}
    assert set(found) == {"diversity real", "diversity fitting"} and found["diversity real"]["n"] == 20
