"""Metrics as pure functions: mAP, Inception Score, Frechet distance, kernel distance, as in the paper's tables; and
instance retrieval, precision, recall, density, coverage, diversity and the distance to the nearest training image.

N, M are numbers of images, Q of queries, G of gallery items, D features, C classes. Each raises BadInput for features
or probabilities that are not finite.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from math import comb

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_fid.fid_score import calculate_frechet_distance
from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from s2igan import BadInput

SMALLEST = torch.finfo(torch.float32).tiny


def _float_tensor(array: np.ndarray | Tensor, metric: str) -> Tensor:
    """Features [N, D] in single precision. Raises BadInput, naming the image, for one that is not finite."""
    return check_finite(torch.as_tensor(array).detach().to("cpu", torch.float32), metric, "features")


def check_finite(rows: Tensor, metric: str, what: str) -> Tensor:
    """`rows`, [N, ...], of N images. Raises BadInput that names the first image whose row is not finite.

    Args: metric, what: of which metric, and what the rows are, such as 'features', for the message.
    """
    # A sum is finite only of finite rows, and is far quicker than a look at each value.
    if not torch.isfinite(rows.sum()):
        infinite = ~torch.isfinite(rows).flatten(1).all(1)
        if infinite.any():
            raise BadInput(f"{metric}: {what} of image {int(infinite.nonzero()[0])} are not finite")
    return rows


def mean_average_precision(
    queries: np.ndarray | Tensor,
    query_labels: np.ndarray | Tensor,
    gallery: np.ndarray | Tensor,
    gallery_labels: np.ndarray | Tensor,
) -> float:
    """Mean average precision of retrieval by cosine similarity over the full ranking (released protocol).

    AP of a query = mean over its positives k = 1, 2, ... (in ranked order) of k / rank_k. A positive shares the query's
    label. Equal similarities keep the gallery's order.

    Args:
        queries: [Q, D]; query_labels: [Q]; arrays or tensors, vectors of any length.
        gallery: [G, D]; gallery_labels: [G].
    Returns: the mean over the queries with at least one positive, in 0 .. 1.
    Raises: BadInput when no query has a positive in the gallery.
    """
    query_labels, gallery_labels = _as_array(query_labels), _as_array(gallery_labels)
    positives_of = {label: np.flatnonzero(gallery_labels == label) for label in np.unique(query_labels)}
    total, count = 0.0, 0
    for row, label in zip(_similarities(queries, gallery, "mean average precision"), query_labels, strict=True):
        if len(positives_of[label]):
            total += _average_precision(row, positives_of[label])
            count += 1
    if count == 0:
        raise BadInput("mean average precision: no query has an image of its class in the gallery")
    return total / count


def _as_array(ids: np.ndarray | Tensor) -> np.ndarray:
    return np.asarray(torch.as_tensor(ids).cpu())


def _similarities(queries: np.ndarray | Tensor, gallery: np.ndarray | Tensor, metric: str) -> Iterator[np.ndarray]:
    """The cosines of each query of [Q, D] with a gallery [G, D]: Q times [G]."""
    queries, gallery = _float_tensor(queries, metric), _float_tensor(gallery, metric)
    # Products are divided by the lengths, so that there is no second gallery in memory.
    lengths = torch.linalg.vector_norm(gallery, dim=1).clamp_min(1e-12)  # (G,)
    block = max(1, 2_000_000 // max(1, len(gallery)))  # queries at once: bounds the memory of their similarities
    for start in range(0, len(queries), block):
        yield from (F.normalize(queries[start : start + block], dim=1) @ gallery.T).div_(lengths).numpy()  # (b, G)


def _average_precision(similarity: np.ndarray, positives: np.ndarray) -> float:
    """AP of one query: similarities to the gallery [G], and the positives in it [P], in its order."""
    # Only the ranks of the positives count: values are sorted without their places, and each positive is looked up.
    ascending = np.sort(similarity)
    before, after = (np.searchsorted(ascending, similarity[positives], side) for side in ("left", "right"))
    ranks = np.sort(len(similarity) - before)  # so many items are at least as similar
    if (after - before > 1).any():  # equal similarities
        order = np.argsort(-similarity, kind="stable")
        ranks = np.flatnonzero(np.isin(order, positives)) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def chance_mean_average_precision(query_labels: np.ndarray | Tensor, gallery_labels: np.ndarray | Tensor) -> float:
    """What `mean_average_precision` is expected to be for a random ranking of a gallery that the queries are not in.

    Of a gallery of G items with P positives, all orders equally likely, E[AP] = p + (H_G / G) (1 - p), with
    p = (P - 1) / (G - 1) and H_G = 1 + 1/2 + ... + 1/G: by the definition E[AP] = (1 / P) sum_k E[1 at k] / k *
    (1 + expected positives before k), where rank k holds a positive with probability P / G, and then each of the k - 1
    ranks before it holds one with probability p.

    Args: query_labels: [Q]; gallery_labels: [G].
    Returns: the mean over the queries with at least one positive, in 0 .. 1.
    Raises: BadInput when no query has a positive in the gallery.
    """
    query_labels, gallery_labels = _as_array(query_labels), _as_array(gallery_labels)
    size = len(gallery_labels)
    labels, counts = np.unique(gallery_labels, return_counts=True)
    positives = counts[np.searchsorted(labels, query_labels[np.isin(query_labels, labels)])]  # of each query
    if len(positives) == 0:
        raise BadInput("chance of mean average precision: no query has an image of its class in the gallery")
    p = (positives - 1) / max(1, size - 1)
    return float(np.mean(p + (1 / np.arange(1, size + 1)).mean() * (1 - p)))


def recall_at(
    queries: np.ndarray | Tensor,
    query_ids: np.ndarray | Tensor,
    gallery: np.ndarray | Tensor,
    gallery_ids: np.ndarray | Tensor,
    ks: Sequence[int],
) -> dict[int, float]:
    """Instance retrieval R@k: the share of queries with an item of their own id among the k most similar ones (cosine).

    A real image asks, generated images answer, and an id is the real image whose caption an image was generated from.

    Args: queries: [Q, D]; query_ids: [Q]; gallery: [G, D]; gallery_ids: [G]. Equal similarities keep its order.
    Returns: {k: 0 .. 1}, over the queries whose id occurs in the gallery.
    Raises: BadInput where there is no such query.
    """
    query_ids, gallery_ids = _as_array(query_ids), _as_array(gallery_ids)
    ranks = []
    for row, label in zip(_similarities(queries, gallery, "instance retrieval"), query_ids, strict=True):
        hits = np.flatnonzero(gallery_ids == label)
        if len(hits):
            first = hits[np.argmax(row[hits])]  # of equal ones the first
            ranks.append(1 + (row > row[first]).sum() + (row[:first] == row[first]).sum())
    if not ranks:
        raise BadInput("instance retrieval: no query has an item of its own in the gallery")
    return {k: float((np.array(ranks) <= k).mean()) for k in ks}


def chance_recall_at(
    query_ids: np.ndarray | Tensor, gallery_ids: np.ndarray | Tensor, ks: Sequence[int]
) -> dict[int, float]:
    """What `recall_at` is expected to be for a random ranking: 1 - C(G - m, k) / C(G, k), the mean over the queries.

    m is the number of items of the query's own id among the G of the gallery.

    Raises: BadInput where no query has one.
    """
    query_ids, gallery_ids = _as_array(query_ids), _as_array(gallery_ids)
    size, counts = len(gallery_ids), (gallery_ids == query_ids[:, None]).sum(1)  # (Q,)
    if not counts.any():
        raise BadInput("chance of instance retrieval: no query has an item of its own in the gallery")
    numbers = counts[counts > 0].tolist()
    return {k: float(np.mean([1 - comb(size - m, k) / comb(size, min(k, size)) for m in numbers])) for k in ks}


def inception_score(probabilities: np.ndarray | Tensor, splits: int = 10) -> tuple[float, float]:
    """Inception Score (Salimans et al. 2016): exp(mean_x KL(p(y|x) || p(y))), p(y) the mean of the split.

    Args:
        probabilities: p(y|x), [N, C], rows sum to 1.
        splits: split i is rows floor(i N / splits) to floor((i + 1) N / splits), in the given order.
    Returns: mean and population standard deviation over the splits; 1 (no class information) .. C.
    Raises: BadInput when there are fewer rows than splits.
    """
    p = torch.as_tensor(probabilities).detach().cpu()
    p = p if p.dtype == torch.float64 else p.float()
    n = len(p)
    check_finite(p, "inception score", "probabilities")
    if n < splits:
        raise BadInput(f"inception score: {n} images cannot be divided into {splits} splits")
    scores, scratch = [], torch.empty_like(p[: -(-n // splits)])  # memory that is new costs more time than a logarithm
    for i in range(splits):
        part = p[i * n // splits : (i + 1) * n // splits]
        # The plain form: mean_x sum_y p(y|x) (log p(y|x) - log p(y)). The mean over x of p(y|x) is p(y), so that the
        # second term is one of p(y) alone, and each probability's logarithm is taken once, in the precision given. A
        # smallest positive value makes p log p the limit 0 where a probability is 0 (xlogy would too, at nine times the
        # time). p(y) is a mean in the precision given; the images' terms are averaged in double precision.
        p_y = part.mean(0).double()
        logarithms = torch.clamp(part, min=SMALLEST, out=scratch[: len(part)]).log_()
        kl = torch.linalg.vecdot(part, logarithms).double().mean() - torch.xlogy(p_y, p_y).sum()
        scores.append(float(kl.exp()))
    return float(np.mean(scores)), float(np.std(scores))


def frechet_distance(features_a: np.ndarray | Tensor, features_b: np.ndarray | Tensor) -> float:
    """Frechet distance of two sets of features, each seen as a Gaussian (FID when the features are Inception's pool3).

    |mu_a - mu_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), covariances with N - 1; the distance itself is pytorch-fid's.
    With no more images than dimensions, as on Oxford-102 with 1,155 unseen images and 2,048 dimensions, a covariance is
    singular, and pytorch-fid may refuse its root. Then, with C_a = A^T A and C_b = B^T B, tr (C_a C_b)^(1/2) is
    computed as the sum of the singular values of A B^T, which equals it.

    Args: features_a: [N, D]; features_b: [M, D]. Returns: at least 0, in squared units of the features.
    Raises: BadInput for fewer than two rows.
    """
    a, b = (np.asarray(_float_tensor(x, "Frechet distance"), dtype=np.float64) for x in (features_a, features_b))
    if min(len(a), len(b)) < 2:
        raise BadInput(f"Frechet distance: needs at least two images on each side, got {len(a)} and {len(b)}")
    if min(len(a), len(b)) <= a.shape[1]:
        of_a, of_b = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
        root = np.linalg.svd(of_a @ of_b.T, compute_uv=False).sum()
        return max(0.0, float(((a.mean(0) - b.mean(0)) ** 2).sum() + (of_a**2).sum() + (of_b**2).sum() - 2 * root))
    covariances = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # pytorch-fid's call of sqrtm, the reason for the pin of scipy
        distance = calculate_frechet_distance(a.mean(0), next(covariances), b.mean(0), next(covariances))
    return max(0.0, float(distance))  # rounding can leave -1e-6 for equal sets


def kernel_distance(
    features_a: np.ndarray | Tensor, features_b: np.ndarray | Tensor, subsets: int = 20, seed: int = 0
) -> float:
    """Kernel Inception Distance (Binkowski et al. 2018), by torch-fidelity.

    The unbiased MMD^2 with the kernel (x.y / D + 1)^3. Unlike FID it does not grow when there are few images; it may be
    a little below 0 for equal distributions.

    Args: features_a: [N, D]; features_b: [M, D]; subsets: random subsets averaged, each of min(N, M, 1000) rows.
    Raises: BadInput for fewer than two rows.
    """
    a, b = _float_tensor(features_a, "kernel distance"), _float_tensor(features_b, "kernel distance")
    if min(len(a), len(b)) < 2:
        raise BadInput(f"kernel distance: needs at least two images on each side, got {len(a)} and {len(b)}")
    result = kid_features_to_metric(
        a, b, kid_subsets=subsets, kid_subset_size=min(len(a), len(b), 1000), rng_seed=seed, verbose=False
    )
    return float(result[KEY_METRIC_KID_MEAN])


def precision_recall_density_coverage(
    real: np.ndarray | Tensor, generated: np.ndarray | Tensor, nearest: int = 5
) -> dict[str, float]:
    """Fidelity and diversity by nearest neighbours (Kynkaanniemi et al. 2019; Naeem et al. 2020, package `prdc`).

    The ball of an image reaches to its `nearest`-th neighbour in its own set, that one left out. `precision`: share of
    the generated images in the ball of any real one. `recall`: share of the real ones in the ball of any generated one.
    `density`: in how many balls of real images a generated one lies, over `nearest`; may exceed 1. `coverage`: share of
    the real images that have a generated one in their ball. Take sets of equal size: all four depend on it.

    Args: real: [N, D]; generated: [M, D], more than `nearest` rows each.
    Raises: BadInput for fewer rows.
    """
    if min(len(real), len(generated)) <= nearest:
        raise BadInput(f"precision and recall: {min(len(real), len(generated))} images have no {nearest} neighbours")
    real, generated = (_float_tensor(x, "precision and recall").double() for x in (real, generated))
    # The first of the sorted distances is that of an image to itself.
    of_real, of_generated = (torch.cdist(x, x).kthvalue(nearest + 1, 1).values for x in (real, generated))
    distances = torch.cdist(real, generated)  # (N, M)
    in_real = distances < of_real[:, None]
    found = {
        "precision": in_real.any(0),
        "recall": (distances < of_generated).any(1),
        "density": in_real.sum(0).double() / nearest,
        "coverage": in_real.any(1),
    }
    return {name: float(values.double().mean()) for name, values in found.items()}


def mean_distance(features: np.ndarray | Tensor, groups: np.ndarray | Tensor) -> float:
    """Diversity: the mean Euclidean distance of two different rows of a group, as the mean over the groups.

    Args: features: [N, D]; groups: the group of each row, [N]; those of a single row do not count.
    Raises: BadInput where no group has two rows.
    """
    features, groups = _float_tensor(features, "diversity").double(), torch.as_tensor(groups)
    means = [torch.pdist(features[groups == group]).mean() for group in groups.unique()]
    means = [float(mean) for mean in means if torch.isfinite(mean)]
    if not means:
        raise BadInput("diversity: no group has two images")
    return float(np.mean(means))


def nearest_rows(features: np.ndarray | Tensor, others: np.ndarray | Tensor) -> tuple[np.ndarray, np.ndarray]:
    """For each row of [N, D] its nearest row of [M, D] by Euclidean distance: distances [N], and which rows [N]."""
    features, others = _float_tensor(features, "nearest image"), _float_tensor(others, "nearest image")
    block = max(1, 20_000_000 // max(1, len(others)))
    found = [torch.cdist(features[k : k + block], others).argmin(1) for k in range(0, len(features), block)]
    rows = torch.cat(found)
    # A distance by way of a matrix product is inexact where it is small.
    distances = torch.linalg.vector_norm(features.double() - others[rows].double(), dim=1)
    return distances.numpy(), rows.numpy()
