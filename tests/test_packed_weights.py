"""Packed networks: how they are packed, what their cards say, and how they are loaded in place of a training."""

import time

import numpy as np
import pytest
import torch
from packed_study import ROOT, SENTENCE, SMALL, failed
from safetensors import safe_open

from s2igan import BadInput, config
from s2igan.config import SYNTHETIC, of_stage, resolve, store_dir
from s2igan.data.store import open_store
from s2igan.demo import cards, packed_weights, sentences
from s2igan.demo.load import load
from s2igan.demo.measure import attribute_hits
from s2igan.training.logs import read_log
from s2igan.training.rdg_networks import build_networks
from s2igan.training.records import provenance
from s2igan.training.sen import fresh_sen
from s2igan.workflow import study

# ---- files -----------------------------------------------------------------------------------------------------------


def test_packing_rounds_large_matrices_by_half_a_step_and_leaves_vectors_alone():
    torch.manual_seed(0)
    state = {
        "large": torch.randn(300, 20, 3, 3) * torch.logspace(-6, 2, 300)[:, None, None, None],
        "matrix": torch.randn(3, 4),
        "zero": torch.zeros(400, 200),
        "running_var": torch.tensor([1e-9, 1e9]),
        "num_batches_tracked": torch.tensor(20),
    }
    small = packed_weights.pack(state, whole=True)
    assert small["large"].dtype == torch.int8 and small["matrix"].dtype == torch.float16
    back = packed_weights.unpack(small)
    assert back.keys() == state.keys()
    for name in ("running_var", "num_batches_tracked", "zero"):
        assert torch.equal(back[name], state[name])
    step = small["large.scale"].float()[:, None, None, None]
    # Half a step; a little more for a row's largest value, whose factor was rounded down by up to 2^-11.
    assert ((back["large"] - state["large"]).abs() <= 0.5 * step + 127 * step * 2**-11).all()
    assert torch.equal(packed_weights.pack(state, whole=False)["large"], state["large"].half())


def test_the_files_hold_what_is_needed_and_no_more(finished):
    folder = finished / "results/reference/weights/mini-flowers"
    names = {path.name for path in folder.iterdir()}
    assert {f"{name}.{ending}" for name in packed_weights.NETWORKS for ending in ("safetensors", "md")} <= names
    assert {f"{name}.jsonl" for name in ("sen", "sen-wo-ld", "text-encoder", "s2igan")} <= names and len(names) == 16
    assert [path.name for path in folder.parent.iterdir()] == ["mini-flowers"]  # nothing half-made is left
    kinds = set()
    for name, (stage, system) in packed_weights.NETWORKS.items():
        with safe_open(folder / f"{name}.safetensors", "pt") as file:
            keys = set(file.keys())
            kinds |= {file.get_tensor(key).dtype for key in keys if name == "s2igan"}
        assert stage == "data" or not any(key.startswith("classifier") or key == "speech" for key in keys)
        about = packed_weights.read(folder / f"{name}.safetensors")[1]
        assert (about["dataset"], about["seed"], about["network"]) == ("mini-flowers", 0, system or name)
        assert about["steps"] == (7 if system else 200)
        card = (folder / f"{name}.md").read_text()
        assert all(
            word in card for word in ("| data |", "| seed |", "| steps |", "| licence | MIT", "as trained | packed")
        )
    assert {torch.int8, torch.float16, torch.float32} <= kinds
    assert "captions of mini-birds" in (folder / "sen.md").read_text()
    assert "petal colour of 50 typed sentences" in (folder / "s2igan.md").read_text()


def test_packed_networks_equal_the_trained_ones(finished, pipeline):
    trained = load(finished / "results/toy/mini-flowers")
    assert (
        trained.name == "S2IGAN of mini-flowers, seed 0, 2,000 steps"
        and pipeline.name == "S2IGAN of mini-flowers, seed 0, 7 steps"
    )
    a, b = trained.encode_text(SENTENCE), pipeline.encode_text(SENTENCE)
    assert float(a.vector @ b.vector) > 0.999
    assert (
        torch.allclose(trained.detector.scores, pipeline.detector.scores, atol=1e-3)
        and trained.values == pipeline.values
    )
    images = [np.stack(p.generate(a.speech_embedding, 3)[-1:]).astype(float) for p in (trained, pipeline)]
    assert images[0].std() > 5 and np.abs(images[0] - images[1]).mean() < 3  # of 255
    assert torch.allclose(trained.gallery(2).vectors, pipeline.gallery(2).vectors, atol=0.02)


def test_kept_weights_are_small_and_each_has_a_card():
    kept = ROOT / "results/reference/weights"
    assert sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()) < 15e6
    assert {path.name for path in kept.iterdir()} == set(SYNTHETIC)
    for dataset in SYNTHETIC:
        assert {path.stem for path in (kept / dataset).glob("*.safetensors")} == set(packed_weights.NETWORKS)
        for name in packed_weights.NETWORKS:
            said, about = (
                (kept / dataset / f"{name}.md").read_text(),
                packed_weights.read(kept / dataset / f"{name}.safetensors")[1],
            )
            assert (
                about["dataset"] == dataset
                and f"commit {about['commit'][:12]}" in said
                and packed_weights.LICENCE in said
            )


@pytest.mark.parametrize("dataset", SYNTHETIC)
@pytest.mark.parametrize("name", packed_weights.NETWORKS)
def test_a_bit_flipped_in_a_kept_file_is_one_line(tmp_path, dataset, name):
    content = bytearray((ROOT / f"results/reference/weights/{dataset}/{name}.safetensors").read_bytes())
    content[len(content) // 2] ^= 1  # of a tensor, which stays finite
    (tmp_path / f"{name}.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=rf"{name}.safetensors is damaged \(its checksum differs\): take it from the"):
        packed_weights.read(tmp_path / f"{name}.safetensors")


def test_kept_weights_encode_and_generate():
    pipeline = load(ROOT / "results/reference/weights/mini-flowers")
    started = time.perf_counter()
    speech_input = pipeline.encode_text(SENTENCE)
    made = [pipeline.generate(speech_input.speech_embedding, seed)[-1] for seed in range(5)]
    assert time.perf_counter() - started < 2  # seconds from a sentence to images
    assert not speech_input.is_out_of_distribution and all(
        seen["colour"] == "blue" for seen in pipeline.predict_attributes(made)
    )
    gallery = pipeline.gallery(2)
    assert all("blue" in gallery.names[i] and "five" in gallery.names[i] for i in gallery.nearest(speech_input, 2))
    right = attribute_hits(pipeline, sentences.TYPED, "colour", range(2))
    assert right.mean() >= 0.85  # a guess: 0.11
    assert pipeline.encode_text("the meeting starts at nine in the morning").is_out_of_distribution


def test_weights_refuses_what_is_not_there_and_keeps_what_was(project, capsys):
    run = project / "results/toy/mini-flowers/sen-text-encoder-seed0"
    before = {path: path.read_bytes() for path in (project / "results/reference").rglob("*.safetensors")}
    run.rename(project / "aside")
    line = failed(capsys, "weights", "results/toy/mini-flowers")
    (project / "aside").rename(run)
    assert "lacks sen-text-encoder-seed0:" in line and "make study-full" in line
    assert "seed3" in failed(capsys, "weights", "results/toy/mini-flowers", "--seed", 3)
    assert "only networks of the synthetic sets" in failed(capsys, "weights", "results/toy/cub")
    weights = run / "embeddings.safetensors"
    weights.rename(project / "aside")
    with pytest.raises(BadInput, match=r"embeddings.safetensors does not exist"):
        cards.export(project / "results/toy/mini-flowers", project / "results/reference/weights")
    (project / "aside").rename(weights)
    assert {path: path.read_bytes() for path in (project / "results/reference").rglob("*.safetensors")} == before


# ---- in place of a training ------------------------------------------------------------------------------------------


def test_a_choice_of_weights_changes_no_other_run():
    plain, loaded = resolve({}), resolve({"weights": "reference"})
    assert (plain.study, loaded.study, resolve({"weights": "reference", "study": "mine"}).study) == (
        "mini",
        "mini-reference",
        "mine",
    )
    for stage in ("data", "sen", "rdg", "analysis", "tables"):
        assert "weights" not in of_stage(plain, stage) and "weights" not in config.notebook_parameters(plain, stage)
    assert config.notebook_parameters(loaded, "rdg")["weights"] == "reference"
    assert "weights" not in provenance(plain, "sen") and provenance(loaded, "sen")["weights"] == "reference"
    with pytest.raises(BadInput, match="only of mini-birds, mini-flowers"):
        resolve({"weights": "reference", "dataset": "cub"})
    with pytest.raises(BadInput, match="SYSTEMS=S2IGAN"):
        study.plan({"weights": "reference"})


def test_notebooks_take_the_weights_and_say_so(project, tmp_path, capsys):
    store = open_store(store_dir(resolve(SMALL), project))
    of_sen = resolve({**SMALL, "weights": "reference", "system": "SEN"})
    networks = packed_weights.load_reference_proxies(of_sen, project)
    assert set(networks) == {"backbone", "evaluator"} and networks["backbone"].classify.out_features == 20
    net = packed_weights.load_reference(
        fresh_sen(of_sen, store, networks["backbone"]), of_sen, "sen", tmp_path, project
    )
    said = capsys.readouterr().out
    line = "nothing is trained here: loaded SEN of mini-flowers, seed 0, 7 steps, from "
    assert line + "results/reference/weights/mini-flowers" in said
    state = packed_weights.read(project / "results/reference/weights/mini-flowers/sen.safetensors")[0]
    assert (
        torch.equal(net.caption_encoder.gru.weight_hh_l0, state["caption_encoder.gru.weight_hh_l0"])
        and not net.training
    )
    assert read_log(tmp_path / "log.jsonl")[-1]["step"] == 7  # the curves are those of the training that made them
    nets = build_networks(of_sen.model_copy(update={"system": "S2IGAN"}), 32)
    packed_weights.load_reference(nets.ema, of_sen.model_copy(update={"system": "S2IGAN"}), "rdg", tmp_path, project)
    for changed, said in (({"sen_gru_size": 8}, "sen_gru_size = 16, not 8"), ({"seed": 1}, "seed = 0, not 1")):
        other = resolve({**SMALL, "weights": "reference", "system": "SEN", **changed})
        with pytest.raises(BadInput, match=said):
            packed_weights.load_reference(net, other, "sen", tmp_path, project)
    with pytest.raises(BadInput, match=r"no reference weights of 'S2IGAN w/o RS', only of 'S2IGAN'"):
        packed_weights.load_reference(
            nets.ema, of_sen.model_copy(update={"system": "S2IGAN w/o RS"}), "rdg", tmp_path, project
        )
    with pytest.raises(BadInput, match="python -m s2igan weights"):
        packed_weights.load_reference_proxies(
            resolve({**SMALL, "weights": "reference", "dataset": "mini-birds"}), project
        )
