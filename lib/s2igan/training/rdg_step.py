"""One training step of RDG, in the paper's order (section 2.2)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from s2igan import losses
from s2igan.config import RDG_SYSTEMS, Settings
from s2igan.data.batches import pyramid
from s2igan.training import processes
from s2igan.training.rdg_networks import Networks, image_sizes


def rdg_training_step(
    nets: Networks,
    optimisers: dict[str, torch.optim.Optimizer],
    real: Tensor,
    same_class: Tensor,
    mismatched: Tensor,
    speech_embedding: Tensor,
    noise: Tensor,
    embed_image: Callable[[Tensor], Tensor],
    settings: Settings,
    autocast: Callable[[], Any],
    sen_loss: Tensor | None = None,
    eps: Tensor | None = None,
) -> dict[str, Tensor]:
    """One training step (paper, section 2.2; order of the released code), but for the moving average: `update_ema`.

    Args:
        real, same_class, mismatched: images at the largest scale, [B, 3, s, s] in [-1, 1]: of the caption, of the same
            class, of another class.
        speech_embedding: of the captions, [B, speech_size]; with its graph where the speech encoder learns.
        noise: z, [B, noise_size].
        embed_image: frozen IED, images -> unit embeddings [B, D].
        autocast: makes the context of each forward. One a phase, since it keeps cast weights, which an update changes.
        sen_loss: SEN's loss of this batch, added to the generator's ("end-to-end").
        eps: noise of the conditioning augmentation, [B, condition_size]; drawn when None.
    Returns: the losses by name, detached scalars.
    """
    # 1. One forward of G serves every phase below.
    with autocast():
        fakes, mu, logvar = nets.generator(noise, speech_embedding, eps)

    # 2. D of each scale: a real and matching image -> yes, else -> no.
    condition = mu.detach()
    report = update_discriminators(
        nets, optimisers, real, mismatched, fakes, condition, settings,
        autocast,
    )

    # 3. RS: tell the relations of pairs of images apart.
    embeddings = None
    if nets.supervisor is not None:
        images = (real, same_class, mismatched, fakes[-1])
        report["RS"], *embeddings = update_supervisor(
            nets, optimisers, *images, embed_image, autocast
        )

    # 4. G: pass the updated D, make a positive pair with the real image
    #    for RS, keep the condition near N(0, I).
    with frozen(nets):
        with autocast():
            loss, of_generator = generator_objective(
                nets, fakes, mu, logvar, embeddings, settings
            )
        # Where the speech encoder learns, it follows the same gradients.
        learning = [optimisers["generator"]]
        learning += [optimisers["SEN"]] if "SEN" in optimisers else []
        update(learning, loss if sen_loss is None else loss + sen_loss)
    return report | of_generator


def update_discriminators(
    nets: Networks,
    optimisers: dict[str, torch.optim.Optimizer],
    real: Tensor,
    mismatched: Tensor,
    fakes: list[Tensor],
    condition: Tensor,
    settings: Settings,
    autocast: Callable[[], Any],
) -> dict[str, Tensor]:
    """Phase 2 of a step: -log D(real, c) - log(1 - D(mismatched, c)) - log(1 - D(fake, c)), and the same without c.

    So with the non-saturating loss; without c the mismatched image is real. Returns the loss of each scale, detached.
    """
    sizes, name = image_sizes(settings), RDG_SYSTEMS[settings.system]["loss"]
    reals, others = pyramid(real, sizes), pyramid(mismatched, sizes)
    of_scale = {}
    with autocast():
        for i, discriminator in enumerate(nets.discriminators):
            images = (reals[i], others[i], fakes[i].detach())
            of_scale[f"D{sizes[i]}"] = losses.discriminator_loss(
                discriminator, *images, condition, name
            )
    learning = [optimisers[f"discriminator{i}"] for i in range(len(sizes))]
    update(learning, sum(of_scale.values()))
    return {scale: loss.detach() for scale, loss in of_scale.items()}


def update_supervisor(
    nets: Networks,
    optimisers: dict[str, torch.optim.Optimizer],
    real: Tensor,
    same_class: Tensor,
    mismatched: Tensor,
    fake: Tensor,
    embed_image: Callable[[Tensor], Tensor],
    autocast: Callable[[], Any],
) -> tuple[Tensor, Tensor, Tensor]:
    """Phase 3 of a step: RS learns (real, real), (real, same class), (real, fake) and (real, mismatched).

    The IED sees each image once here: the fake's embedding keeps its graph for phase 4.

    Returns: the loss, detached; embeddings of the real and of the generated images, [B, D] each.
    """
    with torch.no_grad(), autocast():
        images = torch.cat([real, same_class, mismatched])  # (3 * B, 3, s, s)
        f_real, f_same, f_other = embed_image(images).float().chunk(3)
    with autocast():
        f_fake = embed_image(fake).float()  # (B, D), as the others
        loss = losses.relation_loss(
            nets.supervisor, f_real, f_same, f_other, f_fake.detach()
        )
    update([optimisers["supervisor"]], loss)
    return loss.detach(), f_real, f_fake


def generator_objective(
    nets: Networks,
    fakes: list[Tensor],
    mu: Tensor,
    logvar: Tensor,
    embeddings: list[Tensor] | None,
    settings: Settings,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Phase 4 of a step: -log D(fake, c) - log D(fake) over scales + KL + cross-entropy of RS (non-saturating loss).

    Args: embeddings: of the real and of the generated images, [B, D] each; None without relation supervisor.
    Returns: the loss with its graph; its parts by name, detached.
    """
    name = RDG_SYSTEMS[settings.system]["loss"]
    adversarial = losses.generator_loss(nets.discriminators, fakes, mu, name)
    kl = losses.kl_loss(mu, logvar)
    loss, report = adversarial + settings.rdg_kl_weight * kl, {}
    if embeddings is not None:
        logits = nets.supervisor(*embeddings)  # (B, 4)
        relation = losses.relation_cross_entropy(logits, losses.POSITIVE)
        loss = loss + settings.rdg_relation_weight * relation
        report["G_RS"] = relation.detach()
    return loss, report | {"G": adversarial.detach(), "KL": kl.detach()}


@contextlib.contextmanager
def frozen(nets: Networks) -> Iterator[None]:
    """No gradients for the discriminators and the supervisor: in phase 4 they would be computed and thrown away."""
    networks = [*nets.discriminators, *([nets.supervisor] if nets.supervisor is not None else [])]
    for network in networks:
        network.requires_grad_(False)
    yield
    for network in networks:
        network.requires_grad_(True)


def update(optimisers: list[torch.optim.Optimizer], loss: Tensor) -> None:
    """One step of each optimiser down the gradient of `loss`, averaged over the processes that train together."""
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = (p for optimiser in optimisers for group in optimiser.param_groups for p in group["params"])
    processes.all_reduce_mean(p.grad for p in parameters if p.grad is not None)
    for optimiser in optimisers:
        optimiser.step()


def ema_decay(settings: Settings, step: int) -> float:
    """Decay of the moving averages at a step: `rdg_ema`; with `rdg_ema_warmup` at most (1 + k) / (10 + k) at step k."""
    return min(settings.rdg_ema, (1 + step) / (10 + step)) if settings.rdg_ema_warmup else settings.rdg_ema


def update_ema(ema: nn.Module, live: nn.Module, decay: float) -> None:
    """5. Exponential moving average of the parameters: ema <- decay * ema + (1 - decay) * live.

    torch's AveragedModel would begin as a copy of the first update in place of the initial weights, and copy all
    BatchNorm statistics at each step. Here they are measured instead: see `recalibrate_batchnorm`.
    """
    get_ema_multi_avg_fn(decay)(list(ema.parameters()), list(live.parameters()), 0)
