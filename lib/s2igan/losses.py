"""The losses of SEN and RDG, each next to its formula. B is the batch, D the embedding size, C the number of training classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def matching_loss(
    images: Tensor, speech: Tensor, labels: Tensor, scale: float = 10.0
) -> Tensor:
    """Matching loss of SEN (paper, section 2.1): each image should find its own description in the batch, and the reverse.

    S_ij = scale * cos(v_i, a_j); S_ij = -inf where i != j share a class, since such a pair is neither right nor wrong;
    loss = mean_i -log softmax_j(S)_ii + mean_j -log softmax_i(S)_jj.

    Args:
        images: v, [B, D], of any length: the cosine normalises.
        speech: a, [B, D]; row i describes image i.
        labels: class of each pair, [B].
        scale: factor on the cosines (released code: 10).
    Returns: a scalar, at least 0.
    """
    v, a = F.normalize(images, dim=1), F.normalize(speech, dim=1)
    similarity = scale * v @ a.T  # (B, B)
    same_class = labels[:, None] == labels[None, :]
    own_pair = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    similarity = similarity.masked_fill(same_class & ~own_pair, float("-inf"))
    target = torch.arange(len(labels), device=labels.device)
    rows = F.cross_entropy(similarity, target)
    columns = F.cross_entropy(similarity.T, target)
    return rows + columns


def distinctive_loss(
    classifier: nn.Module, images: Tensor, speech: Tensor, labels: Tensor
) -> Tensor:
    """Distinctive loss L_d of SEN (paper, section 2.1): one classifier shared by both modalities, so that they share a space.

    loss = -log softmax(W v_i)_label + -log softmax(W a_i)_label, each a mean over the batch.

    Args:
        classifier: maps [B, D] to logits [B, C]; one shared linear layer in the paper.
        images, speech: [B, D].
        labels: [B], in 0 .. C-1.
    Returns: a scalar, at least 0.
    """
    of_images = F.cross_entropy(classifier(images), labels)
    of_speech = F.cross_entropy(classifier(speech), labels)
    return of_images + of_speech


def adversarial(logits: Tensor, target: float) -> Tensor:
    """Binary cross-entropy of [B] logits towards one target: 1 is real or matching, 0 is fake or mismatched. A scalar."""
    return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, target, dtype=torch.float32))


def discriminator_loss(
    discriminator: nn.Module, real: Tensor, mismatched: Tensor, fake: Tensor,
    condition: Tensor,
) -> Tensor:  # fmt: skip
    """Loss of one discriminator (StackGAN-v2's joint conditional and unconditional loss, paper section 2.2).

    Conditional: real image with its condition -> 1; a real image of another class, or a fake, with the condition -> 0.
    Unconditional: both real images -> 1, fake -> 0. Each of the three is a BatchNorm group of its own.

    Args:
        discriminator: (images of all three, [3 * B, ...], condition, 3) -> (conditional logits [3 * B], unconditional logits [3 * B]).
        real, mismatched, fake: [B, 3, s, s] in [-1, 1]; fake detached.
        condition: mu, [B, condition_size], detached.
    """
    images = torch.cat([real, mismatched, fake])
    conditional, unconditional = discriminator(images, condition, 3)
    loss = 0.0
    for logits, targets in (
        (conditional, (1.0, 0.0, 0.0)),
        (unconditional, (1.0, 1.0, 0.0)),
    ):
        for part, target in zip(logits.chunk(3), targets, strict=True):
            loss = loss + adversarial(part, target)
    return loss


def kl_loss(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL of the conditioning Gaussian from N(0, I): -0.5 * mean(1 + logvar - mu^2 - exp(logvar)), over batch and dimensions.

    Args: mu, logvar: [B, condition_size]. Source: StackGAN's conditioning augmentation; released code takes the mean.
    """
    mu, logvar = mu.float(), logvar.float()
    return -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())


# What the relation supervisor answers about a pair (paper, section 2.2): outputs 0, 1, 2 of its four occur.
UNDESIRED, POSITIVE, NEGATIVE = 0, 1, 2


def relation_loss(
    supervisor: nn.Module, real: Tensor, same_class: Tensor,
    mismatched: Tensor, fake: Tensor,
) -> Tensor:  # fmt: skip
    """Loss of the relation supervisor (paper, section 2.2): four cross-entropies from four separate forwards.

    (real, real) -> undesired: a copy is no relation worth having. (real, another real image of the class) -> positive, and
    (real, fake) -> positive too (released code): the supervisor does not work against the generator. (real, real image of another
    class) -> negative.

    Args: image embeddings [B, embedding_size]: of the real image, another of its class, one of another class, and a fake
        (detached).
    """
    loss = 0.0
    for other, relation in (
        (real, UNDESIRED), (same_class, POSITIVE), (fake, POSITIVE),
        (mismatched, NEGATIVE),
    ):  # fmt: skip
        logits = supervisor(real, other).float()  # (B, 4)
        target = torch.full((len(real),), relation, device=real.device)
        loss = loss + F.cross_entropy(logits, target)
    return loss
