"""What git does not know is told before DVC runs into it."""

import subprocess

import pytest

from lung_attention.errors import UserError
from lung_attention.workflow.git import require_identity


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A commit by somebody, in a place where git knows nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    (tmp_path / "params.yaml").write_text("a: 1\n")
    somebody = ["-c", "user.name=a", "-c", "user.email=a@localhost"]
    for command in (["init", "-q"], ["add", "-A"], [*somebody, "commit", "-qm", "start"]):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def test_a_clean_checkout_needs_no_identity(checkout):
    require_identity()
    (checkout / "untracked").touch()
    require_identity()


def test_changes_without_an_identity_are_refused_with_the_commands(checkout):
    (checkout / "params.yaml").write_text("a: 2\n")
    with pytest.raises(UserError, match=r"git has no user\.name") as caught:
        require_identity()
    assert "git config user.name" in caught.value.remedy
    subprocess.run(["git", "config", "user.name", "a"], check=True)
    with pytest.raises(UserError, match=r"user\.email"):
        require_identity()
    subprocess.run(["git", "config", "user.email", "a@localhost"], check=True)
    require_identity()
