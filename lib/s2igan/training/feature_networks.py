"""Training of the feature networks: the proxy, and the classifier of the Inception Score."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan.data.batches import augment, centre_crop, random_crops, to_float
from s2igan.data.store import Store, attribute_targets
from s2igan.training.devices import within_memory
from s2igan.training.loop import Schedule, train


def degraded(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the images as they are, a quarter with noise (std up to 0.5), a quarter blurred to half the pixels.

    A network trained on flawless drawings alone sees the blemishes of a generated image before its colour and shape.

    Args: images: [B, 3, s, s] in [-1, 1]. Returns: the same.
    """
    kind = rng.integers(0, 4, len(images))
    noisy, blurred = np.flatnonzero(kind == 0), np.flatnonzero(kind == 1)
    images = images.clone()
    strength = torch.as_tensor(rng.uniform(0, 0.5, (len(noisy), 1, 1, 1)), dtype=images.dtype)
    noise = torch.as_tensor(rng.standard_normal((len(noisy), *images.shape[1:])), dtype=images.dtype)
    images[noisy] = (images[noisy] + strength * noise).clamp(-1, 1)
    small = F.avg_pool2d(images[blurred], 2)
    images[blurred] = F.interpolate(small, size=images.shape[-1], mode="bilinear", align_corners=False)
    return images


def zoomed(images: Tensor, rng: np.random.Generator, least: float = 0.4) -> Tensor:
    """A random square of each image, of `least` to all of its sides, at the whole image's size; half are mirrored.

    Args: images: [B, 3, s, s] in [-1, 1]. Returns: the same.
    """
    side = torch.as_tensor(rng.uniform(least, 1.0, len(images)), dtype=images.dtype)
    centre = torch.as_tensor(rng.uniform(-1, 1, (len(images), 2)), dtype=images.dtype) * (1 - side)[:, None]
    mirror = torch.as_tensor(rng.choice([-1.0, 1.0], len(images)), dtype=images.dtype)
    zero = torch.zeros_like(side)
    maps = torch.stack([side * mirror, zero, centre[:, 0], zero, side, centre[:, 1]], 1).view(-1, 2, 3)
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def contrastive_loss(a: Tensor, b: Tensor, temperature: float = 0.2) -> Tensor:
    """Two views of an image find each other among all views of the batch (SimCLR: Chen et al. 2020, equation 1).

    -log exp(cos(x_i, y_i) / t) / sum over the other 2B - 1 views, a mean over all 2B views.

    Args: a, b: features of the views, [B, D]; row i of both is the same image. Returns: a scalar, at least 0.
    """
    views = F.normalize(torch.cat([a, b]), dim=1)  # (2B, D)
    similarity = views @ views.T / temperature
    similarity = similarity.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), float("-inf"))
    other = torch.arange(len(views), device=views.device).roll(len(a))
    return F.cross_entropy(similarity, other)


def train_proxy(
    net: nn.Module,
    store: Store,
    image_ids: np.ndarray,
    *,
    size: int,
    steps: int,
    batch: int,
    flip: bool,
    seed: int,
    learns: str = "attributes",
    lr: float = 3e-3,
    progress: Callable[[str], None] = print,
) -> nn.Module:
    """Train a proxy feature network on some of a store's images, to tell their classes and attributes.

    Args:
        net: fresh, from `evaluation.feature_networks.make_proxy` with the same seed.
        image_ids: the training images, [N]; the classes it learns are theirs.
        size: pixels of a training crop. steps, batch: length of training. seed: of batches and crops.
        learns: 'attributes', where the store has them, and classes; 'classes' alone; or 'none': without labels, two
            views of an image against all others.
    Returns: the frozen network; its class outputs are the store's classes in order, untrained with 'none'.
    Raises: RuntimeError when a loss is not finite.
    """
    _, targets = attribute_targets(store)
    if learns != "attributes":
        targets = {}
    # Where attributes are known the classes count little: a net that learns classes by heart reads attributes off them,
    # and fails on an unseen class.
    class_weight = 0.1 if targets else 1.0
    net.to(memory_format=torch.channels_last)
    # SimCLR compares the outputs of a small network on the features, which is thrown away afterwards.
    head = nn.Sequential(nn.Linear(net.feature_size, 128), nn.ReLU(), nn.Linear(128, 64)) if learns == "none" else None
    optimiser = torch.optim.AdamW([*net.parameters(), *(head.parameters() if head else ())], lr=lr, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)

    def batch_of(step: int) -> tuple[Tensor, np.ndarray]:
        rng = np.random.default_rng([seed, step])
        chosen = np.sort(rng.choice(image_ids, size=min(batch, len(image_ids)), replace=False))
        pixels = augment(store.images[chosen], size, rng, flip).contiguous(memory_format=torch.channels_last)
        if head:
            pixels = torch.cat([zoomed(pixels, rng), zoomed(pixels, rng)])  # (2B, 3, s, s)
        return degraded(pixels, rng), store.image_class[chosen]

    def train_step(step: int, batch: tuple[Tensor, np.ndarray]) -> dict[str, Tensor]:
        pixels, classes = batch
        features = net(pixels)
        if head:
            return descend(optimiser, rate, contrastive_loss(*head(features).chunk(2)))
        loss = class_weight * F.cross_entropy(net.classify(features), torch.as_tensor(classes))
        for name, target in targets.items():
            loss = loss + F.cross_entropy(net.attributes[name](features), torch.as_tensor(target[classes]))
        return descend(optimiser, rate, loss)

    def log(done: int, loss: float) -> None:
        progress(f"feature network step {done}/{steps}  loss {loss:.3f}")

    train(Schedule(steps, log_every=100), batch_of, train_step, log)
    return net.eval().requires_grad_(False)


def train_classifier(
    net: nn.Module,
    store: Store,
    device: torch.device,
    *,
    size: int,
    epochs: int,
    batch: int,
    lr: float,
    held_out: int,
    flip: bool,
    seed: int,
    bf16: bool = False,
    progress: Callable[[str], None] = print,
) -> tuple[nn.Module, float, int]:
    """Fine-tune Inception-v3 to tell the unseen classes apart, for the Inception Score (the published one is lost).

    All its layers learn, AdamW, the rate falls to zero in one cycle. Every `held_out`-th image of a class is kept out.

    Args: net: fresh, from `evaluation.feature_networks.make_classifier` with the same seed. size: pixels of a crop.
    Returns: the network on the CPU, its classes the unseen ones in order; its accuracy on the images kept out, 0 .. 1;
        their number.
    Raises: RuntimeError when a loss is not finite.
    """
    image_ids = store.image_ids_of("test")
    classes, labels = np.unique(store.image_class[image_ids], return_inverse=True)
    kept_out = np.concatenate([np.flatnonzero(labels == k)[held_out - 1 :: held_out] for k in range(len(classes))])
    learnt = np.setdiff1d(np.arange(len(image_ids)), kept_out)
    net.to(device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    per_epoch = max(1, len(learnt) // batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=epochs * per_epoch)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for epoch in range(epochs):
            rng = np.random.default_rng([seed, epoch])
            order = rng.permutation(learnt)
            for step in range(per_epoch):
                rows = order[step * batch : (step + 1) * batch]
                yield random_crops(store.images, image_ids[rows], size, rng, flip), torch.as_tensor(labels[rows])

    def train_step(step: int, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        pixels, labels = (part.to(device) for part in batch)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(net.classify(net(to_float(pixels))).float(), labels)
        return descend(optimiser, rate, loss)

    def log(done: int, loss: float) -> None:
        progress(f"classifier epoch {done // per_epoch}/{epochs}  loss {loss:.3f}")

    batch_after = batches()
    with within_memory("classifier_batch", batch):
        train(Schedule(epochs * per_epoch, log_every=per_epoch), lambda step: next(batch_after), train_step, log)
    net.eval().requires_grad_(False)
    right = 0
    for rows in np.split(kept_out, range(batch, len(kept_out), batch)) if len(kept_out) else []:
        with torch.no_grad():
            logits = net.classify(net(centre_crop(store.images[image_ids[rows]], size).to(device)))
        right += int((logits.argmax(1).cpu() == torch.as_tensor(labels[rows])).sum())
    return net.cpu(), right / max(1, len(kept_out)), len(kept_out)


def descend(
    optimiser: torch.optim.Optimizer, rate: torch.optim.lr_scheduler.LRScheduler, loss: Tensor
) -> dict[str, Tensor]:
    """One step of an optimiser and of its learning rate down the gradient of `loss`, which is returned detached."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    optimiser.step()
    rate.step()
    return {"loss": loss.detach()}
