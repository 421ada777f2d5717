"""The report as one tree of sections, and its renderings as Markdown and as one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lung_attention.report.audits import audit_section
from lung_attention.report.blocks import Section
from lung_attention.report.cell_details import DrawCell, ReadImages, cells_section, sample_section
from lung_attention.report.collect import Results
from lung_attention.report.factors import attention, leakage, overview, two_by_two
from lung_attention.report.freshness import FRESHNESS
from lung_attention.report.notes import licences, methods, what_was_run
from lung_attention.report.regions import region
from lung_attention.report.reproduction import claims, confusion_section, six_results
from lung_attention.report.tuning import tuning_section

_CODE = re.compile(r"`([^`]+)`")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")
_LINK = re.compile(r"https://[^\s<>]*[^\s<>.,;)]")


@dataclass(frozen=True)
class Report:
    """What the templates are given.

    Attributes:
        title: Of the page.
        subtitle: The paper and the profile.
        stand_ins: What is not the real thing; empty where everything is.
        tag: Stands beside each figure and table that is not the real thing; may be empty.
        missing: What the design asks for and is not there.
        headline: Pairs of `question` and `answer`.
        sections: The rest, in order.
    """

    title: str
    subtitle: str
    stand_ins: Sequence[str]
    tag: str
    missing: Sequence[str]
    headline: Sequence[dict[str, str]]
    sections: Sequence[Section]


def build_report(results: Results, *, draw_cell: DrawCell, read_images: ReadImages) -> Report:
    """Collects all sections of a report.

    Args:
        results: The figures of one profile.
        draw_cell: Gives the figures of a cell, None where its files are missing.
        read_images: Gives sample images of a dataset by class, None where its archive is missing.

    Returns:
        The report, to be rendered.
    """
    paper, comparisons = results.published.paper, results.comparisons
    return Report(
        title="Lung cancer classifiers with soft attention: six published results, regenerated",
        subtitle=f"{paper.authors}: {paper.title} ({paper.venue}). Profile: {results.config.profile}.",
        stand_ins=results.config.active.stand_ins,
        tag=results.tag,
        missing=results.missing,
        headline=[] if comparisons is None else comparisons["headline"],
        sections=[
            six_results(results),
            overview(results),
            confusion_section(results),
            claims(results),
            what_was_run(results),
            two_by_two(results),
            leakage(results),
            attention(results),
            audit_section(results),
            cells_section(results, draw_cell),
            sample_section(results, read_images),
            methods(results),
            licences(results),
            tuning_section(results),
        ],
    )


def render_markdown(report: Report) -> str:
    """The report as Markdown; pictures are named by their captions only."""
    # Nothing is escaped but the bar that would end a cell: the texts are our own.
    environment = _environment(autoescape=False)
    environment.filters["cell"] = lambda text: text.replace("|", "\\|")
    text = environment.get_template("report.md.j2").render(_context(report))
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def render_html(report: Report) -> str:
    """The report as one HTML page that loads nothing."""
    environment = _environment(autoescape=True)
    environment.filters["inline"] = inline
    css = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    text = environment.get_template("report.html.j2").render(css=Markup(css), **_context(report))
    return text.strip() + "\n"


def inline(text: str) -> Markup:
    """A text of a block as HTML: `code`, **strong** and web addresses; all else escaped."""
    html = _CODE.sub(r"<code>\1</code>", str(escape(text)))
    html = _STRONG.sub(r"<strong>\1</strong>", html)
    return Markup(_LINK.sub(lambda match: f'<a href="{match[0]}">{match[0]}</a>', html))


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("lung_attention.report", "templates"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(report: Report) -> dict[str, Any]:
    return {"report": report, "freshness": Markup(region(FRESHNESS, ""))}
