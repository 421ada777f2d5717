"""The table of all cells."""

import pytest

from lung_attention.files import read_table, write_table
from lung_attention.report.collect import load_results
from lung_attention.report.summary import summary_table

FIRST = [
    "dataset", "backbone", "head", "recipe", "split", "n_test", "accuracy", "accuracy_low", "accuracy_high",
    "balanced_accuracy", "mcc", "auroc_ovr", "log_loss", "published_accuracy",
]  # fmt: skip


def test_a_row_a_cell_with_the_published_figure_and_the_baselines(complete, tmp_path):
    results = load_results(complete.config, complete.root)
    table = summary_table(results.metrics.values(), results.published.results, results.baselines)
    assert list(table.columns)[: len(FIRST)] == FIRST
    assert len(table) == 24
    row = table[(table["dataset"] == "lidc") & (table["backbone"] == "mobilenetv2")].iloc[0]
    assert row["published_accuracy"] == pytest.approx(380 / 413)
    assert row["n_seeds"] == 1
    assert row["unit"] == "patient"
    assert (
        row["nearest_neighbour_accuracy"]
        == (results.baselines["lidc", row["split"]]["nearest_neighbour"]["accuracy"])
    )
    write_table(tmp_path / "summary.csv", table)
    again = read_table(tmp_path / "summary.csv")
    assert again["accuracy"].tolist() == pytest.approx(table["accuracy"].tolist())


def test_what_is_unknown_is_missing(real):
    results = load_results(real.config, real.root)
    known = {("iqoth", "published"): results.baselines["iqoth", "published"]}
    table = summary_table(results.metrics.values(), results.published.results, known)
    nodules = table["dataset"] == "lidc_nodules"
    assert table.loc[nodules, "published_accuracy"].isna().all()
    assert table.loc[~nodules, "published_accuracy"].notna().all()
    assert table.loc[nodules, "majority_accuracy"].isna().all()


def test_no_cell_gives_an_empty_table_with_all_columns():
    assert list(summary_table([], [], {}).columns)[: len(FIRST)] == FIRST
