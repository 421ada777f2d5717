"""The bucket's faults: what passes is asked for again, what does not leaves everything as it was."""

import pytest
from ct_phantom import HOST, IMPATIENT, Bucket, listing, series, serving

from lung_attention.data.sources import bucket as module
from lung_attention.data.sources.bucket import Bucket as Client
from lung_attention.data.sources.client import TransferError

CONTENTS = {f"{k}.dcm": bytes([k]) * (1000 + k) for k in range(12)}
SERIES = series(CONTENTS)


@pytest.fixture
def bucket(monkeypatch):
    with serving(Bucket(), monkeypatch) as served:
        served.put("folder-1", CONTENTS)
        yield served


def fetch(folder):
    sizes = []
    with Client(IMPATIENT) as client:
        client.fetch(SERIES, client.instances(SERIES), folder, advance=sizes.append)
    return sizes


def files_asked(bucket):
    return [key for key, _ in bucket.requests if key]


def test_a_series_is_fetched_whole(tmp_path, bucket):
    assert sum(fetch(tmp_path / "s")) == SERIES.bytes
    assert {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()} == CONTENTS


def test_the_address_is_the_buckets_own_without_a_mirror(monkeypatch):
    monkeypatch.delenv("LUNG_ATTENTION_MIRROR", raising=False)
    instance = module.Instance("1.dcm", 1, None)
    assert module._address(SERIES, instance) == f"https://{HOST}/folder-1/1.dcm"


def test_a_listing_of_several_pages_is_read_to_its_end(tmp_path, bucket):
    bucket.page = 5
    fetch(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CONTENTS)


@pytest.mark.parametrize("fault", [429, 500, 503, "cut", "changed"])
def test_what_passes_is_asked_for_again(tmp_path, bucket, fault):
    bucket.faults = {"folder-1/3.dcm": [fault, fault], "": [503]}
    fetch(tmp_path)
    assert (tmp_path / "3.dcm").read_bytes() == CONTENTS["3.dcm"]
    assert files_asked(bucket).count("folder-1/3.dcm") == 3


@pytest.mark.parametrize(
    ("fault", "said", "asked"),
    [(403, "403", 1), (404, "404", 1), (500, "500", 3), ("cut", "cut", 3), ("changed", "MD5", 3)],
)
def test_what_does_not_pass_is_told(tmp_path, bucket, fault, said, asked):
    bucket.faults = {"folder-1/3.dcm": [fault] * 9}
    with pytest.raises(TransferError, match=said):
        fetch(tmp_path)
    assert files_asked(bucket).count("folder-1/3.dcm") == asked
    assert not (tmp_path / "3.dcm").exists()
    assert not list(tmp_path.glob(".unfinished*"))


def test_a_file_longer_than_listed_is_told(tmp_path, bucket):
    with Client(IMPATIENT) as client:
        instances = client.instances(SERIES)
        bucket.files["folder-1/3.dcm"] += b"more"
        with pytest.raises(TransferError, match=r"1,004 of 1,003 bytes of 3\.dcm have come"):
            client.fetch(SERIES, instances, tmp_path, advance=lambda size: None)


def test_an_interrupted_series_goes_on_where_it_stopped(tmp_path, bucket):
    bucket.faults = {"folder-1/3.dcm": [404]}
    with pytest.raises(TransferError):
        fetch(tmp_path)
    here = {path.name for path in tmp_path.iterdir()}
    (tmp_path / "5.dcm").write_bytes(b"short")  # as after a crash of the machine
    bucket.requests.clear()
    fetch(tmp_path)
    assert {key.rpartition("/")[2] for key in files_asked(bucket)} == set(CONTENTS) - here | {"5.dcm"}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == CONTENTS


@pytest.mark.parametrize("ranges", [True, False])
def test_heads_are_the_beginnings(bucket, ranges):
    bucket.ranges = ranges
    with Client(IMPATIENT) as client:
        instances = client.instances(SERIES)
        heads = dict(client.heads(SERIES, instances, size=100, advance=lambda size: None))
    assert {instance.name: head for instance, head in heads.items()} == {
        name: content[:100] for name, content in CONTENTS.items()
    }
    assert {span for key, span in bucket.requests if key} == {"bytes=0-99"}


def test_a_server_that_is_gone_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(TransferError, match="reached"):
        fetch(tmp_path)


@pytest.mark.parametrize("name", ["../../evil.dcm", "..", ".hidden", "a\\b.dcm", "a b.dcm"])
def test_a_name_that_is_no_plain_file_is_refused(bucket, name):
    bucket.files = {f"folder-1/x/{name}": b"1"}
    if name == "../../evil.dcm":  # its last part is harmless, and nothing else of it is used
        page, _ = module._parse_listing(listing(bucket, LISTED), "https://server/")
        assert [instance.name for instance in page] == ["evil.dcm"]
        return
    with pytest.raises(TransferError, match="no listing"):
        module._parse_listing(listing(bucket, LISTED), "https://server/")


@pytest.mark.parametrize("content", [b"", b"<html>", b"<a><Contents><Key>a/b.dcm</Key></Contents></a>"])
def test_a_listing_that_is_none_is_told(content):
    with pytest.raises(TransferError, match="no listing"):
        module._parse_listing(content, "https://server/")


def test_folders_in_a_listing_are_no_files(bucket):
    bucket.files = {"folder-1/": b"", "folder-1/a.dcm": b"12"}
    page, token = module._parse_listing(listing(bucket, LISTED), "https://server/")
    assert [(each.name, each.bytes) for each in page] == [("a.dcm", 2)]
    assert token is None


LISTED = {"list-type": ["2"], "prefix": ["folder-1/"]}
