"""Keras files that would run code, read files or reach out: none does, and each is refused."""

import sys

import pytest
from predict.models import small_classifier

from faults.hostile_keras import PWNED, poisoned
from lung_attention.errors import UserError
from lung_attention.predict.exporting import export_file

_BEGUN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model.keras"
    small_classifier().save(path)
    return path.read_bytes()


def test_nothing_runs_and_all_are_refused(good, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun, listening = [], [True]
    sys.addaudithook(lambda event, _: begun.append(event) if listening and event in _BEGUN else None)
    found = poisoned(good)
    assert len(found) > 20
    for number, content in enumerate(found):
        path = tmp_path / f"{number}.keras"
        path.write_bytes(content)
        try:
            export_file(path, tmp_path / "out.onnx", name="x", classes=None)
        except UserError as error:
            assert "no classifier of this project" in error.problem
        else:  # what lies beside the model in its archive is not looked at
            assert b"assets" in content
    listening.clear()
    assert begun == []
    assert not list(tmp_path.rglob(PWNED))
