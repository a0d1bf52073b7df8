"""Tables from runs made by hand: means, spreads, reference values, what is kept."""

import json

import pandas as pd
import pytest

from s2igan import BadInput
from s2igan.reporting import tables
from s2igan.reporting.collect import COLUMNS, collect, finished, first_runs, with_kept
from s2igan.reporting.keep import keep, keep_tables
from s2igan.reporting.one_word import one_word_chance


def run(folder, system, seed, values, dataset="mini-flowers"):
    folder.mkdir(parents=True)
    about = {"stage": folder.name.split("-")[0], "study": "mini", "dataset": dataset, "preset": "mini"}
    about |= {"system": system, "seed": seed, "commit": "abc"}
    about |= {"device": "cpu", "precision": "fp32", "threads": 1, "versions": {}}
    rows = [{"metric": metric, "value": value, "n": 10, "split": "test"} for metric, value in values.items()]
    (folder / "metrics.json").write_text(json.dumps({**about, "metrics": rows}))
    (folder / "params.yaml").write_text("{}\n")


@pytest.fixture
def study(tmp_path):
    study = tmp_path / "results/mini/mini-flowers"
    run(
        study / "data-store-seed0",
        "real",
        0,
        {"mAP real": 99.0, "mAP chance": 6.5, "FID real": 0.5, "FID training": 50.0},
    )
    run(study / "sen-sen-seed0", "SEN", 0, {"mAP": 90.0, "mAP released": 88.0, "mAP chance": 6.0})
    for seed, value in ((0, 60.0), (1, 64.0)):
        run(study / f"rdg-s2igan-seed{seed}", "S2IGAN", seed, {"mAP": value, "FID": 20.0, "KID": 0.12345, "IS": 5.0})
    return study


def test_collect_orders_systems_and_keeps_every_metric(study):
    table = collect(finished(study))
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS and table.per_split.isna().all()
    assert list(dict.fromkeys(table.system)) == ["real", "SEN", "S2IGAN"] and len(table) == 4 + 3 + 8
    assert len(collect(finished(study, ("rdg-s2igan-seed1",)))) == 4
    with pytest.raises(BadInput, match="no finished run"):
        collect([])


def test_table_has_means_spreads_and_reference_values(study):
    text = tables.summary(collect(finished(study)))
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    lines = {row[0]: row[1:] for row in cells}
    assert lines["SEN"] == ["90.00", "88.00", "6.00"]
    assert "*images in a split*" not in lines  # these records do not say
    assert lines["S2IGAN"] == [
        f"**{text}**" for text in ("62.00 ± 2.83", "20.00 ± 0.00", "0.1235 ± 0.0000", "5.00 ± 0.00")
    ]  # sample std of 60 and 64
    assert lines["*chance*"][0] == "6.50" and lines["*real images, one half against the other*"][:2] == [
        "99.00",
        "0.50",
    ]


def test_first_runs_are_those_of_the_lowest_seed_that_left_weights(study):
    systems = ["S2IGAN w/o L_d", "S2IGAN"]
    assert first_runs(finished(study), systems) == {}
    for seed in (1, 0):
        (study / f"rdg-s2igan-seed{seed}/weights.safetensors").touch()
        found = first_runs(finished(study), systems)
        assert {system: path.name for system, path in found.items()} == {"S2IGAN": f"rdg-s2igan-seed{seed}"}


def test_keep_replaces_the_same_seeds_and_leaves_the_others(study, tmp_path):
    out = tmp_path / "reference"
    with pytest.raises(BadInput, match="run `make study` first"):
        keep(study, out)
    (study / "analysis").mkdir()
    pd.DataFrame({"run": [path.name for path in finished(study)]}).to_csv(study / "analysis/runs.csv")
    (study / "rdg-s2igan-seed1/params.yaml").write_text("dataset: cub\ndata_dir: /home/somebody/birds\n")
    run(study / "rdg-s2igan-seed9", "S2IGAN", 9, {"mAP": 0.0})  # of an earlier study
    (study / "analysis/table.md").write_text("one")
    other = {
        "dataset": ["mini-birds", "mini-flowers", "mini-flowers"],
        "system": "S2IGAN",
        "seed": [0, 0, 5],
        "metric": "mAP",
        "value": 1.0,
    }
    out.mkdir()
    pd.DataFrame(other).to_csv(out / "metrics.csv", index=False)
    keep(study, out)
    kept = pd.read_csv(out / "metrics.csv")
    assert len(kept) == 15 + 2 and list(kept[kept.value == 1.0].seed) == [
        0,
        5,
    ]  # the other data set's, and the other seed's
    assert (out / "mini-flowers/table.md").read_text() == "one"
    assert (out / "runs/mini-flowers/rdg-s2igan-seed1/metrics.json").is_file()
    assert (out / "runs/mini-flowers/rdg-s2igan-seed1/params.yaml").read_text() == "dataset: cub\ndata_dir: birds\n"
    keep(study, out, "flowers7")
    assert (pd.read_csv(out / "metrics.csv").dataset == "flowers7").sum() == 15


def test_seeds_kept_from_elsewhere_join_if_they_were_made_alike(study, tmp_path):
    kept = tmp_path / "kept"
    other = kept / "mini-flowers/rdg-s2igan-seed2"
    run(other, "S2IGAN", 2, {"mAP": 66.0})
    (other / "params.yaml").write_text("rdg_sample_every: 500\ndevice: cpu\n")
    run(kept / "mini-flowers/rdg-s2igan-seed1", "S2IGAN", 1, {"mAP": 0.0})  # is here too
    run(
        kept / "mini-flowers/rdg-s2igan-wo-rs-seed1", "S2IGAN w/o RS", 1, {"mAP": 0.0}
    )  # a system that was not asked for
    joined = collect(with_kept(finished(study), kept, "mini-flowers"))
    assert sorted(joined[(joined.system == "S2IGAN") & (joined.metric == "mAP")].value) == [60, 64, 66]
    assert "S2IGAN w/o RS" not in set(joined.system)
    faults = {
        "data_seed: 1\n": "other settings or data",
        "rdg_steps: 5\n": "other settings or data",
        "rdg_sets: 5\n": "cannot be compared",
    }
    for fault, said in faults.items():
        (other / "params.yaml").write_text(fault)
        with pytest.raises(BadInput, match=said):
            with_kept(finished(study), kept, "mini-flowers")


def test_a_guess_at_the_changed_word():
    changed = pd.DataFrame(
        {"class": [0, 0, 0, 1, 1], "attribute": ["colour"] * 5}
    )  # 3 values said of one class, 2 of the other
    assert one_word_chance("mini-flowers", changed)["mini-flowers", "colour"] == 100 * 2 / 5


def test_tables_are_kept_without_photographs(tmp_path):
    tables, out = tmp_path / "results/mini/tables", tmp_path / "reference"
    with pytest.raises(BadInput, match="study-full"):
        keep_tables(tables, out)
    tables.mkdir(parents=True)
    (tables / "table1.md").write_text("one")
    (tables / "metrics.csv").write_text("dataset\nmini-birds\ncub\n")
    with pytest.raises(BadInput, match="images of cub"):
        keep_tables(tables, out)
    (tables / "metrics.csv").write_text("dataset\nmini-birds\n")
    keep_tables(tables, out)
    assert [path.name for path in (out / "tables").iterdir()] == ["table1.md"]
