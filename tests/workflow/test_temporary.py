"""Another profile beside the default one: what is asked of DVC, and what comes back."""

import subprocess
from pathlib import Path

import pytest
import yaml

from lung_attention.data.sources.resolve import fingerprint
from lung_attention.errors import UserError
from lung_attention.workflow import temporary as isolated

PARAMS = Path(__file__).parents[1] / "params.yaml"
NOTHING_TUNED = ["tuned.datasets=[]", "tuned.backbones=[]", "tuned.heads=[]"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml, an archive and two weight files, where DVC is only recorded."""
    values = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    for profile in values["profiles"].values():
        profile["tuned"] = {"datasets": [], "backbones": [], "heads": []}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "iqoth.zip").write_bytes(b"iqoth")
    (tmp_path / "weights").mkdir()
    for name in ("mobilenetv2", "densenet121"):
        (tmp_path / "weights" / f"{name}_notop.weights.h5").write_text(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LUNG_ATTENTION_ARCHIVES", "archives")
    monkeypatch.setenv("LUNG_ATTENTION_WEIGHTS", "weights")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


@pytest.fixture
def asked(project, monkeypatch):
    """What was asked of DVC: its settings and environment."""
    seen = {"code": 0}

    def run(command, *, env, check):
        seen["command"] = command
        seen["settings"] = [command[i + 1] for i, word in enumerate(command) if word == "-S"]
        seen["env"] = env
        return subprocess.CompletedProcess(command, seen["code"])

    monkeypatch.setattr(isolated.subprocess, "run", run)
    monkeypatch.setattr(isolated, "_reference", lambda name: f"refs/exps/{name}")
    monkeypatch.setattr(isolated, "_bring_back", lambda profile, reference: seen.update(back=reference))
    return seen


def test_a_profile_runs_in_a_copy_with_the_hashes_of_its_sources(asked, project):
    isolated.reproduce("local", ["datasets=[iqoth]", "train.recipe.epochs=3", "profiles.local.split.seed=1"])
    assert asked["command"][2:6] == ["dvc", "exp", "run", "--temp"]
    assert asked["settings"] == [
        "profile=local",
        "datasets=[iqoth,lc25000,lidc_nodules]",
        f"profiles.local.download.pins.iqoth={fingerprint(project / 'archives' / 'iqoth.zip')}",
        *(
            f"profiles.local.backbone.pins.{name}="
            + fingerprint(project / "weights" / f"{name}_notop.weights.h5")
            for name in ("mobilenetv2", "densenet121")
        ),
        "datasets=[iqoth]",
        "profiles.local.train.recipe.epochs=3",
        "profiles.local.split.seed=1",
        *NOTHING_TUNED,
    ]
    assert asked["back"].startswith("refs/exps/local-")


TUNED = ["tuned.datasets=[iqoth,lc25000]", "tuned.backbones=[densenet121]", "tuned.heads=[plain]"]


def test_what_is_tuned_takes_the_settings_found_with_it_into_the_copy(asked, project):
    """They may be new and not in git; what the matrix leaves out is left out of `tuned`, too."""
    found = project / "results" / "sample" / "search" / "iqoth-densenet121-plain.json"
    found.parent.mkdir(parents=True)
    found.write_text("{}")
    isolated.reproduce("sample", ["datasets=[iqoth]", *TUNED])
    assert asked["settings"][-3:] == ["tuned.datasets=[iqoth]", *TUNED[1:]]
    command = asked["command"]
    assert command[command.index("--copy-paths") + 1] == str(found.relative_to(project))
    isolated.reproduce("sample", ["datasets=[iqoth]", "splits=[published]", *TUNED])
    assert asked["settings"][-3:] == NOTHING_TUNED
    assert "--copy-paths" not in asked["command"]


def test_a_cell_that_was_not_searched_is_told_before_the_run(asked):
    with pytest.raises(UserError, match=r"iqoth-densenet121-plain\.json is missing") as caught:
        isolated.reproduce("sample", TUNED)
    assert caught.value.remedy == "make search DATASET=iqoth BACKBONE=densenet121 HEAD=plain PROFILE=sample"
    assert "command" not in asked


def test_a_missing_archive_is_told_before_the_run_and_its_remedy_works(asked):
    with pytest.raises(UserError, match=r"lc25000\.zip") as caught:
        isolated.reproduce("local", [])
    assert "--set 'datasets=[...]'" in caught.value.remedy
    assert "command" not in asked
    isolated.reproduce("local", ["datasets=[iqoth]"])


def test_backbones_left_out_and_other_sources_need_no_files(asked, project):
    (project / "weights" / "densenet121_notop.weights.h5").unlink()
    isolated.reproduce("local", ["datasets=[iqoth]", "backbones=[mobilenetv2]"])
    isolated.reproduce("local", ["datasets=[iqoth]", "backbone.source=random"])
    assert not any("backbone.pins" in setting for setting in asked["settings"])


def test_pins_of_params_yaml_are_enforced_before_the_run(asked, project):
    pin = "download.pins.iqoth=" + "a" * 64
    with pytest.raises(UserError, match="a" * 64) as caught:
        isolated.reproduce("local", ["datasets=[iqoth]", pin])
    assert fingerprint(project / "archives" / "iqoth.zip") in caught.value.problem
    assert "command" not in asked


def test_numbers_may_be_written_as_dvc_writes_them(asked):
    isolated.reproduce("sample", ["train.learning_rate.iqoth.densenet121=1e-05"])
    assert "command" in asked


@pytest.mark.parametrize(
    "override",
    [
        "train.epochs=5", "split.seed.x=1", "datasets=[x]", "splits=[published", "splits=", "splits=5",
        "tuned=[]", "tuned.datasets=5", "tuned.datasets=iqoth", "tuned.datasets=[iqoht]", "tuned.x=[]",
    ],
)  # fmt: skip
def test_overrides_that_params_yaml_would_refuse_are_told_before_the_run(asked, override):
    with pytest.raises(UserError):
        isolated.reproduce("sample", [override])
    assert "command" not in asked


def test_the_sample_profile_needs_no_variables(asked, monkeypatch):
    monkeypatch.delenv("LUNG_ATTENTION_ARCHIVES")
    monkeypatch.delenv("LUNG_ATTENTION_WEIGHTS")
    isolated.reproduce("sample", [])
    assert not any("pins" in setting for setting in asked["settings"])


def test_the_copy_uses_its_own_code_and_our_files(asked, project):
    isolated.reproduce("sample", [])
    env = asked["env"]
    assert env["PYTHONPATH"] == "src"
    assert env["LUNG_ATTENTION_ARCHIVES"] == str(project / "archives")
    assert env["MLFLOW_TRACKING_URI"] == f"sqlite:///{project / 'mlflow.db'}"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///runs/my.db", "sqlite:///{project}/runs/my.db"),
        ("sqlite:////var/my.db", "sqlite:////var/my.db"),
        ("http://server:5000/a?b=c", "http://server:5000/a?b=c"),
    ],
)
def test_a_relative_database_does_not_end_in_the_copy(asked, project, monkeypatch, given, expected):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    isolated.reproduce("sample", [])
    assert asked["env"]["MLFLOW_TRACKING_URI"] == expected.format(project=project)


def test_a_failed_run_brings_nothing_back(asked):
    asked["code"] = 1
    with pytest.raises(UserError, match="did not end well") as caught:
        isolated.reproduce("sample", [])
    assert "goes on where it stopped" in caught.value.remedy
    assert "back" not in asked


@pytest.mark.parametrize(
    ("profile", "overrides", "part"), [("lokal", [], "'lokal'"), ("sample", ["x"], "'x'")]
)
def test_mistakes_are_named(asked, profile, overrides, part):
    with pytest.raises(UserError, match=part):
        isolated.reproduce(profile, overrides)
    assert "command" not in asked


LOCK = """
schema: '2.0'
stages:
  train@a:
    cmd: python stages/train.py
    deps: [{path: artifacts/local/features/a.npy, md5: STATE}]
    outs: [{path: artifacts/local/cells/a}]
  train@b:
    cmd: python stages/train.py
    deps: [{path: artifacts/sample/features/b.npy}, {path: src/lung_attention/local/x.py}]
    outs: [{path: artifacts/sample/cells/b}]
  compare:
    cmd: python stages/compare.py
    outs: [{path: results/local/comparisons.json}]
"""


def test_what_comes_back_is_this_profiles_results_parameters_and_lock_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def git(*arguments):
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *arguments]
        subprocess.run(command, check=True, capture_output=True)

    def write(state):
        for name in ("params.yaml", "dvc.lock", "results/sample/a.json", "results/local/a.json"):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(LOCK.replace("STATE", state) if name == "dvc.lock" else state)

    git("init", "-q")
    write("old")
    git("add", ".")
    git("commit", "-qm", "old")
    write("new")
    git("add", ".")
    git("commit", "-qm", "new")
    git("update-ref", "refs/exps/ab/abcd/local-1", "HEAD")
    git("reset", "-q", "--hard", "HEAD~1")
    isolated._bring_back("local", isolated._reference("local-1"))
    changed = {str(path) for path in Path().rglob("*") if path.is_file() and ".git" not in path.parts}
    assert {name for name in changed if Path(name).read_text() == "new"} == {
        "results/local/a.json", "results/local/params.yaml",
    }  # fmt: skip
    lock = yaml.safe_load(Path("results/local/dvc.lock").read_text())
    assert lock["schema"] == "2.0" and list(lock["stages"]) == ["train@a", "compare"]
    assert lock["stages"]["train@a"]["deps"][0]["md5"] == "new"
    assert "old" in Path("dvc.lock").read_text()
    assert Path("params.yaml").read_text() == Path("results/sample/a.json").read_text() == "old"
    with pytest.raises(UserError, match="local-2"):
        isolated._reference("local-2")
