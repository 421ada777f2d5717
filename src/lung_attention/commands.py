"""What each command of `lung-attention` does; returns its exit code.

Heavy imports stand inside, so that no command waits for those of another.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.config import DESIGN, Config, load_config, read_values, validate
from lung_attention.errors import UserError
from lung_attention.files import write_json, write_text
from lung_attention.paths import EXPERIMENTS, PARAMS, Paths

if TYPE_CHECKING:
    from lung_attention.gate.report import Outcome


def make_sample(arguments: argparse.Namespace) -> int:
    """Draws the embedded archives."""
    from lung_attention.data.sample.archives import make_sample

    catalog = load_config(PARAMS).catalog
    for name, digest in make_sample(arguments.to, catalog, seed=arguments.seed).items():
        print(f"{digest}  {arguments.to / name}")
    return 0


def default_jobs() -> int:
    """How many stages run at a time: one a core, but each takes a gigabyte of memory."""
    return min(os.cpu_count() or 1, 4)


def repro(arguments: argparse.Namespace) -> int:
    """Regenerates the default results, or another profile's beside them."""
    if arguments.profile:
        from lung_attention.workflow.temporary import reproduce

        reproduce(arguments.profile, arguments.set)
    elif arguments.set:
        raise UserError(
            "--set changes the default results; name a profile", remedy="make repro PROFILE=sample SET=…"
        )
    else:
        from lung_attention.workflow.jobs import reproduce_in_parallel

        load_config(PARAMS)  # mistakes are told before anything runs
        reproduce_in_parallel(arguments.jobs)
    return 0


def datasets(arguments: argparse.Namespace) -> int:
    """Lists where everything comes from."""
    from lung_attention.data.sources.listing import list_items

    print(list_items(load_config(PARAMS).catalog))
    return 0


def new_dataset(arguments: argparse.Namespace) -> int:
    """Describes images of the user's own in a file, and says what to do next."""
    from lung_attention.data.describe import describe_dataset
    from lung_attention.data.sources.resolve import ARCHIVES_VARIABLE

    name, source = arguments.name, arguments.source
    file = describe_dataset(name, source, patients=arguments.patients, groups=arguments.groups)
    load_config(PARAMS)  # what was written is a dataset
    there = f"{name}.zip" if source.is_file() else name
    print(f"wrote {file}; look at it, then:")
    if source.name != there:
        print(f"  ln -s {source.resolve()} {source.resolve().parent / there}")
    print(f"  export {ARCHIVES_VARIABLE}={source.resolve().parent}")
    print(f'  make repro PROFILE=local SET="datasets=[{name}]"')
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    """Fetches datasets and weights."""
    from lung_attention.data.sources.fetch import fetch_named
    from lung_attention.data.sources.resolve import downloads_folder

    config = load_config(PARAMS)
    public = config.profiles["public"]
    for name, digest in fetch_named(
        arguments.names or [*public.datasets, *config.backbones],
        arguments.to or downloads_folder(),
        catalog=config.catalog,
        settings=public,
        consent=arguments.yes,
    ).items():
        print(f"{digest}  {name}")
    return 0


def experiment(arguments: argparse.Namespace) -> int:
    """Runs a profile with other settings and keeps its accuracies."""
    from lung_attention.workflow.experiments import run_experiment

    rows = run_experiment(arguments.profile, arguments.name, arguments.set)
    print(rows.to_string(index=False))
    print(f"kept in {EXPERIMENTS}; the report takes them up: make repro PROFILE={arguments.profile}")
    return 0


def search(arguments: argparse.Namespace) -> int:
    """Searches settings for one cell."""
    from lung_attention.search.launch import run_search

    cell = Cell(arguments.dataset, arguments.backbone, arguments.head, PUBLISHED, "grouped")
    path = run_search(arguments.profile, cell, arguments.set, storage=arguments.storage)
    print(f"{path} holds the settings found; further in {PARAMS} names the cells that are trained with them")
    return 0


def track(arguments: argparse.Namespace) -> int:
    """Brings the MLflow server in line with the results."""
    from lung_attention.tracking.cells import cells_with_results
    from lung_attention.tracking.publish import publish_cell

    paths = Paths(arguments.profile)
    cells = cells_with_results(paths)
    for cell in cells:
        print(f"{cell.name}: run {publish_cell(cell, paths, root=Path.cwd())}", flush=True)
    print(f"{len(cells)} cells of profile {arguments.profile} are in line with {paths.results}/")
    return 0


def ui(arguments: argparse.Namespace) -> int:
    """Serves MLflow's pages."""
    from lung_attention.tracking.ui import serve_ui

    return serve_ui(Path.cwd(), arguments.port)


def export(arguments: argparse.Namespace) -> int:
    """Writes the model of a cell as ONNX."""
    from lung_attention.predict.exporting import export_cell
    from lung_attention.predict.find import cell_named, of_profile

    config, cell = of_profile(load_config(PARAMS), arguments.profile), cell_named(arguments.cell)
    path = arguments.to or Paths(config.profile).exported(cell)
    export_cell(cell, config, path)
    print(f"wrote {path}; it says what it is: lung-attention predict {path} IMAGE")
    if arguments.register:
        from lung_attention.tracking.serving import register_exported

        version = register_exported(path, arguments.register, root=Path.cwd())
        print(f"models:/{arguments.register}@champion is version {version} (docs/serve.md)")
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Classifies images of the user's own."""
    from lung_attention.predict.command import Options, run_predict
    from lung_attention.predict.find import find_model

    window = None if arguments.window is None else (arguments.window[0], arguments.window[1])
    if window is not None and window[1] <= 1:
        raise UserError(
            f"--window: expected a width above 1 HU, received {window[1]:g}",
            remedy="--window -600 1500",
        )
    for name in ("shard_size", "workers"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option}: expected at least 1, received {value}", remedy=f"{option} 1")
    if arguments.workers is not None and arguments.shards is None:
        raise UserError("--workers goes with --shards", remedy="--shards FOLDER --workers N")
    return run_predict(
        find_model(arguments.model, arguments.profile),
        arguments.paths,
        Options(
            arguments.csv,
            arguments.jsonl,
            arguments.overlay,
            window,
            arguments.shards,
            arguments.shard_size,
            arguments.workers,
        ),
    )


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


def audit(arguments: argparse.Namespace) -> int:
    """Looks for leaks and shortcuts in images and a split of the user's own."""
    from lung_attention.audit.own_split import run_audit_command
    from lung_attention.audit.settings import ShortcutTest

    result, text, code = run_audit_command(
        arguments.source,
        split_path=arguments.split,
        near_duplicate_cosine=arguments.cosine,
        near_duplicates_leak=not arguments.look_alikes_are_no_leak,
        listed=arguments.listed,
        shortcut_test=ShortcutTest(
            folds=5, permutations=arguments.permutations, alpha=arguments.alpha, seed=arguments.seed
        ),
    )
    print(text)
    if arguments.json:
        write_json(arguments.json, result)
    return code


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


def check_lock(_: argparse.Namespace) -> int:
    """Says whether dvc.lock belongs to the code."""
    from lung_attention.workflow.status import check_lock

    print(f"dvc.lock: {check_lock(Path())} stages are locked as they stand")
    return 0


def verify(_: argparse.Namespace) -> int:
    """Removes damaged outputs from cache and work tree."""
    from lung_attention.workflow.verify import remove_damaged

    damaged = remove_damaged(Path(), Paths(load_config(PARAMS).profile))
    for path in damaged:
        print(f"damaged, removed: {path}")
    print(f"{len(damaged)} files were damaged{': make repro makes them anew' if damaged else ''}")
    return int(bool(damaged))


def stale(arguments: argparse.Namespace) -> int:
    """Says which results are stale, in the report, too."""
    from lung_attention.report.staleness import with_note

    paths = Paths(arguments.profile)
    stages = _stale_stages(arguments.profile)
    if stages is None:
        raise UserError(
            f"{paths.results / 'dvc.lock'} is missing", remedy=f"make repro PROFILE={arguments.profile}"
        )
    for path in (paths.report_markdown, paths.report_html):
        write_text(path, with_note(path.read_text(encoding="utf-8"), stages))
    print(
        f"{paths.results}: {len(stages)} stages have other code now"
        if stages
        else f"{paths.results}: up to date"
    )
    return 0


def _stale_stages(profile: str) -> list[str] | None:
    """The stages of a profile's results whose code has changed since; None where they came with no lock."""
    from lung_attention.workflow.status import stale_results

    config = _design_of(profile)
    return stale_results(Paths(profile), config.cells() if config else (), Path())


def dag(_: argparse.Namespace) -> int:
    """Draws the stages."""
    from lung_attention.workflow.dag import mermaid

    print(mermaid(Path()))
    return 0


def _design_of(profile: str) -> Config | None:
    """The work tree's parameters with the design of a profile's results; None where it has none.

    Only the design is taken from the results: other parameters may have come or gone since.
    """
    path, values = Paths(profile).results / PARAMS, read_values(PARAMS)
    if values["profile"] == profile:
        return validate(values, PARAMS)
    if not path.exists():
        return None
    kept = read_values(path)
    return validate(values | {key: kept[key] for key in ("profile", *DESIGN)}, path)


def readme(arguments: argparse.Namespace) -> int:
    """Writes the committed scores into README.md and pages of docs, and draws the picture of README.md."""
    from lung_attention.report.advice import advice
    from lung_attention.report.collect import load_results
    from lung_attention.report.readme import render_answers, render_tables, summary_picture
    from lung_attention.report.regions import replace_region
    from lung_attention.report.staleness import note_of

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
        results = load_results(config, Path())
        note = note_of(_stale_stages(profile) or [])
        tables = render_tables(results, note=note)
        new[page] = replace_region(new[page], f"results-{profile}", tables)
        if profile == "local":
            answers = "\n\n".join(filter(None, [note, render_answers(results)]))
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


def gate(arguments: argparse.Namespace) -> int:
    """Compares the results with a reference, or two tables of anyone's predictions."""
    from lung_attention.gate.report import refused_json, refused_markdown, to_json, to_markdown

    try:
        outcome = _gate_outcome(arguments)
    except UserError as error:
        # Whoever reads the files must not find those of an earlier run.
        if arguments.markdown:
            write_text(arguments.markdown, refused_markdown(error))
        if arguments.json:
            write_json(arguments.json, refused_json(error))
        raise
    text = to_markdown(outcome)
    print(text, end="")
    if arguments.markdown:
        write_text(arguments.markdown, text)
    if arguments.json:
        write_json(arguments.json, to_json(outcome))
    if arguments.promote and outcome.exit_code == 0:
        _promote(outcome.subject, [result.cell for result in outcome.results])
    return outcome.exit_code


def _gate_outcome(arguments: argparse.Namespace) -> Outcome:
    from lung_attention.gate.chance import Luck
    from lung_attention.gate.command import run_gate_command
    from lung_attention.gate.own import LUCK, OwnOptions, run_own_gate
    from lung_attention.gate.tables import Columns

    if not arguments.tables:
        if arguments.reference is None:
            raise UserError(
                "neither --reference nor two tables were given",
                remedy="lung-attention gate --reference main, or lung-attention gate OLD.csv NEW.csv",
            )
        return run_gate_command(
            arguments.reference,
            profile=arguments.profile,
            margins=arguments.margin,
            cells=arguments.cells,
            strict=arguments.strict,
        )
    ours = {"--reference": arguments.reference, "--profile": arguments.profile, "--cells": arguments.cells}
    refused = [option for option, value in (ours | {"--promote": arguments.promote}).items() if value]
    if len(arguments.tables) != 2 or refused:
        raise UserError(
            f"expected two tables and none of {[*ours, '--promote']}, "
            f"received {arguments.tables} and {refused}",
            remedy="lung-attention gate OLD.csv NEW.csv --id image --label label",
        )
    pairs = [text.partition("=") for text in arguments.probability]
    if wrong := [f"{name}{equals}{column}" for name, equals, column in pairs if not (name and column)]:
        raise UserError(
            f"--probability: expected CLASS=COLUMN, received {wrong[0]!r}",
            remedy="--probability benign=p_benign malignant=p_malignant",
        )
    columns = Columns(
        identifier=arguments.id,
        label=arguments.label,
        cluster=arguments.cluster,
        fold=arguments.fold,
        seed=arguments.seed,
        probabilities=[(name, column) for name, _, column in pairs],
    )
    sd, log_loss_sd = arguments.training_sd, arguments.log_loss_sd
    luck = Luck(
        LUCK.balanced_accuracy if sd is None else sd, LUCK.log_loss if log_loss_sd is None else log_loss_sd
    )
    options = OwnOptions(columns, arguments.margin, arguments.floor, luck)
    return replace(run_own_gate(arguments.tables[0], arguments.tables[1], options), strict=arguments.strict)


def _promote(profile: str, cells: Sequence[str]) -> None:
    from lung_attention.tracking.cells import cells_with_results, promote

    paths = Paths(profile)
    versions = promote(cells_with_results(paths, cells), paths, root=Path.cwd())
    for name, version in versions.items():
        print(f"models:/{name}@champion is version {version}")
    if not versions:
        print(f"profile {profile} is made of stand-ins: none of its models is registered")
