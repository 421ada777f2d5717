"""The report as one tree of sections, and its renderings as Markdown and as HTML pages that load nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lung_attention.models.backbone_table import BACKBONES
from lung_attention.report.answers import HELPS_QUESTION, answers
from lung_attention.report.audits import audit_section
from lung_attention.report.baselines import baselines_section, sensitivity_section
from lung_attention.report.blocks import Answer, Block, Page, Picture, Section, Text
from lung_attention.report.cell_details import DrawCell, ReadImages, cells_section, sample_section
from lung_attention.report.collect import Results
from lung_attention.report.confusions import confusion_section
from lung_attention.report.factors import attention, leakage, two_by_two
from lung_attention.report.failures import ReadFailures, failures_section
from lung_attention.report.lead import lead_picture
from lung_attention.report.limits import claims_and_verdicts, limitations
from lung_attention.report.maps import looks_answer, maps_section
from lung_attention.report.models import models_section
from lung_attention.report.notes import licences, methods, what_was_run
from lung_attention.report.numbers import listed
from lung_attention.report.recipes import recipes_section
from lung_attention.report.regions import region
from lung_attention.report.reproduction import claims, six_results
from lung_attention.report.staleness import STALENESS

_CODE = re.compile(r"`([^`]+)`")
# In a code span nothing is a tag; a region's marks are ours.
_KEPT_OR_TAG = re.compile(r"`[^`\n]*`|<!-- /?generated:[\w-]+ -->|<(?=[A-Za-z/!?])")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")
_LINK = re.compile(r"https://[^\s<>]*[^\s<>.,;)]")


@dataclass(frozen=True)
class Report:
    """What the templates are given.

    Attributes:
        title: Of the page.
        subtitle: The paper and the profile.
        stand_ins: What is not the real thing; empty where everything is.
        tag: Stands beside each picture and table that is not the real thing; may be empty.
        missing: What the design asks for and is not there.
        lead: The picture of the first screen; None where there is no result to draw.
        headline: The answers beside it.
        sections: The rest, in order.
    """

    title: str
    subtitle: str
    stand_ins: Sequence[str]
    tag: str
    missing: Sequence[str]
    lead: Picture | None
    headline: Sequence[Answer]
    sections: Sequence[Section]


def build_report(
    results: Results, *, draw_cell: DrawCell, read_images: ReadImages, read_failures: ReadFailures
) -> Report:
    """Collects all sections of a report.

    Args:
        results: The results of one profile.
        draw_cell: Gives the figures of a cell, None where its files are missing.
        read_images: Gives sample images of a dataset by class, None where its archive is missing.
        read_failures: Gives the errors of a dataset's networks on the grouped split, None where there are
            no predictions.

    Returns:
        The report, to be rendered.
    """
    paper, config = results.published.paper, results.config
    if results.published.results:
        title = f"Lung cancer classifiers with soft attention: {_regenerated(results)}"
        subtitle = f"{paper.authors}: {paper.title} ({paper.venue}). Profile: {config.profile}."
        published = [six_results(results), confusion_section(results), claims(results)]
        published.append(what_was_run(results))
    else:
        named = listed([results.dataset(name).title for name in config.datasets])
        title = f"{named}: classifiers with and without soft attention"
        subtitle = (
            f"By the method of {paper.authors}: {paper.title} ({paper.venue}). Profile: {config.profile}."
        )
        published = []
    headline = answers_of(results)
    return Report(
        title=title,
        subtitle=subtitle,
        stand_ins=config.active.stand_ins,
        tag=results.tag,
        missing=results.missing,
        lead=lead_picture(results),
        headline=headline,
        sections=[
            *_answers_section(headline),
            *published,
            two_by_two(results),
            models_section(results),
            baselines_section(results),
            leakage(results),
            sensitivity_section(results),
            attention(results),
            maps_section(results),
            audit_section(results),
            failures_section(results, read_failures),
            cells_section(results, draw_cell),
            sample_section(results, read_images),
            methods(results),
            limitations(results),
            claims_and_verdicts(results, headline),
            licences(results),
            recipes_section(results),
        ],
    )


def _regenerated(results: Results) -> str:
    """Such as "4 of 6 published results regenerated", as far as there are ours on the published split."""
    if results.tag:
        return "the workflow for six published results, on stand-ins"
    ours = {(cell.dataset, cell.backbone) for cell in results.metrics if cell.split == "published"}
    theirs = [(result.dataset, result.backbone) for result in results.published.results]
    found = sum(pair in ours for pair in theirs)
    return f"{found} of {len(theirs)} published results regenerated"


def _answers_section(answers: Sequence[Answer]) -> list[Section]:
    """What the answers of the first screen rest on; no section where there is none."""
    blocks: list[Block] = []
    for one in answers:
        if one.details:
            blocks += [Text(f"**{one.question}** {one.verdict}."), *one.details]
    return [Section("answers", "The answers in detail", blocks)] if blocks else []


def answers_of(results: Results) -> list[Answer]:
    """The answers of a profile; none where nothing was compared yet."""
    if results.comparisons is None:
        return []
    found = answers(
        results.comparisons,
        datasets={name: dataset.title for name, dataset in results.config.catalog.items()},
        backbones={name: backbone.application for name, backbone in BACKBONES.items()},
        baselines={
            name: title
            for dataset in results.config.datasets
            for name, title in results.baseline_titles(dataset).items()
        },
    )
    looks = looks_answer(results)
    if looks is not None:
        questions = [one.question for one in found]
        found.insert(questions.index(HELPS_QUESTION) + 1, looks)
    return found


def render_markdown(report: Report) -> str:
    """The report as Markdown; pictures are named by their captions only."""
    return _markdown("report.md.j2", report=report, staleness=region(STALENESS, ""))


def render_details(answers: Sequence[Answer]) -> str:
    """The answers with all that they rest on, as Markdown."""
    return _markdown("details.md.j2", answers=answers).strip()


def _markdown(template: str, **values: Any) -> str:
    # Nothing is escaped but the bar that would end a cell: the texts are our own.
    templates = environment(autoescape=False)
    templates.filters["cell"] = lambda text: text.replace("|", "\\|")
    text = templates.get_template(template).render(values)
    return without_html(re.sub(r"\n{3,}", "\n\n", text).strip()) + "\n"


def without_html(text: str) -> str:
    """A Markdown text whose names from files are no HTML, but for `code` and the marks of our own regions."""
    return _KEPT_OR_TAG.sub(lambda found: "&lt;" if found[0] == "<" else found[0], text)


def render_html(report: Report) -> str:
    """The report as an HTML page that loads nothing, with links to `render_pages`."""
    return _html("report.html.j2", report=report, staleness=Markup(region(STALENESS, "")))


def render_pages(report: Report) -> dict[str, str]:
    """The further HTML pages, by their names without suffix; they lie in a folder beside the report."""
    return {
        page.name: _html("page.html.j2", report=report, section=section, page=page)
        for section in report.sections
        for page in section.blocks
        if isinstance(page, Page)
    }


def _html(template: str, **values: Any) -> str:
    templates = environment(autoescape=True)
    templates.filters["inline"] = inline
    css = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    return templates.get_template(template).render(css=Markup(css), **values).strip() + "\n"


def inline(text: str) -> Markup:
    """A text of a block as HTML: `code`, **strong** and web addresses; all else escaped."""
    html = _CODE.sub(r"<code>\1</code>", str(escape(text)))
    html = _STRONG.sub(r"<strong>\1</strong>", html)
    return Markup(_LINK.sub(lambda match: f'<a href="{match[0]}">{match[0]}</a>', html))


def environment(*, autoescape: bool) -> Environment:
    """Where the templates are, which refuse names that nobody has given them."""
    return Environment(
        loader=PackageLoader("lung_attention.report", "templates"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
