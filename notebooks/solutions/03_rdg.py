"""Solutions to the exercises of 03_rdg."""

from __future__ import annotations

import tempfile
import unittest.mock
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from s2igan import losses
from s2igan.config import Settings
from s2igan.data.files import project_root
from s2igan.data.store import Store
from s2igan.evaluation.evaluator import FeatureNetworks, load_feature_networks
from s2igan.evaluation.images import evaluate_rdg
from s2igan.rdg import Generator
from s2igan.sen import SEN
from s2igan.training.rdg import train_rdg


def what_the_dense_link_costs(width: int = 64, stages: int = 3) -> pd.Series:
    """1. Which layers does the dense link make larger, and by how many parameters? The up-block of each later stage alone: with it the
    block takes 2 n channels in place of n, so its convolution to n channels (n / 2 after GLU) has 9 n^2 weights more."""
    with_it, without = ({name: p.numel() for name, p in Generator(width=width, stages=stages, dense=dense).named_parameters()}
                        for dense in (True, False))  # fmt: skip
    return pd.Series({name: count - without[name] for name, count in with_it.items() if count != without[name]}, name="more parameters")


@torch.no_grad()
def noise_or_condition(generator: Generator, speech: Tensor, count: int = 64) -> pd.Series:
    """2. Does an image follow the description or the noise? Mean squared difference of pixels when only one of the two changes."""
    random = torch.Generator().manual_seed(0)
    said, other = speech[:count], speech[:count].roll(count // 2, 0)
    noise, eps = (torch.randn(count, n, generator=random) for n in (generator.noise_size, generator.condition_size))
    images = generator(noise, said, eps)[0][-1]
    changed = {
        "another description": generator(noise, other, eps)[0][-1],
        "another z": generator(noise.roll(1, 0), said, eps)[0][-1],
        "another epsilon": generator(noise, said, eps.roll(1, 0))[0][-1],
    }
    return pd.Series({name: float((made - images).square().mean()) for name, made in changed.items()}, name="mean squared difference")


def wrong_that_is_right(store: Store, draws: int = 20_000) -> tuple[float, float]:
    """3. The released code draws the "wrong" image from all images. How often is it of the same class? As often as one in the number of
    classes, if they are equally large; each such step teaches the discriminator that a fitting image does not fit."""
    images, rng = store.image_ids_of("train"), np.random.default_rng(0)
    real, wrong = (store.image_class[rng.choice(images, draws)] for _ in range(2))
    share = np.unique(store.image_class[images], return_counts=True)[1] / len(images)
    return float((real == wrong).mean()), float((share**2).sum())


def without_the_kl_term(
    settings: Settings, store: Store, net: SEN, speech: Tensor, weights: tuple[float, ...] = (0.0, 2.0)
) -> pd.DataFrame:
    """4. What becomes of mu and sigma when nothing holds the condition near N(0, I)? Over the descriptions of unseen classes, after the
    same steps: what the sentence contributes, the root mean square of mu, is what the term holds down. Sigma need not become small without
    it: what counts is how large mu is beside it, and mu can grow."""
    found = {}
    for weight in weights:
        with tempfile.TemporaryDirectory() as folder:
            own = settings.model_copy(update={"rdg_kl_weight": weight, "system": "S2IGAN"})
            nets = train_rdg(own, store, net, speech, Path(folder), "exercise")
        with torch.no_grad():
            mu, logvar = nets.ema.augment(speech[store.caption_ids_of("test")])
        found[weight] = {"mu, root mean square": float(mu.square().mean().sqrt()), "sigma, mean": float(torch.exp(logvar / 2).mean())}
    return pd.DataFrame(found).T


def least_squares(logits: Tensor, target: float) -> Tensor:
    """In the place of `losses.adversarial`: the squared error of [B] logits (Mao et al. 2017), which goes on pulling at images that are
    already on the right side, by how far they are from the target."""
    return (logits.float() - target).square().mean()


def with_least_squares(settings: Settings, store: Store, net: SEN, speech: Tensor, judges: FeatureNetworks) -> pd.DataFrame:
    """5. (a change in the code) Validation mAP and FID of both losses after the same steps, from the same weights and batches. One seed
    says little: the spread over seeds of either (05) is what a difference must exceed."""
    found = {}
    for name, loss in (("cross-entropy", losses.adversarial), ("least squares", least_squares)):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(losses, "adversarial", loss):
            nets = train_rdg(settings.model_copy(update={"system": "S2IGAN"}), store, net, speech, Path(folder), name)
        rows = evaluate_rdg(nets.ema, store, speech, judges, settings, "val")
        found[name] = {row["metric"]: row["value"] for row in rows if row["metric"] in ("mAP", "FID")}
    return pd.DataFrame(found).T


if __name__ == "__main__":
    from finished import open_study

    study = open_study()
    print(what_the_dense_link_costs(), end="\n\n")
    print(noise_or_condition(study.generator, study.speech[study.store.caption_ids_of("test")][::10]).round(4), end="\n\n")
    found, expected = wrong_that_is_right(study.store)
    print(f"the wrong image is of the same class in {found:.2%} of draws; expected {expected:.2%}\n")
    short = study.settings.model_copy(update={"rdg_steps": 200})
    print(without_the_kl_term(short, study.store, study.net, study.speech).round(3), end="\n\n")
    judges = load_feature_networks(study.settings, project_root())
    print(with_least_squares(short, study.store, study.net, study.speech, judges).round(1))
