"""The command `lung-attention`: its grammar."""

from __future__ import annotations

import argparse
from pathlib import Path

import shtab

from lung_attention.commands import gating, images, models, pipeline, results
from lung_attention.errors import UserError, run_guarded
from lung_attention.extras import how_to_install
from lung_attention.help import illustrate
from lung_attention.predict.about import code_version

_EPILOG = """lung-attention COMMAND --help shows examples.

  eval "$(lung-attention --print-completion bash)"    completion in this shell

Most have a make target that sets up the environment first: make help.

exit codes: 0 well; 1 something is amiss (audit, gate, verify, reproducibility); 2 a mistake, told with its
remedy; 3 some images could not be read (predict, audit); 128 and more: stopped by a signal"""


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(
        prog="lung-attention",
        description="Lung-cancer classifiers with soft attention: regenerate, compare, audit and use them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shtab.add_argument_to(parser, "--print-completion", help="completion for a shell")
    parser.add_argument("--version", action="version", version=code_version())
    added = parser.add_subparsers(required=True, metavar="command")

    sample = added.add_parser("make-sample", help="draw the embedded synthetic archives anew")
    sample.add_argument(
        "--to", type=Path, default=Path("sample"), metavar="FOLDER", help="default: %(default)s"
    )
    sample.add_argument("--seed", type=int, default=20260101, help="of all drawing; default: %(default)s")
    sample.set_defaults(run=images.make_sample)

    datasets = added.add_parser("datasets", help="say where each dataset and weight file comes from")
    datasets.set_defaults(run=images.datasets)

    dataset = added.add_parser("dataset", help="bring images of your own")
    new = dataset.add_subparsers(required=True, metavar="action").add_parser(
        "new", help="write datasets/NAME.yaml from a look at class folders of images"
    )
    new.add_argument("name", metavar="NAME", help="lower-case letters, digits, underscores")
    new.add_argument(
        "--from",
        dest="source",
        type=Path,
        required=True,
        metavar="FOLDER_OR_ZIP",
        help="class folders of images",
    )
    known = new.add_mutually_exclusive_group()
    known.add_argument("--patients", metavar="REGEX", help="finds the patient in a path, e.g. '(P[0-9]+)_'")
    known.add_argument(
        "--groups", type=Path, metavar="CSV", help="a table with the columns image and patient"
    )
    new.set_defaults(run=images.new_dataset)

    fetch = added.add_parser("fetch", help="fetch, verify and record datasets and weights")
    fetch.add_argument(
        "names", nargs="*", metavar="NAME", help="datasets or backbones; all of the profile public"
    )
    fetch.add_argument(
        "--to", type=Path, metavar="FOLDER", help="else $LUNG_ATTENTION_DOWNLOADS or the user's cache"
    )
    fetch.add_argument("--yes", action="store_true", help="agree to transfers of more than 5 GB")
    fetch.set_defaults(run=images.fetch)

    repro = added.add_parser(
        "repro", help="regenerate the default results, or another profile's beside them with --profile"
    )
    repro.add_argument("--profile", help="another than the one in use, beside its results")
    repro.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of a profile, 'splits=[published]'"
    )
    repro.add_argument(
        "--jobs", type=int, default=pipeline.default_jobs(), help="stages at a time, without --profile"
    )
    repro.set_defaults(run=pipeline.repro)

    experiment = added.add_parser(
        "experiment", help="run a profile with other settings and keep its accuracies beside the results"
    )
    experiment.add_argument("name", help="what is asked, e.g. 'nearest pixel instead of bilinear'")
    experiment.add_argument("--profile", required=True, help="whose settings are changed")
    experiment.add_argument(
        "--set",
        action="append",
        required=True,
        metavar="KEY=VALUE",
        help="as in repro, e.g. 'datasets=[iqoth]'",
    )
    experiment.set_defaults(run=pipeline.experiment)

    search = added.add_parser("search", help="search a head's settings, nested in the grouped split")
    search.add_argument("--profile", default="sample", help="default: sample")
    for factor, which in (
        ("dataset", "of datasets/"),
        ("backbone", "of params.yaml"),
        ("head", "of params.yaml"),
    ):
        search.add_argument(f"--{factor}", required=True, help=f"one {which}")
    search.add_argument("--storage", metavar="ADDRESS", help="a database for many workers")
    search.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. search.trials=50"
    )
    search.set_defaults(run=pipeline.search)

    track = added.add_parser("track", help="bring the MLflow server in line with the results")
    track.add_argument("--profile", default="sample", help="default: sample")
    track.set_defaults(run=pipeline.track)

    ui = added.add_parser("ui", help="look at the runs in MLflow's pages")
    ui.add_argument("--port", type=int, default=5000, help="on this machine alone; default: 5000")
    ui.set_defaults(run=pipeline.ui)

    export = added.add_parser("export", help="write a cell's model as one ONNX file that needs no TensorFlow")
    export.add_argument("cell", metavar="CELL", help="such as iqoth-densenet121-attention-published-grouped")
    export.add_argument("--profile", help="default: the one in use")
    export.add_argument("--to", type=Path, metavar="FILE", help="default: in the profile's artifacts")
    export.add_argument(
        "--register", metavar="NAME", help="also make it the champion of this name in MLflow, to be served"
    )
    export.set_defaults(run=models.export)

    predict = added.add_parser(
        "predict", help="classify images of your own; exit code 3: some could not be read, the others were"
    )
    predict.add_argument(
        "model", metavar="MODEL", help="a cell, a file .onnx, a cell's model.keras, or models:/NAME@champion"
    )
    predict.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="JPEG, PNG, TIFF, DICOM; folders; zip archives"
    )
    predict.add_argument("--profile", help="of the cell; default: the one in use")
    predict.add_argument("--csv", type=Path, metavar="FILE", help="also write a table, and its manifest")
    predict.add_argument("--jsonl", type=Path, metavar="FILE", help="the same, an object a line")
    predict.add_argument(
        "--overlay", type=Path, metavar="FOLDER", help="also write pictures with the attention map"
    )
    predict.add_argument(
        "--shards",
        type=Path,
        metavar="FOLDER",
        help="for many images: Parquet files, those of an interrupted run are kept",
    )
    predict.add_argument("--shard-size", type=int, default=1000, metavar="N", help="images of one of them")
    predict.add_argument(
        "--workers", type=int, metavar="N", help="with --shards: processes of Ray, on a cluster, too"
    )
    predict.add_argument(
        "--window",
        nargs=2,
        type=float,
        metavar=("LEVEL", "WIDTH"),
        help="in HU, through which CT slices are seen; default: the dataset's own",
    )
    predict.set_defaults(run=models.predict)

    crate = added.add_parser(
        "crate",
        help="describe a profile's datasets (Croissant) and run (RO-Crate) for machines",
    )
    crate.add_argument("--profile", default="sample", help="default: sample")
    crate.set_defaults(run=results.crate)

    audit = added.add_parser(
        "audit",
        help="look for leaks and shortcuts in your own images and split; exit code 1: one leaks, 3: some "
        "images could not be read, and none of the others leaks",
    )
    audit.add_argument(
        "source",
        type=Path,
        metavar="TABLE|FOLDER",
        help="CSV with the columns path,label and, if there are such, subset and group; or class folders, "
        "also below train, valid and test",
    )
    audit.add_argument("--split", type=Path, metavar="CSV", help="of a folder: path,subset and perhaps group")
    audit.add_argument(
        "--cosine",
        type=float,
        default=0.98,
        help="near-duplicates are at least this alike; default: %(default)s",
    )
    audit.add_argument(
        "--look-alikes-are-no-leak", action="store_true", help="for images that all look alike in grey"
    )
    audit.add_argument(
        "--listed", type=int, default=20, help="pairs and names listed at most; default: %(default)s"
    )
    audit.add_argument(
        "--permutations",
        type=int,
        default=999,
        help="of the labels, against which shortcuts are tested; default: %(default)s",
    )
    audit.add_argument(
        "--alpha", type=float, default=0.05, help="chance of a false alarm on shortcuts; default: %(default)s"
    )
    audit.add_argument("--seed", type=int, default=0, help="of folds and permutations; default: %(default)s")
    audit.add_argument("--json", type=Path, metavar="FILE", help="also write the complete result")
    audit.set_defaults(run=images.audit)

    reproducibility = added.add_parser(
        "reproducibility",
        help="compare this machine's scores with the committed ones, within the tolerance",
    )
    reproducibility.add_argument("--revision", default="HEAD", help="default: %(default)s")
    reproducibility.set_defaults(run=results.reproducibility)

    lock = added.add_parser(
        "check-lock", help="say which stages dvc.lock no longer belongs to; needs no data"
    )
    lock.set_defaults(run=pipeline.check_lock)

    verify = added.add_parser(
        "verify",
        help="hash all that DVC caches, and remove what is damaged, so that dvc repro makes it anew; "
        "exit code 1: something was",
    )
    verify.set_defaults(run=pipeline.verify)

    stale = added.add_parser("stale", help="say which results are stale, in a profile's report, too")
    stale.add_argument("--profile", default="local", help="default: local")
    stale.set_defaults(run=results.stale)

    dag = added.add_parser("dag", help="draw the pipeline, a box a stage, in Mermaid's words")
    dag.set_defaults(run=pipeline.dag)

    readme = added.add_parser("readme", help="write the committed results into README.md")
    readme.add_argument("--check", action="store_true", help="only say whether they are there")
    readme.set_defaults(run=results.readme)

    gating.add_gate(added)
    illustrate(parser)
    return parser


def main() -> None:
    """Runs the command line."""
    run_guarded(lambda: _run(build_parser().parse_args()))


def _run(arguments: argparse.Namespace) -> int:
    try:
        code: int = arguments.run(arguments)
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "lung_attention"):
            raise
        raise UserError(f"this needs {name}, which is not installed", remedy=how_to_install(name)) from error
    return code
