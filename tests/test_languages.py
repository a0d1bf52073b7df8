"""Captions in several languages, one of which has no writing: what they say, how they sound, what a store holds."""

import hashlib
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from small_sets import OPTIONS
from small_training import TINY, settings_for

from s2igan import BadInput, config
from s2igan.data.build import build_store
from s2igan.data.sounds import caption_sound
from s2igan.data.sources import find_source, read_source
from s2igan.data.store import open_store
from s2igan.data.synthetic.captions import describe, wording
from s2igan.data.synthetic.classes import choose_classes
from s2igan.data.synthetic.dataset import write_dataset
from s2igan.data.synthetic.languages import LANGUAGES
from s2igan.data.synthetic.meaning import gloss, named_in, shown_text
from s2igan.data.synthetic.sets import SETS
from s2igan.data.text_to_speech import ENGINES, Engine, check_voice, speak
from s2igan.evaluation.attributes import attribute_questions
from s2igan.evaluation.diversity import fitting_images
from s2igan.evaluation.feature_networks import ProxyNetwork, extract, freeze
from s2igan.reporting.one_word import one_word_changed
from s2igan.speech import log_mel
from s2igan.training.sen import train_sen

DATASETS = sorted(SETS)
OTHERS = [name for name in LANGUAGES if name != "english"]
# SHA-256 of English captions as they were before there were other languages: stores of older versions have them.
GOLDEN = {
    "mini-flowers": "f9f9d0f53702c6d246ca833f1ee590f632ea708309360560c87f5d21ad89259f",
    "mini-birds": "1685227c6b2cc06a313b45836e2a79ef36d595fe1e090fdf2cf0cee838269bc3",
}
# Of index.json, without the fingerprint, which depends on the processor's rounding.
GOLDEN_INDEX = {
    "mini-flowers": "7114566046d6496cb50411b44a7b3c8b0e8c86b0fa3fe9d0b987dd4e3505288b",
    "mini-birds": "4a16b6caf81349686d317aff619e2527c21f03eaaeed72829fee9517c5faaf3b",
}


def said(dataset: str, attributes: dict[str, str], seed: int, language: str, **more) -> str:
    """A caption's text or phonemes."""
    found = wording(dataset, attributes, np.random.default_rng(seed), language=language, **more)
    return found.text or found.phonemes


def sounds(word: str) -> str:
    """The phonemes of a word without its stress."""
    return word.replace("'", "")


def lexicon() -> dict[str, str]:
    """{word of the unwritten language: a value or an attribute it stands for, or itself}."""
    words: dict[str, str] = {}
    for grammar in LANGUAGES["unwritten"].sets.values():
        words |= {word: value for value, options in grammar.words.items() for word in options}
        words |= {way.split()[0]: name for name, ways in grammar.details.items() for way in ways}
    for dataset, seed in itertools.product(DATASETS, range(200)):
        attributes = choose_classes(dataset, 5, np.random.default_rng(seed))[0]
        words |= {word: word for word in said(dataset, attributes, seed, "unwritten").split() if word not in words}
    return words


@pytest.fixture(scope="module")
def unwritten(tmp_path_factory):
    """A small store in the unwritten language, its source and settings, and its folder."""
    root = tmp_path_factory.mktemp("unwritten")
    more = {"data_language": "unwritten", "data_classes": 10, "data_validation": 0.3, "data_words_per_minute": 300}
    settings = config.resolve({**TINY, **more, "data_voices": "eo"})
    source = find_source(settings, root)
    options = OPTIONS | {"crop_from": 34, "captions": 1, "voices": settings.data_voices, "validation": 0.3}
    build_store(source, root / "store", **options)
    return open_store(root / "store"), source, settings, root / "store"


@pytest.mark.parametrize("dataset", DATASETS)
def test_english_captions_are_what_they_were(dataset: str) -> None:
    classes, digest = choose_classes(dataset, 40, np.random.default_rng(0)), hashlib.sha256()
    for naming, seed in itertools.product((1, 2, 4, 5), range(500)):
        caption = describe(dataset, classes[seed % 40], np.random.default_rng(seed), naming=naming)
        digest.update(f"{caption}\n".encode())
    names = list(classes[0])
    for seed in range(200):
        must = (names[seed % len(names)],)
        digest.update(f"{describe(dataset, classes[seed % 40], np.random.default_rng(seed), must=must)}\n".encode())
    assert digest.hexdigest() == GOLDEN[dataset]


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_store_in_english_is_what_it_was(dataset: str, tmp_path: Path) -> None:
    write_dataset(dataset, tmp_path / "drawn", 0, 10, 3, 3, 2, workers=1, progress=lambda line: None)
    assert "wordings.json" not in [path.name for path in (tmp_path / "drawn").iterdir()]
    options = OPTIONS | {"crop_from": 34, "voices": config.ENGINE_VOICES["espeak"], "words_per_minute": 230}
    build_store(read_source(dataset, tmp_path / "drawn"), tmp_path / "store", **options | {"validation": 0.2})
    index = json.loads((tmp_path / "store/index.json").read_text())
    del index["fingerprint"]
    assert hashlib.sha256(json.dumps(index).encode()).hexdigest() == GOLDEN_INDEX[dataset]
    store = open_store(tmp_path / "store")
    assert set(store.caption_language) == {"english"} and store.caption_named is None


def test_tables_have_the_same_languages_and_espeak_their_voices() -> None:
    assert set(config.LANGUAGE_VOICES) == set(LANGUAGES) and set(config.Settings().data_language) == {"english"}
    for language, voices in config.LANGUAGE_VOICES.items():
        for voice in voices:
            check_voice(voice)
        assert len(set(voices)) == 5
        others = [voice for other in set(LANGUAGES) - {language} for voice in config.LANGUAGE_VOICES[other]]
        assert config.voices_of(language, [*others, *voices]) == voices  # no voice is of two languages


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_all_words_and_no_two_values_alike(dataset: str, language: str) -> None:
    grammar = LANGUAGES[language].sets[dataset]
    for values in SETS[dataset].attributes.values():
        if language != "english":  # in which a value stands for itself
            assert set(values) <= set(grammar.words)
        words = [word for value in values for word in grammar.words.get(value, (value,))]
        assert len(set(words)) == len(words)
    named = {*grammar.details, *(name for name in SETS[dataset].attributes if name in SETS[dataset].usual)}
    english = LANGUAGES["english"].sets[dataset]
    assert set(grammar.details) == set(english.details) <= named | set(SETS[dataset].weights)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_caption_names_what_it_says_it_names_and_says_it_in_every_language(dataset: str, language: str) -> None:
    classes = choose_classes(dataset, 40, np.random.default_rng(0))
    for seed, attributes in enumerate(classes):
        found = wording(dataset, attributes, np.random.default_rng(seed), language=language)
        assert found.language == language and bool(found.text) == LANGUAGES[language].written != bool(found.phonemes)
        assert found.named == wording(dataset, attributes, np.random.default_rng(seed)).named
        caption = found.text or found.phonemes
        assert not re.search(r"[{}~]|  | ,|^ | $", caption)
        for name, values in SETS[dataset].attributes.items():
            ways = {said(dataset, {**attributes, name: value}, seed, language) for value in values}
            assert (caption in ways) and len(ways) == (len(values) if name in found.named else 1), (name, caption)


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_vary(language: str) -> None:
    attributes = choose_classes("mini-birds", 5, np.random.default_rng(0))[0]
    assert len({said("mini-birds", attributes, seed, language) for seed in range(100)}) > 60


@pytest.mark.parametrize(
    ("language", "changed", "parts"),
    [
        ("german", {"ring": "none"}, ["keinen Ring", "keinen Innenring"]),
        ("german", {"ring": "white"}, ["einen weißen Ring", "einen weißen Innenring"]),
        ("spanish", {"leaves": "broad"}, ["hojas anchas", "hojas amplias"]),
        ("spanish", {"colour": "red"}, ["flor roja", "flor es roja", "rojos"]),
        ("spanish", {"ring": "none"}, ["cero anillos", "cero aros"]),
        ("swahili", {"colour": "red"}, ["jekundu", "petali nyekundu"]),
        ("swahili", {"colour": "yellow"}, ["la njano", "petali za njano"]),
    ],
)
def test_words_agree(language: str, changed: dict[str, str], parts: list[str]) -> None:
    flower = choose_classes("mini-flowers", 5, np.random.default_rng(0))[0] | changed
    for seed in range(60):
        caption = said("mini-flowers", flower, seed, language, must=tuple(changed))
        assert any(part in caption for part in parts), caption


def test_words_without_writing_are_pronounceable_and_far_apart() -> None:
    words = lexicon()
    assert len(words) > 50
    for word in words:
        assert re.fullmatch(r"[ptkbdgmnslrvSjf]'[aeiou]([ptkbdgmnslrvSjf][aeiou]){0,2}n?", word), word
    for one, other in itertools.combinations(map(sounds, words), 2):
        if len(one) == len(other):
            assert sum(a != b for a, b in zip(one, other, strict=True)) > 1, (one, other)
        longer, shorter = sorted((one, other), key=len, reverse=True)
        assert shorter not in [longer[:k] + longer[k + 1 :] for k in range(len(longer))]


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Mean distance of the frames of two log-mels along the path that fits best (dynamic time warping)."""
    frames, total = torch.cdist(one, other).numpy(), np.full((len(one) + 1, len(other) + 1), np.inf)
    total[0, 0] = 0
    for i, j in itertools.product(range(len(one)), range(len(other))):
        total[i + 1, j + 1] = frames[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    return float(total[-1, -1] / (len(one) + len(other)))


def test_phonemes_are_spoken_and_words_sound_like_themselves_in_another_voice() -> None:
    colours = SETS["mini-flowers"].attributes["colour"]
    words = [LANGUAGES["unwritten"].sets["mini-flowers"].words[colour][0] for colour in colours]
    first, second, again = (speak(words, voice, phonemes=True) for voice in ("eo", "eo+m3", "eo"))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    mels = [[log_mel(waveform) for waveform in voice] for voice in (first, second)]
    nearest = [int(np.argmin([distance(mel, other) for other in mels[1]])) for mel in mels[0]]
    assert nearest == list(range(len(words)))
    (as_text,) = speak(words[:1], "eo")  # letters that are read out, not sounds
    assert not torch.equal(as_text, first[0])


def test_only_phonemes_are_read_as_such() -> None:
    with pytest.raises(BadInput, match="have brackets"):
        speak(["g'ovu]] hello"], "eo", phonemes=True)
    with pytest.raises(BadInput, match="'tacotron2' reads no phonemes"):
        speak(["g'ovu"], "en-us", "tacotron2", phonemes=True)


def test_a_store_without_writing_has_no_text_at_all(unwritten) -> None:
    store, source, _, folder = unwritten
    assert set(store.caption_text) == {""} and set(store.caption_language) == {"unwritten"}
    names = [store.image_name[image] for image in store.caption_image]
    assert names == [item.name for item in source.items]
    index = (folder / "index.json").read_bytes()
    for word in lexicon():
        assert json.dumps(word)[1:-1].encode() not in index and not re.search(
            rf"\b{sounds(word)}\b".encode(), index
        ), word
    assert all(len(item.wordings) == 1 and item.wordings[0].phonemes for item in source.items)


def test_its_captions_are_understood_all_the_same(unwritten) -> None:
    store, source, settings, _ = unwritten
    for caption, item in enumerate(source.items):
        assert named_in(store, caption) == set(item.wordings[0].named)
        values = store.attributes[store.classes[item.label]]
        assert f" {values['colour']} " in gloss(store, caption) and shown_text(store, caption).startswith("[")
    asked = attribute_questions(store, store.caption_ids_of("test"))
    naming = sum("ring" in named_in(store, i) for i in store.caption_ids_of("test"))
    assert asked["asked ring"][1].sum() == naming > 0
    asked_ids = store.caption_ids_of("test")
    for caption, fitting in zip(asked_ids, fitting_images(store, asked_ids), strict=True):
        values = store.attributes[store.classes[store.image_class[store.caption_image[caption]]]]
        seen = [store.attributes[store.classes[label]] for label in store.image_class[fitting]]
        assert seen and all(other[name] == values[name] for other in seen for name in named_in(store, caption))
    table, mels = one_word_changed(store, settings)
    assert set(table.text) == {""} and len(mels) == len(table) > 20
    row = table[table.attribute == "colour"].iloc[0]
    assert f" {row.value} petals" in row.gloss or f" {row.value} flower" in row.gloss
    pair = table[(table["class"] == table["class"][0]) & (table.attribute == "colour")].index[:2]
    assert mels[pair[0]].shape[1] == 40 and not torch.equal(mels[pair[0]], mels[pair[1]])


def test_the_sound_of_a_stored_caption_is_the_one_that_was_stored(unwritten) -> None:
    store, _, settings, _ = unwritten
    for caption in (0, len(store.caption_text) - 1):
        mel = log_mel(caption_sound(store, settings, caption)).half().numpy()
        np.testing.assert_array_equal(mel, store.stored_mel(caption))


def test_sen_trains_without_writing_and_the_text_encoder_has_nothing_to_read(unwritten, tmp_path: Path) -> None:
    store = unwritten[0]
    backbone = freeze(ProxyNetwork(10, {}))
    features = extract(backbone, store.images, 32)
    net = train_sen(settings_for("SEN", sen_steps=2), store, backbone, features, tmp_path / "sen", "")
    assert all(torch.isfinite(value).all() for value in net.state_without_backbone().values())
    with pytest.raises(BadInput, match=r"^dataset 'mini-flowers' has captions without their texts: .* nothing to read"):
        train_sen(settings_for("text encoder"), store, backbone, features, tmp_path / "text", "")


def test_several_languages_are_mixed_each_with_its_voices(tmp_path: Path) -> None:
    languages = ",".join(LANGUAGES)
    settings = config.resolve({"data_language": languages, "data_classes": 10, "data_images_per_class": 2})
    settings = settings.model_copy(update={"data_unseen_images": 2})
    source = find_source(settings, tmp_path)
    options = OPTIONS | {"voices": settings.data_voices, "validation": 0.2}
    for name in ("one", "two"):
        build_store(source, tmp_path / name, **options)
    store = open_store(tmp_path / "one")
    assert set(store.caption_language) == set(LANGUAGES)
    assert store.fingerprint == open_store(tmp_path / "two").fingerprint
    store.verify()
    for caption, language in enumerate(store.caption_language):
        assert store.caption_voice[caption] in config.LANGUAGE_VOICES[language]
        assert bool(store.caption_text[caption]) == LANGUAGES[language].written
        assert " flower " in gloss(store, caption)
        text = store.caption_text[caption]
        assert shown_text(store, caption) == (text or f"[{gloss(store, caption)}]")
    again = find_source(settings, tmp_path)
    assert again.items == source.items


def test_the_setting_and_its_voices() -> None:
    default, written = config.resolve({}), config.resolve({"data_language": "english"})
    assert config.of_stage(default, "data") == config.of_stage(written, "data")
    assert "data_language" not in config.notebook_parameters(default, "rdg")
    mixed = config.resolve({"data_language": "english,german"})
    assert config.of_stage(mixed, "data")["data_language"] == ["english", "german"]
    assert mixed.data_voices == config.LANGUAGE_VOICES["english"] + config.LANGUAGE_VOICES["german"]
    given = config.resolve({"data_language": "german", "data_voices": "de+f3,en-us"}).data_voices
    assert config.voices_of("german", given) == ("de+f3",) and config.voices_of("swahili", given) == given
    for dataset, read in (("mini-birds", set()), ("folder", {"data_language"})):
        settings = config.resolve({"dataset": dataset, "data_language": "german"})
        assert config.unread(settings, ["SEN"], [], False, ["data_language"]) == read
    assert config.unread(written, ["SEN"], [], False, ["data_language"]) == set()


@pytest.mark.parametrize("language", ["klingon", "english,klingon"])
def test_an_unknown_language_is_one_line(language: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"language 'klingon' does not exist: choose one of english, .*unwritten"):
        config.resolve({"data_language": language})
    with pytest.raises(BadInput, match="language: 'klingon' does not exist"):
        write_dataset("mini-birds", tmp_path / "drawn", languages=tuple(language.split(",")))
    with pytest.raises(BadInput, match="at least 1 item"):
        config.resolve({"data_language": ""})


def test_an_engine_without_phonemes_cannot_speak_what_is_not_written(tmp_path: Path, monkeypatch) -> None:
    mute = Engine(lambda texts, voice, rate: [torch.zeros(9000)] * len(texts), lambda voice: None, at_once=False)
    monkeypatch.setitem(ENGINES, "mute", mute)
    settings = config.resolve({**TINY, "data_language": "unwritten", "data_classes": 10})
    source = find_source(settings, tmp_path)
    with pytest.raises(BadInput, match="'mute' reads no phonemes"):
        build_store(source, tmp_path / "store", **OPTIONS | {"engine": "mute"})
    assert not (tmp_path / "store").exists()
