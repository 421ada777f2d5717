"""The locked environment, the Makefile's targets and what calls them."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from lung_attention.extras import how_to_install

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
PYTHONS = ("3.11", "3.12", "3.13")
# `make -C folder target`, `make target VARIABLE=…`; prose such as "make sure" is not set as code.
MAKE_CALL = re.compile(r"\bmake +(?:-[A-Za-z]+ +)*([a-z][a-z-]*)")


def locked(python: str, platform: str) -> dict[str, Version]:
    """The versions that the lock names for one Python on one platform."""
    environment = dict(default_environment())
    environment |= {
        "python_version": python,
        "python_full_version": f"{python}.5",
        "sys_platform": platform,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[platform],
        "platform_machine": {"linux": "x86_64", "darwin": "arm64"}[platform],
    }
    versions = {}
    for line in re.findall(r"^[^\s#].*", LOCK, flags=re.MULTILINE):
        requirement = Requirement(line.rstrip("\\ "))
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            name = canonicalize_name(requirement.name)
            assert name not in versions, f"{name} has two versions for Python {python} on {platform}"
            versions[name] = Version(pin.version)
    return versions


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_holds_what_the_project_asks_for(python: str, platform: str) -> None:
    versions = locked(python, platform)
    for text in all_but("gpu"):
        requirement = Requirement(text)
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{text}: the lock has {version}; run `make lock`"


def test_the_gpu_extra_asks_for_the_locked_tensorflow() -> None:
    (tensorflow,) = (r for r in map(Requirement, PROJECT["optional-dependencies"]["gpu"]) if r.extras)
    assert tensorflow.extras == {"and-cuda"}
    assert tensorflow.specifier.contains(locked("3.12", "linux")[tensorflow.name])


def all_but(extra: str) -> list[str]:
    """What the project asks for, with all extras but one."""
    extras = PROJECT["optional-dependencies"]
    found = PROJECT["dependencies"] + [text for name in extras if name != extra for text in extras[name]]
    return [text for text in found if not text.startswith(PROJECT["name"])]  # an extra may ask for another


def test_each_locked_version_has_a_hash() -> None:
    for block in re.split(r"\n(?=[^\s#])", LOCK)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_lock_names_no_index_and_no_machine() -> None:
    for word in ("://", "--index", "--find-links", "file:", "/home/", "/root/", "/tmp/", "/opt/", " @ "):
        assert word not in LOCK, word


def imported_names(folder: Path) -> set[str]:
    """Top-level names that the Python files below a folder import."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("folder", ["src", "stages"])
def test_what_is_imported_is_declared(folder: str) -> None:
    declared = {canonicalize_name(Requirement(text).name) for text in all_but("dev")}
    owners = packages_distributions()
    for name in imported_names(ROOT / folder) - set(sys.stdlib_module_names) - {"lung_attention"}:
        candidates = {canonicalize_name(owner) for owner in owners.get(name, [name])}
        assert candidates & declared, f"{folder} imports {name}, which pyproject.toml does not name"


def test_a_missing_module_is_told_with_the_one_extra_that_brings_it() -> None:
    extras = PROJECT["optional-dependencies"]
    base = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    owners = packages_distributions()
    told = set()
    for name in imported_names(ROOT / "src") - set(sys.stdlib_module_names) - {"lung_attention"}:
        packages = {canonicalize_name(owner) for owner in owners.get(name, [name])}
        if packages & base:
            continue
        extra = re.fullmatch(r"pip install .*\[(\w+)\].*", how_to_install(name))
        assert extra, f"{name}: {how_to_install(name)}"
        assert packages & {canonicalize_name(Requirement(text).name) for text in extras[extra[1]]}
        told.add(extra[1])
    assert told == {"predict", "ray", "track", "train"}
    assert how_to_install("no_such_thing") == "pip install no-such-thing"


@pytest.mark.parametrize(
    ("noted", "command"),
    [
        (None, "pip install 'lung-attention[track]'"),
        (
            {"url": "file:///a%20b/x.whl", "archive_info": {}},
            "pip install 'lung-attention[track] @ file:///a%20b/x.whl'",
        ),
        (
            {"url": "https://host/x.git", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "pip install 'lung-attention[track] @ git+https://host/x.git'",
        ),
        (
            {"url": "file:///a%20b", "dir_info": {"editable": True}},
            "pip install --editable '/a b[track]'",
        ),
    ],
)
def test_an_extra_comes_from_where_the_package_came(monkeypatch, noted, command) -> None:
    text = None if noted is None else json.dumps(noted)
    origin = SimpleNamespace(read_text=lambda _: text, requires=["mlflow; extra == 'track'"])
    monkeypatch.setattr("lung_attention.extras.metadata.distribution", lambda _: origin)
    assert how_to_install("mlflow") == command


def documents() -> list[Path]:
    return [path for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")] if path.is_file()]


def test_make_targets_in_the_documents_exist() -> None:
    for path in documents():
        code = re.findall(r"```.*?```|`[^`\n]+`", path.read_text(), flags=re.DOTALL)
        for target in MAKE_CALL.findall("\n".join(code)):
            assert target in TARGETS, f"{path.name} names `make {target}`"


def test_ci_run_calls_targets_that_exist() -> None:
    commands = re.findall(r"^make (\S+)$", (ROOT / ".ci" / "run").read_text(), flags=re.MULTILINE)
    assert "test" in commands
    assert set(commands) <= TARGETS


def test_only_ci_run_knows_of_a_folder_beside_the_checkout() -> None:
    for path in [ROOT / "Makefile", *WORKFLOWS, *(ROOT / "scripts").iterdir()]:
        assert "shared" not in path.read_text(), path


# What decides whether an environment is made anew, tried with an interpreter that is too old.


@pytest.fixture
def bare_checkout(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    for name in ("Makefile", "scripts/environment.sh", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The tests may run below a make, which hands its variables on.
    ours = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "PYTHON", "EXTRAS", "ARGS", "PROFILE", "SET")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def interpreter(path: Path, *, fits: bool) -> Path:
    """A stand-in for a Python that answers the question for its version with yes or no."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'#!/bin/sh\ncase "$*" in -V) echo "Python 3.9.9";; *version_info*) exit {0 if fits else 1};; esac\n'
    )
    path.chmod(0o755)
    return path


def test_an_old_interpreter_is_refused_with_its_version(bare_checkout: Path) -> None:
    old = interpreter(bare_checkout / "old-python", fits=False)
    done = make(bare_checkout, "env", f"PYTHON={old}")
    assert done.returncode != 0
    assert "Python 3.9.9" in done.stderr
    assert "3.11 to 3.13" in done.stderr
    assert not (bare_checkout / ".venv").exists()


def test_a_missing_interpreter_is_named(bare_checkout: Path) -> None:
    done = make(bare_checkout, "env", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "no-such-python" in done.stderr


def test_an_environment_that_fits_is_left_alone_until_the_lock_changes(bare_checkout: Path) -> None:
    interpreter(bare_checkout / ".venv" / "bin" / "python", fits=True)
    files = ["requirements.lock", "pyproject.toml"]
    sums = subprocess.run(["cksum", *files], cwd=bare_checkout, capture_output=True, text=True, check=True)
    stamp = bare_checkout / ".venv" / "installed-from"
    stamp.write_text(sums.stdout + "extras=\n")
    done = make(bare_checkout, "env")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    interpreter(bare_checkout / ".venv" / "bin" / "python", fits=False)
    with (bare_checkout / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")
    done = make(bare_checkout, "env")
    assert done.returncode != 0
    assert "remove it and make it anew" in done.stderr


@pytest.mark.parametrize("linked", [True, False], ids=["linked", "copied"])
def test_the_environment_of_another_checkout_is_left_alone(
    bare_checkout: Path, tmp_path_factory: pytest.TempPathFactory, linked: bool
) -> None:
    """Neither installed anew, for the lock is another one, nor used."""
    other = tmp_path_factory.mktemp("other") / "check out"
    site = other / ".venv" / "lib" / "python3.12" / "site-packages"
    (other / "src").mkdir(parents=True)
    interpreter(other / ".venv" / "bin" / "python", fits=True)
    site.mkdir(parents=True)
    (site / "__editable__.lung_attention-0.1.0.pth").write_text(f"{other / 'src'}\n")
    stamp = other / ".venv" / "installed-from"
    stamp.write_text("another lock\n")
    if linked:
        (bare_checkout / ".venv").symlink_to(other / ".venv")
    else:
        shutil.copytree(other / ".venv", bare_checkout / ".venv")
    done = make(bare_checkout, "env")
    assert done.returncode != 0
    assert f".venv is the environment of another checkout, {other}, and runs its code" in done.stderr
    assert f"rm {'' if linked else '-r '}.venv && make env" in done.stderr
    assert stamp.read_text() == "another lock\n"


def test_the_environment_of_a_checkout_that_was_moved_stays_its_own(bare_checkout: Path) -> None:
    interpreter(bare_checkout / ".venv" / "bin" / "python", fits=True)
    site = bare_checkout / ".venv" / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    link = site / "__editable__.lung_attention-0.1.0.pth"
    files = ["requirements.lock", "pyproject.toml"]
    sums = subprocess.run(["cksum", *files], cwd=bare_checkout, capture_output=True, text=True, check=True)
    (bare_checkout / ".venv" / "installed-from").write_text(sums.stdout + "extras=\n")
    (bare_checkout / "src").mkdir()
    for source in (bare_checkout / "src", bare_checkout / "gone" / "src"):
        link.write_text(f"{source}\n")
        done = make(bare_checkout, "env")
        assert (done.returncode, done.stderr) == (0, "")


def test_variables_reach_the_command(bare_checkout: Path) -> None:
    done = make(bare_checkout, "-n", "repro", "PROFILE=local", "SET=splits=[published] train.recipe.epochs=5")
    said = " ".join(done.stdout.replace("\\\n", " ").split())
    assert said.endswith(
        "lung-attention repro --profile 'local' --set 'splits=[published]' --set 'train.recipe.epochs=5'"
    )
    said = make(bare_checkout, "-n", "repro", "JOBS=3").stdout.replace("\\\n", " ")
    assert " ".join(said.split()).endswith("lung-attention repro --jobs '3'")


# Licence and citation.


def test_the_citation_names_paper_unit_and_datasets() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert citation["version"] == PROJECT["version"]
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= reference.keys()
    text = (ROOT / "CITATION.cff").read_text()
    for identifier in (
        "10.1109/ISACC65211.2025.10969319",
        "arXiv:2105.03358",
        "10.17632/bhmdr45bh2",
        "arXiv:1912.12142",
        "10.7937/K9/TCIA.2015.LO9QL9SX",
    ):
        assert identifier in text
