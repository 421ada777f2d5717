"""Fetching by name: who serves, what is verified and recorded, and what a failure leaves as it was."""

import dataclasses
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from filelock import FileLock
from PIL import Image
from public_server import Served

from lung_attention.config import load_config
from lung_attention.data.catalog import DATASETS
from lung_attention.data.manifest import import_archive
from lung_attention.data.sources import fetch, services
from lung_attention.data.sources.client import Patience
from lung_attention.data.sources.fetch import Wanted, fetch_all, fetch_named
from lung_attention.data.sources.ledger import read_record
from lung_attention.data.sources.table import ITEMS, Source
from lung_attention.errors import UserError
from lung_attention.paths import PARAMS

QUICK = Patience(tries=2, tries_to_connect=1, first_wait_s=0.001, longest_wait_s=1.0, timeout_s=5.0)
PUBLIC = load_config(Path(__file__).parents[3] / PARAMS).profiles["public"]

MENDELEY = "/data.mendeley.com/public-api/zip/bhmdr45bh2/download/4"
KAGGLE = "/www.kaggle.com/api/v1/datasets/download"
KAGGLE_IQOTH = f"{KAGGLE}/adityamahimkar/iqothnccd-lung-cancer-dataset"
KAGGLE_LC25000 = f"{KAGGLE}/andrewmvd/lung-and-colon-cancer-histopathological-images"


def image(seed, kind="JPEG"):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


def release(dataset_id, seed=0, each=2):
    """Names and contents of a small stand-in, in the release's layout."""
    dataset = DATASETS[dataset_id]
    names = {"iqoth": "{} ({}).jpg", "lc25000": "{}{}.jpeg"}[dataset_id]
    files = {}
    for place, (folder,) in enumerate(dataset.folders):
        stem = folder.removesuffix("s") if dataset_id == "iqoth" else folder.replace("_", "")
        for number in range(1, each + 1):
            content = image(1000 * seed + 10 * place + number)
            files[f"{dataset.root}/{folder}/{names.format(stem, number)}"] = content
    return files


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "downloads"


@pytest.fixture
def run(server, folder, monkeypatch):
    """Fetches with the real table, its hosts served by the mirror."""
    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", server.address)

    def fetch_items(*items, pin=None, check_counts=False, made_with=None, consent=False, deliver=None):
        wanted = [
            Wanted(ITEMS[item] if isinstance(item, str) else item, pin, check_counts, made_with or {})
            for item in items
        ]
        with requests.Session() as session:
            ask = services.deliverers(session, patience=QUICK, rebuild=PUBLIC.rebuild) | (deliver or {})
            return fetch_all(wanted, folder, deliver=ask, consent=consent)

    return fetch_items


def state(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


IQOTH = zipped(release("iqoth"))
CHANGED = zipped(release("iqoth", seed=1))


def test_the_first_source_serves_and_is_recorded(run, server, folder):
    server.files[MENDELEY] = Served(redirect="/bucket/bhmdr45bh2-4.zip")
    server.files["/bucket/bhmdr45bh2-4.zip"] = Served(IQOTH)
    assert run("iqoth") == {"iqoth": digest(IQOTH)}
    assert sorted(state(folder)) == ["iqoth.zip", "sources.json"]
    record = read_record(folder / "iqoth.zip")
    assert (record.source, record.sha256, record.bytes) == ("mendeley", digest(IQOTH), len(IQOTH))
    assert record.served == {"mendeley": digest(IQOTH)}
    assert record.address == "https://data.mendeley.com/public-api/zip/bhmdr45bh2/download/4"


def test_what_is_there_is_verified_and_not_fetched_again(run, server, folder):
    server.files[MENDELEY] = Served(IQOTH)
    run("iqoth")
    before = state(folder)
    asked = len(server.requests)
    run("iqoth")
    assert len(server.requests) == asked
    assert state(folder) == before
    (folder / "iqoth.zip").write_bytes(CHANGED)
    with pytest.raises(UserError, match=digest(IQOTH)) as caught:
        run("iqoth")
    assert digest(CHANGED) in caught.value.problem


FAULTS = {
    "403": Served(always=("status", 403, {})),
    "404": Served(always=("status", 404, {})),
    "429": Served(always=("status", 429, {"Retry-After": "3600"})),
    "500": Served(always=("status", 500, {})),
    "cut": Served(IQOTH, always=("cut", 10), ranges=False),
    "half a zip": Served(IQOTH[: len(IQOTH) // 2]),
    "a page": Served(b"<html></html>", content_type="text/html"),
    "another page": Served(b"<html></html>"),
    "empty": Served(b""),
    "a class missing": Served(zipped({k: v for k, v in release("iqoth").items() if "Bengin" not in k})),
    "an escaping name": Served(zipped(release("iqoth") | {"../../evil.jpg": b"x"})),
    "a bomb": Served(b""),  # filled in below, since it has to be compressed
}
with io.BytesIO() as _stream:
    with zipfile.ZipFile(_stream, "w", zipfile.ZIP_DEFLATED) as _archive:
        for _name in release("iqoth"):
            _archive.writestr(_name, bytes(2**22))
    FAULTS["a bomb"].content = _stream.getvalue()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_source_that_fails_falls_through_to_the_next(run, server, folder, fault, capfd):
    server.files[MENDELEY] = dataclasses.replace(FAULTS[fault])
    server.files[KAGGLE_IQOTH] = Served(IQOTH)
    assert run("iqoth") == {"iqoth": digest(IQOTH)}
    assert read_record(folder / "iqoth.zip").source == "kaggle"
    assert sorted(state(folder)) == ["iqoth.zip", "sources.json"]
    assert "iqoth: mendeley does not serve it (" in capfd.readouterr().err


@pytest.mark.parametrize("fault", FAULTS)
def test_when_all_fail_each_reason_is_named_and_nothing_has_changed(run, server, folder, fault):
    server.files[KAGGLE_LC25000] = Served(zipped(release("lc25000")))
    run("lc25000")
    before = state(folder)
    for path in (MENDELEY, KAGGLE_IQOTH, KAGGLE_IQOTH.replace("adityamahimkar/", "hamdallak/the-")):
        server.files[path] = dataclasses.replace(FAULTS[fault])
    with pytest.raises(UserError, match=r"iqoth could not be fetched:\n  mendeley: ") as caught:
        run("iqoth")
    assert "\n  kaggle: " in caught.value.problem
    assert "\n  kaggle-2: " in caught.value.problem
    after = state(folder)
    assert before.items() <= after.items()
    assert not (folder / "iqoth.zip").exists()
    assert all(name.startswith(".incoming/") for name in after.keys() - before.keys())


def test_a_damaged_member_is_found_before_the_archive_is_put_in_place(run, server, folder):
    content = bytearray(IQOTH)
    content[len(content) // 2] ^= 0xFF
    server.files[MENDELEY] = Served(bytes(content))
    with pytest.raises(UserError, match="is damaged"):
        run("iqoth")


def test_counts_are_those_of_the_release_where_that_is_asked(run, server):
    server.files[MENDELEY] = Served(IQOTH)
    with pytest.raises(UserError, match="'normal': 416"):
        run("iqoth", check_counts=True)


def test_a_file_that_has_changed_at_its_source_is_kept_aside(run, server, folder):
    server.files[MENDELEY] = Served(IQOTH)
    run("iqoth")
    (folder / "iqoth.zip").unlink()
    before = state(folder)
    server.files[MENDELEY] = Served(CHANGED)
    server.files[KAGGLE_IQOTH] = Served(IQOTH)
    with pytest.raises(UserError, match=digest(IQOTH)) as caught:
        run("iqoth")
    assert digest(CHANGED) in caught.value.problem
    assert "sources.json" in caught.value.remedy
    assert state(folder) == before | {"iqoth.zip.mismatch": CHANGED}
    assert not server.of(KAGGLE_IQOTH)  # another source would only hide it
    server.files[MENDELEY] = Served(IQOTH)
    assert run("iqoth") == {"iqoth": digest(IQOTH)}


def test_another_source_has_a_hash_of_its_own(run, server, folder):
    server.files[MENDELEY] = Served(IQOTH)
    run("iqoth")
    (folder / "iqoth.zip").unlink()
    server.files[MENDELEY] = Served(always=("status", 404, {}))
    server.files[KAGGLE_IQOTH] = Served(CHANGED)
    assert run("iqoth") == {"iqoth": digest(CHANGED)}
    served = read_record(folder / "iqoth.zip").served
    assert served == {"mendeley": digest(IQOTH), "kaggle": digest(CHANGED)}


@pytest.mark.parametrize("there", [False, True])
def test_a_pin_of_params_yaml_is_enforced(run, server, folder, there):
    server.files[MENDELEY] = Served(CHANGED)
    if there:
        run("iqoth")
    with pytest.raises(UserError, match=digest(IQOTH)) as caught:
        run("iqoth", pin=digest(IQOTH))
    assert digest(CHANGED) in caught.value.problem
    assert "params.yaml" in caught.value.problem
    assert (folder / "iqoth.zip").exists() == there
    assert (folder / "iqoth.zip.mismatch").exists() != there


def test_a_copy_that_the_user_put_there_is_taken_and_recorded(run, server, folder):
    folder.mkdir()
    (folder / "iqoth.zip").write_bytes(IQOTH)
    for _ in range(2):  # nobody knows how it was cut
        assert run("iqoth", made_with={"size": 1}) == {"iqoth": digest(IQOTH)}
    assert server.requests == []
    assert read_record(folder / "iqoth.zip").sha256 == digest(IQOTH)


def test_kaggle_is_asked_without_a_name_first_and_with_the_token_where_it_insists(
    run, server, monkeypatch, capfd
):
    monkeypatch.delenv("LUNG_ATTENTION_MIRROR")
    source = Source("kaggle", "kaggle", f"{server.address}/api/x")
    item = dataclasses.replace(ITEMS["iqoth"], sources=(source,))
    server.files["/api/x"] = Served(IQOTH, secret="Basic dXNlcjprZXktczNjcmV0")
    with pytest.raises(UserError, match="KAGGLE_USERNAME and KAGGLE_KEY"):
        run(item)
    monkeypatch.setenv("KAGGLE_USERNAME", "user")
    monkeypatch.setenv("KAGGLE_KEY", "key-s3cret")
    run(item)
    assert ["Authorization" in headers for headers in server.of("/api/x")] == [False, False, True]
    assert "s3cret" not in "".join(capfd.readouterr())


def test_kaggles_own_file_is_read_and_never_repeated(run, server, folder, monkeypatch, tmp_path, capfd):
    monkeypatch.delenv("LUNG_ATTENTION_MIRROR")
    item = dataclasses.replace(
        ITEMS["iqoth"], sources=(Source("kaggle", "kaggle", f"{server.address}/api/x"),)
    )
    server.files["/api/x"] = Served(IQOTH, secret="Basic dXNlcjprZXktczNjcmV0")
    own = tmp_path / "home" / ".kaggle" / "kaggle.json"
    own.parent.mkdir(parents=True)
    for text in (
        '{"username": "user", "key-s3cret',
        '{"key": "s3cret"}',
        '{"username": "u", "key": "s3cret"}',
    ):
        own.write_text(text)
        with pytest.raises(UserError) as caught:
            run(item)
        assert "s3cret" not in str(caught.value)
    own.write_text('{"username": "user", "key": "key-s3cret"}')
    run(item)
    assert "s3cret" not in "".join(capfd.readouterr())
    assert b"s3cret" not in b"".join(state(folder).values())


def shards(files, rows=4):
    """Parquet files as Hugging Face keeps images in."""
    items = list(files.items())
    for start in range(0, len(items), rows):
        part = items[start : start + rows]
        images = [{"bytes": content, "path": name.rsplit("/", 1)[-1]} for name, content in part]
        stream = io.BytesIO()
        pq.write_table(pa.table({"image": images, "label": [0] * len(part)}), stream)
        yield stream.getvalue()


@pytest.fixture
def hugging_face(server):
    """Serves a dataset as Hugging Face does: a listing with hashes, and shards behind redirects."""
    api = "/huggingface.co/api/datasets/1aurent/LC25000/tree/main?recursive=true"

    def serve(files, prefix="/huggingface.co"):
        listing = [{"type": "file", "path": "README.md", "size": 10, "oid": "x"}]
        for number, content in enumerate(shards(files)):
            name = f"data/train-{number:05}-of-00009.parquet"
            listing.append(
                {"type": "file", "path": name, "size": len(content), "lfs": {"oid": digest(content)}}
            )
            server.files[f"{prefix}/datasets/1aurent/LC25000/resolve/main/{name}"] = Served(
                redirect=f"/cdn/{number}"
            )
            server.files[f"/cdn/{number}"] = Served(content)
        server.files[api.replace("/huggingface.co", prefix)] = Served(json.dumps(listing).encode())

    serve.api = api
    return serve


COLON = {f"lung_colon_image_set/colon_image_sets/colon_n/colonn{n}.jpeg": image(n) for n in (1, 2)}


def test_hugging_faces_shards_become_an_archive_of_the_release(run, server, folder, hugging_face, tmp_path):
    server.files[KAGGLE_LC25000] = Served(secret="token")
    files = release("lc25000")
    hugging_face(files | COLON)
    found = run("lc25000")
    assert read_record(folder / "lc25000.zip").source == "huggingface"
    with zipfile.ZipFile(folder / "lc25000.zip") as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == files
    (folder / "lc25000.zip").unlink()
    assert run("lc25000") == found  # the archive does not depend on when it was made
    table = import_archive(
        folder / "lc25000.zip", DATASETS["lc25000"],
        archive=tmp_path / "a.zip", manifest=tmp_path / "m.csv", check_counts=False,
    )  # fmt: skip
    assert table["image"].tolist()[:2] == ["lung_aca/lungaca1.jpeg", "lung_aca/lungaca2.jpeg"]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda server, api: server.files.pop(api),
        lambda server, api: setattr(server.files[api], "content", b"not json"),
        lambda server, api: setattr(server.files[api], "content", b"[]"),
        lambda server, api: setattr(server.files[api], "content", b'[{"path": "a.parquet"}]'),
        lambda server, api: server.files.pop("/cdn/1"),
        lambda server, api: setattr(server.files["/cdn/1"], "content", b"x" * 100),
        lambda server, api: setattr(
            server.files["/cdn/1"], "content", b"x" * len(server.files["/cdn/1"].content)
        ),
    ],
)
def test_hugging_face_may_fail_in_its_own_ways(run, server, folder, hugging_face, break_it):
    hugging_face(release("lc25000"))
    break_it(server, hugging_face.api)
    with pytest.raises(UserError, match="huggingface: "):
        run("lc25000")
    assert not (folder / "lc25000.zip").exists()


def test_shards_with_other_names_are_not_guessed(run, hugging_face):
    hugging_face({f"x/image{n}.jpeg": image(n) for n in range(6)})
    with pytest.raises(UserError, match=r"as the release does, such as lungaca1\.jpeg"):
        run("lc25000")


def test_hugging_faces_token_goes_to_hugging_face_alone(
    run, server, other_server, hugging_face, monkeypatch, capfd
):
    monkeypatch.delenv("LUNG_ATTENTION_MIRROR")
    hugging_face(release("lc25000"), prefix="")
    for path, file in server.files.items():
        if not path.startswith("/cdn"):
            file.secret = "Bearer hf_s3cret"
        if file.redirect:
            other_server.files[file.redirect] = server.files[file.redirect]
            file.redirect = other_server.address + file.redirect
    source = Source("huggingface", "huggingface", f"{server.address}/datasets/1aurent/LC25000")
    item = dataclasses.replace(ITEMS["lc25000"], sources=(source,))
    with pytest.raises(UserError, match="HF_TOKEN"):
        run(item)
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    run(item)
    assert other_server.requests
    assert all("Authorization" not in headers for _, headers in other_server.requests)
    assert "s3cret" not in "".join(capfd.readouterr())


def weights(server, content, **known):
    source = dataclasses.replace(ITEMS["densenet121"].sources[0], **known)
    server.files["/" + source.address.removeprefix("https://")] = Served(
        content, content_type="application/octet-stream"
    )
    return dataclasses.replace(ITEMS["densenet121"], sources=(source,))


def test_weights_of_another_length_are_refused_before_they_come(run, server):
    with pytest.raises(UserError, match="5 bytes, but 29,084,464 are expected"):
        run(weights(server, b"other"))


def test_a_published_checksum_is_enforced(run, server, folder):
    with pytest.raises(UserError, match="30ee3e1110167f948a6b9946edeeb738") as caught:
        run(weights(server, b"other", bytes=5))
    assert hashlib.md5(b"other").hexdigest() in caught.value.problem
    assert (folder / "densenet121_notop.weights.h5.mismatch").read_bytes() == b"other"


def test_a_large_transfer_wants_a_yes(run, server):
    server.files[MENDELEY] = Served(IQOTH)
    item = dataclasses.replace(ITEMS["iqoth"], about_bytes=6_000_000_000)
    with pytest.raises(UserError, match=r"about 6\.0 GB .* more than 5 GB") as caught:
        run(item)
    assert caught.value.remedy == "lung-attention fetch --yes iqoth"
    assert server.requests == []
    assert run(item, consent=True)


def test_a_disk_that_cannot_hold_it_all_is_told_before_anything_is_asked(run, server):
    item = dataclasses.replace(ITEMS["iqoth"], about_bytes=10**15)
    with pytest.raises(UserError, match="GB free"):
        run(item, consent=True)
    assert server.requests == []


def test_two_do_not_fetch_into_one_folder(run, folder):
    folder.mkdir()
    with FileLock(folder / ".lock"), pytest.raises(UserError, match="another process"):
        run("iqoth")


def test_an_archive_that_was_cut_with_other_parameters_is_not_taken_for_this_one(run, folder, server):
    content = {1: IQOTH, 2: CHANGED}

    def cut(item, source, target):
        target.write_bytes(content[cut.size])

    item = dataclasses.replace(ITEMS["iqoth"], sources=(Source("idc", "idc", "https://idc.example"),))
    cut.size = 1
    run(item, made_with={"size": 1}, deliver={"idc": cut})
    cut.size = 2
    with pytest.raises(UserError, match=r"other parameters than params\.yaml has now: {'size': 1}"):
        run(item, made_with={"size": 2}, deliver={"idc": cut})
    (folder / "iqoth.zip").unlink()
    assert run(item, made_with={"size": 2}, deliver={"idc": cut}) == {"iqoth": digest(CHANGED)}


def test_by_name_everything_of_a_profile(server, folder, monkeypatch):
    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", server.address)
    monkeypatch.setattr(fetch, "transfer_bytes", lambda item, rebuild: 1)
    server.files[MENDELEY] = Served(IQOTH)
    settings = PUBLIC.model_copy(
        update={"download": PUBLIC.download.model_copy(update={"check_counts": False})}
    )
    found = fetch_named(["iqoth", "iqoth"], folder, settings=settings, patience=QUICK, consent=False)
    assert found == {"iqoth": digest(IQOTH)}
    with pytest.raises(UserError, match="nonsense"):
        fetch_named(["nonsense"], folder, settings=settings, patience=QUICK, consent=False)
