"""Metrics of generated images, and the validation callback of RDG's training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from s2igan.config import Settings
from s2igan.data.batches import centre_crop
from s2igan.data.files import replacing
from s2igan.data.store import Store, attribute_targets
from s2igan.data.synthetic.captions import named_attributes
from s2igan.data.synthetic.classes import ATTRIBUTES
from s2igan.evaluation.attributes import attributes_seen
from s2igan.evaluation.evaluator import FeatureNetworks, probabilities, unseen_classes
from s2igan.evaluation.feature_networks import extract
from s2igan.evaluation.generate import generate
from s2igan.metrics import frechet_distance, inception_score, kernel_distance, mean_average_precision
from s2igan.rdg import Generator


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


def validation_callback(
    store: Store, judges: FeatureNetworks, settings: Settings, folder: Path
) -> Callable[[Generator, Tensor, int], dict[str, float]]:
    """What `train_rdg` calls now and then: mAP, FID on the validation classes; `snapshots/step-<n>.png`, eight images from one noise."""
    captions = store.caption_ids_of("val")
    if len(captions) == 0:
        return lambda generator, speech, step: {}
    shown = captions[np.linspace(0, len(captions) - 1, 8).astype(int)]
    judges = replace(judges, classes=None)  # the unseen classes' scores and attributes are for the end

    def watch(generator: Generator, speech: Tensor, step: int) -> dict[str, float]:
        values = {row["metric"]: row["value"] for row in evaluate_rdg(generator, store, speech, judges, settings, "val")}
        strip = np.concatenate(list(next(generate(generator, speech[shown], seed=0))), axis=1)
        with replacing(folder / "snapshots" / f"step-{step:07d}.png") as temporary:
            Image.fromarray(strip).save(temporary)
        return {"val_mAP": values["mAP"], "val_FID": values["FID"]}

    return watch


def evaluate_rdg(
    generator: Generator, store: Store, speech: Tensor, judges: FeatureNetworks, settings: Settings, split: str = "test"
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
    captions, images = store.caption_ids_of(split), store.image_ids_of(split)
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
    named = [named_attributes(store.dataset, store.caption_text[i]) for i in captions] if store.dataset in ATTRIBUTES else []
    for name, value in attributes_seen(judges.classes, seen).items():
        right = value == targets[name][labels]
        rows.append({"metric": f"attribute {name}", "value": 100 * float(right.mean()), "n": len(labels)})
        asked = np.array([name in names for names in named], bool)
        if asked.any():
            rows.append({"metric": f"asked {name}", "value": 100 * float(right[asked].mean()), "n": int(asked.sum())})
    return [{**row, "split": split} for row in rows]
