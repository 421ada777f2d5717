"""DICOM files: where their slices lie, Hounsfield units, grey values."""

import io
import random

import numpy as np
import pytest
from ct_phantom import GREYS, multi_frame_file, phantom, slice_file
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from lung_attention.data.sources.dicom import (
    DicomError,
    Gap,
    hounsfield,
    png,
    read_slice,
    stack_slices,
    window,
)

HU, GREY = phantom()


def grey_of(content):
    return window(hounsfield(content), level_hu=-600, width_hu=1500)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "rescale",
    [
        {"slope": 1.0, "intercept": -4000.0},
        {"slope": 1.0, "intercept": -1024.0, "signed": True},
        {"slope": 0.5, "intercept": -3500.0},
        {"slope": -1.0, "intercept": 3000.0},  # low stored values are dense tissue
        {"slope": 1.0, "intercept": 0.0, "signed": True},
    ],
)
def test_a_phantom_has_exactly_these_greys(photometric, rescale):
    assert np.array_equal(grey_of(slice_file(HU, photometric=photometric, **rescale)), GREY)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless]
)
def test_the_transfer_syntax_does_not_matter(syntax):
    content = slice_file(np.tile(HU, (8, 4)), syntax=syntax)
    assert np.array_equal(grey_of(content), np.tile(GREY, (8, 4)))


def test_the_window_is_dicoms():
    hu = np.array(list(GREYS), float)
    assert window(hu, level_hu=-600, width_hu=1500).tolist() == list(GREYS.values())
    # Level 40, width 400: black up to -160, white above 239.
    narrow = window(np.array([-160.0, 39.0, 40.0, 239.0]), level_hu=40, width_hu=400)
    assert narrow.tolist() == [0, 127, 128, 255]  # 127.18 and 127.82 between


def test_a_png_is_lossless():
    with Image.open(io.BytesIO(png(GREY))) as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), GREY)


@pytest.mark.parametrize("order", ["up", "down", "shuffled"])
@pytest.mark.parametrize("numbering", ["up", "down", "shuffled"])
def test_slices_are_ordered_by_position_only(order, numbering):
    heights = [float(z) for z in range(-20, 20, 5)]
    numbers = list(range(1, len(heights) + 1))
    {"up": lambda: None, "down": numbers.reverse, "shuffled": lambda: random.Random(1).shuffle(numbers)}[
        numbering
    ]()
    slices = [
        read_slice(slice_file(HU, z=z, number=number), f"{z}.dcm")
        for z, number in zip(heights, numbers, strict=True)
    ]
    {"up": lambda: None, "down": slices.reverse, "shuffled": lambda: random.Random(2).shuffle(slices)}[
        order
    ]()
    stack = stack_slices(slices)
    assert [each.file for each in stack.slices] == [f"{z}.dcm" for z in heights]
    assert stack.step_mm == 5
    assert not stack.gaps and not stack.repeated
    assert stack.numbered == {"up": 1, "down": -1, "shuffled": 0}[numbering]


def test_slices_of_a_tilted_scanner_are_ordered_along_their_normal():
    # Rows run along x, columns between y and z: the gantry is tilted by 30 degrees, the bed moves along z.
    orientation = (1, 0, 0, 0, 0.8660254, 0.5)
    slices = [
        read_slice(slice_file(HU, position=(0.0, 100.0 - 60 * z, z), orientation=orientation), f"{z}")
        for z in (2.0, 0.0, 4.0)
    ]
    stack = stack_slices(slices)
    assert [each.file for each in stack.slices] == ["0.0", "2.0", "4.0"]
    assert stack.step_mm == pytest.approx(2 * 0.8660254 + 2 * 60 * 0.5)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0)])
def test_mirrored_and_prone_slices_begin_at_the_feet_too(orientation):
    slices = [
        read_slice(slice_file(HU, z=z, orientation=orientation, number=9 - int(z)), f"{z}")
        for z in (2.0, 0.0, 4.0)
    ]
    stack = stack_slices(slices)
    assert [each.file for each in stack.slices] == ["0.0", "2.0", "4.0"]
    assert stack.numbered == -1


def test_missing_slices_are_counted():
    heights = [0, 2.5, 5, 12.5, 15, 17.5, 22.5]
    stack = stack_slices(read_slice(slice_file(HU, z=z), str(z)) for z in heights)
    assert stack.gaps == (Gap(after=3, missing=2), Gap(after=6, missing=1))


def test_uneven_steps_are_no_gap():
    stack = stack_slices(read_slice(slice_file(HU, z=z), str(z)) for z in [0, 2.4, 5.1, 7.5, 10.9])
    assert stack.gaps == ()


def test_a_repeated_slice_is_named():
    files = {"a": (0, 1), "b": (1, 2), "again": (1, 3), "c": (2, 4)}
    stack = stack_slices(
        read_slice(slice_file(HU, z=z, number=number), name) for name, (z, number) in files.items()
    )
    assert stack.repeated == ("again",)
    assert stack.step_mm == 1


def test_slices_that_are_not_parallel_are_refused():
    slices = [
        read_slice(slice_file(HU), "axial"),
        read_slice(slice_file(HU, orientation=(0, 1, 0, 0, 0, -1)), "scout"),
    ]
    with pytest.raises(DicomError, match="parallel"):
        stack_slices(slices)
    with pytest.raises(DicomError, match="no slice"):
        stack_slices([])


def test_a_file_of_several_frames_is_refused():
    content = multi_frame_file(np.zeros((2, 4, 4)))
    for read in (hounsfield, lambda content: read_slice(content, "many.dcm")):
        with pytest.raises(DicomError, match=r"multi-frame file \(2 frames\), expected one slice a file"):
            read(content)


def test_the_beginning_of_a_file_tells_where_its_slice_lies():
    content = slice_file(np.zeros((64, 64)), z=12.5, number=7)
    head = content[: len(content) - 64 * 64 * 2 + 10]
    assert read_slice(head, "a") == read_slice(content, "a")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_file_cut_short_is_refused(share):
    content = slice_file(np.tile(HU, (8, 4)))
    with pytest.raises(DicomError):
        hounsfield(content[: int(len(content) * share)])


def test_a_damaged_file_is_read_or_refused():
    """Whatever bytes change, the parser's own errors do not come through; and some damage is noticed."""
    whole = slice_file(HU, syntax=RLELossless)
    refused = 0
    for seed in range(200):
        content = bytearray(whole)
        draw = random.Random(seed)
        for _ in range(3):
            content[draw.randrange(132, min(len(content), 900))] = draw.randrange(256)
        try:
            read_slice(bytes(content), "a")
            hounsfield(bytes(content))
        except DicomError:
            refused += 1
    assert 0 < refused < 200


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("ImagePositionPatient", "ImagePositionPatient"),
        ("ImageOrientationPatient", "ImageOrientationPatient"),
        ("PixelSpacing", "PixelSpacing"),
    ],
)
def test_a_slice_without_a_place_is_refused(without, said):
    with pytest.raises(DicomError, match=said):
        read_slice(slice_file(HU, without=[without]), "a")


@pytest.mark.parametrize(
    ("keyword", "said"),
    [("RescaleSlope", "Hounsfield"), ("RescaleIntercept", "Hounsfield"), ("PixelData", "decoded")],
)
def test_a_slice_without_hounsfield_units_is_refused(keyword, said):
    with pytest.raises(DicomError, match=said):
        hounsfield(slice_file(HU, without=[keyword]))


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr("lung_attention.data.sources.dicom.MAX_PIXELS", HU.size - 1)
    monkeypatch.delattr("lung_attention.data.sources.dicom.pixel_array")
    with pytest.raises(DicomError, match=rf"{HU.shape[1]} × {HU.shape[0]} pixels, more than"):
        hounsfield(slice_file(HU))


@pytest.mark.parametrize("read", [hounsfield, lambda content: read_slice(content, "a")])
def test_a_file_that_inflates_is_refused_before_it_does(read, monkeypatch):
    content = slice_file(HU, syntax=DeflatedExplicitVRLittleEndian)
    monkeypatch.delattr("lung_attention.data.sources.dicom.dcmread")
    with pytest.raises(DicomError, match="deflated as a whole"):
        read(content)


def test_colour_is_refused():
    with pytest.raises(DicomError, match="PALETTE COLOR"):
        hounsfield(slice_file(HU, photometric="PALETTE COLOR"))


def test_impossible_geometry_is_refused():
    with pytest.raises(DicomError, match="impossible"):
        read_slice(slice_file(HU, orientation=(1, 0, 0, 1, 0, 0)), "a")
    with pytest.raises(DicomError, match="impossible"):
        read_slice(slice_file(HU, spacing=(0.0, 0.7)), "a")
