"""The tables of the README."""

from lung_attention.report.collect import load_results
from lung_attention.report.readme import render_tables


def _rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_row_for_each_published_result_and_each_own_one(real):
    header, _, *rows = _rows(render_tables(load_results(real.config, real.root)))
    assert header == [
        "dataset", "backbone", "published", "plain, published split", "attention, published split",
        "plain, grouped split", "attention, grouped split",
    ]  # fmt: skip
    assert len(rows) == 7  # the six, and the nodules
    by_name = {tuple(row[:2]): row[2:] for row in rows}
    iqoth = by_name["IQ-OTH/NCCD", "DenseNet121"]
    assert iqoth[0] == "99.55 % (97.5 to 99.9)"
    assert iqoth[4] == "no result yet"
    assert by_name["LIDC-IDRI, the paper's slices", "DenseNet121"][1:] == ["open"] * 4
    assert by_name["LIDC-IDRI, nodule crops", "DenseNet121"][0] == "–"


def test_it_says_what_the_figures_are_worth(complete):
    text = render_tables(load_results(complete.config, complete.root))
    assert "profile `sample`" in text
    assert "Trained on: cpu." in text
    for sentence in complete.config.active.stand_ins:
        assert sentence in text
    assert "open" not in text.replace("opened", "")
