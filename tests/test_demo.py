"""From a sentence to images: the pipeline, the score, `speak`, and the fields of 06_speak."""

import copy
import dataclasses
import datetime
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from packed_study import ROOT, SENTENCE, WEIGHTS, failed
from PIL import Image

from s2igan import BadInput, speech
from s2igan.config import resolve, store_dir
from s2igan.data.batches import centre_crop
from s2igan.data.store import open_store
from s2igan.data.synthetic.sets import SETS
from s2igan.demo import card_metrics, sentences
from s2igan.demo.measure import noise_effect, real_variation
from s2igan.demo.out_of_distribution import fit_out_of_distribution
from s2igan.demo.pipeline import Gallery
from s2igan.demo.unseen import distances_to_training
from s2igan.evaluation.generate import generate, to_uint8
from s2igan.workflow.commands import main

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


def test_real_variation_compares_images_of_one_class():
    levels = np.array([10, 14, 12, 90, 90, 93])  # two classes: |14 - 10|, |12 - 10|, and 0, 3
    images = np.broadcast_to(levels[:, None, None, None], (6, 4, 4, 3)).astype(np.uint8)
    assert real_variation(Gallery(images, ["a"] * 3 + ["b"] * 3, torch.zeros(6, 2))) == 9 / 4


@pytest.mark.parametrize(("dataset", "near"), [("mini-flowers", 18), ("mini-birds", 13)])
def test_most_unseen_classes_differ_from_a_training_class_in_one_attribute(dataset, near):
    distances = distances_to_training(resolve({"dataset": dataset}))
    assert len(distances) == 20 and min(distances) == 1 and distances.count(1) == near


def test_a_high_score_prints_the_vocabulary_and_an_image_all_the_same(tmp_path, capsys):
    weights = ROOT / "results/reference/weights/mini-flowers"
    assert main(["speak", "a red rose", "--out", str(tmp_path / "rose.png"), "--weights", str(weights)]) == 0
    said = capsys.readouterr().out
    assert (
        "out of distribution\nthe score is high: the image may not follow the words" in said
        and (tmp_path / "rose.png").is_file()
    )
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
        assert sheet.size == (2 * 256 + 2, 3 * 256 + 4)
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
        (["--audio", "Snakefile.txt"], "it is no WAV, FLAC or Ogg file"),
        (["--audio", "long.wav"], "lasts 61 s"),
        (["--audio", "silent.wav", "--voice", "en-us"], "--voice is for a sentence"),
        (["!?"], "nothing to speak"),
        (["word " * 20_000], "has 99,999 characters: give a sentence, 5,000 at most"),
        (["word " * 900], "the recording lasts"),
        (["a \udcff flower"], "'a \\udcff flower' is not UTF-8"),
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
        ([SENTENCE, "--out", "flower"], "must be the name of a .png file"),
        ([SENTENCE, "--out", "results"], "must be the name of a .png file"),
        ([SENTENCE, "--out", "two\nlines"], "--out is two lines: it must"),
        ([SENTENCE, "--out", "Snakefile/x.png"], "cannot write"),
        ([SENTENCE, "--out", "x" * 300 + ".png"], "cannot write"),
        ([SENTENCE, "--out", "/proc/x.png"], "cannot write"),
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


@pytest.mark.parametrize(
    ("samples", "rate", "line"),
    [
        (b"", 22_050, "nothing has been recorded yet"),
        (None, None, "nothing has been recorded yet"),
        (bytes(44_100), None, "the browser sent no whole recording: record again"),
        (bytes(44_100), 0, "the browser sent no whole recording"),
        (bytes(44_101), 22_050, "the browser sent no whole recording"),
        (bytes(44_100), 1, "the recording has a sample rate of 1 Hz"),
        (bytes(44_100), 22_050, "the recording is silent"),
        (b"\xff" * 44_100, 22_050, "the recording has samples that are not finite"),
        (bytes(4), 22_050, "the recording is too short"),
        (bytes(61 * 8000 * 4), 8000, "the recording lasts 61 s"),
    ],
)
def test_empty_answers_of_the_recorder_are_one_line(samples, rate, line):
    from s2igan.demo.widgets import Recorder

    recorder = Recorder(samples=samples, rate=rate)
    with pytest.raises(BadInput, match=line):
        recorder.recorded()


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ([("mine.wav", b"")], "mine.wav is empty"),
        ([("song.mp4", b"no sound")], "song.mp4 "),
        ([("../../x/..", b"no sound")], r"\.\./\.\./x/\.\. "),
        ([("", b"no sound")], "cannot be read"),
        ([("a\nb\x1b[31m" + "x" * 300, b"no sound")], "a b\ufffd"),
        ([("a.wav", b"x"), ("b.wav", b"x")], "2 files are uploaded: give one"),
    ],
)
def test_a_useless_upload_is_one_line(pipeline, files, line, capsys):
    from s2igan.demo import widgets

    panel = widgets.Panel(pipeline, pipeline.gallery(1), SENTENCE, count=2)
    now = datetime.datetime.now(datetime.UTC)
    panel.upload.value = tuple(
        {"name": name, "type": "", "size": len(content), "content": memoryview(content), "last_modified": now}
        for name, content in files
    )
    with pytest.raises(BadInput, match=line) as caught:
        panel.speech_input()
    assert "\n" not in str(caught.value) and "/tmp" not in str(caught.value)


def test_typed_sentences_name_their_colour():
    assert len(sentences.TYPED) == 50
    assert {colour for colour, _ in sentences.TYPED} == set(SETS["mini-flowers"].attributes["colour"])
    assert all(colour in text.split() for colour, text in sentences.TYPED)
