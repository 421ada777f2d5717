"""What the images are built of is there, and nothing of this machine gets into them."""

import ast
import importlib
import inspect
import re
import subprocess
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
IGNORED = [
    line
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
TRACKED = subprocess.run(
    ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()


def instructions(path):
    """The instructions of a Dockerfile as pairs of word and rest, long lines joined."""
    joined = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line]


def is_ignored(path):
    """Whether .dockerignore keeps a file out, by a pattern from the root or one that starts with `**/`."""
    parts = path.split("/")
    for pattern in IGNORED:
        glob = pattern.removeprefix("**/")
        depth = glob.count("/") + 1
        starts = range(len(parts) - depth + 1) if glob != pattern else (0,)
        if any(fnmatchcase("/".join(parts[start : start + depth]), glob) for start in starts):
            return True
    return False


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_what_is_copied_is_tracked_and_not_ignored(path):
    copied = [rest.split() for word, rest in instructions(path) if word == "COPY"]
    sources = [part for parts in copied for part in parts[:-1] if not part.startswith("--")]
    given = [f"${{{rest}}}" for word, rest in instructions(path) if word == "ARG"]
    assert sources
    for source in set(sources) - set(given) - {"."}:
        held = [name for name in TRACKED if name == source or name.startswith(f"{source}/")]
        assert held and not any(map(is_ignored, held)), source


def test_no_file_of_the_project_is_kept_out():
    assert [name for name in TRACKED if is_ignored(name)] == []


def test_what_git_ignores_gets_into_no_image():
    """Caches, results of this machine, and credentials."""
    wanted = []
    for name in (".gitignore", ".dvc/.gitignore"):
        folder = name.removesuffix(".gitignore")
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                wanted.append(folder + line.strip("/") if line.startswith("/") else f"**/{line.strip('/')}")
    assert ".dvc/config.local" in wanted
    assert [pattern for pattern in wanted if pattern not in IGNORED] == []


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_images_have_a_python_that_fits_and_a_user_without_rights(path):
    (base,) = (rest for word, rest in instructions(path) if word == "FROM")
    version = re.fullmatch(r"python:(3\.\d+)-slim", base)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert SpecifierSet(project["requires-python"]).contains(version)
    users = [rest for word, rest in instructions(path) if word == "USER"]
    assert users and users[-1].isdigit() and int(users[-1]) > 0  # a number, so that a cluster can check it


def test_the_served_model_is_registered_by_a_function_that_takes_these_arguments():
    path = ROOT / "docker" / "serve.Dockerfile"
    runs = [rest for word, rest in instructions(path) if word == "RUN"]
    (code,) = (found[1] for rest in runs if (found := re.search(r'python -c "(.+)"', rest)))
    (call,) = (node.value for node in ast.parse(code).body if isinstance(node, ast.Expr))
    (imported,) = (
        node
        for node in ast.parse(code).body
        if isinstance(node, ast.ImportFrom) and node.module.startswith("lung_attention")
    )
    function = getattr(importlib.import_module(imported.module), call.func.id)
    keywords = {keyword.arg: None for keyword in call.keywords}
    inspect.signature(function).bind(*call.args, **keywords)
    name = ast.literal_eval(call.args[1])
    said = dict(instructions(path))
    assert f'"models:/{name}@champion"' in said["CMD"]
    port = said["EXPOSE"]
    assert f'"--port", "{port}"' in said["CMD"]
    assert f":{port}:{port}" in (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
