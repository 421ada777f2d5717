"""The bucket's faults: what passes is asked for again, what does not leaves everything as it was."""

import time

import pytest
from ct_phantom import Bucket, series, serving

from lung_attention.data.sources.bucket import Bucket as Client
from lung_attention.data.sources.transfer import TransferError

CONTENTS = {f"{k}.dcm": bytes([k]) * (1000 + k) for k in range(12)}
SERIES = series(CONTENTS)


@pytest.fixture
def bucket(monkeypatch):
    with serving(Bucket(), monkeypatch) as served:
        served.put("folder-1", CONTENTS)
        yield served


def fetch(folder):
    client = Client()
    client.fetch(SERIES, client.instances(SERIES), folder)


def files_asked(bucket):
    return [key for key, _ in bucket.requests if key]


def test_a_series_is_fetched_whole_and_alone(tmp_path, bucket):
    fetch(tmp_path / "s")
    assert {path.name: path.read_bytes() for path in (tmp_path / "s").iterdir()} == CONTENTS


def test_without_another_address_amazons_own_is_asked(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    address = Client()._client.generate_presigned_url("get_object", {"Bucket": SERIES.bucket, "Key": "a"})
    assert address == "https://idc-open-data.s3.amazonaws.com/a"


def test_a_listing_of_several_pages_is_read_to_its_end(tmp_path, bucket):
    bucket.page = 5
    fetch(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CONTENTS)


@pytest.mark.parametrize("fault", [429, 500, 503, "cut"])
def test_what_passes_is_asked_for_again(tmp_path, bucket, fault):
    bucket.faults = {"folder-1/3.dcm": [fault, fault], "": [503]}
    fetch(tmp_path)
    assert (tmp_path / "3.dcm").read_bytes() == CONTENTS["3.dcm"]
    assert files_asked(bucket).count("folder-1/3.dcm") == 3


@pytest.mark.parametrize(
    ("fault", "said"), [(403, "403"), (404, "404"), (500, "500"), ("cut", "Max Retries"), ("changed", "MD5")]
)
def test_what_does_not_pass_is_told(tmp_path, bucket, fault, said):
    bucket.faults = {"folder-1/3.dcm": [fault] * 50}
    with pytest.raises(TransferError, match=said) as caught:
        fetch(tmp_path)
    assert "3.dcm" in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= set(CONTENTS) - {"3.dcm"}


@pytest.mark.parametrize(
    ("key", "hang"), [("", "silent"), ("folder-1/3.dcm", "silent"), ("folder-1/3.dcm", "stall")]
)
def test_a_server_that_hangs_is_told(tmp_path, bucket, monkeypatch, key, hang):
    monkeypatch.setattr("lung_attention.data.sources.bucket._TIMEOUT_S", 0.1)
    bucket.faults = {key: [hang] * 50}
    began = time.monotonic()
    with pytest.raises(TransferError, match=r"(?i)read timeout|read timed out|max retries") as caught:
        fetch(tmp_path / "s")
    assert time.monotonic() - began < 8
    assert key in str(caught.value)
    assert not (tmp_path / "s" / "3.dcm").exists()
    assert not list(tmp_path.rglob("*.unfinished*"))


@pytest.mark.parametrize("hang", ["silent", "stall"])
def test_after_a_hang_it_goes_on(tmp_path, bucket, monkeypatch, hang):
    monkeypatch.setattr("lung_attention.data.sources.bucket._TIMEOUT_S", 0.2)
    bucket.faults = {"folder-1/3.dcm": [hang], "": ["silent"]}
    fetch(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == CONTENTS


@pytest.mark.parametrize("hang", ["silent", "stall"])
def test_a_head_that_hangs_is_told(bucket, monkeypatch, hang):
    monkeypatch.setattr("lung_attention.data.sources.bucket._TIMEOUT_S", 0.1)
    client = Client()
    instances = client.instances(SERIES)
    bucket.ranges = False
    bucket.faults = {"folder-1/3.dcm": [hang] * 50}
    with pytest.raises(TransferError, match=r"3\.dcm: .*(?i:timeout|timed out)"):
        list(client.heads(SERIES, instances, size=2000))


def test_a_file_longer_than_listed_is_told(tmp_path, bucket):
    client = Client()
    instances = client.instances(SERIES)
    bucket.files["folder-1/3.dcm"] += b"more"
    with pytest.raises(TransferError, match=r"3\.dcm has 1,007 bytes, but 1,003 are listed"):
        client.fetch(SERIES, instances, tmp_path)


def test_an_interrupted_series_goes_on_with_the_file_where_it_stopped(tmp_path, bucket):
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
    client = Client()
    instances = client.instances(SERIES)
    heads = dict(client.heads(SERIES, instances, size=100))
    assert {instance.name: head for instance, head in heads.items()} == {
        name: content[:100] for name, content in CONTENTS.items()
    }
    assert {span for key, span in bucket.requests if key} == {"bytes=0-99"}


def test_a_head_that_is_not_there_is_told(bucket):
    client = Client()
    instances = client.instances(SERIES)
    del bucket.files["folder-1/3.dcm"]
    with pytest.raises(TransferError, match=r"idc-open-data/folder-1/3\.dcm: .*404"):
        list(client.heads(SERIES, instances, size=100))


def test_a_server_that_is_gone_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(TransferError, match="Could not connect"):
        fetch(tmp_path)


@pytest.mark.parametrize("name", ["..", ".hidden", "a\\b.dcm", "a b.dcm"])
def test_a_name_that_is_no_plain_file_is_refused(bucket, name):
    bucket.files = {f"folder-1/x/{name}": b"1"}
    with pytest.raises(TransferError, match="no plain name"):
        Client().instances(SERIES)


def test_of_a_name_in_folders_only_the_last_part_is_used(bucket):
    bucket.files = {"folder-1/../../evil.dcm": b"1"}
    (found,) = Client().instances(series({"a": b"1"}))
    assert found.name == "evil.dcm"


def test_folders_in_a_listing_are_no_files(bucket):
    bucket.files = {"folder-1/": b"", "folder-1/a.dcm": b"12"}
    (found,) = Client().instances(series({"a.dcm": b"12"}))
    assert (found.name, found.bytes) == ("a.dcm", 2)
