"""The datasets' files, the listing and docs/data.md name the same sources, and nothing is missing."""

import json

import pytest
from known import CONFIG, DATASETS, ROOT
from pydantic import ValidationError

from lung_attention.cli import build_parser
from lung_attention.config.sources import Sources
from lung_attention.data.sources.checksums import Record, write_record
from lung_attention.data.sources.listing import list_items
from lung_attention.data.sources.services import deliverers
from lung_attention.data.sources.table import items
from lung_attention.models.backbone_table import BACKBONES

ITEMS = items(DATASETS)
UNSERVED = [dataset for dataset in DATASETS.values() if dataset.sources is None]


def test_everything_that_the_profile_public_can_name_has_a_source():
    assert {*CONFIG.profiles["public"].datasets, *CONFIG.backbones} <= set(ITEMS)
    assert set(ITEMS) | {dataset.id for dataset in UNSERVED} <= set(DATASETS) | set(BACKBONES)
    assert len({item.file for item in ITEMS.values()}) == len(ITEMS)
    services = set(deliverers(None))
    for item in ITEMS.values():
        assert item.dataset is DATASETS.get(item.id)
        for source in item.sources:
            assert source.kind in services
            assert source.page.startswith("https://")


def test_the_listing_names_source_size_licence_and_citation_of_each(monkeypatch, tmp_path):
    monkeypatch.setenv("LUNG_ATTENTION_DOWNLOADS", str(tmp_path))
    (tmp_path / "iqoth.zip").touch()
    record = Record("ab" * 32, 0, "mendeley", "https://data.example", "2026-01-02", {})
    write_record(tmp_path / "iqoth.zip", record)
    text = " ".join(list_items(DATASETS).split())
    for item in (*ITEMS.values(), *UNSERVED):
        assert f"{item.id}: {item.title}" in text
        assert item.licence in text
        assert " ".join(item.citation.split()) in text
    assert all(source.page in text for item in ITEMS.values() for source in item.sources)
    assert "15000: 5000 adenocarcinoma" in text
    assert f"from mendeley on 2026-01-02, sha256 {'ab' * 32}" in text
    assert text.count("no: lung-attention fetch ") == len(ITEMS) - 1
    assert text.count("sources none") == len(UNSERVED)


def test_the_page_on_data_names_them_too():
    page = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    table = page.partition("## Who downloads")[0].splitlines()
    rows = {line.split("`")[1]: line for line in table if line.startswith("| `")}
    assert set(rows) == set(ITEMS)
    for name, item in ITEMS.items():
        assert item.licence in rows[name]
        assert " ".join(item.citation.split()) in page.replace("<", "").replace(">", "")
        for source in item.sources:
            if source.kind in ("kaggle", "huggingface"):
                assert f"`{source.address}`" in rows[name]


WEB = {"name": "s", "kind": "web", "address": "https://data.example/a.zip", "bytes": None, "md5": None}
KAGGLE = {"name": "k", "kind": "kaggle", "address": "owner/name"}
LAYOUT = {"name": "(.*)", "folder": "a"}
HUB = {"name": "h", "kind": "huggingface", "address": "owner/name", "layout": LAYOUT}
SERIES = {"name": "i", "kind": "idc", "address": "lidc_idri", "cut": "nodules"}


def sources(*places):
    return Sources.model_validate_json(json.dumps({"about_bytes": 1, "from": places}))


def test_every_kind_of_source_has_a_place_in_a_file():
    assert [place.kind for place in sources(WEB, KAGGLE, HUB, SERIES).places] == [
        "web", "kaggle", "huggingface", "idc",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("places", "place"),
    [
        ([], "from"),
        ([WEB, WEB], "no name twice"),
        ([WEB | {"kind": "ftp"}], "ftp"),
        ([WEB | {"name": "../../evil"}], "name"),  # it becomes a file's name
        ([WEB | {"address": "file:///etc/passwd"}], "address"),
        ([WEB | {"address": "data.example/a.zip"}], "address"),
        ([WEB | {"bytes": 0}], "bytes"),
        ([WEB | {"md5": "abc"}], "md5"),
        ([{key: value for key, value in WEB.items() if key != "md5"}], "md5"),
        ([KAGGLE | {"address": "https://www.kaggle.com/datasets/owner/name"}], "address"),
        ([KAGGLE | {"bytes": 1}], "bytes"),
        ([{key: value for key, value in HUB.items() if key != "layout"}], "layout"),
        ([HUB | {"layout": LAYOUT | {"name": "("}}], "no regular expression"),
        ([HUB | {"layout": LAYOUT | {"folder": "../x"}}], "below the archive"),
        ([SERIES | {"cut": "everything"}], "cut"),
        ([SERIES | {"address": "nlst"}], "address"),
    ],
)
def test_a_bad_source_is_refused(places, place):
    with pytest.raises(ValidationError, match=place):
        sources(*places)


def test_the_command_line_takes_names_folder_and_consent(tmp_path):
    arguments = build_parser().parse_args(["fetch", "iqoth", "lidc", "--to", str(tmp_path), "--yes"])
    assert (arguments.names, arguments.to, arguments.yes) == (["iqoth", "lidc"], tmp_path, True)
    assert build_parser().parse_args(["fetch"]).names == []
