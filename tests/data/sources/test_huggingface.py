"""Hugging Face through its own client: shards become the release's archive, or nothing."""

import time
import zipfile

import pytest
from known import DATASETS
from releases import hugging_face_has, image, release, state

from lung_attention.data.manifest import import_archive
from lung_attention.data.sources.checksums import read_record
from lung_attention.errors import UserError

COLON = {f"lung_colon_image_set/colon_image_sets/colon_n/colonn{n}.jpeg": image(n) for n in (1, 2)}
SHARD = "/cdn/1?Signature=s1gned"


def test_shards_become_an_archive_of_the_release(run, server, other_server, folder, tmp_path):
    files = release("lc25000")
    hugging_face_has(server, files | COLON, storage=other_server)
    found = run("lc25000")  # Kaggle has nothing
    assert read_record(folder / "lc25000.zip").source == "huggingface"
    assert sorted(state(folder)) == ["lc25000.zip", "sources.json"]
    with zipfile.ZipFile(folder / "lc25000.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
    (folder / "lc25000.zip").unlink()
    assert run("lc25000") == found  # the archive does not depend on when it was made
    table = import_archive(
        folder / "lc25000.zip", DATASETS["lc25000"],
        archive=tmp_path / "a.zip", manifest=tmp_path / "m.csv", check_counts=False,
    )  # fmt: skip
    assert table["image"].tolist()[:2] == ["lung_aca/lungaca1.jpeg", "lung_aca/lungaca2.jpeg"]


def test_a_cut_shard_goes_on_where_it_stopped(run, server, other_server, monkeypatch, capfd):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100)
    hugging_face_has(server, release("lc25000"), storage=other_server)
    other_server.files[SHARD].faults = [("cut", 500)]
    assert run("lc25000", only="huggingface")
    assert other_server.of(SHARD)[-1]["Range"] == "bytes=500-"
    assert "s1gned" not in "".join(capfd.readouterr())


def test_complete_shards_are_not_fetched_again_by_the_next_command(run, server, other_server):
    hugging_face_has(server, release("lc25000"), storage=other_server)
    broken = other_server.files.pop(SHARD)
    with pytest.raises(UserError, match=r"huggingface: .*404"):
        run("lc25000", only="huggingface")
    other_server.files[SHARD] = broken
    assert run("lc25000", only="huggingface")
    assert len(other_server.of(SHARD.replace("1?", "0?"))) == 1


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda listing, shard: setattr(listing, "always", ("status", 404, {})), "404"),
        (lambda listing, shard: setattr(listing, "content", b"not json"), ""),
        (lambda listing, shard: setattr(listing, "content", b"[]"), "no Parquet files"),
        (lambda listing, shard: setattr(listing, "content", b'[{"type": "file"}]'), "path"),
        (lambda listing, shard: setattr(shard, "always", ("status", 404, {})), "404"),
        (lambda listing, shard: setattr(shard, "always", ("status", 500, {})), "500"),
        (lambda listing, shard: setattr(shard, "always", ("cut", 0)), ""),
        (lambda listing, shard: setattr(shard, "content", b"x" * 100), "size"),
        (
            lambda listing, shard: setattr(shard, "content", b"x" * len(shard.content)),
            "has sha256 .*, but 1aurent/LC25000 lists",
        ),
    ],
)
def test_it_may_fail_in_its_own_ways(run, server, other_server, folder, break_it, said):
    listing = hugging_face_has(server, release("lc25000"), storage=other_server)
    break_it(server.files[listing], other_server.files[SHARD])
    with pytest.raises(UserError, match=f"huggingface: .*{said}") as caught:
        run("lc25000", only="huggingface")
    assert not (folder / "lc25000.zip").exists()
    assert "s1gned" not in str(caught.value)


@pytest.mark.parametrize("hang", [("silent",), ("stall", 50)])
@pytest.mark.parametrize("what", ["listing", "shard"])
def test_a_server_that_hangs_is_told_and_then_it_goes_on(run, server, other_server, monkeypatch, what, hang):
    monkeypatch.setattr("lung_attention.data.sources.huggingface._TIMEOUT_S", 0.2)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
    listing = hugging_face_has(server, release("lc25000"), storage=other_server)
    served = server.files[listing] if what == "listing" else other_server.files[SHARD]
    served.always = hang
    began = time.monotonic()
    with pytest.raises(UserError, match=r"huggingface: .*timed out"):
        run("lc25000", only="huggingface")
    assert time.monotonic() - began < 10
    served.always = ("fine",)
    assert run("lc25000", only="huggingface")


def test_shards_with_other_names_are_not_guessed(run, server, other_server):
    hugging_face_has(server, {f"x/image{n}.jpeg": image(n) for n in range(6)}, storage=other_server)
    with pytest.raises(UserError, match="name no image as the release does"):
        run("lc25000", only="huggingface")


def test_the_token_goes_to_hugging_face_alone(run, server, other_server, monkeypatch, capfd):
    hugging_face_has(server, release("lc25000"), storage=other_server)
    for file in server.files.values():
        file.secret = "Bearer hf_s3cret"
    with pytest.raises(UserError, match=r"huggingface: .*403"):
        run("lc25000", only="huggingface")
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    run("lc25000", only="huggingface")
    assert other_server.requests
    assert all("Authorization" not in headers for _, headers in other_server.requests)
    assert "s3cret" not in "".join(capfd.readouterr())
