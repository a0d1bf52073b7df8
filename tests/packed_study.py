"""A small project with packed weights, for the tests of the demo."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from s2igan.config import resolve, run_dir, store_dir
from s2igan.data.store import attribute_targets, open_store
from s2igan.demo import packed_weights
from s2igan.evaluation.evaluator import FeatureNetworks
from s2igan.evaluation.feature_networks import ProxyNetwork, extract, freeze, load_network, save_network
from s2igan.evaluation.images import evaluate_rdg
from s2igan.evaluation.retrieval import evaluate_sen
from s2igan.training.embeddings import embed_captions, standardised
from s2igan.training.logs import Log
from s2igan.training.rdg_networks import make_generator
from s2igan.training.records import write_metrics
from s2igan.training.sen import fresh_sen
from s2igan.workflow.commands import main

ROOT = Path(__file__).resolve().parents[1]
SENTENCE = "a flower with five blue petals"
WEIGHTS = "results/reference/weights/mini-flowers"
SMALL = {
    "study": "toy",
    "data_classes": 20,
    "data_images_per_class": 3,
    "data_unseen_images": 5,
    "data_captions": 1,
    "data_voices": ("en-us",),
    "data_words_per_minute": 300,
    "data_validation": 0.2,
    "sen_gru_size": 16,
    "sen_attention_size": 8,
    "rdg_width": 8,
    "rdg_condition_size": 8,
    "eval_splits": 2,
    "device": "cpu",
}


def pack_small_study(root, drawn):
    """Makes `root` a project whose study has a run of every network, untrained, and packs its weights."""
    (root / "Snakefile").touch()
    base = resolve(SMALL)
    shutil.copytree(drawn / "store", store_dir(base, root))
    store = open_store(store_dir(base, root))
    torch.manual_seed(0)
    sizes = {name: len(values) for name, values in attribute_targets(store)[0].items()}
    of_data, features = run_dir(base, "data", root=root), {}
    for name in ("backbone", "evaluator"):
        save_network(freeze(ProxyNetwork(20, sizes)), of_data / f"{name}.safetensors")
        features[name] = extract(load_network(of_data / f"{name}.safetensors"), store.images, 32)
    save_file(features, of_data / "features.safetensors")
    write_metrics(
        of_data,
        [{"metric": "mAP real", "value": 1.0, "n": 1, "split": "test"}],
        base,
        "data",
        "real",
        fingerprint="none",
    )
    network = load_network(of_data / "evaluator.safetensors")
    evaluator = FeatureNetworks(network, network, network, features["evaluator"], features["evaluator"])
    for stage, system in [parts for parts in packed_weights.NETWORKS.values() if parts[1]]:
        settings = base.model_copy(update={"system": system})
        folder = run_dir(settings, stage, root=root)
        Log(folder / "log.jsonl", 7)(7, matching=1.0, val_mAP=2.0)
        if stage == "sen":
            net = fresh_sen(settings, store, load_network(of_data / "backbone.safetensors")).eval()
            speech_input = embed_captions(net.caption_encoder, store, np.arange(len(store.caption_image)))
            _, mean, std = standardised(speech_input, store)
            save_file(net.state_without_backbone(), folder / "weights.safetensors")
            save_file({"speech": speech_input, "mean": mean, "std": std}, folder / "embeddings.safetensors")
            rows = evaluate_sen(net, store, features["backbone"], speech_input)
        else:
            generator, embeddings = make_generator(settings, 32), torch.randn(len(store.caption_image), 32)
            save_file(generator.state_dict(), folder / "weights.safetensors")
            rows = evaluate_rdg(generator, store, embeddings, evaluator, settings)
        write_metrics(folder, rows, settings, stage)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr(packed_weights, "LARGE", 1000)  # so that at this size too some matrices are kept as whole numbers
        assert main(["weights", "results/toy/mini-flowers"]) == 0


def failed(capsys, *words: str) -> str:
    """The line with which a command refuses these words."""
    capsys.readouterr()
    try:
        status = main([str(word) for word in words])
    except SystemExit as end:
        status = end.code
    (line,) = capsys.readouterr().err.splitlines()
    assert status == 2 and line.startswith("error: ")
    return line
