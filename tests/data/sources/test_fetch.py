"""Fetching by name: who serves, what is verified and recorded, and what a failure leaves as it was."""

import dataclasses
import io
import json
import zipfile

import pytest
from filelock import FileLock
from known import DATASETS, PROFILES
from public_server import Served
from releases import (
    KAGGLE_IQOTH,
    KAGGLE_IQOTH_2,
    KAGGLE_LC25000,
    MENDELEY,
    digest,
    image,
    kaggle_has,
    release,
    state,
    zipped,
)

from lung_attention.config import Dataset
from lung_attention.config.sources import SeriesSource
from lung_attention.data.sources import fetch
from lung_attention.data.sources.checksums import read_record
from lung_attention.data.sources.fetch import fetch_named
from lung_attention.data.sources.idc import cut_settings
from lung_attention.data.sources.table import items
from lung_attention.data.sources.transfer import TransferError
from lung_attention.errors import UserError

IQOTH = zipped(release("iqoth"))
CHANGED = zipped(release("iqoth", seed=1))
IQOTH_ITEM = items(DATASETS)["iqoth"]
CUT = SeriesSource(name="idc", kind="idc", address="lidc_idri", cut="nodules")


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
    kaggle_has(server, KAGGLE_IQOTH, Served(IQOTH))
    assert run("iqoth") == {"iqoth": digest(IQOTH)}
    assert read_record(folder / "iqoth.zip").source == "kaggle"
    assert sorted(state(folder)) == ["iqoth.zip", "sources.json"]
    assert "iqoth: mendeley does not serve it (" in capfd.readouterr().err


@pytest.mark.parametrize("fault", FAULTS)
def test_when_all_fail_each_reason_is_named_and_nothing_has_changed(run, server, folder, fault):
    kaggle_has(server, KAGGLE_LC25000, Served(zipped(release("lc25000"))))
    run("lc25000")
    before = state(folder)
    server.files[MENDELEY] = dataclasses.replace(FAULTS[fault])
    for handle in (KAGGLE_IQOTH, KAGGLE_IQOTH_2):
        kaggle_has(server, handle, Served(always=("status", 404, {})))
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
    kaggle_has(server, KAGGLE_IQOTH, Served(IQOTH))
    with pytest.raises(UserError, match=digest(IQOTH)) as caught:
        run("iqoth")
    assert digest(CHANGED) in caught.value.problem
    assert "sources.json" in caught.value.remedy
    assert state(folder) == before | {"iqoth.zip.mismatch": CHANGED}
    assert not server.of(f"/stored/{KAGGLE_IQOTH}")  # another source would only hide it
    server.files[MENDELEY] = Served(IQOTH)
    assert run("iqoth") == {"iqoth": digest(IQOTH)}


def test_another_source_has_a_hash_of_its_own(run, server, folder):
    server.files[MENDELEY] = Served(IQOTH)
    run("iqoth")
    (folder / "iqoth.zip").unlink()
    server.files[MENDELEY] = Served(always=("status", 404, {}))
    kaggle_has(server, KAGGLE_IQOTH, Served(CHANGED))
    assert run("iqoth") == {"iqoth": digest(CHANGED)}
    served = read_record(folder / "iqoth.zip").served
    assert served == {"mendeley": digest(IQOTH), "kaggle": digest(CHANGED)}


@pytest.mark.parametrize("there", [False, True])
def test_a_checksum_of_params_yaml_is_enforced(run, server, folder, there):
    server.files[MENDELEY] = Served(CHANGED)
    if there:
        run("iqoth")
    with pytest.raises(UserError, match=digest(IQOTH)) as caught:
        run("iqoth", checksum=digest(IQOTH))
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


def test_a_large_transfer_wants_a_yes(run, server):
    server.files[MENDELEY] = Served(IQOTH)
    item = dataclasses.replace(IQOTH_ITEM, about_bytes=6_000_000_000)
    with pytest.raises(UserError, match=r"about 6\.0 GB .* more than 5 GB") as caught:
        run(item)
    assert caught.value.remedy == "lung-attention fetch --yes iqoth"
    assert server.requests == []
    assert run(item, consent=True)


def test_a_disk_that_cannot_hold_it_all_is_told_before_anything_is_asked(run, server):
    item = dataclasses.replace(IQOTH_ITEM, about_bytes=10**15)
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

    item = dataclasses.replace(IQOTH_ITEM, sources=(CUT,))
    cut.size = 1
    run(item, made_with={"size": 1}, deliver={"idc": cut})
    cut.size = 2
    with pytest.raises(UserError, match=r"other parameters than params\.yaml has now: {'size': 1}"):
        run(item, made_with={"size": 2}, deliver={"idc": cut})
    (folder / "iqoth.zip").unlink()
    assert run(item, made_with={"size": 2}, deliver={"idc": cut}) == {"iqoth": digest(CHANGED)}


@pytest.fixture
def fetched(services, folder):
    """Fetches by name, as the profile `public` says but for the images' numbers."""
    public = PROFILES["public"]
    download = public.download.model_copy(update={"check_counts": False})

    def run(*names, catalog=DATASETS, checksums=None):
        own = download.model_copy(update={"checksums": checksums or {}})
        settings = public.model_copy(update={"download": own})
        return fetch_named(names, folder, catalog=catalog, settings=settings, consent=False)

    return run


def test_by_name_each_once(fetched, server):
    server.files[MENDELEY] = Served(IQOTH)
    assert fetched("iqoth", "iqoth") == {"iqoth": digest(IQOTH)}


def test_a_checksum_of_the_profile_is_demanded(fetched, server):
    server.files[MENDELEY] = Served(IQOTH)
    with pytest.raises(UserError, match=digest(CHANGED)):
        fetched("iqoth", checksums={"iqoth": digest(CHANGED)})


def test_a_name_that_nobody_knows(fetched):
    with pytest.raises(UserError, match=r"'nonsense': expected some of .*'iqoth'.*'densenet121'") as caught:
        fetched("nonsense")
    assert caught.value.remedy == "lung-attention datasets"


def test_a_dataset_that_nobody_serves_is_refused_before_anything_is_asked(fetched, server, folder):
    server.files[MENDELEY] = Served(IQOTH)
    with pytest.raises(UserError, match=r"datasets/lidc_slices\.yaml: sources: nobody serves") as caught:
        fetched("iqoth", "lidc_slices")
    assert "PROFILE=local" in caught.value.remedy
    assert server.requests == []
    assert not folder.exists()


def test_a_dataset_of_the_users_own_comes_from_the_sources_that_its_file_names(fetched, server, folder):
    values = DATASETS["iqoth"].model_dump(mode="json") | {
        "id": "mine",
        "classes": {"ill": ["ill"], "well": ["well"]},
        "archive": {"root": "", "suffixes": [".jpg"], "ignored": [], "counts": None},
        "floors": {"published": 0.6, "grouped": 0.6},
        "sources": {
            "about_bytes": 1000,
            "from": [
                {"name": "gone", "kind": "kaggle", "address": "nobody/nothing"},
                {
                    "name": "ours",
                    "kind": "web",
                    "address": "https://data.example/mine.zip",
                    "bytes": None,
                    "md5": None,
                },
            ],
        },
    }
    archive = zipped({f"{name}/{n}.jpg": image(n) for name in ("ill", "well") for n in (1, 2)})
    server.files["/data.example/mine.zip"] = Served(archive)
    mine = Dataset.model_validate_json(json.dumps(values))
    assert fetched("mine", catalog={**DATASETS, "mine": mine}) == {"mine": digest(archive)}
    assert read_record(folder / "mine.zip").source == "ours"


def test_a_backbone_whose_weights_nobody_serves_as_the_pipeline_reads_them(fetched, server):
    with pytest.raises(UserError, match="resnet50: no source of its weights is known") as caught:
        fetched("resnet50")
    assert "resnet50_notop.weights.h5" in caught.value.remedy
    assert server.requests == []


@pytest.mark.parametrize("name", ["lidc", "lidc_nodules"])
def test_what_is_cut_and_how_much_that_takes_is_said_by_the_source_alone(fetched, folder, monkeypatch, name):
    cut = []

    def deliver(item, source, target):
        cut.append((item.dataset.id, source.cut))
        raise TransferError("not today")

    monkeypatch.setattr(fetch, "deliverers", lambda rebuild: {"idc": deliver})
    other = DATASETS[name].model_copy(update={"id": "other"})
    with pytest.raises(UserError, match="other could not be fetched:\n  idc: not today"):
        fetched("other", catalog={"other": other})
    assert cut == [("other", {"lidc": "listed_slices", "lidc_nodules": "nodules"}[name])]


def test_parameters_of_the_nodules_belong_to_archives_of_nodules():
    rebuild = PROFILES["public"].rebuild
    slices = cut_settings(CUT.model_copy(update={"cut": "listed_slices"}), rebuild)
    assert slices == {"level_hu": rebuild.level_hu, "width_hu": rebuild.width_hu}
    assert cut_settings(CUT, rebuild) == slices | rebuild.nodules.model_dump()
