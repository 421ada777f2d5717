"""Writes a profile's summary and report from its committed results."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import write_table, write_text
from lung_attention.paths import PARAMS, Paths
from lung_attention.report.cards import model_card
from lung_attention.report.collect import draw_cell, failures, load_results, sample_images
from lung_attention.report.page import build_report, render_html, render_markdown, render_pages
from lung_attention.report.reading import results_told
from lung_attention.report.summary import summary_table


def main() -> None:
    """Runs the stage."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    config, root = load_config(PARAMS), Path()
    paths = Paths(config.profile)
    with results_told():
        results = load_results(config, root)
        summary = summary_table(results.metrics.values(), results.published.results, results.baselines)
        report = build_report(
            results,
            draw_cell=partial(draw_cell, config, root),
            read_images=partial(sample_images, config, root),
            read_failures=partial(failures, config, root),
        )
        cards = {cell: model_card(results, cell) for cell in results.metrics}
        markdown, page, pages = render_markdown(report), render_html(report), render_pages(report)
    for cell, card in cards.items():
        write_text(paths.card(cell), card)
    write_table(paths.summary, summary)
    write_text(paths.report_markdown, markdown)
    write_text(paths.report_html, page)
    for name, details in pages.items():
        write_text(paths.report_pages / f"{name}.html", details)


if __name__ == "__main__":
    run_guarded(main)
