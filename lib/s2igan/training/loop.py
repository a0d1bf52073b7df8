"""The training loop that SEN, RDG and the feature networks share."""

from __future__ import annotations

from s2igan import BadInput


def training_steps(steps: int | None, epochs: int, images: int, batch: int) -> int:
    """Length of a training in steps: `steps`, or `epochs` of images // batch. Raises BadInput when one batch cannot be filled."""
    if images < batch:
        raise BadInput(f"a batch of {batch} needs as many training images, the data set has {images}: make the batch smaller")
    return steps if steps is not None else epochs * (images // batch)
