"""Rows of images for the figures: real ones, and what each system generates from the same caption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from s2igan.config import Settings
from s2igan.data.batches import centre_crop
from s2igan.data.store import Store, some_captions
from s2igan.data.synthetic.meaning import shown_text
from s2igan.evaluation.finished import open_run
from s2igan.evaluation.generate import generate, to_uint8

Rows = list[list[np.ndarray]]


def sample_blocks(
    settings: Settings, store: Store, runs: dict[str, Path], classes: int, each: int
) -> tuple[dict[str, Rows], list[str]]:
    """What `plots.columns_of_rows` shows: one caption of each of the first unseen classes, a block of images a system.

    A row is one caption. Its real images are the caption's own and then others of the class; each system generates
    `each` images from this caption alone, with as many noises. All systems get the same noises.

    Args: runs: {system: folder of its run}. classes: number of rows. each: images of a row in a block.
    Returns: {"ground truth": rows, system: rows, ...} of images [s, s, 3] uint8, and the caption of each row, or
        in brackets its gloss where it has no text.
    """
    caption_ids = some_captions(store, classes, 1)
    real = []
    for image in store.caption_image[caption_ids]:
        of_class = np.flatnonzero(store.image_class == store.image_class[image])
        ids = [image, *of_class[of_class != image]][:each]
        real.append(list(to_uint8(centre_crop(store.images[ids], settings.data_image_size))))
    blocks = {"ground truth": [row + [np.full_like(row[0], 255)] * (each - len(row)) for row in real]}
    repeated = torch.as_tensor(caption_ids.repeat(each))
    for system, folder in runs.items():
        run = open_run(folder)
        images = np.concatenate(list(generate(run.generator(), run.speech_embeddings()[repeated])))
        blocks[system] = [list(images[i : i + each]) for i in range(0, len(images), each)]
    return blocks, [shown_text(store, i) for i in caption_ids]
