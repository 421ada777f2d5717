"""Measures speed and memory, and writes benchmarks/results.json and its tables into docs/.

python -m tools.benchmark                        # all parts; a run that was stopped goes on
python -m tools.benchmark --only growth          # one part; figures of the others are kept
python -m tools.benchmark --only installation    # from the package index, with a network
python -m tools.benchmark --tables               # the tables alone, from what was measured
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from platformdirs import user_cache_path

from lung_attention.data.sources.resolve import ARCHIVES_VARIABLE, WEIGHTS_VARIABLE
from lung_attention.errors import UserError, run_guarded

from . import growth, overheads, prediction, steps, ways
from .pages import write_pages
from .store import Store, read_figures
from .workspace import ROOT

PARTS = ("ways", "growth", "overheads", "prediction", "steps")
INSTALLATION = "installation"
_RESULTS = Path("benchmarks/results.json")


def _folder_of(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value or not Path(value).is_dir():
        raise UserError(
            f"{variable}={value or ''} is no folder; the published way is measured on real images",
            remedy="docs/local.md, or measure the other parts: --only growth --only overheads …",
        )
    return Path(value).resolve()


def measure(parts: list[str], results: Path, folder: Path, *, quick: bool) -> None:
    """Measures parts, or what is left of them.

    Args:
        parts: Names among `PARTS` and `INSTALLATION`.
        results: The file of the figures.
        folder: For temporary files.
        quick: Tiny sizes, whose figures mean nothing: for tests.

    Raises:
        UserError: The published way is to be measured and there are no archives.
    """
    archives = _folder_of(ARCHIVES_VARIABLE) if "ways" in parts else None
    weights = _folder_of(WEIGHTS_VARIABLE) if "ways" in parts and not quick else None
    store = Store(results, parts, quick=quick)
    if archives is not None:
        effort = ways.QUICK if quick else ways.FULL
        ways.measure_ways(store, effort, folder / "ways", archives=archives, weights=weights)
    if "growth" in parts:
        effort_of_growth = growth.QUICK if quick else growth.FULL
        model = prediction.model_files(folder / "models", "mobilenetv2", effort_of_growth.size_px or 128)
        growth.measure_growth(store, effort_of_growth, folder / "growth", model["onnx"])
    if "overheads" in parts:
        overheads.measure_overheads(
            store, folder / "overheads", turns=1 if quick else 2,
            stages=["split"] if quick else None, sample=not quick,
        )  # fmt: skip
    if "prediction" in parts:
        effort_of_prediction = prediction.QUICK if quick else prediction.FULL
        prediction.measure_prediction(store, effort_of_prediction, folder / "prediction")
    if "steps" in parts:
        steps.measure_steps(store, steps.QUICK if quick else steps.FULL)
    if INSTALLATION in parts:
        overheads.measure_installation(store, folder / "installation")
    store.finish()


def main() -> None:
    """Measures what the command line names, and writes the pages."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=plain)
    parser.add_argument("--only", action="append", choices=(*PARTS, INSTALLATION), help="may be repeated")
    parser.add_argument("--tables", action="store_true", help="measure nothing")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, whose figures mean nothing")
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="FILE")
    parser.add_argument("--pages", type=Path, default=Path(), metavar="FOLDER", help="of README.md and docs/")
    work = user_cache_path("lung-attention")
    parser.add_argument(
        "--work", type=Path, default=work, metavar="FOLDER", help="of temporary files, some GB: %(default)s"
    )
    arguments = parser.parse_args()
    os.chdir(ROOT)
    parts = arguments.only or list(PARTS)
    if arguments.quick and Path(arguments.results) == _RESULTS:
        parser.error("--quick needs --results and --pages of its own, since its figures mean nothing")
    if not arguments.tables:
        folder = arguments.work.resolve() / "benchmark"
        folder.mkdir(parents=True, exist_ok=True)
        measure(parts, arguments.results.resolve(), folder, quick=arguments.quick)
        shutil.rmtree(folder, ignore_errors=True)
    for page in write_pages(read_figures(arguments.results.resolve()), arguments.pages.resolve()):
        print(f"wrote {page}")


if __name__ == "__main__":
    run_guarded(main)
