"""Images cut out of those of another dataset, around what the table beside them marks."""

import io
import zipfile

import numpy as np
import pytest
from known import DATASETS
from PIL import Image

from lung_attention.data.manifest import import_archive
from lung_attention.errors import UserError
from lung_attention.images.cut import cut_square
from lung_attention.images.decode import decode

BOXES = DATASETS["lidc_boxes"]
ROOT = BOXES.archive.root
HEADER = "image,patient,box_center_x,box_center_y,diameter_mm,mm_per_px\n"


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return content.getvalue()


def numbered(side=64):
    """A pixel's value is its row in the first half and its column in the second."""
    rows, columns = np.mgrid[:side, :side].astype(np.uint8)
    return np.stack([rows, columns, np.full_like(rows, 200)], axis=2)


def test_the_square_lies_around_its_centre_and_keeps_every_pixel():
    cut = decode(cut_square(png(numbered()), (0.5, 0.25), 8))
    np.testing.assert_array_equal(cut, numbered()[12:20, 28:36])


def test_what_lies_outside_is_black():
    cut = decode(cut_square(png(numbered()), (0.0, 1.0), 4))
    np.testing.assert_array_equal(cut[:2, 2:], numbered()[62:, :2])
    assert not cut[2:].any() and not cut[:, :2].any()


@pytest.mark.parametrize(("side", "pixels"), [(0.2, 1), (5.4, 5), (5.6, 6)])
def test_the_side_is_rounded_and_never_nothing(side, pixels):
    assert decode(cut_square(png(numbered()), (0.5, 0.5), side)).shape == (pixels, pixels, 3)


def test_a_grey_image_stays_grey():
    with Image.open(io.BytesIO(cut_square(png(numbered()[..., 0]), (0.5, 0.5), 4))) as image:
        assert (image.mode, image.format) == ("L", "PNG")


def written(folder, text):
    """An archive of three slices and their table, and what its import gives."""
    source = folder / "slices.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for number, name in enumerate(("malignant/a.jpg", "malignant/b.jpg", "benign/c.jpg")):
            archive.writestr(f"{ROOT}/{name}", png(numbered() + np.uint8(number)))
        archive.writestr(f"{ROOT}/boxes.csv", text)
    table = import_archive(
        source, BOXES, archive=folder / "a.zip", manifest=folder / "m.csv", check_counts=False
    )
    return table, folder / "a.zip"


TEXT = (
    f"{HEADER}{ROOT}/malignant/a.jpg,P1,0.5,0.5,9,2\n{ROOT}/malignant/b.jpg,P2,0.25,0.5,8,4\n"
    f"{ROOT}/benign/c.jpg,P1,0.75,0.25,3,3\n"
)


def test_each_image_is_cut_by_its_own_row(tmp_path):
    table, archive = written(tmp_path, TEXT)
    # 48 mm of pixels of 2, 4 and 3 mm.
    rows = table.set_index("image")
    assert rows["width"].to_dict() == {"malignant/a.jpg": 24, "malignant/b.jpg": 12, "benign/c.jpg": 16}
    assert rows["height"].equals(rows["width"])
    assert rows["group"].to_dict() == {"malignant/a.jpg": "P1", "malignant/b.jpg": "P2", "benign/c.jpg": "P1"}
    assert rows["diameter_mm"].tolist() == rows.index.map({
        "malignant/a.jpg": 9, "malignant/b.jpg": 8, "benign/c.jpg": 3
    }).tolist()  # fmt: skip
    with zipfile.ZipFile(archive) as opened:
        cuts = {name: decode(opened.read(name)) for name in opened.namelist()}
    np.testing.assert_array_equal(cuts["malignant/b.jpg"], (numbered() + 1)[26:38, 10:22])
    np.testing.assert_array_equal(cuts["benign/c.jpg"], (numbered() + 2)[8:24, 40:56])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            TEXT.replace("box_center_x", "x"),
            r"lidc_boxes\.yaml: cut: boxes\.csv has no column 'box_center_x'",
        ),
        (TEXT.replace("0.25,0.5,8", "1.25,0.5,8"), r"'malignant/b\.jpg': expected a centre in 0\.\.1.*1\.25"),
        (TEXT.replace("9,2\n", "9,\n"), r"'malignant/a\.jpg': expected .* positive size of a pixel.*nan"),
        (TEXT.replace("9,2\n", "9,0\n"), r"'malignant/a\.jpg': expected .* positive size of a pixel.*0\.0"),
        (TEXT.replace("benign/c", "benign/d"), r"no row for 1 images, the first 'benign/c\.jpg'"),
    ],
)
def test_a_table_that_does_not_tell_where_is_refused_and_nothing_is_written(tmp_path, text, said):
    with pytest.raises(UserError, match=said):
        written(tmp_path, text)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slices.zip"]


def test_a_cut_without_a_table_is_refused():
    with pytest.raises(ValueError, match="cut: expected a table"):
        type(BOXES)(**{**dict(BOXES), "table": None})


def test_the_archive_is_that_of_the_other_dataset():
    assert (BOXES.archive_of, DATASETS["lidc_slices"].archive_of) == ("lidc_slices", "lidc_slices")
    other, ours = (dict(DATASETS[name]) for name in ("lidc_slices", "lidc_boxes"))
    differ = {key for key in ours if ours[key] != other[key]} - {"id", "title", "cut"}
    assert differ == {"frame_is_empty", "image_size_px", "close_view", "marked"}
