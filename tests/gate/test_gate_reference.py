"""Where a reference comes from, and what is said when it does not come."""

import subprocess

import pytest
from gate_tables import CELL, OTHER, PATHS, commit_all, git, new_project, table_of, write_cell

from lung_attention.errors import UserError
from lung_attention.files import read_table
from lung_attention.gate.reference import open_reference
from lung_attention.paths import Paths


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = new_project(tmp_path / "project")
    monkeypatch.chdir(root)
    return root


def refusal(name, paths=PATHS):
    with pytest.raises(UserError) as caught, open_reference(name, paths):
        pass
    return caught.value


def state(root):
    return git(root, "status", "--porcelain"), sorted(
        path for path in root.rglob("*") if ".git" not in path.parts
    )


def test_a_revision_is_read_beside_the_work_tree(project):
    write_cell(project, CELL, table_of(CELL, errors=50))
    (project / "params.yaml").write_text("profile: other\n", encoding="utf-8")
    before = state(project)
    with open_reference("HEAD", PATHS) as reference:
        assert reference.commit == git(project, "rev-parse", "HEAD")
        table = read_table(reference.root / PATHS.predictions(CELL))
        assert (table["label"] != table["prediction"]).sum() == 20
        assert (reference.root / "params.yaml").read_text(encoding="utf-8").startswith("# All parameters")
        assert not reference.root.is_relative_to(project)
        assert state(project) == before
    assert not reference.root.exists()
    assert state(project) == before


def test_a_project_in_a_folder_of_its_repository(tmp_path, monkeypatch):
    root = new_project(tmp_path / "outer" / "inner")
    (root / ".git").rename(tmp_path / "outer" / ".git")
    commit_all(tmp_path / "outer", "moved")
    monkeypatch.chdir(root)
    with open_reference("HEAD", PATHS) as reference:
        assert (reference.root / PATHS.predictions(OTHER)).exists()


def test_names_with_letters_beyond_ascii(tmp_path, monkeypatch):
    root = new_project(tmp_path / "prójekt")
    paths = Paths("ärzte")
    (root / "results/sample").rename(root / "results/ärzte")
    commit_all(root, "renamed")
    monkeypatch.chdir(root)
    with open_reference("HEAD", paths) as reference:
        assert (reference.root / paths.predictions(CELL)).exists()


def test_a_folder(project, tmp_path):
    other = new_project(tmp_path / "other")
    with open_reference(str(other), PATHS) as reference:
        assert reference.commit is None
        assert (reference.root / PATHS.predictions(CELL)).exists()
    assert (other / PATHS.predictions(CELL)).exists()


def test_an_unknown_revision(project):
    error = refusal("nonsense")
    assert "--reference nonsense" in error.problem
    assert "shallow" not in error.problem
    assert "git fetch" in error.remedy


@pytest.mark.parametrize("name", ["--all", "-h", "HEAD^{tree}", "HEAD:params.yaml"])
def test_what_is_no_commit_is_no_revision(project, name):
    assert "no folder, and no revision" in refusal(name).problem


@pytest.mark.parametrize("name", [".", "../project"])
def test_a_comparison_of_the_work_tree_with_itself_is_refused(project, name):
    assert "the work tree itself" in refusal(name).problem


def test_an_empty_variable_does_not_make_every_change_pass(project):
    assert "--reference is empty" in refusal("").problem


def test_a_shallow_clone_says_so(project, tmp_path, monkeypatch):
    write_cell(project, CELL, table_of(CELL, errors=11))
    commit_all(project, "second")
    shallow = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "--quiet", "--depth", "1", project.as_uri(), str(shallow)], check=True
    )  # fmt: skip
    monkeypatch.chdir(shallow)
    error = refusal("HEAD~1")
    assert "shallow" in error.problem
    assert "git fetch --unshallow" in error.remedy
    with open_reference("HEAD", PATHS) as reference:
        assert reference.commit


def test_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    error = refusal("main")
    assert "not a git repository" in error.problem
    assert "repository" in error.remedy


def test_a_reference_without_results(project, tmp_path):
    error = refusal("HEAD", Paths("local"))
    assert "holds no predictions in results/local/cells" in error.problem
    assert "make repro PROFILE=local" in error.remedy
    (tmp_path / "empty").mkdir()
    assert "holds no predictions" in refusal(str(tmp_path / "empty")).problem


def test_a_name_that_means_both(project):
    git(project, "branch", "base")
    (project / "base").mkdir()
    error = refusal("base")
    assert "./base for the folder" in error.remedy
    assert git(project, "rev-parse", "HEAD")[:12] in error.remedy
