"""The report for several outcomes: what it must say, and that nothing is dropped silently."""

import dataclasses
import re
from functools import partial
from html.parser import HTMLParser

import pytest

from lung_attention.cells import Cell
from lung_attention.report.collect import draw_cell, load_results, sample_images
from lung_attention.report.page import build_report, inline, render_html, render_markdown

VOID = {"meta", "link", "img"}


def _built(project, *, drawn=()):
    """A report in which only some cells are drawn, as drawing takes long."""
    draw = partial(draw_cell, project.paths, project.root)
    return build_report(
        load_results(project.config, project.root),
        draw_cell=lambda cell: draw(cell) if cell in drawn else None,
        read_images=partial(sample_images, project.paths, project.root),
    )


@pytest.fixture(scope="module")
def complete_report(complete):
    return _built(complete)


@pytest.fixture(scope="module")
def real_report(real):
    return _built(real)


@pytest.fixture(scope="module")
def bare_report(published_only):
    return _built(published_only)


def _section(markdown, title):
    return markdown.split(f"\n## {title}\n")[1].split("\n## ")[0]


def _row(text, *starts):
    """The cells of the first table row that begins with the given cells."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and tuple(cells[: len(starts)]) == starts:
            return cells
    raise AssertionError(f"no row {starts}")


def test_a_complete_report_misses_nothing(complete_report):
    assert complete_report.missing == []
    markdown = render_markdown(complete_report)
    assert "Not complete" not in markdown
    # Figures were not drawn here, and that is said for each cell; nothing else is missing.
    lines = [line for line in markdown.splitlines() if line.startswith("*Missing")]
    assert len(lines) == 24
    assert all("no curves" in line for line in lines)


def test_the_first_screen_shows_the_sentences_of_the_comparisons(complete, complete_report):
    comparisons = load_results(complete.config, complete.root).comparisons
    html = render_html(complete_report)
    top = html[: html.index("<nav")]
    for one in comparisons["headline"]:
        assert one["question"] in top
        assert str(inline(one["answer"])) in top


def test_stand_ins_are_named_at_the_top_and_beside_each_figure(complete, complete_report):
    html = render_html(complete_report)
    for sentence in complete.config.active.stand_ins:
        assert sentence in html[: html.index("<section")]
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", html, re.DOTALL)
    untagged = [caption for caption in captions if "synthetic sample" not in caption]
    assert len(untagged) == 6
    assert all(caption.endswith(": published") for caption in untagged), "the published matrices are real"
    assert "(synthetic sample):" in render_markdown(complete_report)


def test_real_results_carry_no_tag(real_report):
    html = render_html(real_report)
    assert 'class="tag"' not in html
    assert "Stand-ins" not in html


def test_the_published_figure_stands_beside_ours(real, real_report):
    six = _section(render_markdown(real_report), "The six published results, and ours")
    published = _row(six, "IQ-OTH/NCCD, DenseNet121", "**published**")
    assert published[2] == "99.55 % (97.5 to 99.9)"  # 219 of 220, Wilson
    results = load_results(real.config, real.root)
    ours = results.metrics[Cell("iqoth", "densenet121", "plain", "published", "published")]
    lines = [line for line in six.splitlines() if line.startswith("|  | ours, plain")]
    assert f"{100 * ours['accuracy']:.2f} %" in lines[0]
    (entry,) = [
        entry
        for entry in results.comparisons["reproduction"]
        if (entry["dataset"], entry["backbone"], entry["head"]) == ("iqoth", "densenet121", "plain")
    ]
    assert f"| **{entry['verdict']}** |" in lines[0]


def test_figures_that_are_off_name_the_experiment_that_shows_why(real, real_report):
    six = _section(render_markdown(real_report), "The six published results, and ours")
    row = _row(six, "IQ-OTH/NCCD, DenseNet121, plain", "nearest pixel")
    (entry,) = [
        entry
        for entry in load_results(real.config, real.root).comparisons["reproduction"]
        if (entry["dataset"], entry["backbone"], entry["head"]) == ("iqoth", "densenet121", "plain")
    ]
    before = f"{100 * entry['difference']:+.2f}".replace("-", "−")
    assert row[2:] == [
        "`preprocess.interpolation=nearest`", "99.10 % (97.0 to 99.9)", f"−0.45 (before: {before})",
        "**then within sampling error**",
    ]  # fmt: skip
    unexplained = next(line for line in six.splitlines() if line.startswith("No setting"))
    assert "IQ-OTH/NCCD, DenseNet121, attention" in unexplained
    assert "DenseNet121, plain" not in unexplained


def test_what_is_not_of_the_design_stays_open(real_report):
    markdown = render_markdown(real_report)
    six = _section(markdown, "The six published results, and ours")
    assert "5 published results open" in six
    assert "`lidc_nodules` is another task" in six
    assert six.count("**open**") == 10
    methods = _section(markdown, "How the figures came about")
    assert "LIDC-IDRI, the paper's slices are not checked" in methods


def test_missing_cells_are_named_everywhere(real_report):
    name = "iqoth-densenet121-attention-grouped"
    assert real_report.missing == [f"cell `{name}`"]
    markdown = render_markdown(real_report)
    assert f"> **Not complete.** Missing: cell `{name}`." in markdown
    design = _section(markdown, "Two heads, two splits")
    assert _row(design, "DenseNet121, attention")[4:] == ["no result yet", "–", "–"]
    cells = _section(markdown, "Each cell in detail")
    assert "*Missing: IQ-OTH/NCCD, DenseNet121, attention head, grouped split: no result yet.*" in cells


def test_without_comparisons_audit_and_baselines_each_section_says_so(bare_report):
    assert bare_report.missing == [
        "all comparisons (`results/local/comparisons.json`)",
        "audit of `iqoth`",
        "trivial baselines of `iqoth` on the published split",
    ]
    markdown = render_markdown(bare_report)
    assert "*Missing: the comparisons, so the three questions" in markdown
    for title in ("What leakage carries", "Attention against plain", "Audit of the data", "Sample images"):
        assert "*Missing:" in _section(markdown, title), title
    assert "not compared yet" in _section(markdown, "The six published results, and ours")
    assert "no result yet" in _row(_section(markdown, "Two heads, two splits"), "baseline: majority")
    render_html(bare_report)


def test_nothing_at_all_still_gives_a_report(published_only):
    results = dataclasses.replace(load_results(published_only.config, published_only.root), metrics={})
    report = build_report(results, draw_cell=lambda cell: None, read_images=lambda dataset: None)
    assert len([name for name in report.missing if name.startswith("cell ")]) == 4
    assert "Of these there is no result of ours to set beside:" in render_markdown(report)
    assert "no cell has a result yet" in render_html(report)


def test_other_devices_are_told_apart(real):
    results = load_results(real.config, real.root)
    one, *others = results.metrics
    metrics = {cell: dict(results.metrics[cell]) for cell in others} | {
        one: results.metrics[one] | {"device": "NVIDIA H100"}
    }
    report = build_report(
        dataclasses.replace(results, metrics=metrics),
        draw_cell=lambda cell: None,
        read_images=lambda dataset: None,
    )
    methods = _section(render_markdown(report), "How the figures came about")
    assert f"NVIDIA H100: `{one.name}`" in methods


def test_classes_stand_in_label_order(real_report):
    cells = _section(render_markdown(real_report), "Each cell in detail")
    names = re.findall(r"^\| (normal|malignant|benign) \|", cells, re.MULTILINE)
    assert names[:3] == ["normal", "malignant", "benign"]


class _Balance(HTMLParser):
    """Checks that tags close in order, and collects what would be loaded."""

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.alts, self.anchors, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.alts.append(values.get("alt"))
        if values.get("id"):
            self.ids.append(values["id"])
        for name in ("src", "srcset"):
            self.loaded += [values[name]] if name in values else []
        if tag in ("link", "script", "iframe"):
            self.loaded.append(values.get("href", tag))
        if tag == "a" and values["href"].startswith("#"):
            self.anchors.append(values["href"][1:])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_loads_nothing(complete_report):
    page = _Balance()
    html = render_html(complete_report)
    page.feed(html)
    assert page.open == []
    assert all(address.startswith("data:") for address in page.loaded)
    assert "url(http" not in html
    assert "@import" not in html
    assert all(page.alts)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.anchors) == set(page.ids)


def test_the_same_results_give_the_same_page(real):
    cell = Cell("iqoth", "densenet121", "plain", "published", "grouped")
    pages = [render_html(_built(real, drawn={cell})) for _ in range(2)]
    assert pages[0] == pages[1]
    assert "ROC curves of IQ-OTH/NCCD" in pages[0]


def test_texts_are_escaped_but_for_code_strength_and_links():
    html = inline("a < b & `c<d>` **e** https://doi.org/10.1/x. (https://x.org/y)")
    assert html == (
        "a &lt; b &amp; <code>c&lt;d&gt;</code> <strong>e</strong> "
        '<a href="https://doi.org/10.1/x">https://doi.org/10.1/x</a>. '
        '(<a href="https://x.org/y">https://x.org/y</a>)'
    )


def test_the_appendix_sets_tuned_beside_default_whatever_it_says(real, real_report):
    text = _section(render_markdown(real_report), "Appendix: settings found by a search")
    results = load_results(real.config, real.root)
    (entry,) = results.comparisons["tuned"]
    accuracy = entry["differences"]["accuracy"]
    row = _row(text, "LIDC-IDRI, nodule crops, DenseNet121")
    assert row[1:4] == ["plain", f"{100 * accuracy['default']:.2f} %", f"{100 * accuracy['tuned']:.2f} %"]
    assert row[4].startswith(f"{100 * accuracy['difference']:+.1f}".replace("-", "−"))
    assert _row(text, "learning rate")[1:] == ["0.0001", *(f"{0.000231 * k:.3g}" for k in range(1, 7))]
    assert _row(text, "hidden units")[1:] == ["256, 32", *["64"] * 6]
    assert "attention maps" not in text, "a plain head has none"
    study = results.searches[results.tuned_cells[0]]["studies"]["fold-3"]
    assert _row(text, "fold-3")[1:3] == [str(study["trials"]["complete"]), str(study["trials"]["pruned"])]
    assert "*Picture in [report.html](report.html): Left: complete trials" in text
    assert render_html(real_report).count("Courses of the studies of") == 1


def test_a_search_that_is_not_there_is_named(real):
    results = load_results(real.config, real.root)
    without = dataclasses.replace(results, searches={}, comparisons={**results.comparisons, "tuned": []})
    report = build_report(without, draw_cell=lambda cell: None, read_images=lambda dataset: None)
    text = _section(render_markdown(report), "Appendix: settings found by a search")
    assert text.count("*Missing:") == 2


def test_a_report_without_searches_says_so(complete_report):
    text = _section(render_markdown(complete_report), "Appendix: settings found by a search")
    assert "No cell of this run" in text
    assert "|" not in text
