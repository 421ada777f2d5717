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
from lung_attention.report.page import build_report, render_html, render_markdown
from lung_attention.report.summary import summary_table


def main() -> None:
    """Runs the stage."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    config, root = load_config(PARAMS), Path()
    paths = Paths(config.profile)
    results = load_results(config, root)
    summary = summary_table(results.metrics.values(), results.published.results, results.baselines)
    report = build_report(
        results,
        draw_cell=partial(draw_cell, config, root),
        read_images=partial(sample_images, config, root),
        read_failures=partial(failures, config, root),
    )
    for cell in results.metrics:
        write_text(paths.card(cell), model_card(results, cell))
    write_table(paths.summary, summary)
    write_text(paths.report_markdown, render_markdown(report))
    write_text(paths.report_html, render_html(report))


if __name__ == "__main__":
    run_guarded(main)
