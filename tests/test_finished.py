"""Finished runs, opened from their folders."""

import shutil

import numpy as np
import pytest
import torch
from packed_study import SMALL
from safetensors.torch import save_file

from s2igan import BadInput
from s2igan.config import resolve, run_dir, store_dir
from s2igan.data.store import open_store
from s2igan.evaluation.finished import open_run, rdg_inputs
from s2igan.evaluation.inputs import sen_inputs
from s2igan.training.embeddings import embed_captions, standardised
from s2igan.training.rdg_networks import make_generator
from s2igan.training.records import write_metrics
from s2igan.training.sen import fresh_sen

ROWS = [{"metric": "mAP", "value": 1.0, "n": 1, "split": "test"}]


@pytest.fixture(scope="module")
def study(tmp_path_factory, drawn):
    """A project with untrained networks in the folders of a SEN run and an RDG run of seed 3."""
    root = tmp_path_factory.mktemp("finished")
    settings = resolve({**SMALL, "seed": 3})
    shutil.copytree(drawn / "store", store_dir(settings, root))
    of_data = run_dir(settings, "data", root=root)
    of_data.mkdir(parents=True)
    shutil.copy(drawn / "backbone.safetensors", of_data)
    store = open_store(store_dir(settings, root))
    save_file({"backbone": torch.zeros(len(store.images), 128)}, of_data / "features.safetensors")
    of_sen, of_rdg = (settings.model_copy(update={"system": system}) for system in ("SEN", "S2IGAN"))
    _, backbone, _, _ = sen_inputs(of_sen, root)
    net = fresh_sen(of_sen, store, backbone).eval()
    embeddings = embed_captions(net.caption_encoder, store, np.arange(len(store.caption_image)))
    _, mean, std = standardised(embeddings, store)
    folder = run_dir(of_sen, "sen", root=root)
    folder.mkdir()
    save_file(net.state_without_backbone(), folder / "weights.safetensors")
    save_file({"speech": embeddings, "mean": mean, "std": std}, folder / "embeddings.safetensors")
    write_metrics(folder, ROWS, of_sen, "sen")
    run = run_dir(of_rdg, "rdg", root=root)
    run.mkdir()
    save_file(make_generator(of_rdg, embeddings.shape[1]).state_dict(), run / "weights.safetensors")
    write_metrics(run, ROWS, of_rdg, "rdg")
    return root, run


def test_a_run_gives_its_settings_networks_and_embeddings(study):
    root, folder = study
    run = open_run(folder)
    assert (run.settings.system, run.settings.seed, run.sen_system) == ("S2IGAN", 3, "SEN")
    assert run.record["metrics"] == ROWS and len(run.store.images) > 0
    embeddings, generator = run.speech_embeddings(), run.generator()
    assert not generator.training and embeddings.shape == (len(run.store.caption_image), 32)
    store, net, speech_embeddings, _ = rdg_inputs(run.settings, root)
    assert torch.equal(speech_embeddings, embeddings)  # the generator is given what it was trained on
    of_sen = run.beside("sen", run.sen_system)
    assert torch.equal(of_sen.sen().caption_encoder.conv1.weight, net.caption_encoder.conv1.weight)
    some = [0, 3, 5]
    mels = [torch.from_numpy(store.mel(i)) for i in some]
    encoded = run.caption_encoder()([store.caption_text[i] for i in some], mels)
    assert torch.allclose(encoded, embeddings[some], atol=0.02)


def test_what_is_missing_is_said_in_one_line(study, tmp_path):
    _, folder = study
    with pytest.raises(BadInput, match="has not finished"):
        open_run(tmp_path)
    copied = shutil.copytree(folder, tmp_path / "run")
    (copied / "weights.safetensors").unlink()
    with pytest.raises(BadInput, match=r"weights\.safetensors does not exist"):
        open_run(copied).generator()
    with pytest.raises(BadInput, match=r"sen-sen-seed3/embeddings\.safetensors does not exist"):
        open_run(copied).speech_embeddings()
    (copied / "params.yaml").unlink()
    with pytest.raises(BadInput, match=r"params\.yaml does not exist"):
        open_run(copied)


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("params.yaml", "dataset: mini-flowers", "dataset: mini-birds", r"params.yaml is of another run: its dataset"),
        ("metrics.json", '"preset": "', '"preset": "not ', r"params.yaml is of another run: its preset is"),
        ("metrics.json", '"system": "S2IGAN"', '"system": "T2I"', r"metrics.json is of the unknown system 'T2I'"),
        ("metrics.json", '"value": 1.0', '"value": "high"', r"metrics.json is damaged \('metrics' 0 'value'"),
        ("metrics.json", '"checksums": {', '"checksums": "x", "c": {', r"metrics.json is damaged \('checksums'"),
    ],
)
def test_files_of_another_run_or_kind_are_one_line(study, tmp_path, name, old, new, said):
    copied = shutil.copytree(study[1], tmp_path / "run")
    content = (copied / name).read_text()
    assert old in content
    (copied / name).write_text(content.replace(old, new))
    with pytest.raises(BadInput, match=said) as caught:
        open_run(copied)
    assert "\n" not in str(caught.value)
