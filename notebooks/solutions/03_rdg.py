"""Solutions to the exercises of 03_rdg."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from s2igan import losses
from s2igan.config import RDG_SYSTEMS, Settings
from s2igan.data.store import Store
from s2igan.evaluation.evaluator import FeatureNetworks, load_feature_networks
from s2igan.evaluation.images import evaluate_rdg
from s2igan.files import project_root
from s2igan.rdg import Generator
from s2igan.sen import SEN
from s2igan.training.rdg import train_rdg


def cost_of_the_dense_link(width: int = 64, stages: int = 3) -> pd.Series:
    """1. Which layers does the dense link make larger, and by how many parameters? Only the up-block of each later
    stage: with the link the block takes 2 n channels in place of n, so its convolution to n channels (n / 2 after GLU)
    has 9 n^2 weights more."""

    def counts(dense: bool) -> dict[str, int]:
        generator = Generator(width=width, stages=stages, dense=dense)
        return {name: p.numel() for name, p in generator.named_parameters()}

    with_it, without = counts(True), counts(False)
    more = {name: count - without[name] for name, count in with_it.items() if count != without[name]}
    return pd.Series(more, name="more parameters")


@torch.no_grad()
def noise_or_description(generator: Generator, speech_embeddings: Tensor, count: int = 64) -> pd.Series:
    """2. Does an image follow the description or the noise? Mean change of a pixel, of 255, when one of the three
    changes. In the reference generators z changes hardly anything: the variation comes from epsilon, which goes with
    the condition into every stage."""
    random = torch.Generator().manual_seed(0)
    embeddings = speech_embeddings[:count]
    sizes = generator.noise_size, generator.condition_size
    z, eps = (torch.randn(len(embeddings), n, generator=random) for n in sizes)
    images = generator(z, embeddings, eps)[0][-1]
    changed = {
        "another description": generator(z, embeddings.roll(len(embeddings) // 2, 0), eps)[0][-1],
        "another z": generator(z.roll(1, 0), embeddings, eps)[0][-1],
        "another epsilon": generator(z, embeddings, eps.roll(1, 0))[0][-1],
    }
    moved = {name: 127.5 * float((other - images).abs().mean()) for name, other in changed.items()}
    return pd.Series(moved, name="mean change of a pixel")


def mismatched_that_matches(store: Store, draws: int = 20_000) -> tuple[float, float]:
    """3. The released code draws the mismatched image from all images. How often is it of the same class? As often as
    one in the number of classes, if they are equally large. Each such step teaches the discriminator that a fitting
    image does not fit."""
    image_ids, rng = store.image_ids_of("train"), np.random.default_rng(0)
    real, mismatched = (store.image_class[rng.choice(image_ids, draws)] for _ in range(2))
    share = np.unique(store.image_class[image_ids], return_counts=True)[1] / len(image_ids)
    return float((real == mismatched).mean()), float((share**2).sum())


def without_the_kl_term(
    settings: Settings, store: Store, net: SEN, speech_embeddings: Tensor, weights: tuple[float, ...] = (0.0, 2.0)
) -> pd.DataFrame:
    """4. What becomes of mu and sigma when nothing holds the condition near N(0, I)?

    Over the descriptions of unseen classes, after the same steps. The gradient of the KL term is mu / N for mu and
    (sigma^2 - 1) / 2 N for log sigma^2, over N values: it pulls mu to 0, which is what the sentence contributes, and
    sigma to 1. Without it sigma need not become small. What counts is how large mu is beside it, and mu can grow.
    """
    found = {}
    for weight in weights:
        chosen = settings.model_copy(update={"rdg_kl_weight": weight, "system": "S2IGAN"})
        with tempfile.TemporaryDirectory() as folder:
            nets = train_rdg(chosen, store, net, speech_embeddings, Path(folder), "exercise")
        with torch.no_grad():
            mu, logvar = nets.ema.augment(speech_embeddings[store.caption_ids_of("test")])
        found[weight] = {
            "mu, root mean square": float(mu.square().mean().sqrt()),
            "sigma, mean": float(torch.exp(logvar / 2).mean()),
        }
    return pd.DataFrame(found).T


def squared_error(logits: Tensor, target: float) -> Tensor:
    """The squared error of [B] logits (Mao et al. 2017). It still pulls at images that are on the right side, by how
    far they are from the target."""
    return (logits.float() - target).square().mean()


@contextlib.contextmanager
def least_squares_system() -> Iterator[str]:
    """For a while, a row more in the tables of losses and of systems: S2IGAN with least squares. Gives its name."""
    name = "S2IGAN least squares"
    losses.ADVERSARIAL["least squares"] = losses.Adversarial(
        discriminator=lambda logits, real: squared_error(logits, float(real)),
        generator=lambda logits: squared_error(logits, 1.0),
    )
    RDG_SYSTEMS[name] = {**RDG_SYSTEMS["S2IGAN"], "loss": "least squares", "paper": False}
    try:
        yield name
    finally:
        del losses.ADVERSARIAL["least squares"], RDG_SYSTEMS[name]


def with_least_squares(
    settings: Settings, store: Store, net: SEN, speech_embeddings: Tensor, networks: FeatureNetworks
) -> pd.DataFrame:
    """5. (a change in the code) Validation mAP and FID of both losses after the same steps, from the same weights and
    batches. One seed says little: the spread over seeds of either (05) is what a difference must exceed."""
    found = {}
    with least_squares_system() as least_squares:
        for system in ("S2IGAN", least_squares):
            chosen = settings.model_copy(update={"system": system})
            with tempfile.TemporaryDirectory() as folder:
                nets = train_rdg(chosen, store, net, speech_embeddings, Path(folder), system)
            rows = evaluate_rdg(nets.ema, store, speech_embeddings, networks, settings, "val")
            found[RDG_SYSTEMS[system]["loss"]] = {
                row["metric"]: row["value"] for row in rows if row["metric"] in ("mAP", "FID")
            }
    return pd.DataFrame(found).T


if __name__ == "__main__":
    from finished import open_study

    study = open_study()
    print(cost_of_the_dense_link(), end="\n\n")
    test_ids = study.store.caption_ids_of("test")
    print(noise_or_description(study.generator, study.speech_embeddings[test_ids][::10]).round(2), end="\n\n")
    measured, expected = mismatched_that_matches(study.store)
    print(f"the mismatched image is of the same class in {measured:.2%} of draws; expected {expected:.2%}\n")
    short = study.settings.model_copy(update={"rdg_steps": 200})
    print(without_the_kl_term(short, study.store, study.net, study.speech_embeddings).round(3), end="\n\n")
    networks = load_feature_networks(study.settings, project_root())
    print(with_least_squares(short, study.store, study.net, study.speech_embeddings, networks).round(1))
