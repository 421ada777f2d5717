"""Commands that bring images, and look at them."""

from __future__ import annotations

import argparse

from lung_attention.config import load_config
from lung_attention.files import write_json
from lung_attention.paths import PARAMS


def make_sample(arguments: argparse.Namespace) -> int:
    """Draws the embedded archives."""
    from lung_attention.data.sample.archives import make_sample

    catalog = load_config(PARAMS).catalog
    for name, digest in make_sample(arguments.to, catalog, seed=arguments.seed).items():
        print(f"{digest}  {arguments.to / name}")
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
