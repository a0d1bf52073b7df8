"""The synthetic data sets: rules of the classes, sentences, images and files. Nothing is downloaded or spoken."""

import csv
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from s2igan import BadInput, config
from s2igan.data.sources import read_source
from s2igan.data.synthetic.canvas import COLOURS
from s2igan.data.synthetic.captions import describe, named_attributes
from s2igan.data.synthetic.classes import choose_classes, distance
from s2igan.data.synthetic.dataset import draw_image, write_dataset
from s2igan.data.synthetic.drawn_set import DrawnSet
from s2igan.data.synthetic.english import ENGLISH
from s2igan.data.synthetic.grammar import Grammar, listing
from s2igan.data.synthetic.sets import SETS

DATASETS = sorted(SETS)
SMALL = {
    "classes": 6,
    "images_per_class": 2,
    "unseen_images": 2,
    "captions_per_image": 2,
    "progress": lambda line: None,
}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("dataset", DATASETS)
def test_classes_differ_and_test_values_were_seen(dataset: str) -> None:
    for count, seed in ((5, 0), (20, 1), (100, 2)):
        classes = choose_classes(dataset, count, np.random.default_rng(seed))
        train, test = classes[: count - count // 5], classes[count - count // 5 :]
        assert len(classes) == count
        assert min(sum(a[name] != b[name] for name in a) for a, b in combinations(classes, 2)) >= 1
        assert min((sum(a[name] != b[name] for name in a) for a, b in combinations(test, 2)), default=3) >= 3
        assert all(value in {c[name] for c in train} for attributes in test for name, value in attributes.items())


@pytest.mark.parametrize("dataset", DATASETS)
def test_captions_have_a_fair_length_and_vary(dataset: str) -> None:
    classes, rng = choose_classes(dataset, 20, np.random.default_rng(0)), np.random.default_rng(1)
    sentences = [describe(dataset, classes[i % 20], rng) for i in range(1000)]
    assert all(7 <= len(sentence.split()) <= 16 for sentence in sentences)
    assert not any(
        wrong in f" {sentence} "
        for sentence in sentences
        for wrong in (" none ", " a no ", " a orange ", " an red ", "  ")
    )
    assert len({describe(dataset, classes[0], rng) for _ in range(100)}) > 60


@pytest.mark.parametrize("dataset", DATASETS)
def test_one_changed_value_changes_one_word(dataset: str) -> None:
    start = choose_classes(dataset, 5, np.random.default_rng(0))[0]
    for seed in range(20):
        for name, values in SETS[dataset].attributes.items():
            plain = [
                describe(dataset, {**start, name: value}, np.random.default_rng(seed), must=(name,)) for value in values
            ]
            assert len(set(plain)) == len(values)  # the value is always said
            # Without articles, which follow the word, the sentences are equal but for one word.
            stripped = [
                [word for word in sentence.replace(",", "").split() if word not in ("a", "an")] for sentence in plain
            ]
            for one, other in combinations(stripped, 2):
                assert len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) == 1


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_named_attribute_is_one_whose_change_changes_the_caption(dataset: str) -> None:
    classes = choose_classes(dataset, 40, np.random.default_rng(0))
    for seed, attributes in enumerate(classes):
        caption = describe(dataset, attributes, np.random.default_rng(seed))
        for name, values in SETS[dataset].attributes.items():
            other = next(value for value in values if value != attributes[name])
            changed = describe(dataset, {**attributes, name: other}, np.random.default_rng(seed))
            assert (name in named_attributes(dataset, caption)) == (changed != caption), (name, caption)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("least", [1, 2, 3])
def test_unseen_classes_lie_as_far_from_training_classes_as_asked(dataset: str, least: int) -> None:
    classes = choose_classes(dataset, 400, np.random.default_rng(0), unseen_distance=least)
    training, unseen = classes[:380], classes[380:]
    assert min(distance(a, b) for a in unseen for b in training) == least
    assert min(distance(a, b) for a, b in combinations(unseen, 2)) >= 3
    assert min(distance(a, b) for a, b in combinations(training, 2)) == 1
    assert all({c[name] for c in unseen} <= {c[name] for c in training} for name in classes[0])
    with pytest.raises(BadInput, match=r"no room|no training class"):
        choose_classes(dataset, 400, np.random.default_rng(0), unseen_distance=7)


@pytest.mark.parametrize("dataset", DATASETS)
def test_vaguer_captions_name_less_and_fewer_values_make_closer_classes(dataset: str) -> None:
    classes = choose_classes(dataset, 20, np.random.default_rng(0))
    counts = {}
    for naming in (1, 4):
        captions = [describe(dataset, classes[i % 20], np.random.default_rng(i), naming=naming) for i in range(2000)]
        counts[naming] = np.mean([len(named_attributes(dataset, caption)) for caption in captions])
        assert all(5 <= len(caption.split()) <= 16 for caption in captions)
    assert counts[1] < counts[4] - 1.5
    close = choose_classes(dataset, 100, np.random.default_rng(0), most_values=3)
    assert all(len({c[name] for c in close}) <= 3 for name in SETS[dataset].attributes)

    def nearest(found: list[dict[str, str]]) -> float:
        return float(np.mean([min(sum(a[name] != b[name] for name in a) for b in found if b is not a) for a in found]))

    assert nearest(close) < nearest(choose_classes(dataset, 100, np.random.default_rng(0)))


def test_articles_follow_the_value() -> None:
    flower = choose_classes("mini-flowers", 5, np.random.default_rng(0))[0]
    said = [
        f" {describe('mini-flowers', {**flower, 'colour': 'orange'}, np.random.default_rng(seed))} "
        for seed in range(60)
    ]
    assert any(" an orange flower " in sentence for sentence in said) and not any(
        " a orange " in sentence for sentence in said
    )


@pytest.mark.parametrize("colour", SETS["mini-flowers"].attributes["colour"])
def test_the_petals_have_their_colour(colour: str) -> None:
    plain = {
        "petals": "five",
        "shape": "round",
        "centre": "black",
        "ring": "none",
        "stamens": "none",
        "leaves": "broad",
    }
    pixels = np.asarray(draw_image("mini-flowers", {**plain, "colour": colour}, np.random.default_rng(0)), dtype=float)
    names = ["red", "orange", "yellow", "white", "pink", "purple", "blue", "turquoise", "maroon"]
    middle = pixels[14:46, 16:48].reshape(-1, 3)
    nearest = np.argmin(((middle[:, None] - np.array([COLOURS[name] for name in names])) ** 2).sum(-1), axis=1)
    # Dark centre and gaps apart, no other colour comes near as often.
    bright = middle.max(1) > 90
    assert Counter(names[i] for i in nearest[bright]).most_common(1)[0][0] == colour


@pytest.mark.parametrize("dataset", DATASETS)
def test_images_vary_within_a_class(dataset: str) -> None:
    attributes = choose_classes(dataset, 5, np.random.default_rng(0))[0]
    one, other, again = (draw_image(dataset, attributes, np.random.default_rng(seed), size=48) for seed in (0, 1, 0))
    assert one.size == (48, 48) and one.mode == "RGB"
    assert one.tobytes() == again.tobytes() != other.tobytes()


@pytest.mark.parametrize(
    ("dataset", "change"), [("mini-flowers", {"colour": "red"}), ("mini-birds", {"body": "red", "wing": "red"})]
)
def test_a_changed_colour_moves_nothing_and_the_object_is_large_with_a_margin(
    dataset: str, change: dict[str, str]
) -> None:
    start = choose_classes(dataset, 5, np.random.default_rng(0))[0]
    other = {name: "blue" for name in change}
    for seed in range(20):
        for size in SETS[dataset].attributes.get("size", ("",)):
            both = (
                draw_image(dataset, {**start, **new, "size": size}, np.random.default_rng(seed))
                for new in (change, other)
            )
            left, top, right, bottom = ImageChops.difference(*both).getbbox()
            assert min(left, top, 64 - right, 64 - bottom) >= 2
            assert max(right - left, bottom - top) >= 0.45 * 64


@pytest.mark.parametrize("dataset", DATASETS)
def test_folder_is_complete_and_the_same_for_any_number_of_workers(dataset: str, tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        write_dataset(dataset, tmp_path / name, seed=7, workers=workers, **SMALL)
    one = tree(tmp_path / "one")
    assert one == tree(tmp_path / "two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]  # nothing temporary is left

    train, test = (one[f"{part}_classes.txt"].decode().split() for part in ("train", "test"))
    assert (len(train), len(test)) == (5, 1)
    assert sorted(train + test) == sorted(path.name for path in (tmp_path / "one" / "images").iterdir())
    with open(tmp_path / "one" / "attributes.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == train + test
    assert list(rows[0]) == ["class", *SETS[dataset].attributes]
    images = sorted((tmp_path / "one" / "images").rglob("*.png"))
    assert len(images) == 12
    for image in images:
        captions = tmp_path / "one" / "captions" / image.parent.name / f"{image.stem}.txt"
        assert len(captions.read_text(encoding="utf-8").splitlines()) == 2
        assert Image.open(image).size == (64, 64)


def test_another_seed_is_another_data_set(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_dataset("mini-birds", tmp_path / str(seed), seed=seed, workers=1, **SMALL)
    assert tree(tmp_path / "0")["attributes.csv"] != tree(tmp_path / "1")["attributes.csv"]


def test_bad_input_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    cases = [
        ({"dataset": "mini-fish"}, "'mini-fish' is not synthetic; choose one of .*mini-birds"),
        ({"classes": 3}, "classes: 3"),
        ({"classes": 100_000_000}, "ask for fewer"),
        ({"images_per_class": 0}, "images_per_class"),
        ({"workers": 0}, "workers"),
        ({"seed": -1}, "seed"),
        ({"size": 4}, "size"),
        ({"out": tmp_path / "full"}, "not an empty folder"),
    ]
    for changed, words in cases:
        with pytest.raises(BadInput, match=words) as caught:
            write_dataset(**{"dataset": "mini-flowers", "out": tmp_path / "new", **changed})
        assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    flower = choose_classes("mini-flowers", 5, np.random.default_rng(0))[0]
    with pytest.raises(BadInput, match="colour of mini-flowers is 'beige'"):
        draw_image("mini-flowers", {**flower, "colour": "beige"}, np.random.default_rng(0))
    with pytest.raises(BadInput, match="no attribute 'beak'"):
        describe("mini-flowers", flower, np.random.default_rng(0), must=("beak",))


def test_config_has_the_same_sets() -> None:
    assert set(config.SYNTHETIC) == set(SETS)


def test_a_third_set_is_two_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def draw(attributes: dict[str, str], rng: np.random.Generator, size: int) -> np.ndarray:
        sky, boat = rng.uniform(100, 200), {"red": (200, 0, 0), "blue": (0, 0, 200)}[attributes["hull"]]
        pixels = np.full((size, size, 3), sky)
        pixels[size // 2 :, size // 4 : -size // 4] = boat
        return pixels

    def sentences(words: dict[str, str], details: dict[str, str]) -> list[str]:
        parts = [phrase.format(words[name]) for name, phrase in details.items()]
        return [f"a {words['hull']} boat with {listing(parts)}"]

    shapes = ("narrow", "broad", "high", "low", "torn")
    boats = DrawnSet(
        attributes={"hull": ("red", "blue"), "sail": shapes, "mast": shapes, "flag": shapes},
        contrasts=(("sail", "mast"),),
        class_name=("hull", "sail"),
        usual={"hull": 1.0},
        weights=dict.fromkeys(("sail", "mast", "flag"), 1.0),
        draw=draw,
    )
    monkeypatch.setitem(SETS, "mini-boats", boats)
    in_english = Grammar(
        words={"torn": ("torn", "ragged")},
        details={name: (f"a {{}} {name}",) for name in ("sail", "mast", "flag")},
        sentences=sentences,
        telling={"hull": "boat", "sail": "sail", "mast": "mast", "flag": "flag"},
    )
    monkeypatch.setitem(ENGLISH.sets, "mini-boats", in_english)
    with pytest.raises(BadInput, match="'german' does not describe mini-boats, only mini-flowers, mini-birds"):
        write_dataset("mini-boats", tmp_path / "boats", languages=("german",))
    write_dataset("mini-boats", tmp_path / "boats", workers=1, **SMALL)
    source = read_source("mini-boats", tmp_path / "boats")
    assert len(source.classes) == 6 and len(source.items) == 12
    for item in source.items:
        of_class = source.attributes[source.classes[item.label]]
        assert of_class["sail"] != of_class["mast"]
        assert source.classes[item.label].endswith(f".{of_class['hull']}-{of_class['sail']}")
        assert f" {of_class['hull']} boat " in item.texts[0]
        assert named_attributes("mini-boats", item.texts[0]) == {"hull", "sail", "mast", "flag"}
        centre = np.asarray(Image.open(item.path))[48, 32]
        assert (int(centre[0]) > int(centre[2])) == (of_class["hull"] == "red")
