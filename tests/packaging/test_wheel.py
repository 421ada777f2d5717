"""The package by itself, outside this repository: `audit` and `gate`, then with its extra `predict`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from predict.models import exported

ROOT = Path(__file__).parents[2]
MOST_BYTES = 500_000_000


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """Runs `lung-attention` of a wheel in an environment of its own; the locked versions."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    copy = folder / "source"
    copy.mkdir()
    for name in ("src", "pyproject.toml", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", ROOT / name, copy / name], check=True)
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, copy]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    versions = re.findall(r"^([a-z0-9._-]+==[^ ]+(?: ;[^\\\n]+)?) \\\\$", lock, flags=re.MULTILINE)
    (folder / "versions.txt").write_text("\n".join(versions), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
    python = folder / "env" / "bin" / "python"
    install = [python, *pip[1:], "install", "--constraint", folder / "versions.txt", wheel]
    subprocess.run(install, check=True, capture_output=True)

    def run(*arguments):
        done = subprocess.run(
            [python.parent / "lung-attention", *map(str, arguments)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    run.folder, run.python = folder, python
    run.install = lambda extra: subprocess.run(
        [*install[:-1], f"lung-attention[{extra}] @ {wheel.as_uri()}"], check=True, capture_output=True
    )
    return run


def test_it_is_small_and_brings_none_of_the_large_frameworks(command):
    packages = next((command.folder / "env" / "lib").glob("python*")) / "site-packages"
    files = [path for path in packages.rglob("*") if path.is_file()]
    names = {path.name for path in packages.iterdir()}
    assert not names & {"tensorflow", "keras", "dvc", "mlflow", "optuna", "onnxruntime", "ray", "statsmodels"}
    # pip and setuptools are the environment's own.
    own = [path for path in files if path.relative_to(packages).parts[0] not in ("pip", "setuptools")]
    # On a disk, where small files take a block each.
    assert sum(512 * path.stat().st_blocks for path in own) < MOST_BYTES


def test_it_audits_a_folder(command, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(8):
        path = tmp_path / ("train" if number < 4 else "test") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    code, said = command("audit", tmp_path, "--permutations", "19")
    assert code == 0, said
    assert "No leak found" in said


def test_it_gates_two_tables(command, tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80)
    for name in ("old", "new"):
        table = pd.DataFrame(
            {"image": [f"{n}.png" for n in range(80)], "label": np.array(["a", "b"])[labels]}
        )
        table["probability_b"] = np.clip(labels * 0.6 + 0.2 + rng.normal(0, 0.05, 80), 0.01, 0.99)
        table["probability_a"] = 1 - table["probability_b"]
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    code, said = command("gate", tmp_path / "old.csv", tmp_path / "new.csv", "--json", tmp_path / "a.json")
    assert code == 0, said
    assert json.loads((tmp_path / "a.json").read_text())["exit_code"] == 0


def test_it_predicts_with_an_exported_model(command, tmp_path):
    model = exported(tmp_path / "model.onnx")
    code, said = command("predict", model, tmp_path / "a.png")
    assert code == 2
    assert "which is not installed" in said
    command.install("predict")
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "a.png")
    code, said = command("predict", model, tmp_path / "a.png")
    assert code == 0, said
    assert "a.png" in said


def test_what_needs_more_says_what(command):
    for name in ("params.yaml", "datasets"):
        subprocess.run(["cp", "-r", ROOT / name, command.folder / name], check=True)
    code, said = command("ui")
    assert code == 2
    assert "this needs mlflow, which is not installed" in said
    assert "-> pip install 'lung-attention[track] @ file:///" in said
    assert "Traceback" not in said
