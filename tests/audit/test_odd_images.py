"""What few images and odd EXIF data do to an audit."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

from lung_attention.audit.own_split import run_audit_command
from lung_attention.audit.settings import ShortcutTest
from lung_attention.images.decode import read_image

OPTIONS = {
    "near_duplicate_cosine": 0.98, "near_duplicates_leak": True, "listed": 20,
    "shortcut_test": ShortcutTest(folds=5, permutations=99, alpha=0.05, seed=0),
}  # fmt: skip
ORIENTATION, RESOLUTION = 0x0112, 0x011A
SHORT, RATIONAL, DOUBLE, SIGNED_RATIONAL = 3, 5, 12, 10


def exif(tag, kind, value, *, count=1):
    """EXIF data of one entry: a value of up to four bytes stands in it, another one behind it."""
    begin = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", tag, kind, count)
    behind = 8 + 2 + 12 + 4
    entry = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", behind)
    return begin + entry + b"\0\0\0\0" + (value if len(value) > 4 else b"")


ODD = {
    "a rational turn": exif(ORIENTATION, RATIONAL, struct.pack("<II", 6, 1)),
    "a turn over nothing": exif(ORIENTATION, RATIONAL, struct.pack("<II", 6, 0)),
    "nothing over nothing": exif(ORIENTATION, RATIONAL, struct.pack("<II", 0, 0)),
    "no number": exif(ORIENTATION, DOUBLE, struct.pack("<d", float("nan"))),
    "a turn that is none": exif(ORIENTATION, SHORT, struct.pack("<H", 99)),
    "a resolution over nothing": exif(RESOLUTION, RATIONAL, struct.pack("<II", 72, 0)),
    "a negative resolution": exif(RESOLUTION, SIGNED_RATIONAL, struct.pack("<ii", -72, 1)),
}


def image(number, kind, data=b""):
    pixels = np.random.default_rng(number).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **({"exif": data} if data else {}))
    return stream.getvalue()


def audited(folder):
    found, text, code = run_audit_command(folder, **OPTIONS)
    json.dumps(found, allow_nan=False)
    assert text
    return found, code


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_odd_exif_data_are_read_like_any(tmp_path, kind, data):
    for number in range(12):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.{kind.lower()}").write_bytes(image(number, kind, data if number % 2 else b""))
    found, code = audited(tmp_path)
    assert (found["images"], code) == (12, 0)


def test_a_rational_turn_is_a_turn():
    assert read_image(image(0, "JPEG", ODD["a rational turn"])).size == (40, 30)
    assert read_image(image(0, "JPEG", ODD["a turn over nothing"])).size == (30, 40)


def test_few_images_and_an_empty_class_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(image(1, "PNG"))
    assert audited(tmp_path)[0]["images"] == 1
    (tmp_path / "b").mkdir()
    assert audited(tmp_path)[0]["images"] == 1
    (tmp_path / "b" / "2.png").write_bytes(image(2, "PNG"))
    assert audited(tmp_path)[0]["images"] == 2


def test_a_split_of_two_images(tmp_path):
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_bytes(image(number, "PNG"))
    (tmp_path / "t.csv").write_text("path,label,subset\n1.png,a,train\n2.png,b,test\n")
    found, code = audited(tmp_path / "t.csv")
    assert (found["splits"]["table"]["test_images"], code) == (1, 0)
