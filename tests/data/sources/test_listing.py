"""The table of sources and its listing say the same, and nothing is missing."""

from lung_attention.cli import build_parser
from lung_attention.data.catalog import DATASETS
from lung_attention.data.provenance import PROVENANCE
from lung_attention.data.sources.checksums import Record, write_record
from lung_attention.data.sources.listing import list_items
from lung_attention.data.sources.services import deliverers
from lung_attention.data.sources.table import ITEMS
from lung_attention.models.backbones import BACKBONES


def test_everything_that_a_profile_can_name_has_a_source():
    assert set(ITEMS) == set(DATASETS) | set(BACKBONES)
    assert len({item.file for item in ITEMS.values()}) == len(ITEMS)
    services = set(deliverers(None))
    for item in ITEMS.values():
        assert item.sources
        assert len({source.name for source in item.sources}) == len(item.sources)
        for source in item.sources:
            assert source.kind in services
            assert source.page.startswith("https://")


def test_the_listing_names_source_size_licence_and_citation_of_each(monkeypatch, tmp_path):
    monkeypatch.setenv("LUNG_ATTENTION_DOWNLOADS", str(tmp_path))
    (tmp_path / "iqoth.zip").touch()
    record = Record("ab" * 32, 0, "mendeley", "https://data.example", "2026-01-02", {})
    write_record(tmp_path / "iqoth.zip", record)
    text = " ".join(list_items().split())
    for item in ITEMS.values():
        assert f"{item.id}: {item.title}" in text
        assert item.licence in text
        assert " ".join(item.citation.split()) in text
        assert all(source.page in text for source in item.sources)
    for provenance in PROVENANCE.values():
        assert " ".join(provenance.citation.split()) in text
    assert "15000: 5000 adenocarcinoma" in text
    assert f"from mendeley on 2026-01-02, sha256 {'ab' * 32}" in text
    assert text.count("no: lung-attention fetch ") == len(ITEMS) - 1


def test_the_command_line_takes_names_folder_and_consent(tmp_path):
    arguments = build_parser().parse_args(["fetch", "iqoth", "lidc", "--to", str(tmp_path), "--yes"])
    assert (arguments.names, arguments.to, arguments.yes) == (["iqoth", "lidc"], tmp_path, True)
    assert build_parser().parse_args(["fetch"]).names == []
