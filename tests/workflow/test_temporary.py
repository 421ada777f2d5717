"""Another profile beside the default one: what is asked of DVC, and what comes back."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.config import load_config, parse_value, read_values, validate
from lung_attention.data.sources.resolve import fingerprint
from lung_attention.errors import UserError
from lung_attention.paths import CHECKPOINTS_VARIABLE, Paths
from lung_attention.training.recipes import RECIPES
from lung_attention.workflow import temporary

ROOT = Path(__file__).parents[2]
FACTORS = ("datasets", "backbones", "heads", "splits")
OTHER_RECIPES = [recipe for recipe in RECIPES if recipe != PUBLISHED]
NOTHING_FURTHER = [f"further.{recipe}.{factor}=[]" for recipe in sorted(OTHER_RECIPES) for factor in FACTORS]
DESIGN_FACTORS = ("dataset", "backbone", "head", "split", "recipe")
NO_MAPS = [f"explained.{factor}s=[]" for factor in DESIGN_FACTORS]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml, the datasets' files, an archive and weights; DVC is only recorded."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for name in ("sample", "local"):
        values["profiles"][name]["further"] = {
            recipe: {factor: [] for factor in FACTORS} for recipe in OTHER_RECIPES
        }
        values["profiles"][name]["explained"] = {f"{factor}s": [] for factor in DESIGN_FACTORS}
    values["further"] = values["profiles"]["sample"]["further"]
    values["explained"] = values["profiles"]["sample"]["explained"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
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

    def run(command, ask, *, environment, **_):
        seen["command"] = command
        seen["settings"] = [command[i + 1] for i, word in enumerate(command) if word == "-S"]
        seen["env"] = environment
        return seen["code"]

    monkeypatch.setattr(temporary, "run_to_the_end", run)
    monkeypatch.setattr(temporary, "require_identity", lambda: None)
    monkeypatch.setattr(temporary, "_reference", lambda name: f"refs/exps/{name}")
    monkeypatch.setattr(temporary, "_bring_back", lambda profile, reference: seen.update(back=reference))
    return seen


def copied(asked):
    """What is taken along besides what git knows."""
    command = asked["command"]
    return [command[i + 1] for i, word in enumerate(command) if word == "--copy-paths"]


def as_dvc_would(project, settings):
    """The configuration after DVC applied the settings to params.yaml, and a key without ++ must be there."""
    values = read_values(project / "params.yaml")
    for setting in settings:
        key, _, value = setting.partition("=")
        *path, last = key.removeprefix("++").split(".")
        place = values
        for part in path:
            if key.startswith("++"):
                place = place.setdefault(part, {})
            else:
                assert part in place, key
                place = place[part]
        assert key.startswith("++") or last in place, key
        place[last] = parse_value(value)
    return validate(values, project / "params.yaml")


def test_a_profile_runs_in_a_copy_with_the_hashes_of_its_sources(asked, project):
    overrides = ["datasets=[iqoth]", "train.recipe.epochs=3", "profiles.local.split.seed=1"]
    temporary.reproduce("local", overrides)
    assert asked["command"][2:6] == ["dvc", "exp", "run", "--temp"]
    assert asked["settings"] == [
        "profile=local",
        "datasets=[iqoth,lc25000,lidc_nodules,lidc_slices,lidc_boxes]",
        f"++profiles.local.download.checksums.iqoth={fingerprint(project / 'archives' / 'iqoth.zip')}",
        *(
            f"++profiles.local.backbone.checksums.{name}="
            + fingerprint(project / "weights" / f"{name}_notop.weights.h5")
            for name in ("mobilenetv2", "densenet121")
        ),
        "datasets=[iqoth]",
        "++profiles.local.train.recipe.epochs=3",
        "++profiles.local.split.seed=1",
        *sorted(NOTHING_FURTHER, key=lambda setting: setting.split(".")[1]),
        *NO_MAPS,
    ]
    assert asked["back"].startswith("refs/exps/local-")


def test_checkpoints_lie_outside_of_the_copy(asked, project, monkeypatch):
    """Else a killed training would begin anew, in another copy."""
    cell = Cell("iqoth", "mobilenetv2", "plain", "finetuned", "grouped")
    temporary.reproduce("local", ["datasets=[iqoth]"])
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, asked["env"][CHECKPOINTS_VARIABLE])
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir("/")
        assert Paths("local").checkpoints(cell) == project / "artifacts/local/checkpoints" / cell.name
    monkeypatch.delenv(CHECKPOINTS_VARIABLE)
    assert Paths("local").checkpoints(cell) == Path("artifacts/local/checkpoints") / cell.name
    monkeypatch.setenv(CHECKPOINTS_VARIABLE, "other")
    temporary.reproduce("local", ["datasets=[iqoth]"])
    assert asked["env"][CHECKPOINTS_VARIABLE] == str(project / "other")


def test_what_a_profile_does_not_say_itself_reaches_it_alone(asked, project):
    """`train: {}` and `split: {}` of the profile stay short; what all share is not touched."""
    assert read_values(project / "params.yaml")["profiles"]["local"]["train"] == {}
    temporary.reproduce(
        "local",
        [
            "datasets=[iqoth]",
            "train.recipe.epochs=3",
            "train.seeds.grouped=[7]",
            "profiles.local.split.seed=1",
        ],
    )
    config = as_dvc_would(project, asked["settings"])
    before = load_config(project / "params.yaml")
    assert config.active.train.recipe.epochs == 3
    assert config.active.seeds(config.dataset("iqoth"), "grouped") == [7]
    assert config.active.split.seed == 1
    assert config.active.train.recipe.batch_size == before.profiles["local"].train.recipe.batch_size
    assert config.profiles["sample"] == before.profiles["sample"]
    assert config.profiles["public"] == before.profiles["public"]
    assert config.active.download.checksums == {"iqoth": fingerprint(project / "archives" / "iqoth.zip")}
    assert set(config.active.backbone.checksums) == {"mobilenetv2", "densenet121"}
    assert (config.profile, config.datasets) == ("local", ["iqoth"])


@pytest.mark.parametrize("override", ["evaluate.resamples=700", "profiles.local.evaluate.resamples=700"])
def test_a_section_that_no_profile_has_is_changed_where_stages_look(asked, project, override):
    """dvc.yaml names `evaluate` once, at the top; below the profile no stage would see it."""
    stage = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["settings"]
    assert "evaluate" in stage["params"] and "profiles.${profile}.evaluate" not in stage["params"]
    temporary.reproduce("local", ["datasets=[iqoth]", override])
    assert "evaluate.resamples=700" in asked["settings"]
    assert as_dvc_would(project, asked["settings"]).active.evaluate.resamples == 700


FURTHER = [
    "further.searched.datasets=[iqoth,lc25000]", "further.searched.backbones=[densenet121]",
    "further.searched.heads=[plain]", "further.searched.splits=[grouped]",
]  # fmt: skip
# A search looks at the close view, which is there where the recommended recipe runs.
COVERED = [
    *FURTHER, "further.recommended.datasets=[iqoth,lc25000]", "further.recommended.backbones=[densenet121]"
]  # fmt: skip


def of_searches(asked):
    return [setting for setting in asked["settings"] if setting.startswith("further.searched.")]


def test_a_searched_recipe_takes_the_settings_found_with_it_into_the_copy(asked, project):
    """They may be new and not in git; what the matrix leaves out is left out of `further`, too."""
    found = project / "results" / "sample" / "search" / "iqoth-densenet121-plain.json"
    found.parent.mkdir(parents=True)
    found.write_text("{}")
    temporary.reproduce("sample", ["datasets=[iqoth]", *COVERED])
    assert of_searches(asked)[-4:] == ["further.searched.datasets=[iqoth]", *FURTHER[1:]]
    assert copied(asked) == [str(found.relative_to(project)), "datasets/iqoth.yaml"]
    cells = list(as_dvc_would(project, asked["settings"]).cells())
    assert [cell.name for cell in cells if cell.recipe == "searched"] == [
        "iqoth-densenet121-plain-searched-grouped"
    ]
    temporary.reproduce("sample", ["datasets=[iqoth]", "splits=[published]", *COVERED])
    assert of_searches(asked)[-4:] == [
        "further.searched.datasets=[iqoth]", *FURTHER[1:3], "further.searched.splits=[]"
    ]  # fmt: skip
    assert copied(asked) == ["datasets/iqoth.yaml"]
    assert {cell.recipe for cell in as_dvc_would(project, asked["settings"]).cells()} == {"published"}


def test_the_profiles_own_further_cells_run_as_far_as_the_matrix_covers_them(asked, project):
    shutil.copy(ROOT / "params.yaml", project / "params.yaml")
    searched = project / "results" / "local" / "search"
    searched.mkdir(parents=True)
    for head in ("plain", "attention"):
        (searched / f"iqoth-densenet121-{head}.json").write_text("{}")
    temporary.reproduce("local", ["datasets=[iqoth]", "heads=[attention]"])
    assert of_searches(asked) == [
        "further.searched.datasets=[iqoth]", "further.searched.backbones=[densenet121]",
        "further.searched.heads=[attention]", "further.searched.splits=[grouped]",
    ]  # fmt: skip
    assert copied(asked)[0] == "results/local/search/iqoth-densenet121-attention.json"
    temporary.reproduce("local", ["datasets=[iqoth]", "backbones=[mobilenetv2]"])
    assert "further.searched.backbones=[]" in asked["settings"]
    assert not any("search" in path for path in copied(asked))


def test_a_matrix_that_the_file_narrows_leaves_the_profiles_own_cells_out_and_not_those_asked_for(
    asked, project
):
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    narrowed = text.replace("backbones: [mobilenetv2, densenet121]\nheads", "backbones: [mobilenetv2]\nheads")
    assert narrowed != text
    (project / "params.yaml").write_text(narrowed)
    temporary.reproduce("local", ["datasets=[iqoth]"])
    assert "further.searched.backbones=[]" in asked["settings"]
    assert "further.recommended.backbones=[mobilenetv2]" in asked["settings"]
    for override in (
        "further.searched.backbones=[densenet121]",
        "further.searched={datasets: [iqoth], backbones: [densenet121], heads: [plain], splits: [grouped]}",
    ):
        with pytest.raises(UserError, match=r"\['densenet121'\] not among"):
            temporary.reproduce("local", ["datasets=[iqoth]", override])


def test_a_new_dataset_takes_its_file_and_its_table_into_the_copy(asked, project):
    """Neither need be in git."""
    values = read_values(project / "datasets" / "lidc_slices.yaml")
    table = values["table"] | {"file": "mine.csv", "sha256": "a" * 64}
    (project / "datasets" / "mine.yaml").write_text(yaml.safe_dump(values | {"table": table}))
    (project / "datasets" / "mine.csv").write_text("image,patient\n")
    (project / "archives" / "mine").mkdir()
    (project / "archives" / "mine" / "a.jpg").write_bytes(b"a")
    temporary.reproduce("local", ["datasets=[mine,iqoth]"])
    assert copied(asked) == ["datasets/mine.yaml", "datasets/iqoth.yaml", "datasets/mine.csv"]
    assert any("download.checksums.mine=" in setting for setting in asked["settings"])


def test_a_dataset_without_a_file_is_told_before_the_run(asked):
    with pytest.raises(UserError, match=r"no file datasets/mine\.yaml") as caught:
        temporary.reproduce("local", ["datasets=[mine]"])
    assert "lung-attention dataset new mine" in str(caught.value)
    assert "command" not in asked


def test_a_cell_that_was_not_searched_is_told_before_the_run(asked):
    with pytest.raises(UserError, match=r"iqoth-densenet121-plain\.json is missing") as caught:
        temporary.reproduce("sample", COVERED)
    assert caught.value.remedy == "make search DATASET=iqoth BACKBONE=densenet121 HEAD=plain PROFILE=sample"
    assert "command" not in asked


@pytest.mark.parametrize(
    ("override", "told", "remedy"),
    [
        ("train.epochs=5", "profiles.local.train.epochs", "keys like it: train.recipe.epochs, train."),
        ("evaluate.resampless=9", "evaluate.resampless", "keys like it: evaluate.resamples"),
        ("evaluate.nonsense=9", "evaluate.nonsense", "look at the keys of params.yaml"),
        ("splits=[publishedd]", "splits.0: Input should be", "look at the keys of params.yaml"),
    ],
)
def test_a_wrong_override_is_told_where_it_stands(asked, override, told, remedy):
    with pytest.raises(UserError) as caught:
        temporary.reproduce("local", ["datasets=[iqoth]", override])
    assert caught.value.problem.startswith(f"--set {override}: {told}"), "that one alone"
    assert caught.value.remedy.startswith(remedy)
    assert "command" not in asked


def test_a_missing_archive_is_told_before_the_run_and_its_remedy_works(asked):
    with pytest.raises(UserError, match=r"lc25000\.zip") as caught:
        temporary.reproduce("local", [])
    assert "--set 'datasets=[...]'" in caught.value.remedy
    assert "command" not in asked
    temporary.reproduce("local", ["datasets=[iqoth]"])


def test_workspaces_of_killed_runs_are_swept_and_those_in_use_are_not(tmp_path):
    exps = tmp_path / ".dvc" / "tmp" / "exps" / "standalone"
    for name in ("tmpdead", "tmpalive", "tmpyoung", "run"):
        (exps / name / "below").mkdir(parents=True)
        os.utime(exps / name, None if name == "tmpyoung" else (0, 0))
    command = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(60)"]
    with subprocess.Popen(command, cwd=exps / "tmpalive" / "below", stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        temporary.sweep_workspaces(tmp_path)
        assert sorted(path.name for path in exps.iterdir()) == ["run", "tmpalive", "tmpyoung"]
        process.kill()
    temporary.sweep_workspaces(tmp_path)
    assert sorted(path.name for path in exps.iterdir()) == ["run", "tmpyoung"]


# As DVC does: the copy's params.yaml for some time in the work tree, then a stage that SIGINT does not reach.
DVC = """
import signal, subprocess, sys, time
from pathlib import Path
params = Path("params.yaml")
mine = params.read_text()
try:
    params.write_text("the copy's")
    if "early" in sys.argv:
        print("asked too early", flush=True)
        time.sleep(60)
finally:
    params.write_text(mine)
stage = subprocess.Popen([sys.executable, "-c", "print('a stage', flush=True); import time; time.sleep(60)"])
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(stage.wait() != -signal.SIGTERM)
"""
STOPPED = """
import sys
from lung_attention.alive import run_to_the_end
from lung_attention.errors import run_guarded
from lung_attention.workflow.temporary import _stop_dvc
run_guarded(lambda: run_to_the_end([sys.executable, "-c", *sys.argv[1:]], _stop_dvc, said="stopped; go on"))
"""


@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_the_work_tree_as_it_was(tmp_path, when, sent):
    (tmp_path / "params.yaml").write_text("mine")
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, DVC, when],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout.readline() == ("asked too early\n" if when == "early" else "a stage\n")
        os.killpg(run.pid, sent)
        assert run.wait(timeout=30) == 128 + sent
        assert (tmp_path / "params.yaml").read_text() == "mine"
        assert run.stderr.read().splitlines()[-1] == "stopped; go on"


def test_backbones_left_out_and_other_sources_need_no_files(asked, project):
    (project / "weights" / "densenet121_notop.weights.h5").unlink()
    temporary.reproduce("local", ["datasets=[iqoth]", "backbones=[mobilenetv2]"])
    temporary.reproduce("local", ["datasets=[iqoth]", "backbone.source=random", "stand_ins=[random]"])
    assert not any("backbone.checksums" in setting for setting in asked["settings"])


def test_checksums_of_params_yaml_are_enforced_before_the_run(asked, project):
    pin = "download.checksums.iqoth=" + "a" * 64
    with pytest.raises(UserError, match="a" * 64) as caught:
        temporary.reproduce("local", ["datasets=[iqoth]", pin])
    assert fingerprint(project / "archives" / "iqoth.zip") in caught.value.problem
    assert "command" not in asked


def test_numbers_may_be_written_as_dvc_writes_them(asked):
    temporary.reproduce("sample", ["train.recipe.learning_rate=1e-05"])
    assert "command" in asked


@pytest.mark.parametrize(
    "override",
    [
        "train.epochs=5", "split.seed.x=1", "datasets=[x]", "splits=[published", "splits=", "splits=5",
        "evaluate.resample=5", "profiles=5", "profiles.local=5", "profiles.lokal.split.seed=5", "further=[]",
        "further.searched=5", "further.searched.datasets=5", "further.searched.datasets=iqoth",
        "further.searched.datasets=[iqoht]", "further.x=[]", "further.published.datasets=[iqoth]",
        "train.recipe.epoch=5", "tuned.datasets=[]",
    ],
)  # fmt: skip
def test_overrides_that_params_yaml_would_refuse_are_told_before_the_run(asked, override):
    with pytest.raises(UserError):
        temporary.reproduce("sample", [override])
    assert "command" not in asked


def test_the_sample_profile_needs_no_variables(asked, monkeypatch):
    monkeypatch.delenv("LUNG_ATTENTION_ARCHIVES")
    monkeypatch.delenv("LUNG_ATTENTION_WEIGHTS")
    temporary.reproduce("sample", [])
    assert not any("checksums" in setting for setting in asked["settings"])


def test_the_copy_uses_its_own_code_and_our_files(asked, project):
    temporary.reproduce("sample", [])
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
    temporary.reproduce("sample", [])
    assert asked["env"]["MLFLOW_TRACKING_URI"] == expected.format(project=project)


def test_a_failed_run_brings_nothing_back(asked):
    asked["code"] = 1
    with pytest.raises(UserError, match="did not end well") as caught:
        temporary.reproduce("sample", [])
    assert "goes on where it stopped" in caught.value.remedy
    assert "back" not in asked


@pytest.mark.parametrize(
    ("profile", "overrides", "part"), [("lokal", [], "'lokal'"), ("sample", ["x"], "'x'")]
)
def test_mistakes_are_named(asked, profile, overrides, part):
    with pytest.raises(UserError, match=part):
        temporary.reproduce(profile, overrides)
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
    temporary._bring_back("local", temporary._reference("local-1"))
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
        temporary._reference("local-2")
