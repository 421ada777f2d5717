"""Commands on results that are there."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention.config import DESIGN, Config, load_config, read_values, validate
from lung_attention.errors import UserError
from lung_attention.files import write_text
from lung_attention.paths import PARAMS, Paths

if TYPE_CHECKING:
    from lung_attention.workflow.stale import Staleness


def crate(arguments: argparse.Namespace) -> int:
    """Describes datasets and run of a profile's results for machines."""
    from lung_attention.report.descriptions import write_descriptions

    config = _design_of(arguments.profile)
    if config is None:
        raise UserError(
            f"there are no results of profile {arguments.profile!r}",
            remedy=f"make repro PROFILE={arguments.profile}",
        )
    for path in write_descriptions(config, Path()):
        print(f"wrote {path}")
    return 0


def reproducibility(arguments: argparse.Namespace) -> int:
    """Compares this machine's results with the committed ones."""
    from lung_attention.gate.reproducibility import compare_with_commit

    config = load_config(PARAMS)
    cells = list(config.cells())
    table = compare_with_commit(cells, Paths(config.profile), revision=arguments.revision)
    print(table.to_string(index=False, float_format="%.4f"))
    worst = table["difference"].max()
    tolerance = config.active.tolerance
    verdict = "within" if worst <= tolerance else "BEYOND"
    print(f"largest difference {worst:.4f}: {verdict} the tolerance of {tolerance} (params.yaml)")
    return int(worst > tolerance)


def stale(arguments: argparse.Namespace) -> int:
    """Says which results are stale, in the report, too."""
    from lung_attention.report.numbers import count
    from lung_attention.report.staleness import named, with_note
    from lung_attention.workflow.status import LOCK

    paths = Paths(arguments.profile)
    found = _staleness(arguments.profile)
    if found is None:
        raise UserError(
            f"{paths.results / 'dvc.lock'} is missing", remedy=f"make repro PROFILE={arguments.profile}"
        )
    # A report that the work tree's lock names is DVC's, which would make it anew.
    noted = (
        () if _is_in_use(arguments.profile) and LOCK.exists() else (paths.report_markdown, paths.report_html)
    )
    for path in noted:
        write_text(path, with_note(path.read_text(encoding="utf-8"), found.stages))
    for reason, stages in found.by_reason.items():
        print(f"{paths.results}: {count(len(stages), 'stage')} with {reason}: {named(stages)}")
    print(f"  -> {found.remedy}" if found.stages else f"{paths.results}: up to date")
    return 0


def readme(arguments: argparse.Namespace) -> int:
    """Writes the committed scores into README.md and pages of docs, and draws the picture of README.md."""
    from lung_attention.report.advice import advice
    from lung_attention.report.collect import load_results
    from lung_attention.report.reading import results_told
    from lung_attention.report.readme import render_answers, render_tables, summary_picture
    from lung_attention.report.regions import replace_region
    from lung_attention.report.staleness import note_of, short_note

    front, page, models = Path("README.md"), Path("docs/results.md"), Path("docs/models.md")
    picture = Path("docs/images/results.svg")
    from lung_attention.workflow.dag import mermaid

    old = {
        path: path.read_text(encoding="utf-8") if path.exists() else ""
        for path in (front, page, models, picture)
    }
    new = dict(old)
    new[front] = replace_region(new[front], "pipeline", f"```mermaid\n{mermaid(Path())}\n```")
    for profile in ("sample", "local"):
        config = _design_of(profile)
        if config is None:
            continue
        found = _staleness(profile)
        stages = found.stages if found else []
        with results_told():
            results = load_results(config, Path())
            tables = render_tables(results, note=note_of(stages))
            new[page] = replace_region(new[page], f"results-{profile}", tables)
            if profile == "local":
                answers = "\n\n".join(filter(None, [short_note(stages), render_answers(results)]))
                new[front] = replace_region(new[front], "answers", answers)
                new[models] = replace_region(new[models], "advice", "\n\n".join(advice(results)))
                new[picture] = summary_picture(results)
    changed = [path for path in new if new[path] != old[path]]
    if arguments.check:
        if changed:
            raise UserError(
                f"{', '.join(map(str, changed))}: not the committed scores", remedy="lung-attention readme"
            )
        return 0
    for path in changed:
        write_text(path, new[path])
    return 0


def _staleness(profile: str) -> Staleness | None:
    """Which stages of a profile's results are stale; None where they came with no lock."""
    from lung_attention.workflow.stale import staleness

    config = _design_of(profile)
    cells = list(config.cells()) if config else ()
    return staleness(Paths(profile), cells, Path(), in_use=_is_in_use(profile))


def _is_in_use(profile: str) -> bool:
    return bool(read_values(PARAMS)["profile"] == profile)


def _design_of(profile: str) -> Config | None:
    """The work tree's parameters with the design of a profile's results; None where it has none.

    Only the design is taken from the results: other parameters may have come or gone since.
    """
    path, values = Paths(profile).results / PARAMS, read_values(PARAMS)
    config = validate(values, PARAMS)
    if config.profile == profile:
        return config
    if not path.exists():
        return None
    kept = read_values(path)
    return validate(values | {key: kept[key] for key in ("profile", *DESIGN)}, path)
