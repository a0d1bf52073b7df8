"""The metrics of the paper's tables as pure functions: mAP, Inception Score, Frechet distance, kernel distance.

N, M are numbers of images, Q of queries, G of gallery items, D features, C classes.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_fid.fid_score import calculate_frechet_distance
from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from s2igan import BadInput

SMALLEST = torch.finfo(torch.float32).tiny


def _float_tensor(array: np.ndarray | Tensor) -> Tensor:
    return torch.as_tensor(array).detach().to("cpu", torch.float32)


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
    queries, gallery = _float_tensor(queries), _float_tensor(gallery)
    # Products are divided by the lengths, so that there is no second gallery in memory.
    lengths = torch.linalg.vector_norm(gallery, dim=1).clamp_min(1e-12)  # (G,)
    query_labels, gallery_labels = (np.asarray(torch.as_tensor(x).cpu()) for x in (query_labels, gallery_labels))
    positives_of = {label: np.flatnonzero(gallery_labels == label) for label in np.unique(query_labels)}
    total, count = 0.0, 0
    block = max(1, 2_000_000 // max(1, len(gallery)))  # queries at once: bounds the memory of their similarities
    for start in range(0, len(queries), block):
        similarity = (F.normalize(queries[start : start + block], dim=1) @ gallery.T).div_(lengths).numpy()  # (b, G)
        for row, label in zip(similarity, query_labels[start : start + block], strict=True):
            if len(positives_of[label]):
                total += _average_precision(row, positives_of[label])
                count += 1
    if count == 0:
        raise BadInput("mean average precision: no query has an image of its class in the gallery")
    return total / count


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
    query_labels, gallery_labels = (np.asarray(torch.as_tensor(x).cpu()) for x in (query_labels, gallery_labels))
    size = len(gallery_labels)
    labels, counts = np.unique(gallery_labels, return_counts=True)
    positives = counts[np.searchsorted(labels, query_labels[np.isin(query_labels, labels)])]  # of each query
    if len(positives) == 0:
        raise BadInput("chance of mean average precision: no query has an image of its class in the gallery")
    p = (positives - 1) / max(1, size - 1)
    return float(np.mean(p + (1 / np.arange(1, size + 1)).mean() * (1 - p)))


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
    a, b = (np.asarray(_float_tensor(x), dtype=np.float64) for x in (features_a, features_b))
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
    """
    a, b = _float_tensor(features_a), _float_tensor(features_b)
    result = kid_features_to_metric(
        a, b, kid_subsets=subsets, kid_subset_size=min(len(a), len(b), 1000), rng_seed=seed, verbose=False
    )
    return float(result[KEY_METRIC_KID_MEAN])
