"""The workflows: sound by two linters, pinned, with least rights; every command in them runs here, too."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".github" / "workflows"
CI = yaml.safe_load((FOLDER / "ci.yml").read_text())
TRAIN = yaml.safe_load((FOLDER / "train.yml").read_text())
SECURITY = yaml.safe_load((FOLDER / "security.yml").read_text())
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
TOOLS = Path(sys.executable).parent
MAKE = re.compile(r'make (?:--silent )?([a-z-]+)((?: [A-Z]+=\S+)*)(?: >> "\$GITHUB_[A-Z_]+")?')


def jobs():
    return [
        pytest.param(job, id=f"{name}-{key}")
        for name, workflow in (("ci", CI), ("train", TRAIN), ("security", SECURITY))
        for key, job in workflow["jobs"].items()
    ]


def targets(job):
    return [MAKE.fullmatch(step["run"])[1] for step in job["steps"] if "run" in step]


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
@pytest.mark.parametrize(
    "linter", [["check-jsonschema", "--builtin-schema", "vendor.github-workflows"], ["zizmor", "--offline"]],
    ids=lambda linter: linter[0],
)  # fmt: skip
def test_linters_find_nothing(path, linter):
    done = subprocess.run(
        [str(TOOLS / linter[0]), *linter[1:], str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("job", jobs())
def test_every_command_is_a_target(job):
    assert set(targets(job)) <= TARGETS


@pytest.mark.parametrize("job", jobs())
def test_actions_are_pinned_by_commit(job):
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+(/[\w-]+)?@[0-9a-f]{40}", action), action


def test_rights_are_the_least():
    assert CI["permissions"] == TRAIN["permissions"] == SECURITY["permissions"] == {}
    for job in CI["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
    findings = {"contents": "read", "security-events": "write"}
    assert {name: job["permissions"] for name, job in SECURITY["jobs"].items()} == {
        "dependencies": {"contents": "read"}, "codeql": findings, "scorecard": findings,
    }  # fmt: skip
    (train,) = TRAIN["jobs"].values()
    assert train["permissions"] == {"contents": "write", "pull-requests": "write"}
    with_token = [step for step in train["steps"] if "GH_TOKEN" in step.get("env", {})]
    assert [step["run"].split()[1] for step in with_token] == ["results-pull-request"]


def test_what_comes_from_outside_is_never_part_of_a_command():
    for job in (*CI["jobs"].values(), *TRAIN["jobs"].values(), *SECURITY["jobs"].values()):
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), step


def test_the_checks_are_those_of_make_test_in_its_order():
    (line,) = re.findall(r"^test: (.+?) ##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert targets(CI["jobs"]["checks"]) == ["env", *line.split()]


def test_without_a_network_nothing_fails():
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        ["sh", str(ROOT / "scripts" / "dependencies.sh"), "audit"],
        env=os.environ | nowhere | {"PYTHON": sys.executable}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "nothing is said" in done.stdout


def test_the_training_job_proposes_what_the_gate_has_judged():
    (train,) = TRAIN["jobs"].values()
    assert targets(train) == ["env", "cache", "repro", "readme", "gate", "results-pull-request"]


# What the training job ends with, on a repository of its own whose `gh` writes down what it is asked.

GH = """#!/bin/sh
echo "$@" >> "$GH_ASKED"
while [ $# -gt 0 ]; do [ "$1" = --body-file ] && cat "$2" >> "$GH_ASKED"; shift; done
"""


@pytest.fixture
def checkout(tmp_path):
    """A clone with results, its origin, and a `gh` that records."""
    origin, clone = tmp_path / "origin.git", tmp_path / "clone"

    def git(*arguments, cwd=clone):
        identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout

    git("init", "-q", "--bare", "-b", "main", str(origin), cwd=tmp_path)
    git("clone", "-q", str(origin), str(clone), cwd=tmp_path)
    git("switch", "-qc", "main")
    pages = ("README.md", "docs/results.md", "docs/models.md", "docs/images/results.svg")
    for name in ("scripts/pull_request.sh", "Makefile", *pages):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    (clone / "results" / "local").mkdir(parents=True)
    (clone / "results" / "local" / "summary.csv").write_text("old\n")
    git("add", "-A")
    git("commit", "-qm", "start")
    git("push", "-q", "origin", "main")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text(GH)
    (tmp_path / "bin" / "gh").chmod(0o755)
    (clone / "gate.md").write_text("the table\n")
    return clone, git


def propose(clone):
    asked = clone.parent / "asked"
    environment = os.environ | {
        "PATH": f"{clone.parent / 'bin'}{os.pathsep}{os.environ['PATH']}", "GH_ASKED": str(asked),
    }  # fmt: skip
    done = subprocess.run(
        ["make", "results-pull-request", "PROFILE=local", "MARKDOWN=gate.md"],
        cwd=clone, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done, asked.read_text() if asked.exists() else ""


def test_new_results_become_a_pull_request_with_the_table(checkout):
    clone, git = checkout
    (clone / "results" / "local" / "summary.csv").write_text("new\n")
    (clone / "docs" / "results.md").write_text("new\n")
    (clone / "left.txt").write_text("not of the results\n")
    done, asked = propose(clone)
    assert done.returncode == 0, done.stderr
    assert "pr create --base main --head results/local-" in asked
    assert asked.endswith("the table\n")
    (branch,) = (line.split()[-1] for line in git("ls-remote", "origin").splitlines() if "results/" in line)
    assert git("show", f"{branch.removeprefix('refs/heads/')}:results/local/summary.csv") == "new\n"
    assert git("diff", "--name-only", "main", branch.removeprefix("refs/heads/")).split() == [
        "docs/results.md", "results/local/summary.csv"
    ]  # fmt: skip
    assert git("rev-parse", "--abbrev-ref", "HEAD").strip() == "main"


def test_unchanged_results_propose_nothing(checkout):
    done, asked = propose(checkout[0])
    assert done.returncode == 0 and "nothing to propose" in done.stdout
    assert "pr create" not in asked


def test_a_missing_table_is_named(checkout):
    (checkout[0] / "gate.md").unlink()
    done, asked = propose(checkout[0])
    assert done.returncode != 0 and "gate.md" in done.stderr and not asked
