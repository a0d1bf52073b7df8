"""The training loop that SEN, RDG and the feature networks share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from s2igan import BadInput
from s2igan.data.batches import prefetch
from s2igan.training import processes
from s2igan.training.checkpoints import Checkpoints


@dataclass(frozen=True)
class Schedule:
    """How many steps a training has, and after how many it logs, validates and saves (0: never).

    All three are also done after the last step.
    """

    steps: int
    log_every: int
    validate_every: int = 0
    checkpoint_every: int = 0

    def due(self, every: int, done: int) -> bool:
        """Whether something done every `every` steps is due after `done` steps."""
        return every > 0 and (done % every == 0 or done == self.steps)


def train(
    schedule: Schedule,
    batch_of: Callable[[int], Any],
    train_step: Callable[[int, Any], dict[str, Tensor]],
    log: Callable[..., None],
    *,
    start: int = 0,
    validate: Callable[[int], dict[str, float]] | None = None,
    checkpoints: Checkpoints | None = None,
    in_thread: bool = False,
) -> None:
    """Train from step `start` to the end.

    A resumed training equals an uninterrupted one where a step follows from its number and from the parts of the
    checkpoint alone. Only the first of several processes validates, logs and saves.

    Args:
        batch_of: step -> batch. `in_thread`: the next batch is made in a thread while a step runs.
        train_step: (step, batch) -> losses by name, detached scalars.
        log: called as log(steps done, name=value, ...) with the means of the losses since the line before.
        start: what `checkpoints.load` returned.
        validate: steps done -> metrics by name, which are logged beside the losses.
    Raises: RuntimeError when a loss is not finite; it names the last good checkpoint.
    """
    sums: dict[str, Tensor] = {}
    logged = start
    for done, batch in enumerate(prefetch(batch_of, range(start, schedule.steps), in_thread), start + 1):
        for name, loss in train_step(done - 1, batch).items():
            sums[name] = sums[name] + loss if name in sums else loss
        saving = checkpoints is not None and schedule.due(schedule.checkpoint_every, done)
        validating = validate is not None and schedule.due(schedule.validate_every, done)
        # A checkpoint starts new sums, so that the log of a resumed training equals that of an uninterrupted one.
        if not (saving or validating or schedule.due(schedule.log_every, done)):
            continue
        processes.all_reduce_mean(sums.values())
        values = {name: total.item() / (done - logged) for name, total in sums.items()}
        if not all(map(math.isfinite, values.values())):
            good = (
                f"the last checkpoint in {checkpoints.folder} is good" if checkpoints else "try a lower learning rate"
            )
            raise RuntimeError(f"a loss is not finite before step {done} ({values}): {good}")
        if processes.rank() == 0:
            log(done, **values, **(validate(done) if validating else {}))
            if saving:
                checkpoints.save(done)
        sums, logged = {}, done


def training_steps(steps: int | None, epochs: int, images: int, batch: int) -> int:
    """Length of a training in steps: `steps`, or `epochs` of images // batch.

    Raises: BadInput when one batch cannot be filled.
    """
    if images < batch:
        raise BadInput(
            f"a batch of {batch} needs as many training images, the data set has {images}: make the batch smaller"
        )
    return steps if steps is not None else epochs * (images // batch)
