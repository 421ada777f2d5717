from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lung_attention.audit.own_split import run_audit_command
from lung_attention.audit.settings import ShortcutTest
from lung_attention.data.unreadable import SOME_UNREADABLE
from lung_attention.errors import UserError

TEST = ShortcutTest(folds=5, permutations=99, alpha=0.05, seed=0)
OPTIONS = {"near_duplicate_cosine": 0.98, "near_duplicates_leak": True, "listed": 20, "shortcut_test": TEST}


@pytest.fixture
def table(tmp_path):
    """Four unrelated 16-bit and 8-bit images of two patients, split by patient."""
    generator = np.random.default_rng(0)
    rows = []
    for number, (subset, group) in enumerate([("train", "p"), ("Train", "p"), ("test", "q"), ("test", "q")]):
        values = generator.integers(0, 256, (80, 70))
        pixels = (values * 100 + 1000).astype(np.uint16) if number % 2 else values.astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append((f"{number}.png", "a" if number % 2 else "b", subset, group))
    return pd.DataFrame(rows, columns=["path", "label", "subset", "group"])


def run(tmp_path, table):
    table.to_csv(tmp_path / "split.csv", index=False)
    return run_audit_command(tmp_path / "split.csv", **OPTIONS)


def test_a_clean_split_gives_exit_code_0(tmp_path, table):
    found, text, code = run(tmp_path, table)
    assert code == 0
    assert found["images"] == 4
    assert found["groups"]["number"] == 2
    assert found["shape"]["size"]["most_common"] == "70x80"
    assert found["splits"]["table"]["test_images"] == 2
    assert found["groups"]["inferred"] is False
    assert found["splits"]["table"]["drawn_by_groups"] is False
    assert "no group (group column of the table, as given) stands on two sides" in text
    assert "| table | 2 | 0 | 0 | 0 | 0 | no |" in text


def test_the_group_column_may_be_missing(tmp_path, table):
    found, _, code = run(tmp_path, table.drop(columns="group"))
    assert code == 0
    assert found["groups"]["number"] == 0
    assert "no group" not in found["splits"]["table"]["sentence"]


@pytest.mark.parametrize("leak", ["file", "listed twice", "picture", "group"])
def test_each_leak_gives_exit_code_1(tmp_path, table, leak):
    if leak == "file":
        (tmp_path / "3.png").write_bytes((tmp_path / "1.png").read_bytes())
    elif leak == "listed twice":
        table.loc[3, "path"] = table.loc[1, "path"]
    elif leak == "picture":  # the same 16-bit picture, stored in other bytes
        with Image.open(tmp_path / "1.png") as image:
            image.save(tmp_path / "3.tif")
        table.loc[3, "path"] = "3.tif"
    else:
        table.loc[3, "group"] = "p"
    found, text, code = run(tmp_path, table)
    assert code == 1
    assert "**yes**" in text
    split = found["splits"]["table"]
    counts = (
        split["redundant_files"]["across"],
        split["near_duplicate_pairs"]["across"],
        split["groups_on_two_sides"],
    )
    assert (
        counts
        == {"file": (1, 1, 0), "listed twice": (1, 1, 0), "picture": (0, 1, 0), "group": (0, 0, 1)}[leak]
    )


@pytest.fixture
def six(tmp_path, table):
    """The table with two more images that can be read."""
    for number in (4, 5):
        noise(tmp_path, f"{number}.png", number + 10)
    more = pd.DataFrame([("4.png", "a", "train", "r"), ("5.png", "b", "test", "s")], columns=table.columns)
    return pd.concat([table, more], ignore_index=True)


def spoil(folder, *, missing, cut, transparent):
    (folder / missing).unlink()
    (folder / cut).write_bytes((folder / cut).read_bytes()[:200])
    Image.fromarray(np.full((9, 7, 4), 100, np.uint8)).save(folder / transparent)


def test_all_images_that_cannot_be_read_are_named_and_the_others_audited(tmp_path, six):
    spoil(tmp_path, missing="2.png", cut="0.png", transparent="1.png")
    found, text, code = run(tmp_path, six)
    assert code == SOME_UNREADABLE == 3
    assert found["images"] == 3
    named = {one["file"]: one["reason"] for one in found["unreadable"]}
    assert list(named) == ["0.png", "1.png", "2.png"]
    assert "damaged" in named["0.png"]
    assert "transparent" in named["1.png"]
    assert "No such file" in named["2.png"]
    assert "**3 of 6 images could not be read**" in text
    for name, reason in named.items():
        assert f"- {name}: {reason}" in text
    _, text, _ = run_audit_command(tmp_path / "split.csv", **OPTIONS | {"listed": 1})
    assert "1.png" not in text.split("could not be read")[1]
    assert "and 2 more (all of them: --json FILE)" in text


def test_a_leak_of_what_can_be_read_comes_before_what_cannot(tmp_path, six):
    spoil(tmp_path, missing="2.png", cut="0.png", transparent="1.png")
    (tmp_path / "5.png").write_bytes((tmp_path / "4.png").read_bytes())
    found, _, code = run(tmp_path, six)
    assert code == 1
    assert len(found["unreadable"]) == 3


def test_images_of_which_none_can_be_read_are_refused(tmp_path, table):
    with pytest.raises(UserError, match=r"none of 4 images can be read, such as .*elsewhere.*0\.png"):
        run(tmp_path, table.assign(path="elsewhere/" + table["path"]))


def test_a_subset_of_which_none_can_be_read_is_refused_with_the_images(tmp_path, six):
    for name in ("2.png", "3.png", "5.png"):
        (tmp_path / name).write_text("no image at all")
    with pytest.raises(UserError, match=r"fewer than two subsets of readable images[^|]*- 5\.png: it is no"):
        run(tmp_path, six)


def test_mistakes_in_the_table_are_named(tmp_path, table):
    with pytest.raises(UserError, match="lacks the column label"):
        run(tmp_path, table[["path"]])
    with pytest.raises(UserError, match=r"line 3 of the table: expected a subset .* Received: 'hold-out'"):
        run(tmp_path, table.assign(subset=["train", "hold-out", "test", "test"]))
    with pytest.raises(UserError, match="line 5 of the table has no path or no label"):
        run(tmp_path, table.assign(label=["a", "b", "a", ""]))
    with pytest.raises(UserError, match="fewer than two subsets"):
        run(tmp_path, table.assign(subset="train"))
    with pytest.raises(UserError, match="there is no table or folder"):
        run_audit_command(tmp_path / "missing.csv", **OPTIONS)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(UserError, match="cannot be read as a table"):
        run_audit_command(tmp_path / "empty.csv", **OPTIONS)


@pytest.mark.parametrize("cosine", [98, 0, -1, float("nan")])
def test_a_cosine_is_no_percentage(tmp_path, cosine):
    with pytest.raises(UserError, match="--cosine: expected"):
        run_audit_command(tmp_path / "split.csv", **OPTIONS | {"near_duplicate_cosine": cosine})


@pytest.mark.parametrize(("option", "value"), [("alpha", 0), ("alpha", 1), ("permutations", 0), ("seed", -1)])
def test_settings_of_the_shortcut_test_are_checked(tmp_path, option, value):
    with pytest.raises(UserError, match=f"--{option}: expected"):
        run_audit_command(
            tmp_path / "split.csv", **OPTIONS | {"shortcut_test": replace(TEST, **{option: value})}
        )


@pytest.fixture
def shortcut(tmp_path):
    """Images of 20 patients, those of class a with a bright first row; no subsets."""
    generator = np.random.default_rng(1)
    rows = []
    for number in range(40):
        label = "ab"[number // 2 % 2]
        pixels = generator.integers(70, 180, (64, 64), dtype=np.uint8)
        if label == "a":
            pixels[0] = 255
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        rows.append((f"{number}.png", label, f"p{number // 2}"))
    return pd.DataFrame(rows, columns=["path", "label", "group"])


def test_images_without_subsets_are_audited_and_a_shortcut_gives_exit_code_0(tmp_path, shortcut):
    found, text, code = run(tmp_path, shortcut)
    assert code == 0
    assert found["splits"] == {}
    assert found["shortcuts"]["nothing_to_see"] == ["image_size", "encoding", "background"]
    assert found["shortcuts"]["probes"]["border"]["found"] is True
    assert "Shortcut: the class can be told without a look inside the image from outermost pixels" in text
    assert "| split |" not in text


def test_a_leak_beside_a_shortcut_still_gives_exit_code_1(tmp_path, shortcut):
    subsets = ["train", "test"] * 20  # the two images of each patient apart
    found, text, code = run(tmp_path, shortcut.assign(subset=subsets))
    assert code == 1
    assert found["shortcuts"]["probes"]["border"]["found"] is True
    assert "| table | 20 | 0 | 0 | 20 | 20 | **yes** |" in text


def test_the_encoding_of_the_files_is_looked_at(tmp_path, shortcut):
    for number, label in enumerate(shortcut["label"]):
        with Image.open(tmp_path / f"{number}.png") as image:
            image.save(tmp_path / f"{number}.jpg", quality=75 if label == "a" else 90)
    shortcut["path"] = shortcut["path"].str.replace("png", "jpg")
    found, _, _ = run(tmp_path, shortcut)
    assert found["shortcuts"]["probes"]["encoding"]["found"] is True


def noise(folder, name, seed):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(0, 256, (80, 70)).astype(np.uint8)
    Image.fromarray(values).save(folder / name)


def test_planted_twins_are_named_with_their_sides(tmp_path, table):
    (tmp_path / "2.png").write_bytes((tmp_path / "0.png").read_bytes())  # train and test, same bytes
    with Image.open(tmp_path / "1.png") as image:
        image.save(tmp_path / "3.tif")  # train and test, the same picture
    table.loc[3, "path"] = "3.tif"
    found, text, code = run(tmp_path, table)
    assert code == 1
    assert found["pairs"] == [
        {"image": "0.png", "subset": "train", "twin": "2.png", "twin_subset": "test", "cosine": 1.0,
         "identical": True},
        {"image": "1.png", "subset": "train", "twin": "3.tif", "twin_subset": "test", "cosine": 1.0,
         "identical": False},
    ]  # fmt: skip
    assert "| 0.png | train | 2.png | test | 1.0000 | same bytes |" in text
    table.to_csv(tmp_path / "split.csv", index=False)
    found, text, _ = run_audit_command(tmp_path / "split.csv", **OPTIONS | {"listed": 1})
    assert len(found["pairs"]) == 2
    assert "and 1 more pairs" in text


def test_blank_images_of_the_same_bytes_are_twins_though_they_have_no_direction(tmp_path, table):
    for name in ("0.png", "2.png"):
        Image.fromarray(np.zeros((80, 70), np.uint8)).save(tmp_path / name)
    found, _, _ = run(tmp_path, table)
    (pair,) = found["pairs"]
    assert (pair["image"], pair["twin"], pair["cosine"], pair["identical"]) == ("0.png", "2.png", None, True)


@pytest.mark.parametrize(("copies", "more"), [(1, None), (4, 6)])
def test_a_picture_in_two_classes_is_named_pair_by_pair(tmp_path, copies, more):
    """Of four copies in each class there are sixteen pairs."""
    for label in "ab":
        for number in range(copies):
            noise(tmp_path, f"{label}/{number}.png", 0)
        noise(tmp_path, f"{label}/other.png", ord(label))
    found, text, code = run_audit_command(tmp_path, **OPTIONS)
    assert code == 0
    assert "| a/0.png | a | b/0.png | b |" in text
    assert text.count(".png | a | b/") == min(copies**2, 10)
    assert (f"and {more} more pairs" in text) is (more is not None)
    (picture,) = found["contradictory"]["sets"]
    assert len(picture["a"]) == len(picture["b"]) == copies


def test_twins_on_one_side_are_named_and_are_no_leak(tmp_path, table):
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes())
    with Image.open(tmp_path / "2.png") as image:
        image.save(tmp_path / "3.tif")  # in the same subset as 2.png
    table.loc[3, "path"] = "3.tif"
    found, text, code = run(tmp_path, table)
    assert code == 0
    assert found["pairs"] == [
        {"image": "0.png", "subset": "train", "twin": "1.png", "twin_subset": "train", "cosine": 1.0,
         "identical": True},
        {"image": "2.png", "subset": "test", "twin": "3.tif", "twin_subset": "test", "cosine": 1.0,
         "identical": False},
    ]  # fmt: skip
    assert "| 0.png | train | 1.png | train | 1.0000 | same bytes |" in text


def test_without_a_split_copies_are_named(tmp_path):
    for name, seed in (("a/0.png", 0), ("a/copy.png", 0), ("b/1.png", 1)):
        noise(tmp_path, name, seed)
    found, text, code = run_audit_command(tmp_path, **OPTIONS)
    assert [(pair["image"], pair["twin"]) for pair in found["pairs"]] == [("a/0.png", "a/copy.png")]
    assert "| a/0.png | – | a/copy.png | – | 1.0000 | same bytes |" in text
    assert code == 0


def test_images_of_a_kind_that_is_not_read_are_named(tmp_path):
    for name, seed in (("a/0.png", 0), ("b/1.png", 1)):
        noise(tmp_path, name, seed)
    Image.new("L", (8, 8)).save(tmp_path / "b/2.gif")
    found, text, code = run_audit_command(tmp_path, **OPTIONS)
    assert [one["file"] for one in found["unreadable"]] == ["b/2.gif"]
    assert "1 of 3 images could not be read" in text
    assert code == SOME_UNREADABLE


@pytest.mark.parametrize("layout", ["subset folders", "class folders and a split"])
def test_a_folder_is_audited_like_its_table(tmp_path, layout):
    names = {"train/a/0.png": 0, "train/b/1.png": 1, "valid/a/2.png": 2, "test/b/3.png": 1}
    rows = []
    for name, seed in names.items():
        subset, label, file = name.split("/")
        place = name if layout == "subset folders" else f"{label}/{file}"
        noise(tmp_path / "images", place, seed)
        rows.append((place, subset))
    split = None
    if layout != "subset folders":
        split = tmp_path / "split.csv"
        pd.DataFrame(rows, columns=["path", "subset"]).to_csv(split, index=False)
    found, _, code = run_audit_command(tmp_path / "images", split_path=split, **OPTIONS)
    assert code == 1
    assert found["images_per_class"] == {"a": 2, "b": 2}
    (pair,) = found["pairs"]
    assert (pair["subset"], pair["twin_subset"]) in (("train", "test"), ("test", "train"))
    assert pair["identical"]


def test_a_folder_without_a_split_is_audited_alone(tmp_path):
    for number in range(4):
        noise(tmp_path, f"{'ab'[number % 2]}/{number}.png", number)
    found, _, code = run_audit_command(tmp_path, **OPTIONS)
    assert (found["splits"], found["pairs"], code) == ({}, [], 0)


def test_folders_that_cannot_be_audited_are_refused_with_the_reason(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        run_audit_command(tmp_path / "empty", **OPTIONS)
    noise(tmp_path / "flat", "0.png", 0)
    with pytest.raises(UserError, match=r"0\.png lies in no class folder"):
        run_audit_command(tmp_path / "flat", **OPTIONS)
    noise(tmp_path / "images", "a/0.png", 0)
    split = tmp_path / "split.csv"
    split.write_text("path,subset\nb/0.png,train\n")
    with pytest.raises(UserError, match=r"does not name a/0\.png \(1 of 1 images\)"):
        run_audit_command(tmp_path / "images", split_path=split, **OPTIONS)
    split.write_text("path,side\na/0.png,train\n")
    with pytest.raises(UserError, match="lacks the column subset"):
        run_audit_command(tmp_path / "images", split_path=split, **OPTIONS)
    with pytest.raises(UserError, match="--split goes with a folder"):
        run_audit_command(split, split_path=split, **OPTIONS)


def test_the_line_of_a_wrong_subset_is_that_of_the_file_also_beside_a_folder(tmp_path):
    for name, seed in (("b/0.png", 0), ("a/1.png", 1)):
        noise(tmp_path / "images", name, seed)
    split = tmp_path / "split.csv"
    split.write_text("path,subset\nb/0.png,train\na/1.png,Test set\n")
    with pytest.raises(UserError, match=r"line 3 of the table: .* Received: 'Test set'"):
        run_audit_command(tmp_path / "images", split_path=split, **OPTIONS)


def test_shortcuts_hang_neither_on_the_order_of_rows_nor_on_folders(tmp_path):
    rows = []
    for number in range(12):
        label, subset = "ab"[number % 2], ("train", "test")[number % 3 == 0]
        noise(tmp_path / "flat", f"{label}/{number}.png", number)
        noise(tmp_path / "parted", f"{subset}/{label}/{11 - number}.png", number)
        rows.append((f"flat/{label}/{number}.png", label, subset))
    table = pd.DataFrame(rows, columns=["path", "label", "subset"])
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "table.csv", index=False)
    table.assign(path=table["path"].str.removeprefix("flat/")).to_csv(tmp_path / "split.csv", index=False)
    probes = [
        run_audit_command(source, split_path=split, **OPTIONS)[0]["shortcuts"]["probes"]
        for source, split in (
            (tmp_path / "table.csv", None),
            (tmp_path / "flat", tmp_path / "split.csv"),
            (tmp_path / "parted", None),
        )
    ]
    assert probes[0]
    assert probes[0] == probes[1] == probes[2]
