"""Training of the feature networks: the proxy, and the classifier of the Inception Score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s2igan.data.batches import augment, centre_crop, random_crops, to_float
from s2igan.data.store import Store, attribute_targets


def degraded(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the images [B, 3, s, s] as they are, a quarter with noise (deviation up to 0.5), a quarter blurred to half the pixels.

    A network that met flawless drawings alone judges any blemish of a generated image before it looks at colour and shape.
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


def train_proxy(
    net: nn.Module, store: Store, images: np.ndarray, *, size: int, steps: int, batch: int, flip: bool, seed: int, lr: float = 3e-3,
    progress: Callable[[str], None] = print,
) -> nn.Module:  # fmt: skip
    """Train a proxy feature network on some of a store's images, to tell their classes and attributes.

    Args:
        net: fresh, from `evaluation.feature_networks.make_proxy` with the same seed.
        images: indices of the images to learn from, [N]; the classes seen are those of the images.
        size: pixels of a training crop. steps, batch: length of training. seed: of batches and crops.
    Returns: the frozen network; its class outputs are the store's classes in order.
    """
    _, targets = attribute_targets(store)
    # Where attributes are known the classes count little: a net that learns classes by heart reads attributes off them, and is lost
    # on a class that it never saw.
    class_weight = 0.1 if targets else 1.0
    net.to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    for step in range(steps):
        rng = np.random.default_rng([seed, step])
        chosen = rng.choice(images, size=min(batch, len(images)), replace=False)
        pictures = augment(store.images[np.sort(chosen)], size, rng, flip).contiguous(memory_format=torch.channels_last)
        classes = store.image_class[np.sort(chosen)]
        features = net(degraded(pictures, rng))
        loss = class_weight * F.cross_entropy(net.classify(features), torch.as_tensor(classes))
        for name, head in net.attributes.items():
            loss = loss + F.cross_entropy(head(features), torch.as_tensor(targets[name][classes]))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0 or step + 1 == steps:
            progress(f"backbone step {step + 1}/{steps}  loss {loss.item():.3f}")
    return net.eval().requires_grad_(False)


def train_classifier(
    net: nn.Module, store: Store, device: torch.device, *, size: int, epochs: int, batch: int, lr: float, held_out: int, flip: bool,
    seed: int, bf16: bool = False, progress: Callable[[str], None] = print,
) -> tuple[nn.Module, float, int]:  # fmt: skip
    """Inception-v3 fine-tuned to tell the unseen classes apart, for the Inception Score (the published one is out of reach).

    All its layers learn, AdamW, the rate falling to zero in one cycle. Every `held_out`-th image of a class is kept out.

    Args: net: fresh, from `evaluation.feature_networks.make_classifier` with the same seed. size: pixels of a crop.
    Returns: the network on the CPU, its classes the unseen ones in order; its accuracy on the images kept out, 0 .. 1; their number.
    """
    images = store.image_ids_of("test")
    classes, labels = np.unique(store.image_class[images], return_inverse=True)
    kept = np.concatenate([np.flatnonzero(labels == k)[held_out - 1 :: held_out] for k in range(len(classes))])
    learnt = np.setdiff1d(np.arange(len(images)), kept)
    net.to(device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    steps = max(1, len(learnt) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=epochs * steps)
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, epoch])
        order, total = rng.permutation(learnt), 0.0
        for step in range(steps):
            rows = order[step * batch : (step + 1) * batch]
            pictures = to_float(random_crops(store.images, images[rows], size, rng, flip).to(device))
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss = F.cross_entropy(net.classify(net(pictures)).float(), torch.as_tensor(labels[rows]).to(device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.detach()
        if not np.isfinite(loss_of_epoch := float(total) / steps):
            raise RuntimeError(f"the loss of the classifier is {loss_of_epoch} in epoch {epoch + 1}: try a lower classifier_lr")
        progress(f"classifier epoch {epoch + 1}/{epochs}  loss {loss_of_epoch:.3f}")
    net.eval().requires_grad_(False)
    right = 0
    for start in range(0, len(kept), batch):
        rows = kept[start : start + batch]
        with torch.no_grad():
            logits = net.classify(net(centre_crop(store.images[images[rows]], size).to(device)))
        right += int((logits.argmax(1).cpu() == torch.as_tensor(labels[rows])).sum())
    return net.cpu(), right / max(1, len(kept)), len(kept)
