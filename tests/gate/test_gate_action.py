"""The composite action: its steps run here with bash, as GitHub runs them.

The step that installs the package is not run, since it would fetch hundreds of megabytes; the environment of
the tests takes the place of the one it makes. Its text is compared instead.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from gate_tables import ROOT

FOLDER = ROOT / ".github" / "actions" / "gate"
ACTION = yaml.safe_load((FOLDER / "action.yml").read_text(encoding="utf-8"))
INSTALL, GATE = ACTION["runs"]["steps"]
HERE = Path(__file__).parent
OTHERS = {
    "old": str(HERE / "logistic_regression.csv"),
    "new": str(HERE / "random_forest.csv"),
    "id": "case sample",
    "label": "diagnosis y_true",
    "cluster": "patient_id subject",
    "fold": "cv_fold split",
    "probability": "malignant=p_malignant\nbenign=p_benign\nmalignant=score\n",
}


@pytest.fixture
def act(tmp_path):
    """Runs the gate's step with some inputs; exit code, outputs, and the step's summary."""
    (tmp_path / "lung-attention-gate").symlink_to(sys.prefix)

    def run(inputs):
        values = {name: entry.get("default", "") for name, entry in ACTION["inputs"].items()} | inputs
        names = {
            name: re.fullmatch(r"\$\{\{ inputs\.(\w+) }}", text)[1] for name, text in GATE["env"].items()
        }
        files = {name: tmp_path / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.write_text("", encoding="utf-8")
        environment = os.environ | {name: values[key] for name, key in names.items()}
        environment |= {name: str(path) for name, path in files.items()}
        environment |= {"RUNNER_TEMP": str(tmp_path), "GITHUB_ACTION_PATH": str(FOLDER)}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", GATE["run"]],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        lines = files["GITHUB_OUTPUT"].read_text(encoding="utf-8").splitlines()
        outputs = dict(line.split("=", 1) for line in lines)
        return done.returncode, outputs, files["GITHUB_STEP_SUMMARY"].read_text(encoding="utf-8"), done.stderr

    return run


def test_a_regression_fails_the_step_and_is_told(act):
    code, outputs, summary, _ = act(OTHERS)
    assert (code, outputs) == (1, {"verdict": "fail", "exit-code": "1"})
    assert summary.startswith("## Gate: fail\n") and "| regression |" in summary


def test_a_gain_passes(act):
    code, outputs, summary, _ = act(OTHERS | {"old": OTHERS["new"], "new": OTHERS["old"]})
    assert (code, outputs) == (0, {"verdict": "pass", "exit-code": "0"})
    assert summary.startswith("## Gate: pass\n")


def test_what_is_unusable_is_told_and_nothing_of_an_earlier_run_is_left(act):
    assert act(OTHERS)[0] == 1
    code, outputs, summary, _ = act(OTHERS | {"label": "truth"})
    assert (code, outputs) == (2, {"verdict": "not comparable", "exit-code": "2"})
    assert "none of the columns ['truth']" in summary and "regression" not in summary
    code, outputs, summary, error = act(OTHERS | {"margin": "mcc=x; echo pwned"})
    assert (
        outputs == {"verdict": "not comparable", "exit-code": "2"}
        and "pwned" not in summary.split("received")[0]
    )
    assert code == 2 and "--margin: expected SCORE=LOSS" in error


def test_the_package_is_installed_from_the_actions_own_checkout():
    assert 'pip install --quiet "$GITHUB_ACTION_PATH/../../.."' in INSTALL["run"]
    assert (FOLDER / "../../.." / "pyproject.toml").resolve() == ROOT / "pyproject.toml"
    made = re.findall(r"\$RUNNER_TEMP/[\w-]+", INSTALL["run"])
    assert set(made) == {"$RUNNER_TEMP/lung-attention-gate"} and made[0] in GATE["run"]


def test_inputs_reach_the_shell_only_as_variables():
    for step in (INSTALL, GATE):
        assert "${{" not in step["run"]
    assert set(ACTION["outputs"]) == {"verdict", "exit-code"}


@pytest.mark.parametrize(
    "linter", [["check-jsonschema", "--builtin-schema", "vendor.github-actions"], ["zizmor", "--offline"]],
    ids=lambda linter: linter[0],
)  # fmt: skip
def test_linters_find_nothing(linter):
    command = [str(Path(sys.executable).parent / linter[0]), *linter[1:], str(FOLDER / "action.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
