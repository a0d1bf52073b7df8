"""Words, parameter files, JSON and notebooks that are odd or damaged: read, or refused in one line."""

import itertools
import json
import os
from pathlib import Path

import nbformat
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as some
from papermill.parameterize import parameterize_path

from s2igan import config
from s2igan.files import parse_json, read_yaml
from s2igan.workflow.commands import main
from s2igan.workflow.notebook import verbatim
from s2igan.workflow.words import read_words, with_file

LAUGHS = "a: &a [l, l]\n"
LAUGHS += "".join(f"{c}: &{c} [{','.join([f'*{d}'] * 9)}]\n" for d, c in itertools.pairwise("abcdefgh"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 1\nseed: 2", "line 2 is no YAML: 'seed' stands there twice"),
        ("Seed: 1\nseeds: 2", "'seeds' is given twice"),
        (LAUGHS, "aliases"),
        (LAUGHS.replace("[l, l]", "{k: 1}").replace("[*", "\n  <<: [*"), "aliases"),
        ("study: &s [*s]", "aliases"),
        ("data_dir: !!python/object:os.system ls", "line 1 is no YAML"),
        ("dataset: cub\ndata_dir: !!binary aGk=", "'data_dir' has a value of type bytes"),
        ("data_voices: !!set {en-us, en-gb}", "'data_voices' has a value of type set"),
        ("sen_betas: {a: 1}", "'sen_betas' has a value of type dict"),
        ("sen_betas: [[0.5, 0.9], 1]", "'sen_betas' has a value of type list"),
        ("study: 2020-01-01 \n  more", "'study' is '2020-01-01 more'"),
        ("study: 2020", "'study' is 2020"),
        ("rdg_steps: yes", "'rdg_steps' is true: it must be a number"),
        ("data_engine: no", "'data_engine' is false: it must be a text"),
        ("rdg_lr: .nan", "'rdg_lr' is nan"),
        ("rdg_ema: .nan", "'rdg_ema' is nan"),
        ("rdg_lr: 1.0e999", "'rdg_lr' is inf"),
        ("rdg_steps: 1000000000000", "less than or equal to 1000000000"),
        ("rdg_steps: " + "9" * 5000, "4300 digits"),
        ("rdg_steps: 1:30", "'rdg_steps' is '1:30'"),
        ('dataset: cub\ndata_dir: "a\\nb"', "control character"),
        ('dataset: cub\ndata_dir: "a\\0b"', "control character"),
        ("study: " + "x" * 300, "at most 100 characters"),
        ("a: " + "[" * 5000, "recursion"),
        ("tables: maybe", "'tables' is 'maybe': it must be 1 or 0"),
        ("seeds: ٣", "'seeds' is '٣'"),
        ("seeds: {a: 1}", "'seeds' is "),
        ("1: 2", "'name: value' lines"),
        ("params: other.yaml", "unknown parameter 'params'"),
    ],
)
def test_odd_parameter_files_are_refused_in_one_line(text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert main(["study", "PARAMS=mine.yaml"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("error: ") and error.count("\n") == 1 and len(error) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_parameter_file_may_lie_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my.yaml").write_text("rdg_steps: 3")
    assert with_file({"params": "~/my.yaml"}) == {"rdg_steps": 3}


def test_a_parameter_file_may_repeat_itself_with_an_anchor(tmp_path):
    (tmp_path / "mine.yaml").write_text("sen_betas: &b [0.5, 0.9]\nrdg_betas: *b\nrdg_lr: &lr 2.0e-4\nsen_lr: *lr\n")
    values = config.resolve(config.from_yaml(tmp_path / "mine.yaml"))
    assert values.sen_betas == values.rdg_betas == (0.5, 0.9) and values.sen_lr == values.rdg_lr == 2e-4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["SEED=0", "SEED=1"], "'SEED' is given twice"),
        (["SEED=0", "SEEDS=1"], "'seeds' is given twice"),
        (["CORES=" + "9" * 5000], "'cores' is '9999"),
        (["CORES=-1"], "'cores' is '-1'"),
        (["CORES=two"], "'cores' is 'two'"),
        (["CORES=٣"], "'cores' is '٣'"),
        (["CORES="], "'cores' is ''"),
        (["SEEDS=٣"], "'seeds' is '٣'"),
        (["LIST=perhaps"], "'list' is 'perhaps': it must be 1 or 0"),
        (["RDG_STEPS=1e3"], "'rdg_steps' is '1e3'"),
        (["PARAMS=a\nb"], "'params' is 'a\\nb': it must be the name of a file"),
        (["DATASET=cub", "DATA_DIR=a\nb"], "control character"),
        (["DATASET=cub", "DATA_DIR=~nobody-of-this-name/x"], "does not exist"),
        (["DATASET=cub", "DATA_DIR=" + "x" * 5000], "does not exist"),
        (["=5"], "unknown parameter ''"),
        ([""], "'' is no NAME=value"),
        (["x" * 5000], "is no NAME=value"),
        (["SYSTEMS=" + "x" * 5000], "does not exist"),
    ],
)
def test_odd_words_are_refused_in_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["study", *words]) == 2
    out, error = capsys.readouterr()
    assert said in error and error.count("\n") == 1 and out == "" and len(error) < 6000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("null", "must be a JSON object"),
        ('"text"', "must be a JSON object"),
        ("[1]", "must be a JSON object"),
        ("", "is no JSON"),
        ('{"seed": 1, "seed": 2}', "'seed' stands there twice"),
        ("[" * 100_000, "is no JSON"),
        ('{"seed": ' + "9" * 5000 + "}", "is no JSON"),
        ('{"rdg_lr": NaN}', "'rdg_lr' is nan"),
        ('{"seed": {"a": 1}}', "'seed' has a value of type dict"),
        ('{"dataset": null}', "dataset None does not exist"),
    ],
)
def test_odd_json_is_refused_in_one_line(text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "sen", "--values", text]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and len(error) < 400


def notebook(**changes) -> str:
    content = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    content.metadata = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    return json.dumps({**content, **changes})


R = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}


@pytest.mark.parametrize(
    ("content", "out", "said"),
    [
        ("", "out/b.ipynb", "file a.ipynb is no JSON"),
        ("{}", "out/b.ipynb", "is no notebook: it has no cells"),
        ("[1]", "out/b.ipynb", "is no notebook"),
        (notebook(nbformat=2), "out/b.ipynb", "is of nbformat 2"),
        (notebook(nbformat="4"), "out/b.ipynb", "is of nbformat '4'"),
        (notebook(nbformat=4.0), "out/b.ipynb", "is of nbformat 4.0"),
        (notebook(nbformat_minor="5"), "out/b.ipynb", "its nbformat_minor is '5'"),
        (notebook(metadata={"papermill": 1}), "out/b.ipynb", "metadata named 'papermill' is no mapping"),
        ("\ufeff" + notebook(), "out/b.ipynb", "is not in UTF-8 alone"),
        (notebook(cells=3), "out/b.ipynb", "is no whole notebook"),
        (notebook(cells=[{"cell_type": "code"}]), "out/b.ipynb", "is no whole notebook"),
        (notebook(metadata=[]), "out/b.ipynb", "is no whole notebook"),
        (notebook(metadata=R), "out/b.ipynb", "is written in 'R'"),
        (notebook(), "folder.ipynb", "must be the name of an .ipynb file"),
        (notebook(), "out/b.txt", "must be the name of an .ipynb file"),
        (notebook(), "a.ipynb", "that is the notebook itself"),
        (notebook(), "a.ipynb/b.ipynb", "cannot write a.ipynb"),
        (notebook(), f"out/{'x' * 300}.ipynb", "is too long a name"),
    ],
)
def test_odd_notebooks_are_refused_before_anything_starts(content, out, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.ipynb").write_text(content, encoding="utf-8")
    (tmp_path / "folder.ipynb").mkdir()
    assert main(["run", "a.ipynb", "--out", out]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("error: ") and error.count("\n") == 1 and len(error) < 600
    assert sorted(os.listdir(tmp_path)) == ["a.ipynb", "folder.ipynb"] and not os.listdir(tmp_path / "folder.ipynb")


def test_braces_in_the_name_of_a_notebook_are_no_parameters():
    for name in ("{}.ipynb", "a/{seed}.ipynb", "}{.ipynb", "plain.ipynb"):
        assert parameterize_path(verbatim(Path(name)), {"seed": 1}) == name


SETTINGS = some.fixed_dictionaries(
    {},
    optional={
        "seed": some.integers(0, 2**32 - 1),
        "study": some.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(lambda x: x != "reference"),
        "rdg_lr": some.floats(1e-12, 1e12),
        "sen_betas": some.tuples(some.floats(0, 0.999), some.floats(0, 0.999)),
        "rdg_steps": some.none() | some.integers(1, 10**9),
        "data_flip": some.booleans(),
        "data_noise_db": some.none() | some.floats(-100, 100),
        "data_voices": some.lists(some.from_regex(r"[a-z0-9.:+-]{1,12}", fullmatch=True), min_size=1).map(tuple),
        "preset": some.sampled_from(sorted(config.PRESETS)),
        "data_dir": some.text(some.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"])),
    },
)


@options(deadline=None, max_examples=60, derandomize=True)
@given(SETTINGS)
def test_settings_come_back_from_yaml_and_from_words(tmp_path_factory, given):
    values = config.resolve(given)
    path = tmp_path_factory.mktemp("yaml") / "params.yaml"
    path.write_text(yaml.safe_dump(values.model_dump(mode="json")))
    assert config.resolve(read_yaml(path)) == values
    assert config.resolve(parse_json(values.model_dump_json(), "it")) == values
    words = [
        f"{name.upper()}={','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in values.model_dump().items()
        if name not in ("dataset", "seed", "system")
    ]
    assert config.resolve({**read_words(words), "seed": values.seed}) == values
