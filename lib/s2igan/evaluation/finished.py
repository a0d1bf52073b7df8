"""Finished runs, opened: the one place that knows which files a run leaves; and what a training starts from.

A run's folder is `results/<study>/<dataset>/<stage>-<system>-seed<k>`. The runs that it builds on lie beside it, its
store is `data/<study>/<dataset>`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from s2igan import BadInput
from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS, Settings, run_dir
from s2igan.data.batches import pad_mels
from s2igan.data.store import Store, open_store
from s2igan.evaluation.feature_networks import load_network
from s2igan.evaluation.inputs import load_sen, sen_inputs
from s2igan.files import file_sha256
from s2igan.rdg import Generator
from s2igan.sen import SEN, TextEncoder, characters
from s2igan.training.checkpoints import fingerprint
from s2igan.training.embeddings import standardised
from s2igan.training.rdg_networks import JointSpeechEncoder, make_generator
from s2igan.training.records import read_metrics, read_settings
from s2igan.training.sen import fresh_sen
from s2igan.training.weights import AGAIN, load_into, read_weights


@dataclass(frozen=True)
class FinishedRun:
    """A run's folder and its settings, its own system and seed among them. Each file is read when it is asked for."""

    folder: Path
    settings: Settings

    @cached_property
    def record(self) -> dict[str, Any]:
        """What metrics.json says. Raises BadInput where the run has not finished."""
        return read_metrics(self.folder)

    @cached_property
    def store(self) -> Store:
        """The images and captions that the run was made on."""
        study = self.folder.absolute().parent
        return open_store(study.parents[2] / "data" / study.parent.name / study.name)

    def beside(self, stage: str, system: str = "") -> FinishedRun:
        """The run of another stage with the same seed in the same study, such as the data run, or RDG's SEN."""
        name = run_dir(self.settings, stage, system).name
        return FinishedRun(
            self.folder.parent / name, self.settings.model_copy(update={"system": system or self.settings.system})
        )

    def tensors(self, name: str, *needed: str) -> dict[str, Tensor]:
        """The tensors of `<name>.safetensors`, `needed` among them. Raises BadInput where it is missing or damaged."""
        return read_weights(self.folder / f"{name}.safetensors", *needed)[0]

    def embeddings(self) -> dict[str, Tensor]:
        """What a SEN run left of all captions: `speech` [M, D], its `mean` [D] and `std` [D] over the training ones.

        Of an RDG run in which the speech encoder learned, `speech` alone. Raises BadInput where the file is missing,
        damaged or of another store.
        """
        names = ("speech", "mean", "std") if self.settings.system in SEN_SYSTEMS else ("speech",)
        kept = self.tensors("embeddings", *names)
        shapes = [tuple(kept[name].shape) for name in names]
        size = shapes[0][-1:]
        if shapes != [(len(self.store.caption_image), *size), size, size][: len(names)]:
            raise BadInput(f"{self.folder / 'embeddings.safetensors'} is of another store: {AGAIN}")
        return kept

    def network(self, name: str) -> nn.Module:
        """A feature network of the data run, frozen: `backbone` or `evaluator`."""
        return load_network(self.beside("data").folder / f"{name}.safetensors")

    @property
    def sen_system(self) -> str | None:
        """Of an RDG run, the SEN that it started from; None where the speech encoder learned in the run itself."""
        return RDG_SYSTEMS[self.settings.system]["sen"]

    def sen(self) -> SEN:
        """The trained SEN of a SEN run, in eval mode."""
        return load_sen(self.settings, self.store, self.network("backbone"), self.folder / "weights.safetensors")

    def generator(self) -> Generator:
        """The generator of an RDG run (the moving average of its weights), in eval mode."""
        state = self.tensors("weights", "augment.linear.weight")
        generator = make_generator(self.settings, (1, *state["augment.linear.weight"].shape)[-1])
        load_into(generator, state, self.folder / "weights.safetensors")
        return generator.eval()

    def speech_embeddings(self) -> Tensor:
        """Embeddings of all captions of the store as the generator of an RDG run takes them, [M, speech_size]."""
        if self.sen_system is None:
            return self.embeddings()["speech"]
        kept = self.beside("sen", self.sen_system).embeddings()
        return (kept["speech"] - kept["mean"]) / kept["std"] if self.settings.rdg_standardise else kept["speech"]

    def caption_encoder(self) -> Callable[[list[str], list[Tensor]], Tensor]:
        """What embeds new captions for the generator of an RDG run.

        Returns: a function (N texts, their log-mels [T_i, 40]) -> [N, speech_size].
        The text baseline reads the texts, every other system encodes the log-mels.
        """
        if self.sen_system is None:
            net = fresh_sen(self.settings, self.store, self.network("backbone"))
            encoder = JointSpeechEncoder(
                net.caption_encoder, net.image_encoder.linear.out_features, self.settings.rdg_standardise
            )
            load_into(encoder, self.tensors("speech_encoder"), self.folder / "speech_encoder.safetensors")
            mean, std = 0.0, 1.0  # its own BatchNorm standardises
        else:
            run = self.beside("sen", self.sen_system)
            encoder = run.sen().caption_encoder
            kept = run.embeddings()
            mean, std = (kept["mean"], kept["std"]) if self.settings.rdg_standardise else (0.0, 1.0)
        encoder.eval()

        @torch.no_grad()
        def encode(texts: list[str], mels: list[Tensor], batch: int = 64) -> Tensor:
            rows = []
            for start in range(0, len(texts), batch):
                part = slice(start, start + batch)
                given = (
                    characters(texts[part])
                    if isinstance(encoder, TextEncoder)
                    else pad_mels([mel.numpy() for mel in mels[part]])
                )
                rows.append(encoder(*given))
            return (torch.cat(rows) - mean) / std

        return encode


def open_run(folder: str | Path) -> FinishedRun:
    """A finished run of any stage. Raises BadInput where it has not finished, or its record is damaged or of another
    run than its settings."""
    folder = Path(folder)
    record, settings = read_metrics(folder), read_settings(folder)
    systems = {"sen": SEN_SYSTEMS, "rdg": RDG_SYSTEMS}.get(record["stage"], {record["system"]: {}})
    if record["system"] not in systems:
        raise BadInput(f"{folder / 'metrics.json'} is of the unknown system {record['system']!r}: {AGAIN}")
    for name in ("dataset", "preset"):
        if record[name] != getattr(settings, name):
            raise BadInput(
                f"{folder / 'params.yaml'} is of another run: its {name} is {getattr(settings, name)!r}, metrics.json "
                f"says {record[name]!r}; {AGAIN}"
            )
    of_run = {} if record["stage"] in ("data", "classifier") else {"system": record["system"], "seed": record["seed"]}
    return FinishedRun(folder, settings.model_copy(update=of_run))


def rdg_inputs(settings: Settings, root: str | Path) -> tuple[Store, SEN, Tensor | None, str]:
    """What `train_rdg` learns from, as the stages before left it.

    Returns: the store; SEN, finished, or fresh where its speech encoder learns here; the embeddings of all captions as
        the generator takes them, [M, D], None where the encoder learns here; the fingerprint of it all.
    Raises: BadInput when a stage before has not run, or ran with other settings.
    """
    run = FinishedRun(run_dir(settings, "rdg", root=root), settings)
    if run.sen_system is None:
        store, backbone, _, upstream = sen_inputs(settings, root)
        return store, fresh_sen(settings, store, backbone), None, upstream
    of_sen = run.beside("sen", run.sen_system)
    store, net = of_sen.store, of_sen.sen()
    store.verify()
    embeddings = of_sen.embeddings()["speech"]
    read = [file_sha256(of_sen.folder / f"{name}.safetensors") for name in ("weights", "embeddings")]
    embeddings = standardised(embeddings, store)[0] if settings.rdg_standardise else embeddings
    return store, net, embeddings, fingerprint(store.fingerprint, *read)
