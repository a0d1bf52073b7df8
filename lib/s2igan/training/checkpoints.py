"""Checkpoints that are whole or absent, refused where they are of other settings, data or code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from s2igan import BadInput
from s2igan.files import replacing, writing
from s2igan.training.weights import content_digest, not_finite


def fingerprint(*parts: Any) -> str:
    """SHA-256 of the JSON of `parts`: the settings of a stage, checksums of what it reads."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def save_checkpoint(folder: str | Path, step: int, state: dict[str, Any], fingerprint: str, keep: int = 2) -> None:
    """Writes `step-<step>.pt`, whole or not at all, and deletes all but the last `keep` up to this step.

    Later ones are deleted too: the training went back before them, since they are damaged.

    `state` holds tensors, numbers, strings, and dicts, lists and tuples of them (state_dict()s, torch.get_rng_state()).
    """
    folder = Path(folder)
    path = folder / f"step-{step:08d}.pt"
    content = {"step": step, "fingerprint": fingerprint, "state": state}
    content["sha256"] = content_digest(content)  # torch does not check what it reads
    with replacing(path) as temporary:
        torch.save(content, temporary)
    found = sorted(folder.glob("step-*.pt"))
    later = [old for old in found if old.name > path.name]
    cut_off = folder.glob(".step-*.pt")  # by a kill
    for old in [*found[: len(found) - len(later)][:-keep], *later, *cut_off]:
        with writing(old):
            old.unlink()


def load_checkpoint(
    folder: str | Path, fingerprint: str, map_location: str | torch.device = "cpu"
) -> tuple[int, dict[str, Any]] | None:
    """The newest checkpoint as (step, state), or None.

    A file that is damaged, by its checksum too, or that has nan or inf is passed over for the one before it.

    Raises BadInput if the checkpoint was made with another fingerprint.
    """
    for path in sorted(Path(folder).glob("step-*.pt"), reverse=True):
        try:
            saved = torch.load(path, map_location=map_location, weights_only=True)
            expected, step, found, state = (saved[name] for name in ("sha256", "step", "fingerprint", "state"))
            content = {"step": step, "fingerprint": found, "state": state}
            damage = "" if content_digest(content) == expected else "its checksum differs"
            if not damage and (name := not_finite(state)):
                damage = f"{name} is not finite"
        except Exception as error:  # torch.load raises five unrelated kinds of error on a damaged file
            damage = type(error).__name__
        if damage:
            print(f"{path} is damaged ({damage}), going back to the one before it", flush=True)
            continue
        if found != fingerprint:
            raise BadInput(
                f"{path} is a checkpoint from other settings or other data: go back to those, or delete {folder} to "
                "start again"
            )
        return step, state
    return None


class Part(Protocol):
    """What a checkpoint holds a part of: a network, an optimiser, a learning rate's schedule."""

    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


class Checkpoints:
    """The parts of a training, saved by name and found again, in a folder that is named by the fingerprint."""

    def __init__(
        self, run_dir: Path, fingerprint: str, parts: Mapping[str, Part], device: str | torch.device = "cpu"
    ) -> None:
        self.folder = run_dir / "checkpoints" / fingerprint[:12]
        self.fingerprint, self.parts, self.device = fingerprint, parts, device

    def load(self) -> int:
        """Put the newest checkpoint into the parts. Returns the steps done, 0 without a checkpoint."""
        if (saved := load_checkpoint(self.folder, self.fingerprint, self.device)) is None:
            return 0
        step, state = saved
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        print(f"resumes from step {step}", flush=True)
        return step

    def save(self, step: int) -> None:
        """Write a checkpoint of the parts after `step` steps."""
        state = {name: part.state_dict() for name, part in self.parts.items()}
        save_checkpoint(self.folder, step, state, self.fingerprint)
