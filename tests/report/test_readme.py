"""What README.md and docs/results.md show."""

import json
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import yaml

from lung_attention.commands.results import readme, stale
from lung_attention.errors import UserError
from lung_attention.paths import code_digest
from lung_attention.report.collect import load_results
from lung_attention.report.page import answers_of, build_report, render_markdown
from lung_attention.report.readme import render_answers, render_tables, summary_picture
from lung_attention.report.regions import region

ROOT = Path(__file__).parents[2]


def _rows(text):
    table = text[text.index("| dataset | backbone |") :]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_row_for_each_published_result_and_each_own_one(real):
    results = load_results(real.config, real.root)
    header, _, *rows = _rows(render_tables(results))
    assert header == [
        "dataset", "backbone", "published", "plain, published split", "attention, published split",
        "best blind baseline, published split", "best seeing baseline, published split",
        "plain, grouped split", "attention, grouped split", "best blind baseline, grouped split",
        "best seeing baseline, grouped split",
    ]  # fmt: skip
    assert len(rows) == 7  # the six, and the nodules
    by_name = {tuple(row[:2]): row[2:] for row in rows}
    iqoth = by_name["IQ-OTH/NCCD", "DenseNet121"]
    assert iqoth[0] == "99.55 % (97.5 to 99.9)"
    assert iqoth[6] == "no result yet"
    scores = results.baselines["iqoth", "published"].values()
    best = [max(of["accuracy"] for of in scores if of["blind"] == blind) for blind in (True, False)]
    assert iqoth[3:5] == [f"{100 * value:.2f} %" for value in best]
    assert by_name["LIDC-IDRI, the paper's slices", "DenseNet121"][1:] == ["open", "open", "–", "–"] * 2
    assert by_name["LIDC-IDRI, nodule crops", "DenseNet121"][0] == "–"


def test_it_says_what_the_figures_are_worth(complete):
    text = render_tables(load_results(complete.config, complete.root))
    assert "profile `sample`" in text
    assert "Trained on: cpu." in text
    for sentence in complete.config.active.stand_ins:
        assert sentence in text
    assert "open" not in text.replace("opened", "")
    assert "published |" not in text, "a stand-in beside a published figure"


def test_real_images_answer_the_questions_and_stand_ins_none(real, complete):
    results = load_results(real.config, real.root)
    text = render_tables(results)
    found = answers_of(results)
    assert len(found) == 5
    for one in found:
        row = f"| {one.question} | **{one.verdict}** | {one.numbers} |"
        assert row in render_answers(results).splitlines()
        assert f"**{one.question}** {one.verdict}. {one.numbers}" in text
    assert "| dataset | networks | better than all blind ones |" in text, "details"
    assert render_answers(load_results(complete.config, complete.root)) == ""
    assert "Does attention help?" not in render_tables(load_results(complete.config, complete.root))


def test_images_without_published_results_have_rows_of_their_own_alone(unpublished):
    results = load_results(unpublished.config, unpublished.root)
    header, _, *rows = _rows(render_tables(results))
    assert [row[0] for row in rows] == ["LIDC-IDRI, whole slices"]
    assert rows[0][header.index("published")] == "–"
    assert "reproduc" not in render_tables(results)
    picture = summary_picture(results)
    assert ">published<" not in picture and ">ours, no known leakage<" in picture


def test_a_note_stands_above_the_table(real):
    text = render_tables(load_results(real.config, real.root), note="The code has changed.")
    assert text.index("The code has changed.") < text.index("| dataset |")


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A work tree with the pages and their marks, the datasets' files, and no results yet."""
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    marks = {
        "README.md": ["answers", "pipeline"], "docs/results.md": ["results-sample", "results-local"],
        "docs/models.md": ["advice"],
    }  # fmt: skip
    for name, regions in marks.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(region(one, "") for one in regions))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _told(pages, name, mark):
    return (pages / name).read_text().split(f"<!-- generated:{mark} -->")[1].split("<!-- /generated")[0]


def test_a_profile_is_told_though_parameters_have_come_and_gone_since(real, pages):
    shutil.copytree(real.root / "results", pages / "results")
    values = yaml.safe_load((real.root / "params.yaml").read_text())
    design = {"datasets": ["iqoth", "lc25000", "lidc", "lidc_nodules"], "backbones": ["mobilenetv2"]}
    nothing = {recipe: {factor: [] for factor in part} for recipe, part in values["further"].items()}
    no_maps = {key: [] for key in values["explained"]}
    (pages / "params.yaml").write_text(
        yaml.safe_dump(values | {"profile": "sample", "further": nothing, "explained": no_maps} | design)
    )
    del values["search"]
    del values["profiles"]["local"]["gate"]
    (pages / "results" / "local" / "params.yaml").write_text(yaml.safe_dump(values | {"gone": 1}))
    assert readme(Namespace(check=False)) == 0
    told = _told(pages, "docs/results.md", "results-local")
    assert "LIDC-IDRI, nodule crops | DenseNet121" in told
    assert "LIDC-IDRI, nodule crops | MobileNetV2" not in told
    assert _told(pages, "README.md", "answers").strip() == render_answers(
        load_results(real.config, real.root)
    )
    picture = (pages / "docs" / "images" / "results.svg").read_text()
    assert ">published<" in picture and ">best blind classifier<" in picture
    assert readme(Namespace(check=True)) == 0


def test_pages_that_do_not_show_the_committed_scores_are_named(real, pages):
    shutil.copytree(real.root / "results", pages / "results")
    shutil.copy(real.root / "params.yaml", pages)
    with pytest.raises(
        UserError, match=r"README\.md, docs/results\.md, docs/models\.md, docs/images/results\.svg: not the"
    ):
        readme(Namespace(check=True))
    readme(Namespace(check=False))
    path = real.paths.comparisons
    comparisons = json.loads((pages / path).read_text())
    for entry in comparisons["attention_vs_plain"]:
        entry["verdict"] = "helps"
    (pages / path).write_text(json.dumps(comparisons))
    with pytest.raises(UserError, match=r"^README\.md, docs/results\.md: not the committed scores"):
        readme(Namespace(check=True))


def test_the_default_profile_is_told_with_the_parameters_of_the_work_tree(complete, pages):
    """A narrower run of it in a temporary workspace leaves a params.yaml of its own behind."""
    shutil.copy(complete.root / "params.yaml", pages)
    shutil.copytree(complete.root / "results", pages / "results")
    values = yaml.safe_load((pages / "params.yaml").read_text())
    narrower = yaml.safe_dump(values | {"splits": ["published"]})
    (pages / "results" / "sample" / "params.yaml").write_text(narrower)
    assert readme(Namespace(check=False)) == 0
    assert "plain, grouped split" in _told(pages, "docs/results.md", "results-sample")
    assert _told(pages, "README.md", "answers").strip() == ""


def test_stale_results_are_noted_in_the_report_and_above_the_table(real, pages):
    shutil.copytree(real.root / "results", pages / "results")
    shutil.copy(real.root / "params.yaml", pages)
    for folder in ("src/lung_attention", "stages"):
        shutil.copytree(ROOT / folder, pages / folder, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.raises(UserError, match=r"results/local/dvc\.lock is missing"):
        stale(Namespace(profile="local"))
    report = render_markdown(
        build_report(
            load_results(real.config, real.root),
            draw_cell=lambda _: None,
            read_images=lambda _: None,
            read_failures=lambda _: None,
        )
    )
    for path in (real.paths.report_markdown, real.paths.report_html):
        path.write_text(report)
    cells = [cell for cell in real.config.cells() if (pages / real.paths.metrics(cell)).exists()]
    names = [cell.stage for cell in cells]
    code = code_digest("train").as_posix()
    stages = {name: {"deps": [{"path": code, "md5": "0" * 32}]} for name in names[1:]}
    (pages / real.paths.results / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    assert stale(Namespace(profile="local")) == 0
    note = f"These stages: train ({len(names) - 1}), train_searched and search."
    assert note in real.paths.report_markdown.read_text()
    readme(Namespace(check=False))
    assert note in _told(pages, "docs/results.md", "results-local")
    short = _told(pages, "README.md", "answers")
    assert "have changed since these results were computed" in short and "train" not in short
