"""Code hashes: what each stage computes with, apart from comments, docstrings and layout.

The hash of a stage covers its script, every module of the package that the script imports, directly or not,
and the package's data files that these modules name. No module is imported, each is only parsed.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from lung_attention.models.heads import HEADS
from lung_attention.paths import code_digest, head_digest, recipe_digest
from lung_attention.training.recipes import RECIPES

PACKAGE = Path("src/lung_attention")
STAGES = Path("stages")

# What cannot change a stage's outputs but through what its entry in dvc.yaml says anyway.
OBSERVERS = {
    "config": "its values are in `params`",
    "cells": "names cells",
    "paths": "names files, which are in `deps` and `outs`",
    "alive": "looks at processes",
    "errors": "tells what went wrong",
    "writing": "gives files names while they are written",
    "training/progress": "tells how far it is",
    "tracking": "tells MLflow",
    "search/track": "tells MLflow and the terminal",
    "search/storage": "keeps studies, whose values are those of the trials",
    "search/address": "says where studies are kept",
    "workflow": "runs stages, and is run by none",
    "models/heads/__init__": "names heads, each of which has a hash of its own",
    "training/recipes": "names recipes, each of which has a hash of its own",
}

# What a stage has from there beyond values: a cell's settings come together from a profile and a dataset.
ALSO = {"settings": ("config/profiles.py", "training/recipes.py")}

_TEMPLATE = ".j2"

_EMPTY: tuple[object, ...] = (None, [], "")
_NO_CODE = frozenset({"type_comment", "kind", "ctx"})


def code_digests(root: Path) -> dict[Path, dict[str, str]]:
    """Hashes of the code of all stages, heads and recipes.

    Args:
        root: The project's root.

    Returns:
        For each script of `stages/` but that of the code stage itself, each head and each recipe: the file
        of its hashes, and what stands in it, the SHA-256 of each file that it computes with by its path.

    Raises:
        SyntaxError: A module cannot be parsed.
    """
    scripts = sorted(path for path in (root / STAGES).glob("*.py") if path.stem != "code")
    roots = {code_digest(script.stem): script for script in scripts}
    modules = {head_digest(name): module for name, module in HEADS.items()}
    modules |= {recipe_digest(name): recipe.module for name, recipe in RECIPES.items()}
    roots |= {
        digest: root / "src" / Path(*module.split(".")).with_suffix(".py")
        for digest, module in modules.items()
    }
    return {
        digest: {
            file.relative_to(root).as_posix(): _digest(file, file.read_bytes())
            for file in sorted(
                code_of(script, root) | {root / PACKAGE / also for also in ALSO.get(script.stem, ())}
            )
        }
        for digest, script in roots.items()
    }


def code_of(script: Path, root: Path) -> set[Path]:
    """The files that a script computes with.

    Args:
        script: A Python file.
        root: The project's root.

    Returns:
        The script, the modules of its import closure that are no `OBSERVERS`, and the package's data files
        whose names stand as texts in one of these, or in one of its templates.
    """
    package = root / PACKAGE
    data = [path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    seen = import_closure([script], package, lambda module: not _is_observer(module.relative_to(package)))
    for path in list(seen):
        texts = _texts(path.read_text(encoding="utf-8"))
        seen |= {path for path in data if path.name in texts}
    todo = [path for path in seen if path.suffix == _TEMPLATE]
    while todo:
        text = todo.pop().read_text(encoding="utf-8")
        further = {path for path in data if f'"{path.name}"' in text} - seen
        seen |= further
        todo += [path for path in further if path.suffix == _TEMPLATE]
    return seen


def import_closure(
    scripts: Iterable[Path], package: Path, counts: Callable[[Path], bool] = lambda module: True
) -> set[Path]:
    """Python files and the modules of a package that they import, directly or not.

    Args:
        scripts: The files to start from.
        package: The folder of the package.
        counts: Whether a module is followed; those that are not are left out.
    """
    seen = set(scripts)
    todo = list(seen)
    while todo:
        for module in _imported(todo.pop().read_text(encoding="utf-8"), package):
            if module not in seen and counts(module):
                seen.add(module)
                todo.append(module)
    return seen


# Stages share most of their code, so what is found in a text is kept: the hashes take a second, not three.
@cache
def canonical(source: str) -> str:
    """Code as JSON of its abstract syntax; equal for sources that differ by comments, docstrings or layout.

    Annotations count, since pydantic reads them. Nothing in it depends on the version of Python: fields that
    are empty are left out (later versions have more of them), and texts side by side in an f-string are one.
    """
    return json.dumps(_plain(_parsed(source)), separators=(",", ":"))


def _digest(path: Path, content: bytes) -> str:
    counted = canonical(content.decode()).encode() if path.suffix == ".py" else content
    return hashlib.sha256(counted).hexdigest()


@cache
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)


@cache
def _texts(source: str) -> frozenset[object]:
    """All literals of a module."""
    return frozenset(node.value for node in ast.walk(_parsed(source)) if isinstance(node, ast.Constant))


def _plain(node: object) -> object:
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return node if isinstance(node, (str, int, bool, type(None))) else repr(node)
    fields = dict(ast.iter_fields(node))
    body = fields.get("body")
    has_docstring = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    if has_docstring and body and isinstance(body[0], ast.Expr) and _is_text(body[0].value):
        fields["body"] = body[1:]
    if isinstance(node, ast.JoinedStr):
        fields["values"] = list(_joined_texts(node.values))
    kept = {
        name: _plain(value)
        for name, value in sorted(fields.items())
        if name not in _NO_CODE and not (value in _EMPTY and not isinstance(node, ast.Constant))
    }
    return [type(node).__name__, kept]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _joined_texts(values: list[ast.expr]) -> Iterator[ast.expr]:
    text = ""
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            text += value.value
            continue
        if text:
            yield ast.Constant(text)
            text = ""
        yield value
    if text:
        yield ast.Constant(text)


@cache
def _imported(source: str, package: Path) -> frozenset[Path]:
    """The package's files that a module imports, wherever the import stands but under `if TYPE_CHECKING`."""
    found: set[Path] = set()
    todo: list[ast.AST] = [_parsed(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            top, *parts = name.split(".")
            if top == package.name:
                found |= {package.joinpath(*parts[:depth]) / "__init__.py" for depth in range(len(parts) + 1)}
                found.add(package.joinpath(*parts).with_suffix(".py") if parts else package / "__init__.py")
    return frozenset(file for file in found if file.is_file())


def _is_observer(module: Path) -> bool:
    name = module.with_suffix("").as_posix()
    return any(name == observer or name.startswith(f"{observer}/") for observer in OBSERVERS)
