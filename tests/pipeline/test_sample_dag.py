"""The DAG on the embedded sample, end to end, in a copy of the repository."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lung_attention.cells import FACTORS, Cell
from lung_attention.config import load_config
from lung_attention.data.sample.archives import PLANTED
from lung_attention.paths import PARAMS, Paths

pytestmark = pytest.mark.pipeline

ROOT = Path(__file__).parents[2]
CONFIG = load_config(ROOT / PARAMS)
CELLS = list(CONFIG.cells())
PATHS = Paths("sample")
ONE = Cell("iqoth", "mobilenetv2", "attention", "published", "grouped")
STAGE = ONE.stage


def run(copy, *command, check=True):
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_", "LUNG_"))
    }
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = "src"
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if check:
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The tracked files in a new git repository, after `make repro`."""
    copy = tmp_path_factory.mktemp("dag") / "copy"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    run(copy, "git", "init", "-q")
    run(copy, "git", "config", "user.email", "test@localhost")
    run(copy, "git", "config", "user.name", "test")
    run(copy, "git", "add", "-A")
    run(copy, "git", "commit", "-qm", "start")
    run(copy, "lung-attention", "repro", "--jobs", "2")
    return copy


def metrics(copy, cell):
    return json.loads((copy / PATHS.metrics(cell)).read_text(encoding="utf-8"))


def test_a_second_repro_does_nothing_and_says_so(copy):
    assert "Data and pipelines are up to date." in run(copy, "dvc", "repro").stdout


def test_the_status_of_a_finished_pipeline_is_one_line(copy):
    assert run(copy, "dvc", "status").stdout.strip() == "Data and pipelines are up to date."


def test_dvc_shows_few_scores_a_cell_on_a_line_each(copy):
    shown = run(copy, "dvc", "metrics", "show").stdout.splitlines()
    assert max(map(len, shown)) <= 200
    assert len(shown) == len(CELLS) + 1
    assert shown[0].split() == [
        "Path", "accuracy", "accuracy_interval", "auroc", "balanced_accuracy", "balanced_accuracy_interval",
        "log_loss", "mcc",
    ]  # fmt: skip
    # The order in which `dvc exp show` has them.
    assert list(json.loads((copy / PATHS.scores(ONE)).read_text(encoding="utf-8"))) == [
        "accuracy", "accuracy_interval", "balanced_accuracy", "balanced_accuracy_interval", "auroc", "mcc",
        "log_loss",
    ]  # fmt: skip


def test_every_cell_has_its_scores(copy):
    summary = pd.read_csv(copy / PATHS.summary)
    found = {tuple(row) for row in summary[list(FACTORS)].itertuples(index=False)}
    assert found == {tuple(vars(cell).values()) for cell in CELLS}
    assert summary["accuracy"].between(summary["accuracy_low"], summary["accuracy_high"]).all()
    for name in (PATHS.report_markdown, PATHS.report_html):
        text = (copy / name).read_text(encoding="utf-8")
        assert all(sentence in text for sentence in CONFIG.active.stand_ins)
    assert (copy / PATHS.report_html).stat().st_size <= 3 * 2**20


def test_git_sees_no_change_but_the_lock_and_the_results(copy):
    changed = run(copy, "git", "status", "--porcelain").stdout.splitlines()
    assert [line for line in changed if not line[3:].startswith(("dvc.lock", "results/sample/"))] == []


def test_figures_agree_with_the_committed_ones_within_the_stated_tolerance(copy):
    assert "within the tolerance" in run(copy, "lung-attention", "reproducibility").stdout


def test_each_cell_is_one_complete_run(copy):
    script = (
        "import mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db')\n"
        "runs = mlflow.search_runs(experiment_names=['lung-attention/sample'], output_format='list',\n"
        "    filter_string=\"tags.kind = 'cell'\", max_results=1000)\n"
        "for run in runs:\n"
        "    tags = run.data.tags\n"
        "    print(tags['stage'], run.info.status, tags['complete'], 'test_accuracy' in run.data.metrics)"
    )
    found = run(copy, sys.executable, "-c", script).stdout.split("\n")
    assert sorted(filter(None, found)) == sorted(f"{cell.stage} FINISHED true True" for cell in CELLS)


def test_a_forced_rerun_gives_the_same_bytes_and_supersedes_its_run(copy):
    # The lock holds the hash of the model as well.
    names = ["dvc.lock", PATHS.metrics(ONE), PATHS.predictions(ONE), PATHS.history(ONE)]
    before = [(copy / name).read_bytes() for name in names]
    run(copy, "dvc", "repro", "--single-item", "--force", STAGE)
    run(copy, "dvc", "repro", "--single-item", "--force", f"evaluate@{ONE.name}")
    assert [(copy / name).read_bytes() for name in names] == before
    script = (
        "import mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db')\n"
        "for run in mlflow.search_runs(experiment_names=['lung-attention/sample'], output_format='list',\n"
        f"    filter_string=\"tags.kind = 'cell' and tags.stage = '{STAGE}'\"):\n"
        "    print(run.info.status, run.data.tags['complete'], run.data.tags['superseded'])"
    )
    found = run(copy, sys.executable, "-c", script).stdout.split("\n")
    assert sorted(filter(None, found)) == ["FINISHED false true", "FINISHED true false"]


@pytest.fixture
def changed(copy):
    """The stages that DVC finds changed once the hashes of edited code are written; all is undone later."""
    texts, lock = {}, (copy / "dvc.lock").read_bytes()

    def edit_and_look(edit, *names):
        for name in names:
            path = copy / "src" / "lung_attention" / name
            texts[path] = path.read_text(encoding="utf-8")
            path.write_text(edit(texts[path]), encoding="utf-8")
        run(copy, "dvc", "repro", "--single-item", "code")
        return set(json.loads(run(copy, "dvc", "status", "--json").stdout))

    yield edit_and_look
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    run(copy, "dvc", "repro", "--single-item", "code")
    assert (copy / "dvc.lock").read_bytes() == lock


def test_comments_make_no_stage_stale(copy, changed):
    names = ["report/page.py", "training/fitting.py", "models/heads/attention.py"]
    assert changed(lambda text: f"# a comment\n{text}\n# another\n", *names) == set()
    run(copy, "lung-attention", "check-lock")


def test_a_change_of_the_report_retrains_nothing(changed):
    assert changed(lambda text: f"{text}\nCHANGED = 1\n", "report/page.py") == {"report"}


def test_a_change_of_a_head_retrains_its_cells_alone(changed):
    expected = {cell.stage for cell in CELLS if cell.head == "attention"}
    expected |= {f"explain@{cell.name}" for cell in CONFIG.explained.cells()}
    assert changed(lambda text: f"{text}\nCHANGED = 1\n", "models/heads/attention.py") == expected


@pytest.mark.parametrize("command", [("metrics", "diff"), ("exp", "show"), ("dag",)])
def test_dvc_shows_what_there_is(copy, command):
    run(copy, "dvc", *command)


CONNECTED = """
import sys, zipfile
import numpy as np
from lung_attention.images.decode import decode
from lung_attention.models.saved import open_model

model = open_model(sys.argv[1])
with zipfile.ZipFile(sys.argv[2]) as archive:
    images = [decode(archive.read(name))[None] for name in archive.namelist()[::9]]
before = np.concatenate([model(image) for image in images])
layer = model.get_layer("head").get_layer("soft_attention")
layer.kernels.assign(np.random.default_rng(1).normal(size=layer.kernels.shape))
after = np.concatenate([model(image) for image in images])
print("moved", float(np.abs(after - before).max()))
"""


@pytest.mark.parametrize("backbone", CONFIG.backbones)
def test_a_trained_attention_is_connected(copy, backbone):
    cell = Cell("iqoth", backbone, "attention", "published", "published")
    arguments = [str(PATHS.model(cell)), str(PATHS.archive(cell.dataset))]
    said = run(copy, sys.executable, "-c", CONNECTED, *arguments).stdout
    assert float(said.split("moved")[1]) > 1e-4


def test_an_image_put_in_gets_the_probabilities_of_the_report(copy, tmp_path):
    """From raw bytes through the exported model, against the training's features of half precision."""
    cell = replace(ONE, split="published")
    answers = tmp_path / "answers.jsonl"
    archive = str(PATHS.archive(cell.dataset))
    run(copy, "lung-attention", "predict", cell.name, archive, "--jsonl", str(answers))
    said = {}
    for line in answers.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        said[row["file"].removeprefix(f"{archive}/")] = row
    reported = pd.read_csv(copy / PATHS.predictions(cell))
    reported = reported[reported["seed"] == reported["seed"].min()]
    assert len(reported) > 20
    for _, row in reported.iterrows():
        for name in CONFIG.labels[cell.dataset]:
            column = f"probability_{name}"
            assert said[row["image"]][column] == pytest.approx(row[column], abs=1e-2)


def test_where_networks_look_is_measured_and_shown(copy):
    cells = list(CONFIG.explained.cells())
    assert cells
    for cell in cells:
        found = json.loads((copy / PATHS.maps(cell)).read_text(encoding="utf-8"))
        assert found["shuffled"][0]["attention"] == pytest.approx(1.0)
        assert found["shuffled"][-1]["attention"] < 0.9
        assert found["shuffled"][-1]["attention_smoothed"] < 0.9
        assert found["repeated"]["fits"] == 2
        assert found["location"] is None, "no dataset of the sample marks a finding"
        assert (copy / PATHS.maps_picture(cell)).stat().st_size > 5000
    assert "Where the networks look" in (copy / PATHS.report_markdown).read_text(encoding="utf-8")


@pytest.mark.parametrize("dataset", CONFIG.datasets)
def test_the_audit_finds_the_planted_traps(copy, dataset):
    audit = json.loads((copy / PATHS.audit(dataset)).read_text(encoding="utf-8"))
    planted = PLANTED[dataset]
    assert audit["redundant_files"]["total"] == planted.redundant_files
    assert audit["redundant_files"]["across_classes"] == planted.redundant_across_classes
    assert audit["shape"]["size"]["giveaway_images"] == planted.odd_sized
    assert len(audit["groups"]["two_labels"]) == planted.groups_with_two_labels
    assert audit["contradictory"]["images"] == 2 * planted.contradictory_pairs
    assert audit["splits"]["published"]["leak"]
    assert not audit["splits"]["grouped"]["leak"]


def own_environment(copy, like):
    """Gives a checkout an environment that runs its own code, with the packages of another one."""
    run(copy, sys.executable, "-m", "venv", "--without-pip", ".venv")
    own = copy / ".venv"
    paths = sysconfig.get_paths()
    (own / Path(paths["purelib"]).relative_to(sys.prefix) / "shared.pth").write_text(
        f"{copy / 'src'}\n{paths['purelib']}\n"
    )
    for name in ("lung-attention", "dvc", "mlflow"):
        script = (like / "bin" / name).read_text(encoding="utf-8").partition("\n")[2]
        (own / "bin" / name).write_text(f"#!{own / 'bin' / 'python'}\n{script}", encoding="utf-8")
        (own / "bin" / name).chmod(0o755)
    shutil.copy(like / "installed-from", own)


def test_the_steps_of_ci_pass_in_their_order(copy, tmp_path):
    """As on a pull request that changes nothing: the base is the commit itself."""
    environment_here = Path(sys.prefix)
    if not (environment_here / "installed-from").exists():
        pytest.skip("the tests do not run in an environment that `make env` has made")
    own_environment(copy, environment_here)
    run(copy, "git", "add", "-A")
    # Nothing has changed on a machine that gives the committed results to the last digit.
    run(copy, "git", "commit", "-q", "--allow-empty", "-m", "results of this machine")
    base = run(copy, "git", "rev-parse", "HEAD").stdout.strip()
    workflow = yaml.safe_load((copy / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["results"]["steps"] if "run" in step]
    for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"):
        commands = [command.replace(f"${name}", str(tmp_path / name)) for command in commands]
    for command in commands:
        run(copy, "env", f"BASE={base}", "sh", "-c", command)
    assert (tmp_path / "GITHUB_OUTPUT").read_text(encoding="utf-8").startswith("machine=")
    summary = (tmp_path / "GITHUB_STEP_SUMMARY").read_text(encoding="utf-8")
    assert ONE.name in summary and "# " in summary
    assert json.loads((copy / "gate.json").read_text(encoding="utf-8"))
    assert run(copy, "git", "status", "--porcelain").stdout == ""
    assert run(copy, "git", "worktree", "list").stdout.count("\n") == 1


def test_what_a_search_finds_is_kept_and_trained_with(copy):
    """Last of all, since it changes params.yaml."""
    cell = Cell("lc25000", "mobilenetv2", "attention", "published", "grouped")
    before = run(copy, "git", "status", "--porcelain").stdout
    run(
        copy, "lung-attention", "search", "--profile", "sample", "--dataset", cell.dataset,
        "--backbone", cell.backbone, "--head", cell.head, "--set", "search.trials=2",
    )  # fmt: skip
    assert run(copy, "git", "status", "--porcelain", "-uall").stdout.splitlines() == [
        *before.splitlines(), f"?? {PATHS.search(cell)}"
    ]  # fmt: skip
    found = json.loads((copy / PATHS.search(cell)).read_text(encoding="utf-8"))
    assert set(found["studies"]) == {"fold-0", "fold-1", "all"}
    for study in found["studies"].values():
        assert study["trials"]["complete"] + study["trials"]["pruned"] == 2

    searched = replace(cell, recipe="searched")
    old = "\n  searched: {datasets: [], backbones: [], heads: [], splits: []}\n"
    values = ", ".join(
        f"{factor}s: [{getattr(searched, factor)}]" for factor in FACTORS if factor != "recipe"
    )
    params = (copy / PARAMS).read_text(encoding="utf-8")
    assert params.count(old) == 1
    (copy / PARAMS).write_text(params.replace(old, f"\n  searched: {{{values}}}\n"), encoding="utf-8")
    said = run(copy, "dvc", "repro").stdout
    stages = [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")]
    # Settings of all cells are written anew, and those of the other cells are the same.
    assert stages == [
        "code", "settings", searched.stage, f"evaluate_searched@{searched.name}", "compare", "report",
    ]  # fmt: skip
    scores = metrics(copy, searched)
    settings = json.loads((copy / PATHS.settings(searched)).read_text(encoding="utf-8"))["settings"]
    epochs = {name: study["settings"]["epochs"] for name, study in found["studies"].items()}
    assert {name: recipe["epochs"] for name, recipe in settings.items()} == epochs
    comparisons = json.loads((copy / PATHS.comparisons).read_text(encoding="utf-8"))
    (entry,) = (one for one in comparisons["recipe_vs_published"] if one["recipe"] == searched.recipe)
    assert entry["differences"]["accuracy"]["changed"] == pytest.approx(scores["accuracy"])
    assert entry["differences"]["accuracy"]["published"] == pytest.approx(metrics(copy, cell)["accuracy"])
    assert "Courses of the studies" in (copy / PATHS.report_html).read_text(encoding="utf-8")
    said = run(copy, "lung-attention", "track").stdout
    assert f"{searched.name}: run " in said
