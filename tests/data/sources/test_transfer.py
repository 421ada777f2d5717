"""One download against a server that misbehaves in every way the real ones do."""

import json
import time
from email.utils import formatdate

import numpy as np
import pytest
import requests
from public_server import Served

from lung_attention.data.sources import transfer
from lung_attention.data.sources.client import AccessError, Patience, TransferError
from lung_attention.data.sources.transfer import download
from lung_attention.errors import UserError

CONTENT = np.random.default_rng(0).bytes(600_000)
OTHER = np.random.default_rng(1).bytes(600_000)
QUICK = Patience(tries=3, tries_to_connect=2, first_wait_s=0.001, longest_wait_s=2.0, timeout_s=5.0)
PATH = "/archive.zip"
DATE = "Mon, 06 Jan 2025 10:00:00 GMT"


@pytest.fixture
def get(server, tmp_path):
    """Downloads the server's file; what has come and what is left in the folder can be looked at."""
    folder = tmp_path / "downloads"

    def run(address=None, patience=QUICK, **options):
        target = folder / "got.zip"
        with requests.Session() as session:
            download(
                session, address or server.address + PATH, target, label="t", patience=patience, **options
            )
        return target.read_bytes()

    run.folder = folder
    run.left = lambda: sorted(path.name for path in folder.iterdir())
    return run


def test_a_file_arrives_alone(server, get):
    server.files[PATH] = Served(CONTENT)
    assert get() == CONTENT
    assert get.left() == ["got.zip"]
    assert get() == CONTENT
    assert len(server.requests) == 1  # complete: nothing is asked again
    assert server.of(PATH)[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("tenth", range(10))
@pytest.mark.parametrize(
    "version", [{}, {"etag": False, "modified": DATE}, {"etag": "weak", "modified": DATE}]
)
def test_a_connection_cut_at_any_tenth_goes_on_from_there(server, get, tenth, version):
    cut = tenth * len(CONTENT) // 10
    server.files[PATH] = Served(CONTENT, faults=[("cut", cut)], **version)
    assert get() == CONTENT
    first, second = server.of(PATH)
    assert "Range" not in first
    if cut:
        assert second["Range"] == f"bytes={cut}-"
        assert second["If-Range"] == (DATE if version else server.files[PATH].tag())


@pytest.mark.parametrize("tenth", range(10))
def test_another_run_goes_on_where_the_last_was_interrupted(server, get, tenth):
    cut = tenth * len(CONTENT) // 10
    server.files[PATH] = Served(CONTENT, always=("cut", cut))
    with pytest.raises(TransferError):
        get(patience=Patience(1, 1, 0, 0, 5))
    server.files[PATH] = Served(CONTENT)
    assert get() == CONTENT
    assert server.of(PATH)[-1].get("Range") == (f"bytes={cut}-" if cut else None)
    assert get.left() == ["got.zip"]


def test_more_cuts_than_tries_are_fine_while_something_comes(server, get):
    server.files[PATH] = Served(CONTENT, faults=[("cut", 60_000)] * 9)
    assert get() == CONTENT
    assert len(server.requests) == 10


@pytest.mark.parametrize(
    "file", [Served(CONTENT, ranges=False), Served(CONTENT, etag=False), Served(CONTENT, etag="weak")]
)
def test_without_ranges_or_a_version_it_begins_anew(server, get, file):
    file.faults = [("cut", 300_000), ("cut", 500_000)]
    server.files[PATH] = file
    assert get() == CONTENT


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("other", [OTHER, OTHER[:100_000], OTHER + OTHER])
def test_a_file_that_changes_half_way_is_never_mixed(server, get, heeds, other):
    server.files[PATH] = Served(CONTENT, if_range=heeds, faults=[("cut", 200_000), ("change", other)])
    assert get() == other


def test_a_part_longer_than_the_changed_file_is_no_dead_end(server, get):
    server.files[PATH] = Served(
        CONTENT, etag=False, modified=DATE, faults=[("cut", 500_000), ("change", OTHER[:1000])]
    )
    assert get() == OTHER[:1000]


def test_the_rest_of_another_address_is_not_taken_for_ours(server, get):
    server.files["/a.zip"] = Served(CONTENT, always=("cut", 1000))
    server.files["/b.zip"] = Served(OTHER)
    with pytest.raises(TransferError):
        get(f"{server.address}/a.zip", patience=Patience(1, 1, 0, 0, 5))
    assert get(f"{server.address}/b.zip") == OTHER


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"address": 1}', None])
def test_a_damaged_note_on_a_part_means_to_begin_anew(server, get, state):
    server.files[PATH] = Served(CONTENT)
    get.folder.mkdir()
    (get.folder / "got.zip.part").write_bytes(OTHER[:1000])
    if state is not None:
        (get.folder / "got.zip.part.json").write_text(state)
    assert get() == CONTENT


def test_a_complete_part_is_only_renamed(server, get):
    get.folder.mkdir()
    (get.folder / "got.zip.part").write_bytes(CONTENT)
    state = {"address": server.address + PATH, "bytes": len(CONTENT), "validator": '"x"'}
    (get.folder / "got.zip.part.json").write_text(json.dumps(state))
    assert get() == CONTENT
    assert server.requests == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(server, get, status):
    server.files[PATH] = Served(CONTENT, faults=[("status", status, {})] * 2)
    assert get() == CONTENT


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_heeded(server, get, status, as_date):
    after = formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    server.files[PATH] = Served(CONTENT, faults=[("status", status, {"Retry-After": after})])
    began = time.monotonic()
    assert get() == CONTENT
    assert 0.9 < time.monotonic() - began < 4


def test_a_server_that_wants_an_hour_has_failed(server, get):
    server.files[PATH] = Served(CONTENT, faults=[("status", 429, {"Retry-After": "3600"})])
    with pytest.raises(TransferError, match=r"429 Too Many Requests; .*left alone for 3600 s"):
        get()
    assert len(server.requests) == 1


def test_a_retry_after_that_means_nothing_is_not_waited_for(server, get):
    server.files[PATH] = Served(CONTENT, faults=[("status", 503, {"Retry-After": "soon"})])
    assert get() == CONTENT


@pytest.mark.parametrize("status", [400, 404, 410, 451])
def test_what_will_not_pass_is_asked_once(server, get, status):
    server.files[PATH] = Served(CONTENT, always=("status", status, {}))
    with pytest.raises(TransferError, match=rf"archive\.zip answered {status}"):
        get()
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_told_apart(server, get, status):
    server.files[PATH] = Served(CONTENT, always=("status", status, {}))
    with pytest.raises(AccessError, match=str(status)):
        get()


@pytest.mark.parametrize("always", [("status", 500, {}), ("cut", 0), ("cut", 1000)])
def test_patience_ends(server, get, always):
    server.files[PATH] = Served(CONTENT, ranges=False, always=always)
    with pytest.raises(TransferError, match="asked 3 times without success"):
        get()
    assert len(server.requests) <= 4


def test_a_silent_server_counts_as_cut(server, get):
    server.files[PATH] = Served(CONTENT, faults=[("silence", 0.5)])
    assert get(patience=Patience(3, 2, 0.001, 1, 0.2)) == CONTENT


def test_an_unreachable_server_is_given_up_soon(server, get):
    server.close()
    with pytest.raises(TransferError, match="cannot be reached; asked 2 times"):
        get()
    server.http, server.close = None, lambda: None


def test_redirects_are_followed_and_the_secret_stays_behind(server, other_server, get):
    server.files[PATH] = Served(redirect="/second", secret="Basic dTprZXk=")
    server.files["/second"] = Served(redirect=f"{other_server.address}/signed?token=s3cret")
    other_server.files["/signed?token=s3cret"] = Served(CONTENT, faults=[("cut", 1000)])
    assert get(auth=requests.auth.HTTPBasicAuth("u", "key")) == CONTENT
    assert all(headers["Authorization"] == "Basic dTprZXk=" for headers in server.of(PATH))
    assert all("Authorization" not in headers for _, headers in other_server.requests)
    assert len(other_server.requests) == 2


def test_redirects_in_circles_end(server, get):
    server.files[PATH] = Served(redirect=PATH)
    with pytest.raises(TransferError, match="circles"):
        get()


def test_nothing_signed_is_told(server, other_server, get, capsys):
    server.files[PATH] = Served(redirect=f"{other_server.address}/signed?token=s3cret")
    other_server.files["/signed?token=s3cret"] = Served(CONTENT, always=("cut", 0))
    address = server.address.replace("//", "//me:pa55@")
    with pytest.raises(TransferError) as caught:
        get(address + PATH)
    told = str(caught.value) + "".join(capsys.readouterr())
    assert "cut" in told
    assert "s3cret" not in told
    assert "pa55" not in told


def test_a_wrong_length_is_refused_before_it_is_transferred(server, get):
    server.files[PATH] = Served(CONTENT)
    with pytest.raises(TransferError, match="600,000 bytes, but 500,000 are expected"):
        get(expected_bytes=500_000)
    assert get.left() == []


def test_a_server_that_promises_more_than_it_sends_has_failed(server, get):
    server.files[PATH] = Served(CONTENT, length=700_000, ranges=False)
    with pytest.raises(TransferError, match="cut; asked 3 times"):
        get()
    assert "got.zip" not in get.left()


@pytest.mark.parametrize("length", [False, "chunked"])
def test_a_length_that_is_not_told_is_accepted(server, get, length):
    server.files[PATH] = Served(CONTENT, length=length)
    assert get() == CONTENT


def test_a_cut_between_chunks_is_noticed(server, get):
    server.files[PATH] = Served(CONTENT, length="chunked", faults=[("cut", 123_456), ("cut", 50_009)])
    assert get() == CONTENT
    assert len(server.requests) == 3


def test_a_web_page_is_no_file(server, get):
    server.files[PATH] = Served(b"<html>please log in</html>", content_type="text/html; charset=utf-8")
    with pytest.raises(TransferError, match="web page"):
        get()
    assert get.left() == []


def test_a_disk_that_is_too_small_is_told_before_anything_comes(server, get, monkeypatch):
    server.files[PATH] = Served(CONTENT)
    monkeypatch.setattr(transfer, "_SPARE_BYTES", 2**60)
    with pytest.raises(UserError, match=r"GB free, but .* GB are needed") as caught:
        get()
    assert "--to" in caught.value.remedy
    assert "got.zip.part" not in get.left()


def test_a_mirror_is_asked_instead_and_gets_no_secret(server, get, monkeypatch):
    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", f"{server.address}/cache/")
    server.files["/cache/data.example/zip?version=4"] = Served(CONTENT)
    auth = requests.auth.HTTPBasicAuth("u", "key")
    assert get("https://data.example/zip?version=4", auth=auth) == CONTENT
    assert all("Authorization" not in headers for _, headers in server.requests)


@pytest.mark.parametrize("mirror", ["ftp://x/y", "mirror.example", "http://"])
def test_a_mirror_that_is_no_web_address(get, monkeypatch, mirror):
    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", mirror)
    with pytest.raises(UserError, match="LUNG_ATTENTION_MIRROR"):
        get("https://data.example/zip")


def test_proxies_come_from_the_usual_variables(server, get, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", server.address)
    server.files["http://data.example/zip"] = Served(CONTENT)
    assert get("http://data.example/zip") == CONTENT


def test_the_users_netrc_is_not_for_public_servers(server, get, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".netrc").write_text("machine 127.0.0.1 login me password pa55\n")
    (tmp_path / "home" / ".netrc").chmod(0o600)
    server.files[PATH] = Served(CONTENT)
    get()
    assert "Authorization" not in server.of(PATH)[0]
