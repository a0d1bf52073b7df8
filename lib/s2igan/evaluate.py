"""What a trained generator is worth: images from spoken descriptions of unseen classes, and the figures of the tables.

Features, class probabilities and attributes come from the evaluator: a stand-in that no training of SEN or RDG ever sees, or at preset
`paper` the same Inception-v3 as SEN's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from s2igan import embedded
from s2igan.backbone import attribute_targets, extract
from s2igan.data import Store
from s2igan.metrics import frechet_distance, inception_score, kernel_distance, mean_average_precision
from s2igan.rdg import Generator
from s2igan.runs import replacing
from s2igan.settings import Settings


@torch.no_grad()
def generate(
    generator: Generator, speech: Tensor, seed: int = 0, batch: int = 200, all_scales: bool = False, same_noise: bool = False
) -> Iterator[np.ndarray | list[np.ndarray]]:
    """Images for speech embeddings [N, speech_size], a batch at a time: uint8 [b, s, s, 3], or a list of them, small to large.

    Noise follows from `seed` and the row alone, so that two generators given the same rows draw from the same noise. `same_noise`: one
    noise for all rows, so that they differ in what was said alone.
    """
    generator.eval()
    device = next(generator.parameters()).device
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(speech), generator.noise_size, generator=random)
    eps = torch.randn(len(speech), generator.condition_size, generator=random)
    if same_noise:
        noise, eps = noise[:1].expand_as(noise), eps[:1].expand_as(eps)
    for start in range(0, len(speech), batch):
        rows = slice(start, start + batch)
        images, _, _ = generator(noise[rows].to(device), speech[rows].to(device), eps[rows].to(device))
        pixels = [to_uint8(image) for image in images]
        yield pixels if all_scales else pixels[-1]


def to_uint8(images: Tensor) -> np.ndarray:
    """Images [B, 3, s, s] in [-1, 1] -> pixels [B, s, s, 3], uint8, as a picture file would hold them."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def probabilities(evaluator: nn.Module, features: Tensor, classes: np.ndarray | None = None) -> Tensor:
    """Class probabilities [N, C] from the evaluator's features; over `classes` alone where given (IS asks among the test classes)."""
    with torch.no_grad():
        logits = evaluator.classify(features)
    return (logits if classes is None else logits[:, torch.as_tensor(classes)]).softmax(1)


def image_scores(
    features: Tensor, labels: np.ndarray, real: Tensor, real_labels: np.ndarray, p: Tensor, splits: int, suffix: str = ""
) -> list[dict]:
    """mAP (percent; real images ask, the others answer), FID, KID and IS of images against real ones.

    Args:
        features, labels: of the images judged, [N, D] and [N]. real, real_labels: of the real test images, [M, D] and [M].
        p: class probabilities of the images judged, [N, C]. suffix: added to each metric's name.
    """
    # The scores' splits are runs of rows: shuffled, or each would hold the few classes that stand together in the files.
    score, spread = inception_score(p[np.random.default_rng(0).permutation(len(p))], min(splits, len(p)))
    values = {
        "mAP": 100 * mean_average_precision(real, real_labels, features, labels),
        "FID": frechet_distance(features, real),
        "KID": kernel_distance(features, real),
        "IS": score,
        "IS_std": spread,
    }
    return [{"metric": name + suffix, "value": value, "n": len(features), "split": "test"} for name, value in values.items()]


def evaluate_real(store: Store, features: Tensor, evaluator: nn.Module, settings: Settings) -> list[dict]:
    """Floors and ceilings that every generated figure is read against, from the test classes' real images.

    ` real`: one half of the images against the other half. ` chance`: mAP with shuffled labels. ` training`: FID and KID of the
    training classes' images, other classes drawn as well as can be, against the test classes'.
    """
    test = store.images_of("test")
    # Every second image of each class, so that both halves hold every class.
    order = test[np.argsort(store.image_class[test], kind="stable")]
    a, b = order[::2], order[1::2]
    labels = store.image_class
    p = probabilities(evaluator, features[a], unseen_classes(store, evaluator))
    rows = image_scores(features[a], labels[a], features[b], labels[b], p, settings.eval_splits, " real")
    shuffled = np.random.default_rng(0).permutation(labels[test])
    chance = 100 * mean_average_precision(features[test], labels[test], features[test], shuffled)
    train = store.images_of("train")
    rows.append({"metric": "mAP chance", "value": chance, "n": len(test), "split": "test"})
    for name, distance in (("FID", frechet_distance), ("KID", kernel_distance)):
        rows.append({"metric": f"{name} training", "value": distance(features[train], features[test]), "n": len(train), "split": "test"})
    return rows


def unseen_classes(store: Store, evaluator: nn.Module) -> np.ndarray | None:
    """The unseen classes, where the evaluator knows the data set's classes; None for ImageNet's."""
    return np.unique(store.image_class[store.images_of("test")]) if evaluator.classify.out_features == len(store.classes) else None


def watcher(
    store: Store, evaluator: nn.Module, features: Tensor, settings: Settings, folder: Path
) -> Callable[[Generator, Tensor, int], dict[str, float]]:
    """What `train_rdg` calls now and then: mAP, FID on the validation classes; `growth/step-<n>.png`, eight images from one noise."""
    captions = store.captions_of("val")
    if len(captions) == 0:
        return lambda generator, speech, step: {}
    shown = captions[np.linspace(0, len(captions) - 1, 8).astype(int)]

    def watch(generator: Generator, speech: Tensor, step: int) -> dict[str, float]:
        values = {row["metric"]: row["value"] for row in evaluate_rdg(generator, store, speech, evaluator, features, settings, "val")}
        strip = np.concatenate(list(next(generate(generator, speech[shown], seed=0))), axis=1)
        with replacing(folder / "growth" / f"step-{step:07d}.png") as temporary:
            Image.fromarray(strip).save(temporary)
        return {"val_mAP": values["mAP"], "val_FID": values["FID"]}

    return watch


def evaluate_rdg(
    generator: Generator, store: Store, speech: Tensor, evaluator: nn.Module, features: Tensor, settings: Settings, split: str = "test"
) -> list[dict]:
    """One image for every caption of every image of `split`, judged against that split's real images.

    Args:
        speech: embeddings of all captions, as the generator was trained on them, [M, speech_size].
        features: the evaluator's features of all real images, centre-cropped, [N, D].
    Returns: mAP (percent), FID, KID, IS, IS_std. For each visible attribute, in percent: `attribute`, in how many images the evaluator
        sees the class's value; on the embedded sets also `asked`, the same among the captions that name that attribute.
    """
    captions, images = store.captions_of(split), store.images_of(split)
    made = [
        extract(evaluator, pixels, settings.data_image_size)
        for pixels in generate(generator, speech[captions], settings.seed, settings.eval_batch)
    ]
    generated = torch.cat(made)
    p = probabilities(evaluator, generated, unseen_classes(store, evaluator) if split == "test" else None)
    labels = store.image_class[store.caption_image[captions]]
    rows = image_scores(generated, labels, features[images], store.image_class[images], p, settings.eval_splits)
    _, targets = attribute_targets(store)
    named = [embedded.named(store.dataset, store.caption_text[i]) for i in captions] if store.dataset in embedded.ATTRIBUTES else []
    for name, seen in attributes_seen(evaluator, generated).items():
        right = seen == targets[name][labels]
        rows.append({"metric": f"attribute {name}", "value": 100 * float(right.mean()), "n": len(labels)})
        asked = np.array([name in names for names in named], bool)
        if asked.any():
            rows.append({"metric": f"asked {name}", "value": 100 * float(right[asked].mean()), "n": int(asked.sum())})
    return [{**row, "split": split} for row in rows]


@torch.no_grad()
def attributes_seen(evaluator: nn.Module, features: Tensor) -> dict[str, np.ndarray]:
    """For each visible attribute the number of the value that the evaluator sees in each image, {name: [N]}; {} for Inception-v3."""
    return {name: head(features).argmax(1).numpy() for name, head in getattr(evaluator, "attributes", {}).items()}
