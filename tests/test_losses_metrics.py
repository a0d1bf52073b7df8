"""Losses and metrics against answers worked out by hand, or by a plainer algorithm."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.linalg import sqrtm
from torch import nn
from torch_fidelity import calculate_metrics

from s2igan import BadInput, losses, metrics
from s2igan.data.synthetic.classes import choose_classes
from s2igan.data.synthetic.dataset import draw_image
from s2igan.evaluation.feature_networks import FIDInception, extract, fold_norms, freeze


def test_matching_loss_of_orthogonal_pairs():
    # Each image equals its speech and is orthogonal to the others: every softmax is e^10 / (e^10 + B - 1), both ways.
    pairs = torch.eye(4, 8)
    expected = 2 * math.log(1 + 3 * math.exp(-10))
    assert losses.matching_loss(3 * pairs, 0.5 * pairs, torch.arange(4)).item() == pytest.approx(expected, rel=1e-3)
    assert losses.matching_loss(pairs, pairs, torch.arange(4), scale=1.0).item() == pytest.approx(
        2 * math.log(1 + 3 / math.e), rel=1e-5
    )


def test_matching_loss_masks_pairs_of_one_class_but_keeps_the_diagonal():
    v, a = (
        torch.randn(3, 5, generator=torch.Generator().manual_seed(0)),
        torch.randn(3, 5, generator=torch.Generator().manual_seed(1)),
    )
    assert losses.matching_loss(v, a, torch.tensor([7, 7, 7])).item() == pytest.approx(0.0, abs=1e-6)
    # With classes 0, 0, 1 the first row's softmax runs over columns 0 and 2 alone.
    s = (10 * F.normalize(v, dim=1) @ F.normalize(a, dim=1).T).double()
    total = 0.0
    for matrix in (s, s.T):
        allowed = [[0, 2], [1, 2], [0, 1, 2]]
        total += sum(-(matrix[i, i] - torch.logsumexp(matrix[i, columns], 0)) for i, columns in enumerate(allowed)) / 3
    assert losses.matching_loss(v, a, torch.tensor([0, 0, 1])).item() == pytest.approx(total.item(), rel=1e-4)


def test_distinctive_loss_is_the_sum_over_both_modalities():
    classifier = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        classifier.weight.copy_(torch.eye(2))
    images, speech, labels = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0])
    expected = math.log(1 + math.exp(-1)) + math.log(2)
    assert losses.distinctive_loss(classifier, images, speech, labels).item() == pytest.approx(expected, rel=1e-6)
    scaled = losses.distinctive_loss(classifier, images, speech, labels, scale=3.0)
    assert scaled.item() == pytest.approx(math.log(1 + math.exp(-3)) + math.log(2), rel=1e-6)


def test_discriminator_loss_targets():
    class Oracle(nn.Module):
        """Says 'matches' with logit c and 'real' with logit u, where the images carry both."""

        def forward(self, images, condition, groups):
            assert groups == 3  # real, mismatched and fake, each a BatchNorm group of its own
            return images[:, 0, 0, 0], images[:, 1, 0, 0]

    def picture(conditional, unconditional):
        return torch.tensor([conditional, unconditional, 0.0]).view(1, 3, 1, 1)

    # Right about everything, with great confidence: real matches, mismatched is real but does not match, fake neither.
    for loss, of_unsure in (("non-saturating", 6 * math.log(2)), ("hinge", 6.0)):
        images = picture(30, 30), picture(-30, 30), picture(-30, -30)
        right = losses.discriminator_loss(Oracle(), *images, torch.zeros(1, 1), loss)
        assert right.item() == pytest.approx(0.0, abs=1e-6)
        unsure = losses.discriminator_loss(Oracle(), *[picture(0, 0)] * 3, torch.zeros(1, 1), loss)
        assert unsure.item() == pytest.approx(of_unsure, rel=1e-6)


def test_both_sides_of_the_non_saturating_loss():
    discriminator, generator = losses.ADVERSARIAL["non-saturating"]
    logits = torch.tensor([0.0, math.log(3)])  # sigmoids 1/2 and 3/4
    assert discriminator(logits, True).item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2, rel=1e-6)
    assert discriminator(logits, False).item() == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-6)
    assert generator(logits).item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2, rel=1e-6)


def test_both_sides_of_the_hinge_loss():
    discriminator, generator = losses.ADVERSARIAL["hinge"]
    logits = torch.tensor([-3.0, 0.25, 2.0], requires_grad=True)
    assert discriminator(logits, True).item() == pytest.approx((4 + 0.75 + 0) / 3, rel=1e-6)
    assert discriminator(logits, False).item() == pytest.approx((0 + 1.25 + 3) / 3, rel=1e-6)
    assert generator(logits).item() == pytest.approx((3 - 0.25 - 2) / 3, rel=1e-6)
    # Beyond the margin a discriminator learns nothing; the generator is pulled alike everywhere.
    assert torch.autograd.grad(discriminator(logits, True), logits)[0].tolist() == pytest.approx([-1 / 3, -1 / 3, 0])
    assert torch.autograd.grad(discriminator(logits, False), logits)[0].tolist() == pytest.approx([0, 1 / 3, 1 / 3])
    assert torch.autograd.grad(generator(logits), logits)[0].tolist() == pytest.approx([-1 / 3] * 3)


def test_generator_loss_sums_both_answers_of_every_scale():
    def discriminator(conditional, unconditional):
        return lambda images, condition: (torch.full((2,), conditional), torch.full((2,), unconditional))

    discriminators, fakes = [discriminator(1.0, 2.0), discriminator(-4.0, 8.0)], [torch.zeros(2, 3, 4, 4)] * 2
    found = losses.generator_loss(discriminators, fakes, torch.zeros(2, 3), "hinge")
    assert found.item() == pytest.approx(-(1 + 2 - 4 + 8), rel=1e-6)
    found = losses.generator_loss(discriminators, fakes, torch.zeros(2, 3))
    assert found.item() == pytest.approx(sum(math.log(1 + math.exp(-x)) for x in (1, 2, -4, 8)), rel=1e-5)


def test_kl_loss_closed_form():
    assert losses.kl_loss(torch.zeros(3, 5), torch.zeros(3, 5)).item() == 0
    mu, logvar = torch.full((2, 4), 2.0), torch.full((2, 4), math.log(3))
    assert losses.kl_loss(mu, logvar).item() == pytest.approx(-0.5 * (1 + math.log(3) - 4 - 3), rel=1e-6)


def test_relation_loss_counts_its_pairs():
    def uniform(a, b):
        return torch.zeros(len(a), 4)

    x = torch.randn(5, 3)
    assert losses.relation_loss(uniform, x, x, x, x).item() == pytest.approx(4 * math.log(4), rel=1e-6)


def plain_map(queries, query_labels, gallery, gallery_labels):
    values = []
    for q, label in zip(queries, query_labels, strict=True):
        cosine = gallery @ q / (np.linalg.norm(gallery, axis=1) * np.linalg.norm(q))
        hits = gallery_labels[np.argsort(-cosine, kind="stable")] == label
        if hits.any():
            ranks = np.flatnonzero(hits) + 1
            values.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return np.mean(values)


def test_map_by_hand_and_against_a_plain_loop():
    gallery = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    # Ranking of [1, 0] is 0, 1, 2; its positives stand at ranks 1 and 3: (1/1 + 2/3) / 2.
    assert metrics.mean_average_precision(np.array([[2.0, 0.0]]), [5], gallery, [5, 6, 5]) == pytest.approx(
        (1 + 2 / 3) / 2
    )
    rng = np.random.default_rng(0)
    q, g, ql, gl = rng.normal(size=(40, 7)), rng.normal(size=(300, 7)), rng.integers(0, 6, 40), rng.integers(0, 5, 300)
    value = metrics.mean_average_precision(torch.tensor(q), torch.tensor(ql), g, gl)
    assert value == pytest.approx(plain_map(q, ql, g, gl), rel=1e-6)  # class 5 has no positive and is left out
    with pytest.raises(BadInput, match="no query"):
        metrics.mean_average_precision(q, np.full(40, 9), g, gl)


def test_equal_similarities_keep_the_gallerys_order():
    rng = np.random.default_rng(0)
    g = np.round(rng.normal(size=(60, 2)))  # many of the same direction, in front of and behind positives
    g[(g == 0).all(1)] = 1.0
    ql, gl = rng.integers(0, 4, 20), rng.integers(0, 4, 60)
    q = g[rng.integers(0, 60, 20)]
    scaled, vectors = (
        torch.nn.functional.normalize(torch.tensor(q, dtype=torch.float32), dim=1),
        torch.tensor(g, dtype=torch.float32),
    )
    cosine = ((scaled @ vectors.T) / vectors.norm(dim=1)).numpy()
    assert sum(len(row) - len(np.unique(row)) for row in cosine) > 400  # of 1,200
    ranked = [gl[np.argsort(-row, kind="stable")] == label for row, label in zip(cosine, ql, strict=True)]
    expected = [np.mean(np.arange(1, hits.sum() + 1) / (np.flatnonzero(hits) + 1)) for hits in ranked if hits.any()]
    assert metrics.mean_average_precision(q, ql, g, gl) == pytest.approx(np.mean(expected), rel=1e-9)


def test_inception_score_extremes_and_splits():
    assert metrics.inception_score(np.full((20, 4), 0.25)) == pytest.approx((1.0, 0.0))
    one_hot = np.eye(4)[np.arange(40) % 4]
    assert metrics.inception_score(one_hot) == pytest.approx((4.0, 0.0))
    # Seven rows in two splits are rows 0-2 and 3-6: scores 1 (one class) and 2 (two classes, evenly).
    p = np.eye(2)[[0, 0, 0, 0, 0, 1, 1]]
    assert metrics.inception_score(p, splits=2) == pytest.approx((1.5, 0.5))
    with pytest.raises(BadInput, match="3 images"):
        metrics.inception_score(np.full((3, 4), 0.25))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inception_score_is_its_formula(dtype):
    p = torch.randn(70, 9, generator=torch.Generator().manual_seed(0)).mul(2).softmax(1).to(dtype)
    scores = []
    for part in p.double().numpy().reshape(7, 10, 9):
        scores.append(np.exp(np.mean(np.sum(part * (np.log(part) - np.log(part.mean(0))), 1))))
    assert metrics.inception_score(p, splits=7) == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-6)


def test_frechet_distance_closed_forms():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(500, 6))
    shift = np.array([1.0, -2.0, 0.5, 0, 0, 3.0])
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-5)
    assert metrics.frechet_distance(a, a + shift) == pytest.approx((shift**2).sum(), rel=1e-4)  # equal covariances
    # Scaling by 2: tr(C + 4 C - 2 * 2 C) = tr C, with the mean's own shift.
    expected = np.trace(np.cov(a, rowvar=False)) + (a.mean(0) ** 2).sum()
    assert metrics.frechet_distance(a, 2 * a) == pytest.approx(expected, rel=1e-4)
    b = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6))
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
    assert metrics.frechet_distance(torch.tensor(a), b) == pytest.approx(expected, rel=1e-4)
    # The same points in a larger space are as far apart, also where there are more dimensions than points.
    turned = np.linalg.qr(rng.normal(size=(600, 600)))[0][:6]
    assert metrics.frechet_distance(a @ turned, b @ turned) == pytest.approx(expected, rel=1e-6)
    assert metrics.frechet_distance(a @ turned, a @ turned) == pytest.approx(0, abs=1e-9)
    with pytest.raises(BadInput, match="two images"):
        metrics.frechet_distance(a[:1], b)


def test_fid_against_torch_fidelity(tmp_path):
    """The same weights and images, already of 299 pixels, since torch-fidelity resizes as TensorFlow does."""
    torch.manual_seed(0)
    net = FIDInception("random")
    rng = np.random.default_rng(0)
    drawn = [draw_image("mini-flowers", flower, rng, 299) for flower in choose_classes("mini-flowers", 12, rng)]
    pixels = torch.stack([torch.as_tensor(np.array(image)).permute(2, 0, 1) for image in drawn]).contiguous()
    normalised = (pixels.float() - 128) / 128  # torch-fidelity's range; pytorch-fid's is x / 127.5 - 1
    for norm in (module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.momentum = None
    with torch.no_grad():  # statistics that fit, or features of untrained weights all but vanish
        net.train()(normalised[:6])
    fc = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    torch.save(net.net.state_dict() | fc, tmp_path / "weights.pth")
    features = extract(fold_norms(freeze(net)), normalised, 299)
    theirs = calculate_metrics(
        input1=torch.utils.data.Subset(pixels, range(6)),
        input2=torch.utils.data.Subset(pixels, range(6, 12)),
        fid=True,
        cuda=False,
        feature_extractor_weights_path=str(tmp_path / "weights.pth"),
        verbose=False,
        cache=False,
        save_cpu_ram=True,
    )
    assert metrics.frechet_distance(features[:6], features[6:]) == pytest.approx(
        theirs["frechet_inception_distance"], rel=1e-4
    )


def test_kernel_distance_against_its_definition():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 5)), rng.normal(size=(30, 5)) + 0.5
    kernel = lambda a, b: (a @ b.T / 5 + 1) ** 3  # noqa: E731
    xx, yy, n = kernel(x, x), kernel(y, y), 30
    unbiased = (
        (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (n * (n - 1)) - 2 * kernel(x, y).mean()
    )
    assert metrics.kernel_distance(x, y) == pytest.approx(unbiased, rel=1e-4)  # a subset is the whole here
