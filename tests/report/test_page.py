"""The report for several outcomes: what it must say, and that nothing is dropped silently."""

import dataclasses
import re
from functools import partial
from html.parser import HTMLParser

import pytest

from lung_attention.cells import Cell
from lung_attention.report.collect import draw_cell, failures, load_results, sample_images
from lung_attention.report.lead import lead_groups, lead_picture
from lung_attention.report.maps import LOOKS
from lung_attention.report.page import (
    answers_of,
    build_report,
    inline,
    render_html,
    render_markdown,
    render_pages,
)

REPRODUCED = "Are the published results reproduced?"
QUESTIONS = [
    "What remains without known leakage?",
    "Do the networks see more than a machine that cannot see disease?",
    "Does attention help?",
]
PUBLISHED_SECTIONS = {"six", "confusion", "claims", "published"}
VOID = {"meta", "link", "img", "source"}


def _built(project, *, drawn=()):
    """A report in which only some cells are drawn, as drawing takes long."""
    draw = partial(draw_cell, project.config, project.root)
    return build_report(
        load_results(project.config, project.root),
        draw_cell=lambda cell: draw(cell) if cell in drawn else None,
        read_images=partial(sample_images, project.config, project.root),
        read_failures=partial(failures, project.config, project.root),
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


RECIPES = "What the same backbones reach without known leakage"


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
    assert len([line for line in lines if "no curves" in line]) == 24
    assert all("no curves" in line or line.endswith(": not measured yet.*") for line in lines)


def test_the_first_screen_shows_the_sentences_of_the_comparisons(complete, complete_report):
    found = answers_of(load_results(complete.config, complete.root))
    assert [one.question for one in found] == [REPRODUCED, *QUESTIONS]
    html = render_html(complete_report)
    top = html[: html.index("<nav")]
    for one in found:
        assert one.question in top
        assert str(inline(one.numbers)) in top
    assert top.index("<img") < top.index(REPRODUCED), "the picture comes first"


def test_stand_ins_are_named_at_the_top_and_beside_each_figure(complete, complete_report):
    html = render_html(complete_report)
    for sentence in complete.config.active.stand_ins:
        assert sentence in html[: html.index("<section")]
    for page in render_pages(complete_report).values():
        assert complete.config.active.stand_ins[0] in page[: page.index("<section")]
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
        "`preprocess.views.whole.interpolation=nearest`", "99.10 % (97.0 to 99.9)",
        f"−0.45 (before: {before})",        "**then within sampling error**",
    ]  # fmt: skip
    unexplained = next(line for line in six.splitlines() if line.startswith("No setting"))
    assert "IQ-OTH/NCCD, DenseNet121, attention" in unexplained
    assert "DenseNet121, plain" not in unexplained


def test_what_is_not_of_the_design_stays_open(real_report):
    markdown = render_markdown(real_report)
    six = _section(markdown, "The six published results, and ours")
    assert "5 published results open" in six
    assert "LIDC-IDRI, nodule crops: nothing was published on these images" in six
    assert six.count("**open**") == 10
    methods = _section(markdown, "How the scores came about")
    assert "LIDC-IDRI, the paper's slices are not checked" in methods


def test_missing_cells_are_named_everywhere(real_report):
    name = "iqoth-densenet121-attention-published-grouped"
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
        "baselines of `iqoth` on the published split",
    ]
    markdown = render_markdown(bare_report)
    assert "*Missing: the comparisons, so no question" in markdown
    for title in ("Optimism due to leakage", "Attention against plain", "Audit of the data", "Sample images"):
        assert "*Missing:" in _section(markdown, title), title
    assert "not compared yet" in _section(markdown, "The six published results, and ours")
    render_html(bare_report)


def test_nothing_at_all_still_gives_a_report(published_only):
    results = dataclasses.replace(load_results(published_only.config, published_only.root), metrics={})
    report = build_report(
        results,
        draw_cell=lambda cell: None,
        read_images=lambda dataset: None,
        read_failures=lambda dataset: None,
    )
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
        read_failures=lambda dataset: None,
    )
    methods = _section(render_markdown(report), "How the scores came about")
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
    html = render_html(complete_report)
    pages = render_pages(complete_report)
    assert list(pages) == ["iqoth", "lc25000", "lidc"]
    for text in (html, *pages.values()):
        page = _Balance()
        page.feed(text)
        assert page.open == []
        assert all(address.startswith("data:") for address in page.loaded)
        assert "url(http" not in text
        assert "@import" not in text
        assert all(page.alts)
        assert len(page.ids) == len(set(page.ids))
        assert set(page.anchors) == set(page.ids)
    for name, text in pages.items():
        assert f'href="report/{name}.html"' in html
        assert 'href="../report.html#cells"' in text


def test_the_same_results_give_the_same_page(real):
    cell = Cell("iqoth", "densenet121", "plain", "published", "grouped")
    reports = [_built(real, drawn={cell}) for _ in range(2)]
    first, second = ((render_html(one), render_pages(one)) for one in reports)
    assert first == second
    assert "ROC curves of IQ-OTH/NCCD" in first[1]["iqoth"]


def test_texts_are_escaped_but_for_code_strength_and_links():
    html = inline("a < b & `c<d>` **e** https://doi.org/10.1/x. (https://x.org/y)")
    assert html == (
        "a &lt; b &amp; <code>c&lt;d&gt;</code> <strong>e</strong> "
        '<a href="https://doi.org/10.1/x">https://doi.org/10.1/x</a>. '
        '(<a href="https://x.org/y">https://x.org/y</a>)'
    )


APPENDIX = "Appendix: further recipes"


def test_the_appendix_sets_each_recipe_beside_the_published_one_whatever_it_says(real, real_report):
    text = _section(render_markdown(real_report), APPENDIX)
    results = load_results(real.config, real.root)
    (entry,) = results.comparisons["recipe_vs_published"]
    accuracy = entry["differences"]["accuracy"]
    row = _row(text, "LIDC-IDRI, nodule crops, DenseNet121")
    assert row[1:6] == [
        "plain", "searched", "grouped", f"{100 * accuracy['published']:.2f} %",
        f"{100 * accuracy['changed']:.2f} %",
    ]  # fmt: skip
    assert row[6].startswith(f"{100 * accuracy['difference']:+.1f}".replace("-", "−"))
    assert row[-1] == entry["verdict"]
    assert _row(text, "learning rate")[1:] == ["0.0001", *(f"{0.000231 * k:.3g}" for k in range(1, 7))]
    assert _row(text, "hidden units")[1:] == ["256, 32", *["64"] * 6]
    assert "attention maps" not in text, "a plain head has none"
    study = results.searches[results.further_cells[0]]["studies"]["fold-3"]
    assert _row(text, "fold-3")[1:3] == [str(study["trials"]["complete"]), str(study["trials"]["pruned"])]
    assert "*Picture in [report.html](report.html): Left: complete trials" in text
    assert render_html(real_report).count("Courses of the studies of") == 1


def test_a_recipe_changes_no_table_of_the_published_one(real, real_report):
    """Its cell is in the appendix, among the details and where recipes are set side by side, nowhere else."""
    markdown = render_markdown(real_report)
    before, appendix = markdown.split(f"\n## {APPENDIX}\n")
    side_by_side = _section(markdown, RECIPES)
    assert "searched" in appendix and "searched" in side_by_side
    tables = before.split("## Each cell in detail")[0].split("\n## ", 1)[1]
    assert "searched" not in tables.replace(side_by_side, "")
    results = load_results(real.config, real.root)
    design = _section(markdown, "Two heads, two splits").split("LIDC-IDRI, nodule crops")[1]
    published = results.metrics[Cell("lidc_nodules", "densenet121", "plain", "published", "grouped")]
    assert _row(design, "DenseNet121, plain")[4].startswith(f"{100 * published['accuracy']:.2f} %")


def test_recipes_on_both_splits_are_told_apart(unpublished):
    text = _section(render_markdown(_built(unpublished)), APPENDIX)
    comparisons = load_results(unpublished.config, unpublished.root).comparisons
    name = "LIDC-IDRI, whole slices, DenseNet121"
    for split in ("published", "grouped"):
        (gain,) = [
            entry
            for entry in comparisons["recipe_vs_published"]
            if (entry["head"], entry["split"]) == ("plain", split)
        ]
        row = _row(text, name, "plain", "searched", split)
        assert row[7] == f"{gain['changed_better']} : {gain['published_better']}"
        (entry,) = [
            entry
            for entry in comparisons["attention_vs_plain"]
            if (entry["recipe"], entry["split"]) == ("searched", split)
        ]
        row = _row(text, f"{name}, searched", split)
        assert row[2] == f"{entry['attention_better']} : {entry['plain_better']}"


def test_a_search_that_is_not_there_is_named(real):
    results = load_results(real.config, real.root)
    compared = {**results.comparisons, "recipe_vs_published": []}
    without = dataclasses.replace(results, searches={}, comparisons=compared)
    report = build_report(
        without,
        draw_cell=lambda cell: None,
        read_images=lambda dataset: None,
        read_failures=lambda dataset: None,
    )
    text = _section(render_markdown(report), APPENDIX)
    assert text.count("*Missing:") == 2


def test_a_report_without_further_recipes_says_so(complete_report):
    text = _section(render_markdown(complete_report), APPENDIX)
    assert "No cell of this run" in text
    assert "|" not in text


def _sections(report):
    return {section.anchor for section in report.sections}


def test_images_of_which_the_paper_says_nothing_get_a_report_of_their_own(unpublished):
    report = _built(unpublished)
    assert report.title == "LIDC-IDRI, whole slices: classifiers with and without soft attention"
    assert report.subtitle.startswith("By the method of ")
    assert [one.question for one in report.headline] == [
        *QUESTIONS, LOOKS, "Do settings found by a search help?",
    ]  # fmt: skip
    assert not _sections(report) & PUBLISHED_SECTIONS
    assert {"answers", "design", "leakage", "attention", "audit", "recipes", "licences"} <= _sections(report)
    for text in (render_markdown(report), render_html(report)):
        lower = text.lower()
        for word in ("published accurac", "published result", "reproduc", "six "):
            assert word not in lower, lower[lower.index(word) - 80 : lower.index(word) + 80]
        assert "IQ-OTH" not in text and "LC25000" not in text


def test_without_comparisons_such_a_report_asks_nothing_of_the_paper(unpublished):
    results = dataclasses.replace(load_results(unpublished.config, unpublished.root), comparisons=None)
    report = build_report(
        results,
        draw_cell=lambda cell: None,
        read_images=lambda dataset: None,
        read_failures=lambda dataset: None,
    )
    assert "reproduc" not in render_markdown(report) + render_html(report)


@pytest.mark.parametrize("name", ["complete_report", "real_report", "bare_report"])
def test_a_design_with_any_published_result_keeps_what_is_said_of_the_paper(name, request):
    report = request.getfixturevalue(name)
    told = {"real_report": "1 of 6 published results regenerated", "bare_report": "2 of 6 published"}
    assert told.get(name, "the workflow for six published results, on stand-ins") in report.title
    assert _sections(report) >= PUBLISHED_SECTIONS
    text = render_markdown(report)
    assert "a difference from a published result is named only if" in text
    if report.headline:
        assert report.headline[0].question == REPRODUCED


def test_the_first_picture_shows_published_figures_only_where_there_are_any(real, unpublished):
    ours = ["ours, published split", "ours, no known leakage", "the same with attention",
            "best simple classifier", "best blind classifier"]  # fmt: skip
    found = dict(lead_groups(load_results(real.config, real.root)))
    # One cell is missing: attention on the grouped split.
    assert [lane.label for lane in found["IQ-OTH/NCCD"]] == ["published", *ours[:2], *ours[3:]]
    assert found["IQ-OTH/NCCD"][0].said == "99.5 %"
    assert [lane.label for lane in found["LIDC-IDRI, nodule crops"]] == ours
    (lanes,) = dict(lead_groups(load_results(unpublished.config, unpublished.root))).values()
    assert [lane.label for lane in lanes] == ours


def test_stand_ins_are_not_drawn_beside_published_figures(complete):
    for _, lanes in lead_groups(load_results(complete.config, complete.root)):
        assert "published" not in [lane.label for lane in lanes]


def test_the_first_picture_is_told_in_numbers(real):
    results = load_results(real.config, real.root)
    picture = lead_picture(results)
    values = results.metrics[Cell("lidc_nodules", "densenet121", "plain", "published", "grouped")]
    assert f"ours, no known leakage {100 * values['accuracy']:.1f} %" in picture.alt
    scores = results.baselines["lidc_nodules", "grouped"]
    best = max((of for of in scores.values() if of["blind"]), key=lambda of: of["accuracy"])
    assert f"best blind classifier {100 * best['accuracy']:.1f} %  {best['title']}" in picture.alt
    assert picture.narrow and picture.narrow != picture.source


def test_datasets_without_a_network_are_not_drawn(real):
    results = dataclasses.replace(load_results(real.config, real.root), metrics={})
    assert lead_groups(results) == []
    assert lead_picture(results) is None
