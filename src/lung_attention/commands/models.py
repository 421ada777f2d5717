"""Commands that hand a model on, and use it."""

from __future__ import annotations

import argparse
from pathlib import Path

from lung_attention.config import load_config
from lung_attention.errors import UserError
from lung_attention.paths import PARAMS, Paths


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
