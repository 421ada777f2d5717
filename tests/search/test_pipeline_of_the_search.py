"""search/dvc.yaml, the Makefile's target and the command behind it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from lung_attention.cells import FACTORS, Cell
from lung_attention.errors import UserError
from lung_attention.paths import Paths, code_digest, head_digest
from lung_attention.search import launch
from lung_attention.search.address import STORAGE_VARIABLE
from lung_attention.workflow import temporary
from lung_attention.workflow.code import code_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "lung_attention"
STAGES = yaml.safe_load((ROOT / "search" / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
MAIN = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
CELL = Cell("iqoth", "densenet121", "attention", "recommended", "grouped")
PATHS = Paths("sample")


def filled(text):
    """A text of a dvc.yaml, as it is for one cell."""
    text = text.replace("${profile}", PATHS.profile)
    for factor in FACTORS:
        text = text.replace(f"${{item.{factor}}}", getattr(CELL, factor))
    return text


def outs(stage):
    return [filled(out if isinstance(out, str) else next(iter(out))) for out in stage.get("outs", [])]


def test_the_stage_names_the_files_that_it_reads_and_writes():
    stage = STAGES["search"]
    assert {filled(dep) for dep in stage["deps"]} == {
        path.as_posix()
        for path in (
            PATHS.settings(CELL), PATHS.split(CELL.dataset, CELL.split), code_digest("search"),
            head_digest(CELL.head), PATHS.features_info(CELL.dataset, CELL.backbone, "close").parent,
        )
    }  # fmt: skip
    assert outs(stage) == [PATHS.found(CELL).as_posix()]


def test_the_stage_gets_its_cell_and_has_the_name_that_the_command_asks_for():
    stage = STAGES["search"]
    assert list(stage["matrix"]) == ["dataset", "backbone", "head"]
    assert "-".join(filled(f"${{item.{name}}}") for name in stage["matrix"]) == CELL.searched
    assert filled(stage["cmd"]).split() == [
        "python", "stages/search.py", "--dataset", CELL.dataset, "--backbone", CELL.backbone,
        "--head", CELL.head,
    ]  # fmt: skip


def test_the_stage_names_the_sections_that_it_reads():
    """What it reads of others is in the cell's settings, which are a dependency."""
    code = (ROOT / "stages" / "search.py").read_text(encoding="utf-8")
    read = set(re.findall(r"\bprofile\.(\w+)", code)) | set(re.findall(r"config\.active\.(\w+)", code))
    assert STAGES["search"]["params"] == [
        word for section in sorted(read) for word in (section, f"profiles.${{profile}}.{section}")
    ]


def test_all_that_the_stage_reads_is_made_by_the_main_pipeline():
    made = {out for stage in MAIN.values() for out in outs(stage)}
    for dep in STAGES["search"]["deps"]:
        # A folder, of files that several stages make, or a file, of a folder that one of them makes.
        needed = Path(filled(dep))
        assert any(needed.is_relative_to(out) or Path(out).is_relative_to(needed) for out in made), dep


def test_the_code_of_a_study_is_that_of_its_trials():
    """What only tells of a search, or says where studies are kept, begins none anew."""
    files = code_of(ROOT / "stages" / "search.py", ROOT)
    counted = {file.relative_to(PACKAGE).as_posix() for file in files if file.is_relative_to(PACKAGE)}
    assert counted >= {
        "search/nested.py", "search/objective.py", "search/pruner.py", "search/sampler.py",
        "search/space.py", "search/study.py", "training/fits.py", "training/fitting.py",
    }  # fmt: skip
    assert not counted & {"search/track.py", "search/storage.py", "search/address.py", "tracking/search.py"}


def test_studies_are_no_output():
    assert "studies" not in str([stage["outs"] for stage in STAGES.values()])


def test_dvc_repro_runs_no_search():
    """The main pipeline reads the file that `make search` keeps, which is no output of the search's stage."""
    for stage in MAIN.values():
        for dep in stage["deps"]:
            for out in outs(STAGES["search"]):
                assert not Path(out).is_relative_to(filled(dep)), dep
    kept = PATHS.search(CELL)
    assert any(kept.is_relative_to(filled(dep)) for dep in MAIN["settings"]["deps"])


def test_only_the_search_imports_optuna():
    for file in PACKAGE.rglob("*.py"):
        if re.search(r"^\s*(import|from) optuna\b", file.read_text(encoding="utf-8"), re.MULTILINE):
            assert file.parent.name == "search", file


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """What `run_search` asks DVC for, and what it brings back."""
    calls = []
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(STORAGE_VARIABLE, raising=False)

    def run(command, ask, *, environment, **_):
        calls.append((command, environment))
        return 0

    monkeypatch.setattr(temporary, "run_to_the_end", run)
    monkeypatch.setattr(temporary, "require_identity", lambda: None)
    monkeypatch.setattr(temporary, "_reference", lambda name: "refs/exps/x")
    monkeypatch.setattr(launch, "kept_file", lambda reference, path: f"{path} of {reference}\n")
    return calls


def test_a_search_runs_in_a_copy_with_its_studies_outside(launched, tmp_path):
    path = launch.run_search("sample", CELL, ["search.trials=7"], storage=None)
    ((command, environment),) = launched
    assert "--temp" in command
    assert command[-1] == "search/dvc.yaml:search@iqoth-densenet121-attention"
    settings = [command[place + 1] for place, word in enumerate(command) if word == "-S"]
    assert "profile=sample" in settings
    # As the last one of a name counts: the dataset alone, without cells that wait for this search.
    chosen = dict(setting.split("=") for setting in settings)
    assert chosen["datasets"] == "[iqoth]"
    assert [chosen[f"searching.{name}"] for name in ("datasets", "backbones", "heads")] == [
        "[iqoth]", "[densenet121]", "[attention]",
    ]  # fmt: skip
    assert chosen["further.searched.datasets"] == "[]"
    # It begins with the recommended settings, so that recipe's cell stands in the design.
    assert (chosen["further.recommended.datasets"], chosen["further.recommended.splits"]) == (
        "[iqoth]", "[grouped]",
    )  # fmt: skip
    assert chosen["++profiles.sample.search.trials"] == "7"
    assert environment[STORAGE_VARIABLE] == f"sqlite:///{tmp_path / Paths('sample').studies(CELL)}"
    assert path == Paths("sample").search(CELL)
    assert path.read_text() == f"{Paths('sample').found(CELL)} of refs/exps/x\n"


def test_a_search_does_not_wait_for_itself(launched, tmp_path):
    """Where params.yaml already names cells that are trained with what it finds."""
    params = tmp_path / "params.yaml"
    values = yaml.safe_load(params.read_text())
    part = {"datasets": ["lidc"], "backbones": ["densenet121"], "heads": ["attention"], "splits": ["grouped"]}
    nowhere = {factor: [] for factor in part}
    of_recipe = {"searched": part, "recommended": part, "finetuned": nowhere}
    values["further"] = values["profiles"]["sample"]["further"] = of_recipe
    params.write_text(yaml.safe_dump(values))
    launch.run_search("sample", CELL, [], storage=None)
    assert len(launched) == 1


def test_a_database_goes_by_environment_and_is_not_shown(launched, capsys):
    launch.run_search("sample", CELL, [], storage="postgresql://me:secret@db/studies")
    ((command, environment),) = launched
    assert environment[STORAGE_VARIABLE].endswith("@db/studies")
    assert "secret" not in " ".join(command) + capsys.readouterr().out


def test_a_relative_file_does_not_end_in_the_copy(launched, tmp_path):
    launch.run_search("sample", CELL, [], storage="sqlite:///studies.db")
    ((_, environment),) = launched
    assert environment[STORAGE_VARIABLE] == f"sqlite:///{tmp_path}/studies.db"


def test_a_path_is_refused_before_anything_runs(launched):
    with pytest.raises(UserError, match="expected the address of a database"):
        launch.run_search("sample", CELL, [], storage="mine/studies.journal")
    assert not launched


@pytest.mark.parametrize(
    ("profile", "cell", "named"),
    [
        ("nowhere", CELL, "profile"),
        ("sample", Cell("", "densenet121", "plain", "published", "grouped"), "dataset"),
        ("sample", Cell("iqoth", "vgg16", "plain", "published", "grouped"), "backbone"),
        ("sample", Cell("iqoth", "densenet121", "deep", "published", "grouped"), "head"),
    ],
)
def test_what_is_not_known_is_named(launched, profile, cell, named):
    with pytest.raises(UserError, match=f"^{named}: expected one of"):
        launch.run_search(profile, cell, [], storage=None)
    assert not launched


def test_a_search_that_fails_says_how_it_goes_on(launched, monkeypatch):
    monkeypatch.setattr(temporary, "run_to_the_end", lambda *_, **__: 1)
    with pytest.raises(UserError, match="the same command goes on"):
        launch.run_search("sample", CELL, [], storage=None)


def test_an_exported_storage_is_not_overridden_by_the_makefile():
    command = ["make", "-n", "search", "DATASET=iqoth", "BACKBONE=densenet121", "HEAD=attention"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "lung-attention search" in done.stdout
    assert STORAGE_VARIABLE not in done.stdout


def test_the_makefiles_variables_reach_the_command(tmp_path):
    command = ["make", "-n", "search", "DATASET=iqoth", "BACKBONE=densenet121", "HEAD=attention", "TRIALS=50"]
    done = subprocess.run(
        [*command, "PROFILE=local", "STORAGE=postgresql://x"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = " ".join(done.stdout.replace("\\\n", " ").split())
    assert "LUNG_ATTENTION_STORAGE='postgresql://x'" in said
    assert (
        "lung-attention search --profile 'local' --dataset 'iqoth' --backbone 'densenet121' "
        "--head 'attention' --set 'search.trials=50'"
    ) in said
