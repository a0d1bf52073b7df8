"""The unseen classes of a synthetic set: their images, and how close they are to the training classes."""

from __future__ import annotations

import numpy as np
from PIL import Image

from s2igan.config import Settings
from s2igan.data.synthetic.classes import choose_classes, class_folder, unseen_count
from s2igan.data.synthetic.dataset import draw_image


def classes_of(settings: Settings) -> tuple[list[dict[str, str]], int]:
    """The attributes of all classes of a synthetic set, unseen classes last, and the index of the first unseen
    class."""
    rng = np.random.default_rng([settings.data_seed])
    classes = choose_classes(
        settings.dataset, settings.data_classes, rng, settings.data_most_values, settings.data_unseen_distance
    )
    return classes, len(classes) - unseen_count(len(classes))


def draw_unseen(settings: Settings, each: int) -> tuple[np.ndarray, list[str]]:
    """The first `each` images of each unseen class, equal to those in the store, [N, S, S, 3] uint8, and the class name
    of each."""
    classes, first = classes_of(settings)
    images, names, side = [], [], settings.data_crop_from
    for k, attributes in enumerate(classes[first:], first):
        for image in range(min(each, settings.data_unseen_images)):
            drawn = draw_image(settings.dataset, attributes, np.random.default_rng([settings.data_seed, k, image, 0]))
            images.append(np.asarray(drawn.resize((side, side), Image.Resampling.BILINEAR)))
            names.append(class_folder(settings.dataset, k, attributes))
    return np.stack(images), names


def distances_to_training(settings: Settings) -> list[int]:
    """For each unseen class, the number of attributes in which it differs from the nearest training or validation
    class."""
    classes, first = classes_of(settings)
    return [min(sum(a[name] != b[name] for name in a) for b in classes[:first]) for a in classes[first:]]
