"""Files of weights and embeddings (safetensors): written with a checksum, and read only where they are whole.

The metadata has one entry, `about`: JSON with what the writer says of the file, and the checksum of that and of the
tensors. A file without a checksum, of an older version, is read too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.files import write_atomic

AGAIN = "delete it and `make study` makes it again"


def content_digest(value: Any) -> str:
    """SHA-256 of tensors, numbers, texts in dicts, lists and tuples, such as a state_dict(); in any order of keys."""
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        digest.update(f"{value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, Mapping):
        digest.update(f"dict {len(value)} ".encode())
        for key in sorted(value, key=repr):
            digest.update(f"{key!r} ".encode())
            _add(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"{type(value).__name__} {len(value)} ".encode())
        for part in value:
            _add(digest, part)
    else:
        digest.update(f"{value!r} ".encode())


def not_finite(value: Any) -> str:
    """The name of the first tensor with nan or inf in a state_dict(), or in dicts and lists of such; '' if none."""
    if isinstance(value, Tensor):
        return "" if not value.is_floating_point() or bool(torch.isfinite(value).all()) else "it"
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value if isinstance(value, list | tuple) else ())
    for key, part in pairs:
        if found := not_finite(part):
            return f"{key}" if found == "it" else f"{key}.{found}"
    return ""


def save_weights(state: Mapping[str, Tensor], path: str | Path, about: Mapping[str, Any] | None = None) -> None:
    """Writes tensors by name, and what is said `about` them (JSON), whole or not at all.

    Raises BadInput for a tensor with nan or inf, and where the disk is full or cannot be written.
    """
    if name := not_finite(state):
        raise BadInput(f"{path} is not written: tensor {name} is not finite")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    said = dict(about or {})
    said["sha256"] = content_digest([said, tensors])
    # One entry: the order of several would differ from run to run, and with it the bytes.
    write_atomic(path, save(tensors, {"about": json.dumps(said, ensure_ascii=False)}))


def read_weights(
    path: str | Path, *names: str, made_by: str = "`make study` makes it", again: str = AGAIN
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors of a file of `save_weights`, and what is said about them.

    Args: names: tensors that it must hold. made_by, again: what to do about a missing and about a damaged file.
    Raises BadInput for a file that is missing, damaged or of another kind, or has nan or inf.
    """
    path = Path(path)
    if not path.exists():
        raise BadInput(f"{path} does not exist: {made_by}")
    try:
        with open(path, "rb"):  # safetensors calls a file that may not be read a missing one
            pass
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        about = json.loads(metadata["about"]) if "about" in metadata else dict(metadata)
        expected = about.pop("sha256", None)
        reason = "its checksum differs" if expected and expected != content_digest([about, tensors]) else ""
        if not reason and (name := not_finite(tensors)):
            reason = f"tensor {name} is not finite"
    except PermissionError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = f"it is no whole safetensors file, {type(error).__name__}"
    if reason:
        raise BadInput(f"{path} is damaged ({reason}): {again}")
    if lacking := [name for name in names if name not in tensors]:
        raise BadInput(f"{path} has no tensor {lacking[0]!r}: {again}")
    return tensors, about


def load_into(net: nn.Module, state: Mapping[str, Tensor], path: str | Path, again: str = AGAIN) -> None:
    """Puts the tensors of file `path` into a network. Raises BadInput where names, shapes or kinds differ."""
    expected = net.state_dict()
    for name in sorted({*expected, *state}):
        given, wanted = state.get(name), expected.get(name)
        if given is None or wanted is None:
            raise BadInput(f"{path} is of another network: it {'lacks' if given is None else 'has'} {name!r}; {again}")
        if given.shape != wanted.shape or given.is_floating_point() != wanted.is_floating_point():
            raise BadInput(f"{path} is of another network or other settings: {name!r} does not fit; {again}")
    net.load_state_dict(dict(state))
