"""Zip files and folders: what is found in them, and what is refused."""

import io
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from known import DATASETS
from PIL import Image

from lung_attention.data import archive as archive_module
from lung_attention.data.archive import MAX_TOTAL_BYTES, open_archive
from lung_attention.data.limits import MAX_MEMBER_BYTES, read_limited
from lung_attention.data.members import find_members, require_counts
from lung_attention.data.sources.resolve import fingerprint
from lung_attention.errors import UserError
from lung_attention.images.decode import UnreadableError

IQOTH = DATASETS["iqoth"]
LC25000 = DATASETS["lc25000"]


def write_zip(path, members, method=zipfile.ZIP_STORED):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, content in members:
                archive.writestr(name, content)
    return path


def refusal(path):
    with pytest.raises(UserError) as caught, open_archive(path) as (names, read):
        for name in names:
            read(name)
    assert str(path) in caught.value.problem
    return caught.value.problem


@pytest.mark.parametrize(
    "name",
    [
        "../evil.jpg",
        "a/../../evil.jpg",
        "/etc/evil.jpg",
        "C:/evil.jpg",
        "a\\..\\evil.jpg",
        "..",
        ".",
        "a\nb.jpg",
    ],
)
def test_unsafe_names_are_refused(tmp_path, name):
    assert repr(name) in refusal(write_zip(tmp_path / "a.zip", [("good.jpg", b"1"), (name, b"2")]))


def test_an_encrypted_member_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("a.jpg", b"1")])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flags in the central directory
    path.write_bytes(content)
    assert "'a.jpg' is encrypted" in refusal(path)


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("a.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "'a.jpg' is a link" in refusal(write_zip(tmp_path / "a.zip", [(link, "/etc/passwd")]))


def test_a_name_that_stands_twice_is_refused(tmp_path):
    assert "twice" in refusal(write_zip(tmp_path / "a.zip", [("a.jpg", b"1"), ("a.jpg", b"2")]))


def test_a_member_that_would_fill_the_disk_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("a.jpg", b"1")])
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, MAX_MEMBER_BYTES + 1)
    path.write_bytes(content)
    assert f"{MAX_MEMBER_BYTES + 1:,} bytes" in refusal(path)


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_what_is_no_plain_file_is_refused(tmp_path, kind):
    info = zipfile.ZipInfo("a.jpg")
    info.external_attr = (kind | 0o644) << 16
    assert "'a.jpg' is no plain file" in refusal(write_zip(tmp_path / "a.zip", [(info, b"")]))


def test_a_member_that_unpacks_a_thousandfold_is_refused(tmp_path):
    noise = np.random.default_rng(0).bytes(2**20)
    members = [("a.jpg", bytes(4 * 2**20)), ("b.jpg", noise)]
    assert "'a.jpg' unpacks to more than 100 times" in refusal(
        write_zip(tmp_path / "a.zip", members, zipfile.ZIP_DEFLATED)
    )


def test_many_harmless_members_may_be_a_bomb_together(tmp_path):
    members = [(f"{number}.jpg", bytes(2**19)) for number in range(8)]
    problem = refusal(write_zip(tmp_path / "a.zip", members, zipfile.ZIP_DEFLATED))
    assert "times its size, more than 100 times" in problem


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """Overlapping members make a small file unpack to any size; each looks harmless in the directory."""
    noise = np.random.default_rng(0).bytes(2**18)
    path = write_zip(tmp_path / "a.zip", [("a.jpg", noise), ("b.jpg", b"1")])
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 1)
    end = content.index(b"PK\x05\x06")
    entry = content[first:second]
    directory = b"".join(bytes(entry).replace(b"a.jpg", b"%d.jpg" % n) for n in range(5))
    tail = content[end:]
    struct.pack_into("<HHI", tail, 8, 5, 5, len(directory))
    path.write_bytes(content[:first] + directory + tail)
    refusal(path)


def test_an_archive_of_more_than_any_release_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", [(f"{n}.jpg", b"1") for n in range(300)])
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02")
    while place != -1:
        struct.pack_into("<I", content, place + 24, MAX_MEMBER_BYTES)
        place = content.index(b"PK\x01\x02", place + 1) if b"PK\x01\x02" in content[place + 1 :] else -1
    path.write_bytes(content)
    assert f"more than {MAX_TOTAL_BYTES:,}" in refusal(path)


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 3)
    path = write_zip(tmp_path / "a.zip", [(f"{n}.jpg", b"1") for n in range(4)])
    assert "4 members, more than 3" in refusal(path)


def test_a_directory_that_understates_a_member_does_no_harm(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("a.jpg", bytes(2**20))], zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 10)
    path.write_bytes(content)
    assert "'a.jpg' is damaged" in refusal(path)


def test_real_images_are_far_from_every_limit(tmp_path):
    """A uniform image is the most compressible that occurs."""
    stream = io.BytesIO()
    Image.new("L", (768, 768)).save(stream, "JPEG")
    path = write_zip(tmp_path / "a.zip", [("a.jpg", stream.getvalue())] * 1, zipfile.ZIP_DEFLATED)
    with open_archive(path) as (names, read):
        assert read(names[0]) == stream.getvalue()


def test_a_link_in_a_folder_may_not_leave_it(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"1")
    (folder / "a.jpg").write_bytes(b"2")
    (folder / "b.jpg").symlink_to(folder / "a.jpg")
    with open_archive(folder) as (names, _):
        assert names == ["a.jpg", "b.jpg"]
    (folder / "c.jpg").symlink_to(tmp_path / "secret.jpg")
    assert "'c.jpg' is a link that leaves the folder" in refusal(folder)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_damaged_member_is_named(tmp_path, method):
    original = b"0123456789" * 100
    path = write_zip(tmp_path / "a.zip", [("a.jpg", original)], method)
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    refused = 0
    for position in range(35, directory, max(1, directory // 40)):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        try:
            with open_archive(path) as (names, read):
                assert [read(name) for name in names] == [original]  # a byte that carries nothing
        except UserError as error:
            assert "'a.jpg'" in error.problem
            refused += 1
    assert refused > 10


def test_a_member_that_asks_for_more_memory_than_there_is_is_named(tmp_path, monkeypatch):
    def read(*_):
        raise MemoryError

    path = write_zip(tmp_path / "a.zip", [("a.jpg", b"1")], zipfile.ZIP_LZMA)
    monkeypatch.setattr(zipfile.ZipFile, "read", read)
    assert "'a.jpg' is damaged" in refusal(path)


def test_an_unknown_compression_method_is_no_traceback(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("a.jpg", b"1")])
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, 8, 9)  # Deflate64, which Windows uses for large files
    struct.pack_into("<H", content, content.index(b"PK\x01\x02") + 10, 9)
    path.write_bytes(content)
    assert "compression" in refusal(path)


def test_an_archive_cut_anywhere_is_refused(tmp_path):
    whole = write_zip(
        tmp_path / "whole.zip", [("a.jpg", b"0123456789"), ("b.jpg", b"9876543210")]
    ).read_bytes()
    for length in range(0, len(whole), 7):
        path = tmp_path / "cut.zip"
        path.write_bytes(whole[:length])
        assert "no complete zip archive" in refusal(path), length


def test_a_missing_archive(tmp_path):
    assert "no such archive" in refusal(tmp_path / "a.zip")


def test_a_folder_reads_like_a_zip(tmp_path):
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "y" / "a.jpg").write_bytes(b"1")
    with open_archive(tmp_path / "x") as (names, read):
        assert names == ["y/a.jpg"]
        assert read("y/a.jpg") == b"1"
        (tmp_path / "x" / "y" / "a.jpg").unlink()
        with pytest.raises(UserError, match=r"y/a\.jpg"):
            read("y/a.jpg")


def test_a_file_of_a_folder_may_be_as_large_as_a_member_and_no_larger(tmp_path):
    with (tmp_path / "a.jpg").open("wb") as stream:
        stream.truncate(MAX_MEMBER_BYTES + 1)  # takes no space
    assert f"{MAX_MEMBER_BYTES + 1:,} bytes" in refusal(tmp_path)


def test_a_device_is_no_image():
    with pytest.raises(UnreadableError, match="no plain file"):
        read_limited(Path("/dev/zero"))


def test_a_folder_may_hold_as_much_as_an_archive_and_no_more(tmp_path, monkeypatch):
    with (tmp_path / "a.jpg").open("wb") as stream:
        stream.truncate(30 * 2**30)
    assert f"more than {MAX_TOTAL_BYTES:,}" in refusal(tmp_path)
    with pytest.raises(UserError, match="more than"):
        fingerprint(tmp_path)  # without reading it
    (tmp_path / "a.jpg").write_bytes(b"1")
    (tmp_path / "b.jpg").write_bytes(b"1")
    monkeypatch.setattr(archive_module, "MAX_MEMBERS", 1)
    assert "2 members, more than 1" in refusal(tmp_path)


ROOT = IQOTH.archive.root
FOLDERS = [folder for folders in IQOTH.classes.values() for folder in folders]
FILES = [
    f"{folder}/{folder.removesuffix('s')} ({number}).jpg"
    for folder in FOLDERS
    for number in (1, 2, 3, 9, 10, 11, 100)
]


def images(names, dataset=IQOTH):
    return [member.image for member in find_members(names, dataset, path="archive.zip")]


@pytest.mark.parametrize("prefix", ["", f"{ROOT}/", f"{ROOT}/{ROOT}/", f"mine/{ROOT}/", "mine/", "./"])
def test_images_have_the_same_names_however_the_top_folder_is_nested(prefix):
    # Lexical order as an archive would have it: the result is natural, 2 before 10, classes in label order.
    assert images(sorted(f"{prefix}{name}" for name in FILES)) == FILES


def test_labels_follow_the_folders():
    labels = {
        member.image.split("/")[0]: member.label for member in find_members(FILES, IQOTH, path="archive.zip")
    }
    assert labels == {"Normal cases": "normal", "Malignant cases": "malignant", "Bengin cases": "benign"}


def test_upper_case_endings_are_images_and_other_files_are_not():
    more = ["Normal cases/Normal case (4).JPG", "Normal cases/Normal case (5).Png"]
    others = ["Normal cases/Thumbs.db", "IQ-OTH_NCCD lung cancer dataset.txt", "Normal cases/deep/x.jpg"]
    assert set(images(FILES + more + others)) == set(FILES + more)


def test_what_macos_adds_is_no_image():
    junk = [f"__MACOSX/{ROOT}/{name.replace('/', '/._')}" for name in FILES]
    beside = [f"{ROOT}/{name.replace('/', '/._')}" for name in FILES]
    assert images([f"{ROOT}/{name}" for name in FILES] + junk + beside) == FILES


def test_what_lies_under_macos_folder_is_no_image():
    copies = [f"__MACOSX/{ROOT}/{name}" for name in FILES] + [f"__MACOSX/{name}" for name in FILES]
    assert images([f"{ROOT}/{name}" for name in FILES] + copies) == FILES


@pytest.mark.parametrize("gone", FOLDERS)
def test_a_missing_or_empty_class_folder_is_named(gone):
    left = [name for name in FILES if not name.startswith(gone)] + [f"{gone}/notes.txt"]
    with pytest.raises(UserError, match=f"class folder '{gone}'") as caught:
        images(left)
    assert "archive.zip" in caught.value.problem


def test_two_copies_of_the_release_are_refused():
    with pytest.raises(UserError, match="stands in two folders"):
        images([f"a/{name}" for name in FILES] + [f"b/{name}" for name in FILES])


def test_class_folders_that_lie_in_each_other_are_refused():
    """`b/a` is a folder of one class, and holds what the folder `a` of the other is looked for by."""
    dataset = IQOTH.model_copy(
        update={
            "classes": {"ill": ["a"], "well": ["b", "b/a"]},
            "archive": IQOTH.archive.model_copy(update={"root": ""}),
        }
    )
    with pytest.raises(UserError, match=r"lie in each other, so that 'b/a/2\.jpg' would be in two"):
        find_members(["a/1.jpg", "b/1.jpg", "b/a/2.jpg"], dataset, path="archive.zip")


def test_folders_of_the_same_name_deep_in_something_else_are_not_taken():
    strangers = [f"backup/2019/{name}" for name in FILES]
    assert images(FILES + strangers) == FILES
    with pytest.raises(UserError, match="class folder"):
        images(strangers)


def test_colon_images_are_left_out():
    lung = [
        f"lung_colon_image_set/lung_image_sets/{folder}/x{n}.jpeg"
        for (folder,) in LC25000.classes.values()
        for n in (1, 2)
    ]
    colon = [
        f"lung_colon_image_set/colon_image_sets/{folder}/x{n}.jpeg"
        for folder in ("colon_aca", "lung_n")
        for n in (3,)
    ]
    assert images(colon + lung, LC25000) == [name.split("/", 2)[2] for name in lung]


def test_folders_that_are_ignored_may_have_the_same_layout():
    masks = [f"release/masks/{ROOT}/{name}" for name in FILES]
    mine = [f"release/{ROOT}/{name}" for name in FILES]
    with pytest.raises(UserError, match="stands in two folders"):
        images(mine + masks)
    archive = IQOTH.archive.model_copy(update={"ignored": ["release/masks"]})
    dataset = IQOTH.model_copy(update={"archive": archive})
    found = find_members(mine + masks, dataset, path="archive.zip")
    assert [member.source for member in found] == mine


ROOTLESS = IQOTH.model_copy(update={"archive": IQOTH.archive.model_copy(update={"root": ""})})


@pytest.mark.parametrize("prefix", ["", "mine/"])
def test_an_archive_without_a_top_folder_may_lie_in_one_folder(prefix):
    assert images([f"{prefix}{name}" for name in FILES], ROOTLESS) == FILES
    with pytest.raises(UserError, match="class folder 'Normal cases'"):
        images([f"deep/{prefix or 'er/'}{name}" for name in FILES], ROOTLESS)


def test_a_missing_class_folder_names_the_datasets_file():
    with pytest.raises(UserError) as caught:
        images(FILES[1:-7])
    assert "datasets/iqoth.yaml" in caught.value.remedy


def test_counts_are_compared_class_by_class_where_there_is_a_release():
    found = find_members(FILES, IQOTH, path="archive.zip")
    with pytest.raises(UserError, match=r"'normal': 7.*'normal': 416") as caught:
        require_counts(found, IQOTH, path="archive.zip")
    assert "archive.zip" in caught.value.problem
    for counts in ({"normal": 7, "malignant": 7, "benign": 7}, None):
        archive = IQOTH.archive.model_copy(update={"counts": counts})
        require_counts(found, IQOTH.model_copy(update={"archive": archive}), path="archive.zip")
