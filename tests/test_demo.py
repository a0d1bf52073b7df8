"""Packed networks: how they are packed and loaded in place of a training, and what the demo makes of a sentence."""

import copy
import dataclasses
import datetime
import io
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from s2igan import BadInput, config, speech
from s2igan.config import SYNTHETIC, of_stage, resolve, run_dir, store_dir
from s2igan.data.batches import centre_crop
from s2igan.data.store import attribute_targets, open_store
from s2igan.data.synthetic.sets import SETS
from s2igan.demo import card_metrics, cards, packed_weights, sentences
from s2igan.demo.load import load
from s2igan.demo.measure import attribute_hits, noise_effect
from s2igan.demo.out_of_distribution import fit_out_of_distribution
from s2igan.demo.unseen import distances_to_training
from s2igan.evaluation.evaluator import FeatureNetworks
from s2igan.evaluation.feature_networks import ProxyNetwork, extract, freeze, load_network, save_network
from s2igan.evaluation.generate import generate, to_uint8
from s2igan.evaluation.images import evaluate_rdg
from s2igan.evaluation.retrieval import evaluate_sen
from s2igan.training.embeddings import embed_captions, standardised
from s2igan.training.logs import Log, read_log
from s2igan.training.rdg_networks import build_networks, make_generator
from s2igan.training.records import provenance, write_metrics
from s2igan.training.sen import fresh_sen
from s2igan.workflow import study
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


@pytest.fixture(scope="module")
def finished(tmp_path_factory, drawn):
    """The root of a project whose study has a run of every network, untrained, and the weights packed from it."""
    root = tmp_path_factory.mktemp("project")
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
    return root


@pytest.fixture
def project(finished, monkeypatch):
    """The same, as the current folder."""
    monkeypatch.chdir(finished)
    return finished


@pytest.fixture(scope="module")
def pipeline(finished):
    return load(finished / "results/reference/weights/mini-flowers")


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
    with pytest.raises(FileNotFoundError):
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


# ---- a sentence ------------------------------------------------------------------------------------------------------


def test_the_score_is_high_for_feature_combinations_that_never_occurred():
    rng = np.random.default_rng(0)
    x = torch.from_numpy(
        rng.standard_normal((900, 1)) + 0.1 * rng.standard_normal((900, 8))
    ).float()  # eight features that say the same
    x = (x - x.mean(0)) / x.std(0)
    detector = fit_out_of_distribution(x, np.arange(600), np.arange(600, 900))
    assert len(detector.scores) == 300 and abs(detector.percentile(float(detector.scores.median())) - 50) < 1
    along, across = torch.ones(1, 8), torch.tensor([[1.0, -1.0] * 4])  # equally long
    assert detector.score(across) > 2 * detector.score(along) and detector.score(
        across
    ) > detector.threshold > detector.score(along)
    assert detector.percentile(float(detector.score(across))) == 100


def test_noise_scores_higher_than_captions(pipeline):
    described = [pipeline.encode_text(text).score for _, text in sentences.TYPED[:20]]
    noise = [pipeline.encode(sound).score for sound in card_metrics.noises()]
    assert np.median(noise) > np.median(described)


def test_real_images_are_drawn_as_the_store_has_them(finished, pipeline):
    store = open_store(store_dir(pipeline.settings, finished))
    test, gallery = store.image_ids_of("test"), pipeline.gallery(each=5)
    assert np.array_equal(gallery.images, to_uint8(centre_crop(store.images[test], 32)))
    assert gallery.names == [store.classes[k] for k in store.image_class[test]]
    speech_input = pipeline.encode_text(SENTENCE)
    first = gallery.nearest(speech_input, 3)
    assert first[0] == int((gallery.vectors @ speech_input.vector).argmax()) and len(first) == 3


def test_an_image_follows_from_sentence_and_seed_alone(pipeline):
    speech_input = pipeline.encode_text(SENTENCE)
    stages = pipeline.generate(speech_input.speech_embedding, 5)
    assert [image.shape for image in stages] == [(8, 8, 3), (16, 16, 3), (32, 32, 3)] and stages[0].dtype == np.uint8
    assert all(
        np.array_equal(a, b)
        for a, b in zip(stages, pipeline.generate(pipeline.encode_text(SENTENCE).speech_embedding, 5), strict=True)
    )
    assert not np.array_equal(stages[-1], pipeline.generate(speech_input.speech_embedding, 6)[-1])
    z, eps = pipeline.noise(5)
    with torch.no_grad():
        images, _, _ = pipeline.generator(z, speech_input.speech_embedding[None], eps)
    assert np.array_equal(to_uint8(images[-1])[0], stages[-1])
    assert np.array_equal(stages[-1], next(generate(pipeline.generator, speech_input.speech_embedding[None], 5))[0])
    assert np.array_equal(stages[-1], pipeline.generate(speech_input.speech_embedding, 5, z_seed=5)[-1])
    other = pipeline.encode_text("a red flower")
    way = pipeline.interpolate(speech_input, other, 5)
    assert torch.allclose(way[0], speech_input.speech_embedding, atol=1e-4)
    assert torch.allclose(way[-1], other.speech_embedding, atol=1e-4)
    assert np.allclose(speech_input.weights.sum(0), 1, atol=1e-4)


def test_each_noise_changes_the_image_by_itself(pipeline):
    speech_input, generator = pipeline.encode_text(SENTENCE), pipeline.generator
    effect = noise_effect(pipeline, speech_input, count=3)
    assert effect["z"] > 0 and effect["eps"] > 0
    only_eps = copy.deepcopy(generator)  # one that ignores z
    with torch.no_grad():
        only_eps.first.linear.weight[:, generator.condition_size :] = 0
    effect = noise_effect(dataclasses.replace(pipeline, generator=only_eps), speech_input, count=3)
    assert effect["z"] == 0 and effect["eps"] > 0


@pytest.mark.parametrize(("dataset", "near"), [("mini-flowers", 18), ("mini-birds", 13)])
def test_most_unseen_classes_differ_from_a_training_class_in_one_attribute(dataset, near):
    distances = distances_to_training(resolve({"dataset": dataset}))
    assert len(distances) == 20 and min(distances) == 1 and distances.count(1) == near


def test_a_high_score_prints_the_vocabulary_and_an_image_all_the_same(tmp_path, capsys):
    weights = ROOT / "results/reference/weights/mini-flowers"
    assert main(["speak", "a red rose", "--out", str(tmp_path / "rose.png"), "--weights", str(weights)]) == 0
    said = capsys.readouterr().out
    assert "out of distribution, the image may not follow the words" in said and (tmp_path / "rose.png").is_file()
    assert "  petals: four, five, eight\n" in said and "  petal colour: red, orange, yellow" in said
    assert main(["speak", SENTENCE, "--out", str(tmp_path / "blue.png"), "--weights", str(weights)]) == 0
    assert "petal colour:" not in capsys.readouterr().out


def test_speak_gives_equal_images_for_text_and_recording(project, capsys):
    assert main(["speak", SENTENCE, "--out", "a.png", "--count", "2", "--stages"]) == 0
    said = capsys.readouterr().out
    assert "loaded S2IGAN of mini-flowers, seed 0, 7 steps, from results/reference/weights/mini-flowers" in said
    assert re.search(
        r"out-of-distribution score \d\.\d\d, higher than \d+ % of held-out captions: (in|out of) distribution", said
    )
    assert re.search(rf'speech input: \d\.\d s, "{SENTENCE}" \(en-us\)', said)
    assert "the evaluator recognises in image 2: petals " in said
    assert re.search(r"generated 2 images of 32 pixels in \d\.\d\d s: a.png", said)
    with Image.open("a.png") as sheet:
        assert sheet.size == (2 * 256 + 8, 3 * 256 + 16)
    soundfile.write(
        "a.wav", speech.speak([SENTENCE], "en-us", words_per_minute=300)[0].numpy(), speech.SAMPLE_RATE, "FLOAT"
    )
    for name, words in (("b", [SENTENCE, "--dataset", "mini-flowers"]), ("c", ["--audio", "a.wav"])):
        assert main(["speak", *words, "--out", f"{name}.png"]) == 0
    assert Path("b.png").read_bytes() == Path("c.png").read_bytes()
    assert main(["speak", SENTENCE, "--out", "d.png", "--weights", "results/toy/mini-flowers"]) == 0  # a finished study
    assert not list(project.glob(".*.png"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give either a sentence or --audio, one of them"),
        ([SENTENCE, "--audio", "silent.wav"], "not both"),
        (["--audio", "silent.wav"], "is silent"),
        (["--audio", "short.wav"], "is too short: 100 ms"),
        (["--audio", "empty.wav"], "zero bytes"),
        (["--audio", "none.wav"], "none.wav does not exist"),
        (["--audio", "Snakefile.txt"], "cannot be read as wav"),
        (["--audio", "long.wav"], "lasts 61 s"),
        (["--audio", "silent.wav", "--voice", "en-us"], "--voice is for a sentence"),
        (["!?"], "nothing to speak"),
        ([SENTENCE, "--voice", "en-uz"], "did you mean 'en-us'?"),
        ([SENTENCE, "--count", "0"], "--count is 0"),
        ([SENTENCE, "--count", "two"], "'two' is not a valid integer"),
        ([SENTENCE, "--seed", "-1"], "--seed is -1"),
        ([SENTENCE, "--dataset", "cub"], "there are mini-birds and mini-flowers"),
        ([SENTENCE, "--dataset", "mini-birds"], "there are no weights"),
        ([SENTENCE, "--dataset", "mini-birds", "--weights", WEIGHTS], "are of mini-flowers"),
        ([SENTENCE, "--weights", "nowhere"], "nowhere is no folder"),
        ([SENTENCE, "--weights", "damaged"], "sen.safetensors is damaged"),
        ([SENTENCE, "--out", "x.jpg"], "must be the name of a .png file"),
        ([SENTENCE, "--out", "Snakefile/x.png"], "cannot write"),
        (["--audio", "song.png", "--out", "song.png"], "that is the recording itself"),
    ],
)  # fmt: skip
def test_bad_input_to_speak_is_one_line(project, capsys, words, said):
    seconds = {"silent": 1, "short": 0.1, "long": 61}
    for name, length in seconds.items():
        samples = np.zeros(int(length * 8000)) if name == "silent" else np.sin(np.arange(int(length * 8000)))
        soundfile.write(f"{name}.wav", samples, 8000)
    Path("empty.wav").touch()
    Path("Snakefile.txt").write_text("no sound")
    shutil.copy("short.wav", "song.png")
    shutil.copytree("results/reference/weights/mini-flowers", "damaged", dirs_exist_ok=True)
    Path("damaged/sen.safetensors").write_bytes(Path("damaged/sen.safetensors").read_bytes()[:100])
    before = Path("song.png").read_bytes()
    assert said in failed(capsys, "speak", *words, *([] if "--out" in words else ["--out", "x.png"]))
    assert not Path("x.png").exists() and Path("song.png").read_bytes() == before


def test_the_panel_encodes_what_its_fields_have(pipeline, monkeypatch):
    from s2igan.demo import widgets

    panel = widgets.Panel(pipeline, pipeline.gallery(1), SENTENCE, count=2)
    typed = panel.speech_input()
    assert typed.name == SENTENCE and panel.voice.value == "en-us"
    panel.recorder.rate = speech.SAMPLE_RATE
    panel.recorder.samples = typed.waveform.numpy().tobytes()
    assert panel.source.value == "recorded" and torch.allclose(panel.speech_input().vector, typed.vector, atol=1e-3)
    panel.source.value = "uploaded"
    with pytest.raises(BadInput, match="nothing has been uploaded yet"):
        panel.speech_input()
    panel.show()  # says so below the fields, and does not stop the notebook
    recording = io.BytesIO()
    soundfile.write(recording, typed.waveform.numpy(), speech.SAMPLE_RATE, format="WAV", subtype="FLOAT")
    panel.source.value = "typed"
    content = memoryview(recording.getvalue())
    uploaded = {"name": "mine.wav", "type": "audio/wav", "size": len(content), "content": content}
    panel.upload.value = ({**uploaded, "last_modified": datetime.datetime.now(datetime.UTC)},)
    assert panel.source.value == "uploaded"
    speech_input = panel.speech_input()
    assert speech_input.name == "mine.wav" and torch.allclose(speech_input.vector, typed.vector, atol=1e-3)
    shown = []
    monkeypatch.setattr(widgets, "display", shown.append)
    panel.show()
    assert [type(thing).__name__ for thing in shown] == ["Audio", "Figure", "Figure"]


def test_typed_sentences_name_their_colour():
    assert len(sentences.TYPED) == 50
    assert {colour for colour, _ in sentences.TYPED} == set(SETS["mini-flowers"].attributes["colour"])
    assert all(colour in text.split() for colour, text in sentences.TYPED)
