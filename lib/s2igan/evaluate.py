"""What a trained generator is worth: images from spoken descriptions of unseen classes, and the figures of the tables.

Features, class probabilities and attributes come from the evaluator: a stand-in that no training of SEN or RDG ever sees. At preset `paper`
there are three networks: Inception-v3 with ImageNet's weights for mAP, as in SEN; the Inception of published FIDs for FID and KID; and
for the Inception Score one fine-tuned on the unseen classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from s2igan import BadInput, embedded
from s2igan.backbone import attribute_targets, extract, load_network
from s2igan.data import Store, centre_crop
from s2igan.generation import ForGeneration
from s2igan.metrics import frechet_distance, inception_score, kernel_distance, mean_average_precision
from s2igan.rdg import Generator
from s2igan.runs import pick_device, replacing
from s2igan.settings import Settings, run_dir


@dataclass(frozen=True)
class Judges:
    """The networks that judge images, and their features of the store's real images, centre-cropped, [N, D]."""

    retrieval: nn.Module  # whose features rank images by cosine: mAP
    distance: nn.Module  # whose features FID and KID compare
    classes: nn.Module | None  # whose `classify` gives the Inception Score its probabilities, and `attributes` what is to be seen
    real_retrieval: Tensor
    real_distance: Tensor

    def features(self, images: np.ndarray | Tensor, size: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Features of a batch of images for mAP, for FID and for classes, each network asked once."""
        seen: dict[int, Tensor] = {}
        for network in (self.retrieval, self.distance, self.classes):
            if network is not None and id(network) not in seen:
                seen[id(network)] = extract(network, images, size)
        return seen[id(self.retrieval)], seen[id(self.distance)], seen.get(id(self.classes))


def load_judges(settings: Settings, root: str | Path) -> Judges:
    """The judges of a study's data set, from what 01_data (and at preset `paper` 02_classifier) left, on the study's device.

    Raises: BadInput where one of them has not run.
    """
    folder, device = run_dir(settings, "data", root=root), pick_device(settings)
    evaluator = load_network(folder / "evaluator.safetensors").to(device)
    features = load_file(folder / "features.safetensors")
    if settings.data_backbone == "standin":
        return Judges(evaluator, evaluator, evaluator, features["evaluator"], features["evaluator"])
    weights = run_dir(settings, "classifier", root=root) / "weights.safetensors"
    if not weights.is_file():
        raise BadInput(f"{weights} does not exist: run 02_classifier first")
    classifier = load_network(weights).to(device)
    backbone = load_network(folder / "backbone.safetensors").to(device)
    return Judges(backbone, evaluator, classifier, features["backbone"], features["evaluator"])


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
    # Folding pays from 64 pixels on, where many images share it; 32 pixels it draws no faster (benchmarks/README.md).
    size = 4 * 2 ** (len(generator.first.ups) + len(generator.next))
    draw = ForGeneration(generator) if size >= 64 and len(speech) > batch else generator
    random = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(speech), generator.noise_size, generator=random)
    eps = torch.randn(len(speech), generator.condition_size, generator=random)
    if same_noise:
        noise, eps = noise[:1].expand_as(noise), eps[:1].expand_as(eps)
    for start in range(0, len(speech), batch):
        rows = slice(start, start + batch)
        images, _, _ = draw(noise[rows].to(device), speech[rows].to(device), eps[rows].to(device))
        pixels = [to_uint8(image) for image in images]
        yield pixels if all_scales else pixels[-1]


def to_uint8(images: Tensor) -> np.ndarray:
    """Images [B, 3, s, s] in [-1, 1] -> pixels [B, s, s, 3], uint8, as a picture file would hold them."""
    return images.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def probabilities(evaluator: nn.Module, features: Tensor, classes: np.ndarray | None = None) -> Tensor:
    """Class probabilities [N, C] from the evaluator's features; over `classes` alone where given (IS asks among the test classes)."""
    with torch.no_grad():
        logits = evaluator.classify(features.to(evaluator.classify.weight.device)).cpu()
    return (logits if classes is None else logits[:, torch.as_tensor(classes)]).softmax(1)


def image_scores(
    retrieval: tuple[Tensor, Tensor], labels: tuple[np.ndarray, np.ndarray], distance: tuple[Tensor, Tensor], p: Tensor | None, splits: int,
    suffix: str = "",
) -> list[dict]:  # fmt: skip
    """mAP (percent; real images ask, the others answer), FID, KID and IS of images against real ones.

    Args:
        retrieval, labels, distance: features for mAP, classes, and features for FID, each of the images judged, [N, D] or [N], and of the
            real test images, [M, D] or [M].
        p: class probabilities of the images judged, [N, C]; None leaves IS out. suffix: added to each metric's name.
    """
    (found, real), (found_labels, real_labels) = retrieval, labels
    values = {
        "mAP": 100 * mean_average_precision(real, real_labels, found, found_labels),
        "FID": frechet_distance(*distance),
        "KID": kernel_distance(*distance),
    }
    if p is not None:
        # The scores' splits are runs of rows: shuffled, or each would hold the few classes that stand together in the files.
        values["IS"], values["IS_std"] = inception_score(p[np.random.default_rng(0).permutation(len(p))], min(splits, len(p)))
    return [{"metric": name + suffix, "value": value, "n": len(found), "split": "test"} for name, value in values.items()]


def evaluate_real(store: Store, judges: Judges, settings: Settings) -> list[dict]:
    """Floors and ceilings that every generated figure is read against, from the test classes' real images.

    ` real`: one half of the images against the other half. ` chance`: mAP with shuffled labels. ` training`: FID and KID of the
    training classes' images, other classes drawn as well as can be, against the test classes'.
    """
    test = store.images_of("test")
    # Every second image of each class, so that both halves hold every class.
    order = test[np.argsort(store.image_class[test], kind="stable")]
    a, b = order[::2], order[1::2]
    labels, features, others = store.image_class, judges.real_retrieval, judges.real_distance
    # Where a classifier of its own serves, 02_classifier says what real images score.
    p = probabilities(judges.classes, others[a], unseen_classes(store, judges.classes)) if judges.classes is judges.distance else None
    rows = image_scores(
        (features[a], features[b]), (labels[a], labels[b]), (others[a], others[b]), p, settings.eval_splits, " real"
    )  # fmt: skip
    shuffled = np.random.default_rng(0).permutation(labels[test])
    chance = 100 * mean_average_precision(features[test], labels[test], features[test], shuffled)
    train = store.images_of("train")
    rows.append({"metric": "mAP chance", "value": chance, "n": len(test), "split": "test"})
    for name, distance in (("FID", frechet_distance), ("KID", kernel_distance)):
        rows.append({"metric": f"{name} training", "value": distance(others[train], others[test]), "n": len(train), "split": "test"})
    return rows


def unseen_classes(store: Store, evaluator: nn.Module) -> np.ndarray | None:
    """The unseen classes, where the evaluator knows the data set's classes; None for ImageNet's."""
    return np.unique(store.image_class[store.images_of("test")]) if evaluator.classify.out_features == len(store.classes) else None


def watcher(
    store: Store, judges: Judges, settings: Settings, folder: Path
) -> Callable[[Generator, Tensor, int], dict[str, float]]:
    """What `train_rdg` calls now and then: mAP, FID on the validation classes; `growth/step-<n>.png`, eight images from one noise."""
    captions = store.captions_of("val")
    if len(captions) == 0:
        return lambda generator, speech, step: {}
    shown = captions[np.linspace(0, len(captions) - 1, 8).astype(int)]
    judges = replace(judges, classes=None)  # the unseen classes' scores and attributes are for the end

    def watch(generator: Generator, speech: Tensor, step: int) -> dict[str, float]:
        values = {row["metric"]: row["value"] for row in evaluate_rdg(generator, store, speech, judges, settings, "val")}
        strip = np.concatenate(list(next(generate(generator, speech[shown], seed=0))), axis=1)
        with replacing(folder / "growth" / f"step-{step:07d}.png") as temporary:
            Image.fromarray(strip).save(temporary)
        return {"val_mAP": values["mAP"], "val_FID": values["FID"]}

    return watch


def evaluate_rdg(
    generator: Generator, store: Store, speech: Tensor, judges: Judges, settings: Settings, split: str = "test"
) -> list[dict]:
    """One image for every caption of every image of `split`, judged against that split's real images.

    `mAP released`, at preset `paper` and of the test classes: as the released code, which shows Inception-v3 the real images in [-1, 1] and
    the generated ones in [0, 1]. `mAP` shows it both alike.

    Args:
        speech: embeddings of all captions, as the generator was trained on them, [M, speech_size].
        judges: the networks that judge. Images stream past them: none is kept, in memory or as a file.
    Returns: mAP (percent), FID, KID, IS, IS_std. For each visible attribute, in percent: `attribute`, in how many images the evaluator
        sees the class's value; on the embedded sets also `asked`, the same among the captions that name that attribute.
    """
    captions, images = store.captions_of(split), store.images_of(split)
    released = split == "test" and judges.retrieval is not judges.distance
    made, darker = [], []
    for pixels in generate(generator, speech[captions], settings.seed, settings.eval_batch):
        made.append(judges.features(pixels, settings.data_image_size))
        if released:
            darker.append(extract(judges.retrieval, (centre_crop(pixels, settings.data_image_size) + 1) / 2, settings.data_image_size))
    found, others = (torch.cat([features[k] for features in made]) for k in (0, 1))
    seen = None if judges.classes is None else torch.cat([features[2] for features in made])
    classes = unseen_classes(store, judges.classes) if split == "test" and seen is not None else None
    p = None if seen is None else probabilities(judges.classes, seen, classes)
    labels = store.image_class[store.caption_image[captions]]
    rows = image_scores(
        (found, judges.real_retrieval[images]), (labels, store.image_class[images]), (others, judges.real_distance[images]), p,
        settings.eval_splits,
    )  # fmt: skip
    if released:
        value = mean_average_precision(judges.real_retrieval[images], store.image_class[images], torch.cat(darker), labels)
        rows.append({"metric": "mAP released", "value": 100 * value, "n": len(labels), "split": split})
    _, targets = attribute_targets(store)
    named = [embedded.named(store.dataset, store.caption_text[i]) for i in captions] if store.dataset in embedded.ATTRIBUTES else []
    for name, value in attributes_seen(judges.classes, seen).items():
        right = value == targets[name][labels]
        rows.append({"metric": f"attribute {name}", "value": 100 * float(right.mean()), "n": len(labels)})
        asked = np.array([name in names for names in named], bool)
        if asked.any():
            rows.append({"metric": f"asked {name}", "value": 100 * float(right[asked].mean()), "n": int(asked.sum())})
    return [{**row, "split": split} for row in rows]


@torch.no_grad()
def attributes_seen(evaluator: nn.Module, features: Tensor) -> dict[str, np.ndarray]:
    """For each visible attribute the number of the value that the evaluator sees in each image, {name: [N]}; {} for Inception-v3."""
    heads = getattr(evaluator, "attributes", {})
    return {name: head(features.to(head.weight.device)).argmax(1).cpu().numpy() for name, head in heads.items()}
