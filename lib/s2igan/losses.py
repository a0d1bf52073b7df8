"""The losses of SEN and RDG, each next to its formula, in the paper's order.

B is the batch, D the embedding size, C the number of training classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def matching_loss(
    images: Tensor, speech: Tensor, labels: Tensor, scale: float = 10.0
) -> Tensor:
    """Matching loss of SEN (paper, section 2.1): in the batch, each image finds its description, and the reverse.

    S_ij = scale * cos(v_i, a_j);
    S_ij = -inf where i != j share a class, since such a pair neither matches nor mismatches;
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
    classifier: nn.Module,
    images: Tensor,
    speech: Tensor,
    labels: Tensor,
    scale: float = 1.0,
) -> Tensor:
    """Distinctive loss L_d of SEN (paper, section 2.1): one classifier for both modalities, so that they share a space.

    loss = -log softmax(scale W v_i)_label + -log softmax(scale W a_i)_label, each a mean over the batch.

    Args:
        classifier: maps [B, D] to logits [B, C]; one shared linear layer in the paper.
        images, speech: [B, D].
        labels: [B], in 0 .. C-1.
        scale: factor on the logits; 1 in the paper. Another one is an ablation of this study: logits of embeddings of
            length 1 start small, and stay so in a short training.
    Returns: a scalar, at least 0.
    """
    of_images = F.cross_entropy(scale * classifier(images), labels)
    of_speech = F.cross_entropy(scale * classifier(speech), labels)
    return of_images + of_speech


def non_saturating_discriminator(logits: Tensor, real: bool) -> Tensor:
    """Discriminator's side of the cross-entropy loss (Goodfellow et al. 2014; released code), mean over [B] logits.

    -log sigmoid(logit) where the answer should be yes, -log(1 - sigmoid(logit)) where it should be no.
    """
    target = torch.full_like(logits, float(real), dtype=torch.float32)
    return F.binary_cross_entropy_with_logits(logits.float(), target)


def non_saturating_generator(logits: Tensor) -> Tensor:
    """Generator's side of the cross-entropy loss: -log sigmoid(logit) of generated images, mean over [B] logits."""
    return non_saturating_discriminator(logits, real=True)


def hinge_discriminator(logits: Tensor, real: bool) -> Tensor:
    """Discriminator's side of the hinge loss (Lim and Ye 2017; Miyato et al. 2018), mean over [B] logits.

    max(0, 1 - logit) where the answer should be yes, max(0, 1 + logit) where it should be no: beyond the margin of 1 an
    image teaches nothing more.
    """
    logits = logits.float()
    return F.relu(1.0 - logits if real else 1.0 + logits).mean()


def hinge_generator(logits: Tensor) -> Tensor:
    """Generator's side of the hinge loss: -logit of generated images, mean over [B] logits."""
    return -logits.float().mean()


class Adversarial(NamedTuple):
    """Both sides of an adversarial loss, as functions of [B] logits. Each returns a scalar.

    The discriminator's side also takes `real`: True where the image is real, or fits its description; False where not.
    """

    discriminator: Callable[[Tensor, bool], Tensor]
    generator: Callable[[Tensor], Tensor]


# A system names its loss by the key `loss` (config.systems). A row here adds one.
ADVERSARIAL = {
    "non-saturating": Adversarial(
        non_saturating_discriminator, non_saturating_generator
    ),
    "hinge": Adversarial(hinge_discriminator, hinge_generator),
}


def discriminator_loss(
    discriminator: nn.Module,
    real: Tensor,
    mismatched: Tensor,
    fake: Tensor,
    condition: Tensor,
    loss: str = "non-saturating",
) -> Tensor:
    """Loss of one discriminator: StackGAN-v2's joint conditional and unconditional loss (paper, section 2.2).

    Conditional: a real image with its condition -> yes; a real image of another class, or a fake, with it -> no.
    Unconditional: both real images -> yes, the fake -> no. The sum of the six.

    Args:
        discriminator: (images of all three, [3 * B, ...], condition, 3) -> (conditional logits [3 * B], unconditional
            logits [3 * B]). The 3 says that each of the three is a BatchNorm group of its own.
        real, mismatched, fake: [B, 3, s, s] in [-1, 1]; fake detached.
        condition: mu, [B, condition_size], detached.
        loss: a row of `ADVERSARIAL`.
    """
    images = torch.cat([real, mismatched, fake])  # (3 * B, 3, s, s)
    conditional, unconditional = discriminator(images, condition, 3)
    total = 0.0
    for logits, answers in (
        (conditional, (True, False, False)),
        (unconditional, (True, True, False)),
    ):
        for part, answer in zip(logits.chunk(3), answers, strict=True):
            total = total + ADVERSARIAL[loss].discriminator(part, answer)
    return total


def generator_loss(
    discriminators: Iterable[nn.Module],
    fakes: list[Tensor],
    condition: Tensor,
    loss: str = "non-saturating",
) -> Tensor:
    """Adversarial loss of the generator (paper, section 2.2): the fakes pass, with and without their condition.

    The sum over scales of the generator's side of `loss`, conditional and unconditional.

    Args:
        discriminators: one a scale, (images, condition) -> (conditional logits [B], unconditional logits [B]).
        fakes: a scale's images each, [B, 3, s, s] in [-1, 1], with their graph.
        condition: mu, [B, condition_size], with its graph.
        loss: a row of `ADVERSARIAL`.
    """
    total = 0.0
    for fake, discriminator in zip(fakes, discriminators, strict=True):
        conditional, unconditional = discriminator(fake, condition)
        for logits in (conditional, unconditional):
            total = total + ADVERSARIAL[loss].generator(logits)
    return total


def kl_loss(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL of the conditioning Gaussian from N(0, I), a mean over batch and dimensions.

    -0.5 * mean(1 + logvar - mu^2 - exp(logvar)). Source: StackGAN's conditioning augmentation; the mean: released code.

    Args: mu, logvar: [B, condition_size]. Returns: a scalar, at least 0.
    """
    mu, logvar = mu.float(), logvar.float()
    return -0.5 * torch.mean(1 + logvar - mu.pow(2) - logvar.exp())


# Relations of a pair of images (paper, section 2.2). The released supervisor has four outputs; these three occur.
UNDESIRED, POSITIVE, NEGATIVE = 0, 1, 2


def relation_loss(
    supervisor: nn.Module,
    real: Tensor,
    same_class: Tensor,
    mismatched: Tensor,
    fake: Tensor,
) -> Tensor:
    """Loss of the relation supervisor (paper, section 2.2): four cross-entropies from four separate forwards.

    (real, real) -> undesired: a copy is no relation worth having. (real, another real image of the class) -> positive.
    (real, fake) -> positive too (released code): the supervisor does not work against the generator. (real, real image
    of another class) -> negative.

    Args:
        supervisor: (embedding [B, D], embedding [B, D]) -> logits [B, 4].
        real, same_class, mismatched, fake: image embeddings [B, D]: of the real image, of another of its class, of one
            of another class, and of a generated one (detached).
    """
    total = 0.0
    for other, relation in (
        (real, UNDESIRED),
        (same_class, POSITIVE),
        (fake, POSITIVE),
        (mismatched, NEGATIVE),
    ):
        logits = supervisor(real, other)  # (B, 4)
        total = total + relation_cross_entropy(logits, relation)
    return total


def relation_cross_entropy(logits: Tensor, relation: int) -> Tensor:
    """Cross-entropy of the supervisor's logits [B, 4] towards one relation for all pairs of the batch."""
    target = torch.full((len(logits),), relation, device=logits.device)
    return F.cross_entropy(logits.float(), target)
