"""The section on failure cases: the right images and numbers, and what it says where something is missing."""

import base64
import dataclasses
import io
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lung_attention.cells import Cell
from lung_attention.files import read_table, write_table
from lung_attention.report.blocks import Bullets, Gallery, Missing, Picture, Table, Text
from lung_attention.report.collect import failures, load_results
from lung_attention.report.failures import failures_section

GROUPED = [
    Cell("iqoth", backbone, head, "published", "grouped")
    for backbone in ("mobilenetv2", "densenet121")
    for head in ("plain", "attention")
]


def section(project, **changed):
    results = load_results(project.config, project.root)
    read = partial(failures, project.config, project.root)
    return failures_section(results, lambda dataset: changed.get(dataset, read(dataset)))


def tables(project, cells):
    return [read_table(project.root / project.paths.predictions(cell)) for cell in cells]


@pytest.fixture(scope="module")
def of_complete(complete):
    return section(complete)


def _of(blocks, kind):
    return [block for block in blocks if isinstance(block, kind)]


def test_the_numbers_are_those_of_the_predictions(complete, of_complete):
    (table,) = _of(of_complete.blocks, Table)
    of_class = [
        [one[one["label"] == "normal"] for _, one in whole.groupby("seed")]
        for whole in tables(complete, GROUPED)
    ]
    trainings = [one for cell in of_class for one in cell]
    assert len(trainings) == 8  # two seeds
    row = table.rows[0]
    assert row[:3] == ["IQ-OTH/NCCD", "normal", "40"]
    wrong = [int((one["prediction"] != "normal").sum()) for one in trainings]
    assert row[3] == f"{min(wrong)} to {max(wrong)}"
    top = [one.filter(like="probability_").max(axis=1) for one in trainings]
    sure = [
        100 * (p[one["prediction"] != "normal"] > 0.9).mean() for p, one in zip(top, trainings, strict=True)
    ]
    low, high = f"{min(sure):.0f}", f"{max(sure):.0f}"
    assert row[4] == (f"{low} %" if low == high else f"{low} to {high} %")
    errors = [set(one["image"][one["prediction"] != "normal"]) for one in trainings]
    assert row[6].startswith(f"{len(set.intersection(*errors))} (")


def test_each_picture_is_the_image_that_its_caption_names(complete, of_complete):
    pictures = [one for gallery in _of(of_complete.blocks, Gallery) for one in gallery.pictures]
    assert len(pictures) > 3
    assert sum(len(one.source) for one in pictures) < 3 * 80_000
    first = pictures[0]
    name = first.caption.rsplit(": ", 1)[1]
    assert f"{name}: of the true class " in first.alt
    with Image.open(io.BytesIO(base64.b64decode(first.source.partition(",")[2]))) as image:
        shown = np.asarray(image).mean()
    assert shown == pytest.approx(int(name.removesuffix(".png")) + 49.5, abs=3)  # as the archive was made


def test_every_picture_is_an_error_of_every_network_at_most_one_of_a_group(complete, of_complete):
    everything = pd.concat(tables(complete, GROUPED)).set_index("image")
    title = "IQ-OTH/NCCD"
    shown = [
        one for gallery in _of(of_complete.blocks, Gallery) for one in gallery.pictures if title in one.alt
    ]
    assert len(shown) == 3, "one a class, as two of the hard images are of one group"
    groups = []
    for one in shown:
        true, taken, image = re.fullmatch(r"(\w+), taken for (\w+), [\d.]+\s%: (.*)", one.caption).groups()
        rows = everything.loc[[image]]
        assert set(rows["label"]) == {true} != {taken}
        assert true not in set(rows["prediction"])
        probability = 100 * rows[f"probability_{taken}"].mean()
        assert f"{probability:.1f}\N{NO-BREAK SPACE}%" in one.caption
        groups.append((true, rows["group"].iloc[0]))
    assert len(set(groups)) == len(groups)


def test_a_cell_that_is_missing_is_not_counted(real):
    texts = [block.text for block in _of(section(real).blocks, Text)]
    assert any("Networks: DenseNet121 plain, 2 training runs in all." in text for text in texts)


def test_other_recipes_do_not_count(real):
    found = failures(real.config, real.root, "lidc_nodules")
    assert {cell.recipe for cell in found.cells} == {"published"}
    assert len(found.cells) == 2


def test_without_a_network_on_the_grouped_split_the_section_says_so(published_only):
    blocks = section(published_only).blocks
    assert not _of(blocks, Table)
    assert [block.text for block in _of(blocks, Missing)] == [
        "IQ-OTH/NCCD: no network has predictions on the grouped split yet."
    ]


def test_without_the_archive_the_cases_stand_in_words(complete):
    found = failures(complete.config, complete.root, "iqoth")
    blocks = section(complete, iqoth=dataclasses.replace(found, images=None)).blocks
    assert "IQ-OTH/NCCD: the archive is not there, so no image can be shown." in [
        block.text for block in _of(blocks, Missing)
    ]
    (listed,) = _of(blocks, Bullets)
    assert all(".png" in item for item in listed.items)
    pictures = [one for gallery in _of(blocks, Gallery) for one in gallery.pictures]
    assert not [one for one in pictures if isinstance(one, Picture) and "IQ-OTH" in one.alt]


def test_an_archive_that_is_not_there_is_no_error(published_only, tmp_path):
    cell = Cell("iqoth", "densenet121", "plain", "published", "published")
    table = read_table(published_only.root / published_only.paths.predictions(cell))
    config = published_only.config.model_copy(update={"splits": ["published", "grouped"]})
    grouped = dataclasses.replace(cell, split="grouped")
    write_table(tmp_path / published_only.paths.predictions(grouped), table)
    found = failures(config, tmp_path, "iqoth")
    assert found.images is None
    assert found.cells == [grouped]


def test_classes_without_an_error_are_named_and_show_nothing(complete, tmp_path):
    found = failures(complete.config, complete.root, "iqoth")
    none = {
        name: dataclasses.replace(
            of, wrong=0 * of.wrong, sure_wrong=0 * of.sure_wrong, in_common=0, surest=[]
        )
        for name, of in found.per_class.items()
    }
    blocks = section(complete, iqoth=dataclasses.replace(found, per_class=none)).blocks
    (table,) = _of(blocks, Table)
    assert table.rows[0][3:5] == ["0", "–"]
    texts = [block.text for block in _of(blocks, Text)]
    assert (
        "Of these true classes no image is misclassified by every network: normal, malignant and benign."
        in texts
    )
    assert len(_of(blocks, Gallery)) == 2
