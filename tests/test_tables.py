"""The paper's tables and comparisons of systems, from metrics written by hand."""

import numpy as np
import pandas as pd
import pytest

from s2igan.config import RDG_SYSTEMS, SEN_SYSTEMS, resolve
from s2igan.reporting import comparisons, cost, spread, tables
from s2igan.reporting.collect import in_order


def rows(system, metric, values, dataset="mini-flowers"):
    return [
        {"dataset": dataset, "system": system, "seed": seed, "metric": metric, "value": value}
        for seed, value in enumerate(values)
    ]


@pytest.fixture
def table():
    found = (
        rows("S2IGAN", "mAP", [60, 62, 64])
        + rows("S2IGAN w/o RS", "mAP", [50, 53, 53])
        + rows("S2IGAN w/o Dense", "mAP", [59, 63, 61])
    )
    found += (
        rows("S2IGAN", "FID", [30, 31, 32])
        + rows("S2IGAN w/o RS", "FID", [20, 21, 22])
        + rows("S2IGAN w/o L_d", "mAP", [61])
    )
    found += rows("SEN", "mAP", [90, 91]) + rows("SEN w/o L_d", "mAP", [89, 89]) + rows("SEN", "mAP chance", [6.0, 6.2])
    found += (
        rows("real", "mAP chance", [6.5])
        + rows("real", "FID real", [1.25])
        + rows("S2IGAN", "asked colour", [80, 90, 85])
    )
    return pd.DataFrame(found)


def test_a_cell_is_mean_and_std_and_the_best_is_bold(table):
    made = tables.paper_table(table, tables.TABLE_1)
    column = made["mini-flowers", "mAP"]
    assert (
        column["S2IGAN"] == "**62.00 ± 2.00**" and column["S2IGAN w/o RS"] == "52.00 ± 1.73"
    )  # sample std of 50, 53, 53
    assert made["mini-flowers", "FID"]["S2IGAN w/o RS"] == "**21.00 ± 1.00**"  # lower is better
    assert (
        column["*chance*"] == "6.50"
        and made["mini-flowers", "FID"]["*real images, one half against the other*"] == "1.25"
    )
    assert "S2IGAN w/o SEN" not in made.index  # nothing was measured


def test_table_2_names_the_embedding_that_the_system_starts_from(table):
    made = tables.paper_table(table, ("S2IGAN w/o L_d", "S2IGAN"), ("SEN mAP", "mAP"))["mini-flowers", "SEN mAP"]
    assert (
        made["S2IGAN"] == "**90.50 ± 0.71**"
        and made["S2IGAN w/o L_d"] == "89.00 ± 0.00"
        and made["*chance*"] == "6.10 ± 0.14"
    )


def test_claims_are_paired_by_seed_and_their_interval_decides(table):
    made = comparisons.compare_claims(table).set_index(["S2IGAN minus", "metric"])
    relation = made.loc[("S2IGAN w/o RS", "mAP")]
    # Differences 10, 9, 11: mean 10, std 1, t(0.975, 2) = 4.303, half-width 4.303 / sqrt(3) = 2.484.
    assert (relation.here, relation["95 % interval"], relation.conclusion) == ("+10.00", "+7.52 to +12.48", "supported")
    assert made.loc[("S2IGAN w/o RS", "FID")].conclusion == "contradicted"  # 10 higher, where lower is better
    assert made.loc[("S2IGAN w/o Dense", "mAP")].conclusion == "inconclusive"  # 1, -1, 3
    assert made.loc[("S2IGAN w/o L_d", "mAP")]["95 % interval"] == "one seed"
    assert relation["paper (CUB / Oxford-102)"] == "+0.50 / +0.54"  # 9.04 - 8.54, 13.40 - 12.86
    assert comparisons.conclusion(-np.inf, np.inf, 1) == "inconclusive"


def test_holms_correction_by_hand():
    # Sorted .01, .02, .03, .04 times 4, 3, 2, 1: .04, .06, .06, .04; none is smaller than the one before.
    assert comparisons.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    with_none = comparisons.holm([0.5, float("nan"), 0.9, 0.001])
    assert with_none[[0, 2, 3]] == pytest.approx([1, 1, 0.003]) and np.isnan(with_none[1])
    assert comparisons.holm([0.0, 0.0]) == pytest.approx([0, 0]) and len(comparisons.holm([])) == 0


def test_p_values_agree_with_the_intervals_and_claims_are_corrected_for_their_number(table):
    rng = np.random.default_rng(0)
    for differences in rng.normal(1, 1, (200, 3)):
        _, low, high = comparisons.interval(differences)
        assert (comparisons.p_value(differences) < 0.05) == (low > 0 or high < 0)
    # 10, 9, 11: t = 10 / (1 / sqrt 3); of Student's t with two degrees of freedom P(|T| > t) = 1 - t / sqrt(t t + 2).
    t = 10 * np.sqrt(3)
    assert comparisons.p_value(np.array([10.0, 9, 11])) == pytest.approx(1 - t / np.sqrt(t * t + 2))
    assert comparisons.p_value(np.array([0.0, 0])) == 1 and np.isnan(comparisons.p_value(np.array([3.0])))
    made = comparisons.compare_claims(table).set_index(["S2IGAN minus", "metric"])
    relation, fid = made.loc[("S2IGAN w/o RS", "mAP")], made.loc[("S2IGAN w/o RS", "FID")]
    # Four have a p-value, 0 (10 higher for each seed), .0033 and two larger ones; the second smallest is times three.
    assert (relation["p"], relation["p (Holm)"], relation["after Holm"]) == ("0.0033", "0.010", "supported")
    assert (fid["p (Holm)"], fid["after Holm"]) == ("0.000", "contradicted")
    one = made.loc[("S2IGAN w/o L_d", "mAP")]
    assert (one["p"], one["p (Holm)"], one["after Holm"]) == ("", "", "inconclusive")


def test_an_interval_beside_zero_is_not_enough_among_many():
    # Differences 4, 5, 6 have a p-value of .013: it is enough alone, but not seven times.
    one = rows("S2IGAN", "FID", [4, 5, 6]) + rows("StackGAN-v2 (S2IG)", "FID", [8, 10, 12])
    many = one + [row for system in comparisons.CLAIMS for row in rows(system, "FID", [8, 10, 12])]
    for found, left in ((one, "supported"), (many[:-3], "inconclusive")):
        made = comparisons.compare_claims(pd.DataFrame(found))
        assert set(made.conclusion) == {"supported"} and set(made["after Holm"]) == {left}


def test_published_metrics_name_systems_of_this_study():
    assert set(tables.PUBLISHED) - {"S2IGAN w/ L_d"} <= set(RDG_SYSTEMS) and set(comparisons.CLAIMS) <= set(RDG_SYSTEMS)
    made = tables.published(tables.TABLE_1, ("mAP", "FID"))
    assert made["CUB", "mAP"]["S2IGAN"] == "9.04" and made["Oxford-102", "FID"]["StackGAN-v2 (S2IG)"] == ""
    found = tables.retrieval(pd.DataFrame(rows("SEN", "mAP", [1.0]) + rows("SEN", "mAP released", [2.0])))
    assert set(found.index) == {*SEN_SYSTEMS, "*chance*"}
    assert list(found.loc["SEN"]) == ["**1.00**", "**2.00**"] and [name for _, name in found] == [
        tables.ALL_CAPTIONS,
        tables.ONE_PER_CLASS,
    ]


def test_markdown_and_latex_hold_every_cell(table):
    made = tables.paper_table(table, tables.TABLE_1)
    text = tables.markdown(made)
    assert text.count("\n") == 2 + len(made) and "| S2IGAN w/o RS | 52.00 ± 1.73 | **21.00 ± 1.00** |" in text
    latex = tables.latex(made, "50 % of L_d")
    headers = tables.latex(comparisons.compare_claims(table), "claims")
    assert r"95 \% interval" in headers and "95 % interval" not in headers
    assert r"\textbf{21.00 $\pm$ 1.00}" in latex and r"\textit{chance}" in latex and r"50 \% of L\_d" in latex


def test_the_table_says_how_many_images_are_in_a_split_of_the_inception_score(table):
    scored = [{**row, "per_split": 40} for row in rows("S2IGAN", "IS", [9, 9, 9]) + rows("real", "IS real", [14])]
    made = tables.paper_table(pd.concat([table, pd.DataFrame(scored)]), tables.TABLE_1)["mini-flowers"]
    assert made.loc["*images in a split*"].to_dict() == {"mAP": "", "FID": "", "IS": "40"}
    scored[-1]["per_split"] = 20
    made = tables.paper_table(pd.DataFrame(scored), tables.TABLE_1)["mini-flowers"]
    assert made.loc["*images in a split*", "IS"] == "20 / 40"


def test_attributes_have_a_column_a_system(table):
    made = tables.attributes(table, "mini-flowers")
    assert list(made.columns) == ["S2IGAN"] and made.loc["colour", "S2IGAN"] == "85.00 ± 5.00"


def test_any_two_systems_can_be_compared(table):
    found = comparisons.compare(
        table, "mini-flowers", "S2IGAN w/o Dense", "S2IGAN w/o RS", "mAP"
    )  # differences 9, 10, 8
    assert found.mean == 9 and found.low == pytest.approx(9 - 2.484, abs=1e-3) and found.conclusion == "supported"
    assert (
        comparisons.compare(table, "mini-flowers", "S2IGAN w/o RS", "S2IGAN w/o Dense", "mAP").conclusion
        == "contradicted"
    )
    assert comparisons.compare(table, "mini-flowers", "S2IGAN", "S2IGAN w/o SEN", "mAP") is None
    assert comparisons.interval(np.array([2.0, 2.0])) == (2.0, 2.0, 2.0)


def test_a_system_of_your_own_joins_tables_cost_and_comparisons(table, monkeypatch):
    own = {**RDG_SYSTEMS["S2IGAN"], "paper": False}
    monkeypatch.setitem(RDG_SYSTEMS, "mine", own)
    with_it = pd.concat(
        [table, pd.DataFrame(rows("mine", "mAP", [70, 72, 74]) + rows("mine", "asked colour", [80, 90]))]
    )
    assert tables.extra_systems(with_it) == ["mine"] and "mine" not in tables.TABLE_1
    assert "mine" not in tables.paper_table(with_it, tables.TABLE_1).index
    assert "| mine | **72.00 ± 2.00** |" in tables.summary(with_it)
    assert "mine" in tables.attributes(with_it, "mini-flowers")
    compared = comparisons.compare_with(with_it, tables.extra_systems(with_it)).iloc[0]
    assert (compared["S2IGAN minus"], compared.here, compared.conclusion) == ("mine", "-10.00", "contradicted")
    assert len(comparisons.compare_claims(with_it)) == len(comparisons.compare_claims(table))
    of_it = resolve({"cost_systems": ["mine"]})
    assert any(stage.name == "mine" for stage in cost.stages(of_it, "cub"))
    assert list(in_order(pd.Series(["mine", "gone", "real"]))) == [
        len(SEN_SYSTEMS) + len(RDG_SYSTEMS),
        1 + len(SEN_SYSTEMS) + len(RDG_SYSTEMS),
        0,
    ]


def test_interquartile_means_and_their_bootstrap(table):
    assert spread.interquartile_mean(np.array([9.0, 1, 2, 3])) == 2.5  # the middle half of 1, 2, 3, 9
    # Of three values a quarter is three quarters of the lowest: weights 1/6, 2/3, 1/6.
    assert spread.interquartile_mean(np.array([0.0, 6, 60])) == pytest.approx(14)
    assert spread.interquartile_mean(np.array([[5.0], [7]])) == pytest.approx([5, 7])
    low, high = spread.bootstrap(np.array([1.0, 2, 3]))
    assert 1 <= low < 2 < high <= 3 and spread.bootstrap(np.array([4.0, 4])) == (4, 4)
    made = spread.spread_table(table, ["S2IGAN", "S2IGAN w/o L_d", "S2IGAN w/o SEN"], ["mAP"])
    assert list(made.system) == ["S2IGAN", "S2IGAN w/o L_d"] and list(made.seeds) == [3, 1]
    assert made["interquartile mean"].iloc[0] == "62.00" and made["95 % bootstrap"].iloc[1] == "one seed"
