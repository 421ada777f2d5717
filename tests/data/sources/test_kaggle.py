"""Kaggle through its own client: without an account, with one, interrupted, and with something else."""

import time
import zipfile

import pytest
from public_server import Served
from releases import KAGGLE_IQOTH, image, kaggle_has, release, state, zipped

from lung_attention.data.sources.checksums import read_record
from lung_attention.errors import UserError

IQOTH = release("iqoth")
ARCHIVE = zipped({f"The IQ-OTHNCCD lung cancer dataset/{name}": content for name, content in IQOTH.items()})


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_public_dataset_comes_without_an_account(run, server, folder):
    kaggle_has(server, KAGGLE_IQOTH, Served(ARCHIVE))
    found = run("iqoth", only="kaggle")
    assert sorted(state(folder)) == ["iqoth.zip", "sources.json"]
    assert sorted(members(folder / "iqoth.zip").values()) == sorted(IQOTH.values())
    assert all("Authorization" not in headers for _, headers in server.requests)
    record = read_record(folder / "iqoth.zip")
    assert record.address == f"https://www.kaggle.com/datasets/{KAGGLE_IQOTH}"
    assert record.served == {"kaggle": found["iqoth"]}
    (folder / "iqoth.zip").unlink()
    assert run("iqoth", only="kaggle") == found  # the archive does not depend on when it was made


def test_what_is_no_image_of_the_dataset_is_left_out(run, server, folder):
    extra = {"../../evil.jpg": b"x", "notes.txt": b"y", "colon/colonn1.jpeg": image(1)}
    kaggle_has(server, KAGGLE_IQOTH, Served(zipped(IQOTH | extra)))
    run("iqoth", only="kaggle")
    assert members(folder / "iqoth.zip") == IQOTH
    assert sorted(state(folder)) == ["iqoth.zip", "sources.json"]
    assert not list(folder.parent.rglob("evil.jpg"))


def test_a_cut_transfer_goes_on_with_the_next_command(run, server, folder, monkeypatch):
    monkeypatch.setattr("kagglehub.clients.CHUNK_SIZE", 100)
    archive = kaggle_has(server, KAGGLE_IQOTH, Served(ARCHIVE, faults=[("cut", 1000)]))
    with pytest.raises(UserError, match=r"kaggle: .*[Ii]ncomplete"):
        run("iqoth", only="kaggle")
    assert not (folder / "iqoth.zip").exists()
    assert run("iqoth", only="kaggle")
    assert server.of(f"/stored/{KAGGLE_IQOTH}")[-1]["Range"] == "bytes=1000-"
    assert archive.faults == []
    assert sorted(state(folder)) == ["iqoth.zip", "sources.json"]


def test_a_part_of_another_file_is_noticed_by_the_services_checksum(run, server, folder, monkeypatch):
    monkeypatch.setattr("kagglehub.clients.CHUNK_SIZE", 100)
    kaggle_has(server, KAGGLE_IQOTH, Served(bytes(2000), faults=[("cut", 1000)]))
    with pytest.raises(UserError):
        run("iqoth", only="kaggle")
    other = Served(ARCHIVE, headers={"X-Goog-Hash": "md5=bm90IHRoaXMgb25lIQ=="})
    kaggle_has(server, KAGGLE_IQOTH, other)
    with pytest.raises(UserError, match="MD5 checksum"):
        run("iqoth", only="kaggle")
    assert not (folder / "iqoth.zip").exists()
    other.headers = {}
    assert run("iqoth", only="kaggle")


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        (Served(always=("status", 404, {})), "404"),
        (Served(always=("status", 500, {})), "500"),
        (Served(b"<html></html>", content_type="text/html"), "Unsupported archive"),
        (Served(zipped({k: v for k, v in IQOTH.items() if "Bengin" not in k})), "Bengin"),
    ],
)
def test_what_it_does_not_serve_is_told_and_asked_for_anew(run, server, folder, archive, said):
    kaggle_has(server, KAGGLE_IQOTH, archive)
    with pytest.raises(UserError, match=rf"kaggle: .*{said}"):
        run("iqoth", only="kaggle")
    assert [name for name in state(folder) if name.endswith(".zip")] == []
    kaggle_has(server, KAGGLE_IQOTH, Served(ARCHIVE))
    assert run("iqoth", only="kaggle")


def test_a_token_is_asked_for_where_kaggle_insists_and_is_told_to_nobody(run, server, monkeypatch, capfd):
    kaggle_has(server, KAGGLE_IQOTH, Served(ARCHIVE))
    for path, file in server.files.items():
        if path.startswith("/v1/"):
            file.secret = "Bearer KGAT_s3cret"
    with pytest.raises(UserError, match=r"403 Client Error.*KAGGLE_API_TOKEN"):
        run("iqoth", only="kaggle")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_s3cret")
    run("iqoth", only="kaggle")
    assert "s3cret" not in "".join(capfd.readouterr())


def test_a_damaged_file_of_kaggles_is_told_and_never_repeated(run, server, folder, tmp_path, capfd):
    kaggle_has(server, KAGGLE_IQOTH, Served(ARCHIVE))
    own = tmp_path / "home" / ".kaggle" / "kaggle.json"
    own.parent.mkdir(parents=True)
    for text in ('{"username": "user", "key-s3cret', '{"key": "s3cret"}'):
        own.write_text(text)
        with pytest.raises(UserError, match=r"kaggle\.json") as caught:
            run("iqoth", only="kaggle")
        assert "s3cret" not in str(caught.value)
    assert "s3cret" not in "".join(capfd.readouterr())
    assert b"s3cret" not in b"".join(state(folder).values())


def test_the_users_own_cache_is_left_alone(run, server, monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "mine"))
    kaggle_has(server, KAGGLE_IQOTH, Served(ARCHIVE))
    assert run("iqoth", only="kaggle")
    assert not (tmp_path / "mine").exists()


def test_a_server_that_hangs_is_told(run, server, folder, monkeypatch):
    monkeypatch.setattr("lung_attention.data.sources.kaggle._TIMEOUT_S", 0.2)
    kaggle_has(server, KAGGLE_IQOTH, Served(ARCHIVE))
    for served in server.files.values():
        served.always = ("silent",)
    began = time.monotonic()
    with pytest.raises(UserError, match=r"(?i)timed out"):
        run("iqoth", only="kaggle")
    assert time.monotonic() - began < 5
    for served in server.files.values():
        served.always = ("fine",)
    assert run("iqoth", only="kaggle")
