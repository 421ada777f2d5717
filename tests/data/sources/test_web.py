"""Plain addresses through pooch: what is asked again, what is refused, and what is left behind."""

import hashlib
import time

import numpy as np
import pytest
from known import DATASETS
from public_server import Served

from lung_attention.config.sources import WebSource
from lung_attention.data.sources.table import items
from lung_attention.data.sources.transfer import TransferError
from lung_attention.data.sources.web import from_web, mirrored
from lung_attention.errors import UserError

CONTENT = np.random.default_rng(0).bytes(600_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
PATH = "/data.example/zip"


@pytest.fixture
def get(services, folder):
    """Downloads the server's file; what is left in the folder can be looked at."""

    def run(address="https://data.example/zip", **known):
        source = WebSource(name="s", kind="web", address=address, **{"bytes": None, "md5": None, **known})
        from_web(items(DATASETS)["iqoth"], source, folder / "got.zip")
        return (folder / "got.zip").read_bytes()

    run.left = lambda: sorted(path.name for path in folder.iterdir())
    return run


def test_a_file_arrives_alone(server, get):
    server.files[PATH] = Served(redirect=f"{server.address}/stored")
    server.files["/stored"] = Served(CONTENT)
    assert get(md5=MD5, bytes=len(CONTENT)) == CONTENT
    assert get.left() == ["got.zip"]
    assert get() == CONTENT
    assert len(server.requests) == 2  # it is complete: nothing is asked again
    assert server.of(PATH)[0]["User-Agent"] == "lung-attention"


@pytest.mark.parametrize("fault", [("status", 429, {}), ("status", 503, {}), ("cut", 1000)])
def test_what_passes_is_asked_for_again(server, get, fault):
    server.files[PATH] = Served(CONTENT, faults=[fault, fault])
    assert get() == CONTENT
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("always", "said"),
    [
        (("status", 403, {}), "403"),
        (("status", 404, {}), "404"),
        (("status", 500, {}), "500"),
        (("cut", 1000), "IncompleteRead"),
    ],
)
def test_what_does_not_pass_is_told_and_nothing_is_left(server, get, always, said):
    server.files[PATH] = Served(CONTENT, always=always)
    with pytest.raises(TransferError, match=said):
        get()
    assert get.left() == []


@pytest.mark.parametrize("hang", [("silent",), ("stall", 300_000)])
def test_a_server_that_hangs_is_told_and_nothing_is_left(server, get, monkeypatch, hang):
    monkeypatch.setattr("lung_attention.data.sources.web._TIMEOUT_S", 0.2)
    server.files[PATH] = Served(CONTENT, always=hang)
    began = time.monotonic()
    with pytest.raises(TransferError, match=r"https://data\.example/zip: .*[Rr]ead timed out"):
        get()
    assert time.monotonic() - began < 5
    assert len(server.requests) == 4  # as often as of any other failure
    assert get.left() == []


@pytest.mark.parametrize("hang", [("silent",), ("stall", 300_000)])
def test_after_a_hang_it_goes_on(server, get, monkeypatch, hang):
    monkeypatch.setattr("lung_attention.data.sources.web._TIMEOUT_S", 0.2)
    server.files[PATH] = Served(CONTENT, faults=[hang])
    assert get(md5=MD5) == CONTENT


def test_a_server_that_is_gone_is_told(get, monkeypatch):
    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(TransferError, match=r"127\.0\.0\.1"):
        get()


def test_a_published_checksum_is_enforced(server, get):
    server.files[PATH] = Served(CONTENT)
    with pytest.raises(TransferError, match=f"does not match the known hash.*{'0' * 32}"):
        get(md5="0" * 32)
    assert get.left() == []


def test_another_length_is_refused(server, get):
    server.files[PATH] = Served(CONTENT)
    with pytest.raises(TransferError, match="600,000 bytes, but 500,000 are expected"):
        get(bytes=500_000)
    assert get.left() == []


def test_signatures_and_passwords_are_not_repeated(server, get, monkeypatch, capfd):
    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", server.address.replace("//", "//user:pa55@"))
    server.files[PATH] = Served(redirect=f"{server.address}/signed?token=s3cret")
    with pytest.raises(TransferError, match="404") as caught:
        get()
    told = str(caught.value) + "".join(capfd.readouterr())
    assert "s3cret" not in told
    assert "pa55" not in told


def test_a_full_disk_ends_it(get, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pooch.core.stream_download", full)
    with pytest.raises(UserError, match="the disk is full"):
        get()


@pytest.mark.parametrize("mirror", ["ftp://x/y", "mirror.example", "http://"])
def test_a_mirror_that_is_no_web_address(monkeypatch, mirror):
    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", mirror)
    with pytest.raises(UserError, match="LUNG_ATTENTION_MIRROR"):
        mirrored("https://data.example/zip")


def test_a_mirror_has_the_files_under_their_hosts_names(monkeypatch):
    address = "https://data.example/zip?version=4"
    assert mirrored(address) == address
    monkeypatch.setenv("LUNG_ATTENTION_MIRROR", "https://mirror.example/cache/")
    assert mirrored(address) == "https://mirror.example/cache/data.example/zip?version=4"


def test_proxies_come_from_the_usual_variables(server, get, monkeypatch):
    monkeypatch.delenv("LUNG_ATTENTION_MIRROR")
    monkeypatch.setenv("HTTP_PROXY", server.address)
    server.files["http://data.example/zip"] = Served(CONTENT)
    assert get("http://data.example/zip") == CONTENT
