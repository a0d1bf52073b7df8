"""Parameters: defaults, presets, what a user gave, and the line that refuses it."""

import pytest

from s2igan import BadInput, config, losses
from s2igan.config import systems


def test_defaults_are_those_of_mini():
    assert config.resolve({}) == config.resolve({"preset": "mini"})
    assert config.resolve({}).study == "mini"


def test_user_overrides_preset_overrides_default():
    paper = config.resolve({"preset": "paper", "rdg_batch": "7"})
    assert (paper.data_image_size, paper.rdg_width, paper.rdg_batch) == (256, 64, 7)
    assert paper.sen_steps is None  # the paper counts epochs


def test_strings_as_a_command_line_gives_them():
    given = {
        "sen_betas": "0.5, 0.9", "data_voices": "en-us,en-gb", "rdg_steps": "none", "rdg_standardise": "false",
        "seed": "3",
    }  # fmt: skip
    resolved = config.resolve(given)
    assert resolved.sen_betas == (0.5, 0.9)
    assert resolved.data_voices == ("en-us", "en-gb")
    assert (resolved.rdg_steps, resolved.rdg_standardise, resolved.seed) == (None, False, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rdg_step": 5}, "did you mean 'rdg_steps'"),
        ({"zzzzz": 5}, "unknown parameter 'zzzzz'"),
        ({"dataset": "birds"}, "mini-birds, mini-flowers, cub, oxford, folder"),
        ({"preset": "huge"}, "mini, small, paper"),
        ({"system": "GAN"}, "S2IGAN w/o L_d"),
        ({"rdg_batch": 1}, "'rdg_batch' is 1"),
        ({"rdg_lr": "fast"}, "'rdg_lr' is 'fast'"),
        ({"study": "../up"}, "'study'"),
        ({"data_crop_from": 16}, "at least data_image_size, 32"),
        ({"data_image_size": 16, "rdg_stages": 3}, "'rdg_stages' is 3"),
    ],
)
def test_bad_values_get_one_line(given, said):
    with pytest.raises(BadInput) as error:
        config.resolve(given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_notebook_refuses_a_mistyped_name_and_ignores_the_rest():
    namespace = {"seed": 4, "_private": 1, "In": [], "config": config, "resolve": config.resolve}
    assert config.from_notebook(namespace).seed == 4
    with pytest.raises(BadInput, match="sen_steps"):
        config.from_notebook({"sen_stepz": 4})


def test_yaml(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("rdg_steps: 5\ndataset: mini-birds\n")
    assert config.from_yaml(path) == {"rdg_steps": 5, "dataset": "mini-birds"}
    for text, said in [("- a\n", "name: value"), ("a: [", "no YAML")]:
        path.write_text(text)
        with pytest.raises(BadInput, match=said):
            config.from_yaml(path)
    with pytest.raises(BadInput, match="does not exist"):
        config.from_yaml(tmp_path / "none.yaml")


def test_a_stage_reads_its_own_settings_only():
    base = config.resolve({})
    changed = {"data": {"data_voices": "en-us"}, "sen": {"sen_lr": 0.1}, "rdg": {"rdg_kl_weight": 1}}
    for owner, given in changed.items():
        other = config.resolve(given)
        differ = {stage for stage in changed if config.of_stage(base, stage) != config.of_stage(other, stage)}
        assert differ == {owner}
    # Only the text encoder reads the settings of the text encoder.
    for system, reads in (("SEN", False), ("text encoder", True)):
        plain, changed_text = (config.resolve({"system": system, **given}) for given in ({}, {"sen_text_rnn_size": 7}))
        assert (config.of_stage(plain, "sen") != config.of_stage(changed_text, "sen")) == reads
    # A speech encoder that learns with the generator makes SEN's settings RDG's own.
    learning, other = (config.resolve({"system": "S2IGAN w/o SEN", **given}) for given in ({}, {"sen_lr": 0.1}))
    assert config.of_stage(learning, "rdg") != config.of_stage(other, "rdg")
    elsewhere = config.resolve({"threads": 2, "device": "cpu"})
    assert all(config.of_stage(base, stage) == config.of_stage(elsewhere, stage) for stage in changed)


def test_a_row_is_all_that_a_system_needs(monkeypatch):
    for row in config.RDG_SYSTEMS.values():
        assert row.keys() == {"sen", "matching", "dense", "relation", "loss", "paper"}
        assert row["sen"] is None or row["sen"] in config.SEN_SYSTEMS
        assert row["loss"] in losses.ADVERSARIAL
        assert not row["matching"] or row["sen"] is None  # a finished SEN does not learn
    extra = set(config.RDG_SYSTEMS) - set(config.PAPER_SYSTEMS)
    assert len(config.PAPER_SYSTEMS) == 8 and extra == {"S2IGAN hinge"}
    with pytest.raises(TypeError, match="denze"):
        systems.rdg_system(denze=False)
    monkeypatch.setitem(config.RDG_SYSTEMS, "mine", systems.rdg_system(dense=False, paper=False))
    assert config.resolve({"system": "mine"}).system == "mine"


def test_a_changed_definition_of_a_system_makes_another_run(monkeypatch):
    values = config.resolve({"system": "S2IGAN"})
    before = config.identity(values, "rdg"), config.definition(values, "rdg")
    monkeypatch.setitem(config.RDG_SYSTEMS["S2IGAN"], "paper", False)  # where it is shown, not what it is
    assert before == (config.identity(values, "rdg"), config.definition(values, "rdg"))
    monkeypatch.setitem(config.RDG_SYSTEMS["S2IGAN"], "loss", "hinge")
    assert before[0] != config.identity(values, "rdg") and before[1] != config.definition(values, "rdg")
    assert config.definition(values, "data") == config.definition(values, "analysis") == {}


def test_an_engine_has_its_voices():
    espeak, tacotron2 = config.resolve({}), config.resolve({"data_engine": "tacotron2"})
    assert (espeak.data_voices, tacotron2.data_voices) == (config.ENGINE_VOICES["espeak"], ("en-us",))
    given = config.resolve({"data_engine": "tacotron2", "data_voices": "en-us-griffinlim"})
    assert given.data_voices == ("en-us-griffinlim",)
    with pytest.raises(BadInput, match="'siri' does not exist: choose one of espeak, tacotron2"):
        config.resolve({"data_engine": "siri"})


def test_data_sets():
    assert (config.SYNTHETIC, config.DOWNLOADABLE) == (("mini-birds", "mini-flowers"), ("cub", "oxford"))
    assert all(row.keys() == {"synthetic", "downloadable"} for row in config.DATASETS.values())


def test_folders_of_runs():
    values = config.resolve({"dataset": "mini-birds", "system": "S2IGAN w/o L_d", "seed": 2})
    assert config.run_dir(values, "rdg").as_posix() == "results/mini/mini-birds/rdg-s2igan-wo-ld-seed2"
    assert config.run_dir(values, "sen", system="SEN").name == "sen-sen-seed2"
    assert config.run_dir(values, "analysis", root="/x").as_posix() == "/x/results/mini/mini-birds/analysis"
    assert config.store_dir(values).as_posix() == "data/mini/mini-birds"
    slugs = [config.slug(system) for system in [*config.SEN_SYSTEMS, *config.RDG_SYSTEMS]]
    assert len(set(slugs)) == len(slugs)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({1: 2}, "parameter name 1"),
        ({"preset": ["mini"]}, "choose one of mini, small, paper"),
        ({"rdg_width": "2"}, "at least 4"),
        ({"seed": 10**25}, "less than"),
        ({"rdg_lr": "inf"}, "finite"),
        ({"study": "reference"}, "choose another name"),
        ({"cost_systems": "S2IGAN,GAN"}, "system 'GAN' does not exist"),
    ],
)
def test_odd_values_get_one_line_too(given, said):
    with pytest.raises(BadInput) as caught:
        config.resolve(given)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_every_preset_resolves_and_numbers_may_come_as_text():
    paper = config.resolve({"preset": "paper"})
    assert (paper.rdg_kl_weight, paper.rdg_condition_size) == (2.0, 128)
    assert config.resolve({"preset": "small"}).data_image_size == 64
    assert config.resolve({"data_image_size": "16", "rdg_stages": "2"}).data_image_size == 16


def test_the_settings_cell_can_be_run_again_after_later_cells():
    first = config.from_notebook({"dataset": "mini-birds"})
    again = config.from_notebook({"dataset": "mini-birds", "seed": 3, "settings": first, "started": 1.0, "rows": [1]})
    assert again.seed == 3
    with pytest.raises(BadInput, match="started"):
        config.from_notebook({"dataset": "mini-birds", "started": 1.0})
    assert config.from_notebook({"system": "SEN"}, systems=["SEN"]).system == "SEN"
    with pytest.raises(BadInput, match="system 'SEN' is not trained in this notebook: choose one of S2IGAN, "):
        config.from_notebook({"system": "SEN"}, systems=config.RDG_SYSTEMS)


def test_an_import_cannot_hide_a_parameter():
    assert config.from_notebook({"processes": 2}).processes == 2
    with pytest.raises(BadInput, match="'processes' is hidden by an import"):
        # A module, as `from s2igan.training import processes` would leave it.
        config.from_notebook({"processes": pytest})
