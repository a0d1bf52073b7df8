"""How near unseen classes are, what guesses reach, and how far classes lie apart: from a store made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from s2igan.evaluation.attributes import nearest_classes
from s2igan.evaluation.references import nearest_answers
from s2igan.reporting.separation import on_a_plane, separation
from s2igan.reporting.unseen import guesses_table, nearest_training_classes, shares_by_distance

VALUES = {"petals": "four", "shape": "round", "colour": "red", "centre": "yellow", "leaves": "broad"}
CLASSES = {
    "red": VALUES,
    "far": {**VALUES, "petals": "eight", "shape": "narrow", "colour": "pink", "centre": "green", "leaves": "slender"},
    "held out": {**VALUES, "colour": "blue", "centre": "black"},
    "one away": {**VALUES, "colour": "blue"},
    "two away": {**VALUES, "colour": "white", "leaves": "slender"},
}
CAPTIONS = {  # of one image a class
    "one away": ["a flower with four round blue petals", "a blue flower with a yellow centre"],
    "two away": ["a white flower with four round petals", "this white flower has slender leaves"],
}


def store_of(classes, captions):
    """A store as far as it is read here: an image a class; captions of the unseen classes alone."""
    splits = ["train", "train", "val", "test", "test"]
    names = list(classes)
    image = [names.index(name) for name, texts in captions.items() for _ in texts]
    return SimpleNamespace(
        dataset="mini-flowers",
        classes=names,
        class_split=splits,
        attributes=classes,
        caption_text=[text for texts in captions.values() for text in texts],
        caption_named=None,
        caption_image=np.array(image),
        image_class=np.arange(len(names)),
        caption_ids_of=lambda split: np.flatnonzero(np.array(splits)[image] == split),
    )


def test_the_nearest_training_class_and_captions_that_are_true_of_one():
    found = nearest_training_classes(store_of(CLASSES, CAPTIONS))
    assert list(found.index) == ["one away", "two away"] and list(found.nearest) == ["red", "red"]
    assert list(found.different) == [1, 2]  # the held-out class does not count
    assert shares_by_distance(found) == "1 of 2 (50 %) in 1, 1 of 2 (50 %) in 2"
    assert list(found["also true"]) == [0, 0]  # both captions name the colour, which no training class has
    red = {**CAPTIONS, "one away": ["a red flower with four petals", "a red flower with broad leaves"]}
    classes = {**CLASSES, "one away": {**VALUES, "leaves": "slender"}}
    assert nearest_training_classes(store_of(classes, red))["also true"]["one away"] == 50  # the second names leaves


def test_a_memory_of_training_classes_answers_with_those_that_differ_least():
    # "red" and "narrow" both differ from "one away" in one attribute, and take turns.
    narrow = {**VALUES, "colour": "blue", "shape": "narrow"}
    store = store_of({**CLASSES, "far": narrow}, {**CAPTIONS, "one away": 40 * ["a blue flower"]})
    store.image_ids_of = lambda split: np.flatnonzero(np.array(store.class_split) == split)
    assert nearest_classes(store) == {3: ([0, 1], 1), 4: ([0], 2)}
    answers = nearest_answers(store)
    assert len(answers) == 42 and set(answers[:40]) == {0, 1} and list(answers[40:]) == [0, 0]
    assert 8 < (answers[:40] == 0).sum() < 32 and (answers == nearest_answers(store)).all()
    store.attributes = {}
    assert len(nearest_answers(store)) == 0


def test_guesses_of_attributes():
    found = guesses_table(store_of(CLASSES, CAPTIONS))
    assert found.loc["colour"].to_dict() == {"uniform": 25, "most common": 50}  # red, pink, blue, white; blue or white
    assert found.loc["shape"].to_dict() == {"uniform": 50, "most common": 100}  # both unseen classes are round
    # Captions, not classes, count: four of the blue class and two of the white one; leaves are named once.
    more = {**CAPTIONS, "one away": [*CAPTIONS["one away"], "a blue flower", "a flower with four petals"]}
    found = guesses_table(store_of(CLASSES, more))
    assert found.loc["colour", "most common"] == pytest.approx(200 / 3) and found.loc["leaves", "most common"] == 100


def test_a_data_set_without_attributes_has_neither():
    store = store_of(CLASSES, CAPTIONS)
    store.attributes = {}
    assert len(nearest_training_classes(store)) == 0 and len(guesses_table(store)) == 0


def test_the_captions_of_other_data_sets_are_not_taken_apart():
    store = store_of(CLASSES, CAPTIONS)
    store.dataset = "folder"
    assert len(nearest_training_classes(store)) == 0
    assert guesses_table(store).loc["shape"].to_dict() == {"uniform": 50, "most common": 100}


def test_separation_is_one_for_classes_far_apart(tmp_path):
    captions = {name: [""] * 6 for name in ("one away", "two away")}
    far = torch.eye(2).repeat_interleave(6, 0) + 1e-4 * torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    save_file({"speech": far}, tmp_path / "embeddings.safetensors")
    found = separation(store_of(CLASSES, captions), tmp_path)
    assert found.silhouette == pytest.approx(1, abs=1e-3) and found.labels == ["one away"] * 6 + ["two away"] * 6
    assert np.allclose(found.embeddings, far.numpy())
    assert np.isnan(separation(store_of(CLASSES, captions), tmp_path, classes=1).silhouette)
    assert on_a_plane(found.embeddings).shape == (12, 2)
