"""The tables of the README."""

import shutil
from argparse import Namespace

import yaml

from lung_attention import commands
from lung_attention.report.collect import load_results
from lung_attention.report.readme import render_tables


def _rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_row_for_each_published_result_and_each_own_one(real):
    results = load_results(real.config, real.root)
    header, _, *rows = _rows(render_tables(results))
    assert header == [
        "dataset", "backbone", "published", "plain, published split", "attention, published split",
        "best trivial, published split", "plain, grouped split", "attention, grouped split",
        "best trivial, grouped split",
    ]  # fmt: skip
    assert len(rows) == 7  # the six, and the nodules
    by_name = {tuple(row[:2]): row[2:] for row in rows}
    iqoth = by_name["IQ-OTH/NCCD", "DenseNet121"]
    assert iqoth[0] == "99.55 % (97.5 to 99.9)"
    assert iqoth[5] == "no result yet"
    best = max(scores["accuracy"] for scores in results.baselines["iqoth", "published"].values())
    assert iqoth[3] == f"{100 * best:.2f} %"
    assert by_name["LIDC-IDRI, the paper's slices", "DenseNet121"][1:] == ["open", "open", "–"] * 2
    assert by_name["LIDC-IDRI, nodule crops", "DenseNet121"][0] == "–"


def test_it_says_what_the_figures_are_worth(complete):
    text = render_tables(load_results(complete.config, complete.root))
    assert "profile `sample`" in text
    assert "Trained on: cpu." in text
    for sentence in complete.config.active.stand_ins:
        assert sentence in text
    assert "open" not in text.replace("opened", "")
    assert "published |" not in text, "a stand-in beside a published figure"


def test_real_images_answer_the_three_questions(real, complete):
    results = load_results(real.config, real.root)
    text = render_tables(results)
    for entry in results.comparisons["headline"]:
        assert f"- **{entry['question']}** {entry['answer']}\n" in text
    assert "Does attention help?" not in render_tables(load_results(complete.config, complete.root))


def test_a_note_stands_above_the_table(real):
    text = render_tables(load_results(real.config, real.root), note="The code has changed.")
    assert text.index("The code has changed.") < text.index("| dataset |")


def test_a_profile_is_told_though_parameters_have_come_and_gone_since(real, tmp_path, monkeypatch):
    shutil.copytree(real.root / "results", tmp_path / "results")
    values = yaml.safe_load((real.root / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump(
            values | {"profile": "sample", "datasets": ["iqoth", "lc25000", "lidc", "lidc_nodules"]}
        )
    )
    del values["profiles"]["local"]["search"]
    (tmp_path / "results" / "local" / "params.yaml").write_text(yaml.safe_dump(values | {"gone": 1}))
    marks = [f"<!-- {end}generated:results-{name} -->\n" for name in ("sample", "local") for end in ("", "/")]
    (tmp_path / "README.md").write_text("".join(marks))
    monkeypatch.chdir(tmp_path)
    assert commands.readme(Namespace(check=False)) == 0
    told = (tmp_path / "README.md").read_text().split("<!-- generated:results-local -->")[1]
    assert "LIDC-IDRI, nodule crops | DenseNet121" in told
    assert "LIDC-IDRI, nodule crops | MobileNetV2" not in told


def test_the_default_profile_is_told_with_the_parameters_of_the_work_tree(complete, tmp_path, monkeypatch):
    """A narrower run of it in the isolated copy leaves a params.yaml of its own behind."""
    shutil.copy(complete.root / "params.yaml", tmp_path)
    shutil.copytree(complete.root / "results", tmp_path / "results")
    values = yaml.safe_load((tmp_path / "params.yaml").read_text())
    narrower = yaml.safe_dump(values | {"splits": ["published"]})
    (tmp_path / "results" / "sample" / "params.yaml").write_text(narrower)
    marks = [f"<!-- {end}generated:results-{name} -->\n" for name in ("sample", "local") for end in ("", "/")]
    (tmp_path / "README.md").write_text("".join(marks))
    monkeypatch.chdir(tmp_path)
    assert commands.readme(Namespace(check=False)) == 0
    assert "plain, grouped split" in (tmp_path / "README.md").read_text()
