"""The results of a profile as inputs of its report."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

from faults.mutators import json_of
from faults.parsers import Parser
from faults.workspace import ROOT
from lung_attention.cells import Cell
from lung_attention.config import Part, load_config
from lung_attention.errors import UserError
from lung_attention.paths import PARAMS, Paths
from lung_attention.report.cards import model_card
from lung_attention.report.collect import load_results
from lung_attention.report.page import build_report, render_html, render_markdown
from lung_attention.report.reading import results_told
from lung_attention.report.summary import summary_table


def results(folder: Path) -> Parser:
    """Each JSON file of the sample's results, with one changed at a time; pictures are left out."""
    whole, dataset = load_config(ROOT / PARAMS), "lidc"
    paths = Paths(whole.profile)
    nothing = {name: Part(datasets=[], backbones=[], heads=[], splits=[]) for name in whole.further}
    config = whole.model_copy(
        update={"datasets": [dataset], "backbones": ["mobilenetv2"], "further": nothing}
    )
    one = Cell(dataset, "mobilenetv2", "attention", "published", "published")
    names = [
        paths.metrics(one), paths.comparisons, paths.audit(dataset), paths.baselines(dataset, "grouped"),
        paths.sensitivity(dataset), paths.maps(one),
    ]  # fmt: skip
    shutil.copytree(ROOT / paths.results, folder / paths.results)
    good = {name: (ROOT / name).read_bytes() for name in names if (ROOT / name).exists()}
    heads = {name: f"{number}\n".encode() for number, name in enumerate(good)}

    def mutate(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
        head, _, body = content.partition(b"\n")
        return head + b"\n" + json_of(body, [body], chance)

    def feed(content: bytes) -> None:
        head, _, body = content.partition(b"\n")
        name = list(good)[int(head)]
        (folder / name).write_bytes(body)
        try:
            with results_told():
                found = load_results(config, folder)
                summary_table(found.metrics.values(), found.published.results, found.baselines)
                report = build_report(
                    found,
                    draw_cell=lambda _cell: None,
                    read_images=lambda _name: None,
                    read_failures=lambda _name: None,
                )
                model_card(found, one)
                render_markdown(report)
                render_html(report)
        finally:
            (folder / name).write_bytes(good[name])

    seeds = [heads[name] + json.dumps(json.loads(content)).encode() for name, content in good.items()]
    return Parser(seeds, [], mutate, feed, (UserError,), seconds=20)
