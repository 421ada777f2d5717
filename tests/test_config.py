"""params.yaml and datasets/: every key known, every value checked, every message naming file and key."""

import json
import re
import shutil
from datetime import date
from pathlib import Path

import pytest
import yaml
from dvc.utils.serialize import load_yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_attention.cells import Cell
from lung_attention.config import load_config, parse_value, validate
from lung_attention.config.reading import merged
from lung_attention.errors import UserError

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"
VALUES = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
FILES = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))
    for file in sorted((ROOT / "datasets").glob("*.yaml"))
}
TABLE = {"file": "a.csv", "image": "image", "patient": None, "sha256": None, "covariates": []}


NOWHERE = {
    recipe: {factor: [] for factor in ("datasets", "backbones", "heads", "splits")}
    for recipe in VALUES["further"]
}


def sections(values, path=()):
    """The paths of all mappings, first list level included."""
    yield path
    for key, value in values.items():
        if isinstance(value, dict):
            yield from sections(value, (*path, key))


UNKNOWN = r"(Extra inputs are not permitted|Unexpected keyword argument) \(received 7\)"


def test_from_a_folder_below_the_way_to_the_project_is_told(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text("profile: sample")
    (tmp_path / "docs" / "images").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "docs" / "images")
    with pytest.raises(UserError, match=r"params\.yaml: No such file") as caught:
        load_config(Path("params.yaml"))
    assert caught.value.remedy == f"cd {tmp_path}"


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


# Mappings whose keys are names: of profiles, recipes, views, datasets, backbones, classes.
OPEN = {
    ("profiles",),
    *(path for path in sections(VALUES) if path[-1:] == ("further",)),
    ("download", "checksums"),
    ("backbone", "checksums"),
    ("preprocess", "views"),
    ("train", "seeds", "of"),
    ("train", "seeds", "of", "iqoth"),
}
SHARED = [path for path in sections(VALUES) if path not in OPEN and path[:1] != ("profiles",)]
OWN = [
    ("profiles", name, *path)
    for name, own in VALUES["profiles"].items()
    for path in sections(own)
    if path not in OPEN
]
OF_DATASETS = [
    (name, *path)
    for name, values in FILES.items()
    for path in sections(values)
    if path not in {("classes",), ("archive", "counts"), ("learning_rates",), ("copies",), ("other_groups",)}
]


def changed(values, changes):
    """A copy with the values at some paths replaced; `...` removes a key."""
    values = json.loads(json.dumps(values))
    for (*path, last), value in changes.items():
        section = values
        for key in path:
            section = section.setdefault(key, {})
        if value is ...:
            del section[last]
        else:
            section[last] = value
    return values


def load(folder, changes, of_datasets=None):
    """Loads params.yaml and the datasets' files with the values at some paths replaced."""
    file = folder / "params.yaml"
    file.write_text(yaml.safe_dump(changed(VALUES, changes), sort_keys=False), encoding="utf-8")
    shutil.copytree(ROOT / "datasets", folder / "datasets", dirs_exist_ok=True)
    for path, value in (of_datasets or {}).items():
        one = folder / "datasets" / f"{path[0]}.yaml"
        values = yaml.safe_load(one.read_text(encoding="utf-8"))
        one.write_text(yaml.safe_dump(changed(values, {path[1:]: value}), sort_keys=False), encoding="utf-8")
    return load_config(file)


def refusal(folder, changes, of_datasets=None):
    with pytest.raises(UserError) as caught:
        load(folder, changes, of_datasets)
    return caught.value.problem.replace(f"{folder}/", "")


def test_the_repositorys_own_file_is_valid():
    config = load_config(PARAMS)
    assert config.active is config.profiles["sample"]
    assert set(config.catalog) == set(FILES)
    assert all(dataset.id == name for name, dataset in config.catalog.items())


def test_no_value_is_shared_by_an_anchor():
    """DVC's overrides load the file without anchors and write it with them: the last sharer wins."""
    for file in (PARAMS, *(ROOT / "datasets").glob("*.yaml")):
        tokens = yaml.scan(file.read_text(encoding="utf-8"))
        assert not [token for token in tokens if isinstance(token, yaml.AliasToken)]


# ----- Unknown keys and names -----


def test_there_are_sections_to_try():
    assert len(SHARED) > 20
    assert len(OWN) > 25
    assert len(OF_DATASETS) > 30


@pytest.mark.parametrize("path", SHARED + OWN, ids=lambda path: ".".join(path) or "top")
def test_an_unknown_key_is_refused_at_every_level_where_it_stands(tmp_path, path):
    problem = refusal(tmp_path, {(*path, "foo"): 7})
    assert re.fullmatch(rf"params\.yaml: {re.escape('.'.join((*path, 'foo')))}: {UNKNOWN}", problem)


@pytest.mark.parametrize("path", [("train", "recipe"), ("search", "space"), ("preprocess", "views", "whole")])
def test_an_unknown_key_in_a_section_that_a_profile_does_not_have(tmp_path, path):
    problem = refusal(tmp_path, {("profiles", "sample", *path, "foo"): 7})
    assert re.fullmatch(
        rf"params\.yaml: profiles\.sample\.{re.escape('.'.join(path))}\.foo: {UNKNOWN}", problem
    )


@pytest.mark.parametrize("section", ["audit", "baseline", "evaluate"])
def test_a_section_of_all_profiles_is_refused_below_one(tmp_path, section):
    """No stage would see it."""
    problem = refusal(tmp_path, {("profiles", "sample", section): {"seed": 7}})
    assert problem.startswith(f"params.yaml: profiles.sample.{section}: ")
    assert "the same for all profiles" in problem


@pytest.mark.parametrize("path", OF_DATASETS, ids=".".join)
def test_an_unknown_key_of_a_dataset_is_refused_with_its_file(tmp_path, path):
    problem = refusal(tmp_path, {}, {(*path, "foo"): 7})
    # A union of settings is told apart by its method, which pydantic names in the place.
    method = at(FILES[path[0]], path[1:]).get("method")
    place = ".".join([*path[1:], *([method] if method else []), "foo"])
    assert re.fullmatch(rf"datasets/{path[0]}\.yaml: {re.escape(place)}: {UNKNOWN}", problem)


def test_a_mistake_in_a_shared_section_is_told_once_and_each_of_several_is_told(tmp_path):
    problem = refusal(
        tmp_path, {("audit", "foo"): 7, ("split", "folds"): 1}, {("iqoth", "archive", "foo"): 8}
    )
    # The sample has its own number of folds, the other profiles take the shared one.
    assert len(problem.splitlines()) == 3
    assert {tuple(line.strip().split(": ")[:2]) for line in problem.splitlines()} == {
        ("params.yaml", "split.folds"),
        ("params.yaml", "audit.foo"),
        ("datasets/iqoth.yaml", "archive.foo"),
    }


@pytest.mark.parametrize(
    ("key", "value", "known"),
    [
        ("heads", ["plain", "attentive"], ["plain", "attention"]),
        ("backbones", ["mobilenetv2", "alexnet"], ["densenet121", "resnet50v2", "vgg16"]),
        ("splits", ["published", "random"], ["published", "grouped"]),
    ],
)
def test_a_name_that_is_in_no_table_is_refused_with_those_that_are(tmp_path, key, value, known):
    problem = refusal(tmp_path, {(key,): value})
    assert problem.startswith(f"params.yaml: {key}.1: ")
    assert f"received {value[1]!r}" in problem
    assert all(name in problem for name in known)
    problem = refusal(tmp_path, {("profiles", "local", "further", "searched", key): value})
    assert problem.startswith(f"params.yaml: profiles.local.further.searched.{key}.1: ")


@pytest.mark.parametrize("key", [("datasets",), ("profiles", "local", "datasets")])
def test_a_dataset_without_a_file_is_refused_with_those_that_have_one(tmp_path, key):
    problem = refusal(tmp_path, {key: ["iqoth", "luna16"]})
    assert f"{'.'.join(key)}: no file datasets/luna16.yaml; there are {', '.join(FILES)}" in problem
    assert "lung-attention dataset new luna16" in problem


@pytest.mark.parametrize(
    ("key", "value"), [(("train", "seeds", "of"), {"published": [0]}), (("download", "checksums"), "0" * 64)]
)
def test_a_value_of_a_dataset_without_a_file_is_refused(tmp_path, key, value):
    path = ("profiles", "sample", *key)
    assert f"{'.'.join(path)}: no file datasets/iqothh.yaml" in refusal(tmp_path, {(*path, "iqothh"): value})


def test_a_learning_rate_of_a_backbone_that_is_none_is_refused(tmp_path):
    problem = refusal(tmp_path, {}, {("iqoth", "learning_rates", "mobilenet2"): 0.1})
    assert problem.startswith("datasets/iqoth.yaml: learning_rates.mobilenet2")
    assert "mobilenetv2" in problem


def test_a_dataset_is_asked_for_by_name():
    config = load_config(PARAMS)
    assert config.dataset("lidc") is config.catalog["lidc"]
    with pytest.raises(UserError, match=r"expected one of iqoth, lc25000.*received 'luna16'") as caught:
        config.dataset("luna16")
    assert "lung-attention dataset new luna16" in caught.value.remedy


def test_a_file_in_datasets_is_a_dataset(tmp_path):
    load(tmp_path, {})
    (tmp_path / "datasets" / "mine.yaml").write_text((ROOT / "datasets" / "lidc.yaml").read_text())
    config = load_config(tmp_path / "params.yaml")
    assert config.catalog["mine"].model_copy(update={"id": "lidc"}) == config.catalog["lidc"]
    assert config.labels["mine"] == ("malignant", "benign")
    (tmp_path / "datasets" / "lidc.yaml").unlink()
    with pytest.raises(UserError, match=r"no file datasets/lidc\.yaml; there are iqoth, .*mine"):
        load_config(tmp_path / "params.yaml")


# ----- Values -----

R = ("train", "recipe")


@pytest.mark.parametrize("own", [(), ("profiles", "sample")], ids=["shared", "sample"])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*R, "epochs"), "12"),
        ((*R, "epochs"), -1),
        ((*R, "epochs"), 1.0),
        ((*R, "epochs"), True),
        ((*R, "l2"), float("inf")),
        ((*R, "attention_gamma"), float("nan")),
        ((*R, "dropout"), 1.0),
        ((*R, "jit_compile"), "yes"),
        ((*R, "pooling"), "max"),
        ((*R, "optimizer"), "Adam"),
        ((*R, "class_weights"), True),
        ((*R, "learning_rate"), 0.0),
        ((*R, "hidden_units"), 8),
        ((*R, "learning_rate"), 1e-300),
        ((*R, "learning_rate"), 1e30),
        ((*R, "l2"), 1e9),
        ((*R, "attention_gamma"), -1e300),
        ((*R, "epochs"), 10**30),
        (("preprocess", "image_size_px"), 100_000),
        (("gate", "margins", "balanced_accuracy"), 0.99),
        (("gate", "margins", "auroc_ovr"), 0.99),
        (("download", "checksums", "iqoth"), "ABC"),
        (("preprocess", "views", "whole", "interpolation"), "cubic"),
        (("preprocess", "views", "whole", "crop_px"), 7),
        (("gate", "confidence"), 95),
        (("gate", "margins", "log_loss"), -0.1),
        (("train", "seeds", "of", "iqoth"), {"published": [0, 0]}),
        (("train", "seeds", "published"), []),
    ],
)
def test_a_bad_value_is_named(tmp_path, own, path, value):
    problem = refusal(tmp_path, {(*own, *path): value})
    assert f"params.yaml: {'.'.join((*own, *path))}" in problem
    received = value["published"] if isinstance(value, dict) else value
    assert f"received {received!r}" in problem


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("evaluate", "resamples"), 1),
        (("evaluate", "confidence"), 1e-9),
        (("evaluate", "calibration_bins"), 10**9),
        (("baseline", "trees"), 10**30),
        (("audit", "shortcuts", "permutations"), 1),
    ],
)
def test_a_value_of_all_profiles_that_means_nothing_is_refused(tmp_path, path, value):
    assert f"params.yaml: {'.'.join(path)}" in refusal(tmp_path, {path: value})


def test_a_shared_value_that_no_profile_takes_is_not_looked_at(tmp_path):
    assert all("source" in own["download"] for own in VALUES["profiles"].values())
    load(tmp_path, {("download", "source"): "web"})
    assert "profiles.local.download.source" in refusal(
        tmp_path, {("profiles", "local", "download", "source"): "web"}
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("splits", ["published", "published"]), ("datasets", "iqoth"), ("datasets", []), ("heads", [])],
)
def test_a_bad_factor_of_the_design(tmp_path, key, value):
    problem = refusal(tmp_path, {(key,): value})
    assert problem.startswith(f"params.yaml: {key}: ")
    assert f"received {value!r}" in problem


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("archive", "suffixes"), ["jpg"]),
        (("archive", "counts", "normal"), 0),
        (("classes", "normal"), []),
        (("groups", "cosine"), 1.2),
        (("groups", "method"), "scans"),
        (("published_split", "held_out"), 1.0),
        (("published_split", "method"), "shuffled"),
        (("learning_rates", "mobilenetv2"), -1.0),
        (("seeds", "published"), [0, 0]),
        (("patients",), [{"match": "(", "patient": "{0}"}]),
        (("table",), TABLE | {"sha256": "abc"}),
        (("table",), TABLE | {"covariates": ["age", "age"]}),
        (("image_size_px",), 16),
    ],
)
def test_a_bad_value_of_a_dataset_is_named_with_its_file(tmp_path, path, value):
    problem = refusal(tmp_path, {}, {("iqoth", *path): value})
    assert problem.startswith(f"datasets/iqoth.yaml: {path[0]}")


@pytest.mark.parametrize("patient", ["{1}", "{who}", "{0:04d}", "{", "{0.number}"])
def test_a_patient_is_told_by_groups_that_are_there(tmp_path, patient):
    rule = {"match": r"a/(\d+)_(?P<what>.*)", "patient": "{0:0>4}{1}{what}"}
    load(tmp_path, {}, {("iqoth", "patients"): [rule]})
    if patient == "{1}":
        rule["match"] = r"a/(\d+).*"
    problem = refusal(tmp_path, {}, {("iqoth", "patients"): [rule | {"patient": patient}]})
    assert problem.startswith("datasets/iqoth.yaml: patients.0: ")
    assert repr(patient) in problem


def test_counts_are_those_of_the_classes(tmp_path):
    problem = refusal(tmp_path, {}, {("iqoth", "archive", "counts"): {"normal": 1, "ill": 2}})
    assert "datasets/iqoth.yaml: " in problem
    assert "archive.counts: expected a number for each of ['normal', 'malignant', 'benign']" in problem


def test_a_floor_below_a_majority_vote(tmp_path):
    floor = ("iqoth", "floors", "grouped")
    assert "expected at least 0.333, that of a majority vote" in refusal(tmp_path, {}, {floor: 0.33})
    assert load(tmp_path, {}, {floor: 0.34}).catalog["iqoth"].floors.grouped == 0.34


def test_one_class_is_none(tmp_path):
    assert refusal(tmp_path, {}, {("lidc", "classes"): {"malignant": ["a"]}}).startswith(
        "datasets/lidc.yaml: classes: "
    )


@pytest.mark.parametrize("content", [b"a: [", b"\xff\x00"])
def test_a_datasets_file_that_is_no_yaml(tmp_path, content):
    load(tmp_path, {})
    (tmp_path / "datasets" / "lidc.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"datasets/lidc\.yaml is not valid YAML"):
        load_config(tmp_path / "params.yaml")


@pytest.mark.parametrize("content", [b"", b"- 1", b"text"])
def test_a_datasets_file_that_says_nothing(tmp_path, content):
    load(tmp_path, {})
    (tmp_path / "datasets" / "lidc.yaml").write_bytes(content)
    with pytest.raises(UserError, match=r"datasets/lidc\.yaml: "):
        load_config(tmp_path / "params.yaml")


def test_the_name_of_a_datasets_file_is_a_name(tmp_path):
    load(tmp_path, {})
    (tmp_path / "datasets" / "my-data.yaml").write_text((ROOT / "datasets" / "lidc.yaml").read_text())
    with pytest.raises(UserError, match=r"datasets/my-data\.yaml: id: .*received 'my-data'"):
        load_config(tmp_path / "params.yaml")


def test_an_unknown_profile(tmp_path):
    problem = refusal(tmp_path, {("profile",): "sampel"})
    assert "'sampel'" in problem
    assert "'local', 'public', 'sample'" in problem


@pytest.mark.parametrize(
    "entry",
    [
        {"cells": ["iqoth-*"], "change": "worse", "reason": ""},
        {"cells": ["iqoth-*"], "change": "better", "reason": "because"},
        {"cells": [], "change": "worse", "reason": "because"},
        {"cells": ["iqoth-*"], "change": "worse"},
        {"cells": ["iqoth-*"], "change": "worse", "reason": "because", "until": "2027"},
    ],
)
def test_a_declared_change_names_cells_change_and_reason(tmp_path, entry):
    assert "params.yaml: gate.declared.0" in refusal(tmp_path, {("gate", "declared"): [entry]})


def test_the_pooled_test_leaves_some_of_the_error_to_single_cells(tmp_path):
    problem = refusal(tmp_path, {("gate", "pooled_error"): 0.06})
    assert "gate" in problem and "leaves nothing" in problem


def test_further_cells_are_of_further_recipes_on_a_part_of_the_design(tmp_path):
    further = {
        "datasets": ["iqoth"],
        "backbones": ["densenet121"],
        "heads": ["plain", "attention"],
        "splits": ["grouped"],
    }
    both = NOWHERE | {"searched": further, "recommended": further}
    cells = list(load(tmp_path, {("further",): both}).cells())
    assert len(cells) == len(set(cells)) == 3 * 2 * 2 * 1 * 2 + 2 + 2
    assert cells[-4:] == [
        Cell("iqoth", "densenet121", head, recipe, "grouped")
        for recipe in ("searched", "recommended")
        for head in ("plain", "attention")
    ]
    problem = refusal(tmp_path, {("further",): NOWHERE | {"searched": further}})
    assert "searched.datasets: ['iqoth'] not among recommended.datasets" in problem
    searched = further | {"datasets": ["lidc_nodules"]}
    problem = refusal(tmp_path, {("further",): both | {"searched": searched, "recommended": searched}})
    assert "further.searched.datasets: the matrix has no ['lidc_nodules']" in problem
    for wrong in ({"searched": further}, NOWHERE | {"published": further}):
        problem = refusal(tmp_path, {("further",): wrong})
        assert "further: expected a part of the design for each of searched, recommended" in problem


def test_finetuning_runs_where_its_features_are(tmp_path):
    """Those of the close view are made where the recommended recipe runs."""
    part = {"datasets": ["iqoth"], "backbones": ["mobilenetv2"], "heads": ["plain"], "splits": ["grouped"]}
    other = part | {"backbones": ["densenet121"], "heads": ["attention"]}
    config = load(tmp_path, {("further",): NOWHERE | {"recommended": part, "finetuned": part}})
    assert Cell("iqoth", "mobilenetv2", "plain", "finetuned", "grouped") in set(config.cells())
    for key in (("further",), ("profiles", "local", "further")):
        problem = refusal(tmp_path, {key: NOWHERE | {"recommended": other, "finetuned": part}})
        assert f"{'.'.join(key)}: finetuned.backbones: ['mobilenetv2'] not among recommended" in problem
    nowhere = part | {"datasets": []}
    load(tmp_path, {("further",): NOWHERE | {"recommended": other, "finetuned": nowhere}})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainable", 0.0),
        ("trainable", 1.5),
        ("turns", 2),
        ("epochs", 0),
        ("averaged_epochs", 7),
        ("images_per_epoch", 0),
        ("calibration_folds", 1),
        ("mixed_precision", "always"),
        ("augmentation", {"shift": 0.5, "turns": 8, "brightness": 0.1, "contrast": 0.1}),
        ("augmentation", {"shift": 0.1, "turns": 3, "brightness": 0.1, "contrast": 0.1}),
    ],
)
def test_settings_of_finetuning_that_cannot_be_are_refused(tmp_path, key, value):
    assert "train.finetuned.settings" in refusal(tmp_path, {("train", "finetuned", "settings", key): value})


def test_an_empty_list_of_further_means_no_further_cell(tmp_path):
    config = load(tmp_path, {("further",): NOWHERE, ("further", "searched", "datasets"): ["iqoth"]})
    assert {cell.recipe for cell in config.cells()} == {"published"}
    assert len(list(config.cells())) == 24


def test_a_recipe_and_the_design_name_views_that_exist(tmp_path):
    problem = refusal(tmp_path, {("profiles", "local", *R, "view"): "centre"})
    assert "profiles.local: train.recipe.view: preprocess.views has no 'centre'" in problem
    assert "views: preprocess.views has no ['centre']" in refusal(tmp_path, {("views",): ["whole", "centre"]})
    centre = {"crop_px": 100, "interpolation": "bilinear", "antialias": True, "standardise": False}
    more = {("preprocess", "views", "centre"): centre, ("profiles", "sample", *R, "view"): "centre"}
    assert "views: train.recipe.view is 'centre', which is not among them" in refusal(tmp_path, more)
    assert "search.space.view: ['whole'] not among views" in refusal(
        tmp_path, {**more, ("views",): ["centre"]}
    )
    config = load(
        tmp_path, {**more, ("views",): ["centre"], ("search", "space", "view"): ["centre", "close"]}
    )
    assert config.active.preprocess.views["centre"].crop_px == 100


# ----- What profiles share and what each says -----

SAMPLE = load_config(PARAMS).profiles["sample"]
LOCAL = load_config(PARAMS).profiles["local"]
CATALOG = load_config(PARAMS).catalog


def test_the_sample_computes_what_it_always_did():
    recipe = SAMPLE.train.recipe
    assert recipe.epochs == 12
    assert recipe.hidden_units == (64, 32)
    assert (recipe.batch_size, recipe.learning_rate, recipe.optimizer) == (32, 1e-4, "adam")
    assert (recipe.pooling, recipe.dropout, recipe.l2, recipe.jit_compile) == ("flatten", 0.0, 0.0, False)
    assert (recipe.attention_maps, recipe.attention_gamma, recipe.attention_activation) == (16, 0.01, "relu")
    assert (recipe.class_weights, recipe.view) == ("none", "whole")
    assert (SAMPLE.split.folds, SAMPLE.split.seed) == (2, 10)
    assert (SAMPLE.download.source, SAMPLE.download.check_counts) == ("embedded", False)
    assert (SAMPLE.backbone.source, SAMPLE.backbone.calibration_images) == ("random", 64)
    assert (SAMPLE.search.trials, SAMPLE.search.space.epochs.high) == (6, 16)
    whole = SAMPLE.preprocess.views["whole"]
    assert (whole.crop_px, whole.interpolation, whole.antialias) == (None, "bilinear", False)
    for dataset in CATALOG.values():
        assert SAMPLE.view(dataset, "whole")[1] == SAMPLE.view(dataset, "close")[1] == 64
        assert SAMPLE.seeds(dataset, "published") == ([0, 1] if dataset.id == "iqoth" else [0])
        assert SAMPLE.seeds(dataset, "grouped") == [0]
        assert SAMPLE.training_sd(dataset).model_dump() == {"balanced_accuracy": 0.03, "log_loss": 0.2}
        for backbone in ("mobilenetv2", "densenet121"):
            rate = 0.00032 if (dataset.id, backbone) == ("iqoth", "mobilenetv2") else 0.0001
            assert SAMPLE.recipe(dataset, backbone) == recipe.with_learning_rate(rate)


def test_the_papers_settings_are_those_of_each_dataset():
    sizes = {"iqoth": 224, "lc25000": 128, "lidc_nodules": 128, "lidc_slices": 224, "lidc_boxes": 128}
    assert LOCAL.datasets == list(sizes)
    for name in LOCAL.datasets:
        dataset = CATALOG[name]
        assert LOCAL.seeds(dataset, "published") == ([0] if name == "lc25000" else [0, 1, 2])
        assert LOCAL.seeds(dataset, "grouped") == [0]
        assert LOCAL.view(dataset, "whole")[1] == sizes[name]
        luck = LOCAL.training_sd(dataset)
        assert (luck.balanced_accuracy, luck.log_loss) == (
            (0.003, 0.05) if name == "lc25000" else (0.01, 0.1)
        )
    recipe = LOCAL.train.recipe
    assert (recipe.epochs, recipe.hidden_units, recipe.jit_compile) == (100, (256, 32), True)
    assert LOCAL.recipe(CATALOG["iqoth"], "mobilenetv2").learning_rate == 0.00032
    assert LOCAL.recipe(CATALOG["iqoth"], "densenet121").learning_rate == 0.0001
    assert (LOCAL.split.folds, LOCAL.search.trials, LOCAL.search.inner_folds) == (5, 40, 3)


def test_seeds_of_one_dataset_go_before_the_profiles_and_these_before_the_datasets(tmp_path):
    own = ("profiles", "local", "train", "seeds")
    config = load(tmp_path, {(*own, "published"): [7], (*own, "of"): {"iqoth": {"grouped": [8, 9]}}})
    local = config.profiles["local"]
    iqoth, lidc = config.catalog["iqoth"], config.catalog["lidc"]
    assert [local.seeds(iqoth, split) for split in ("published", "grouped")] == [[7], [8, 9]]
    assert [local.seeds(lidc, split) for split in ("published", "grouped")] == [[7], [0]]


@pytest.mark.parametrize(("profile", "epochs"), [("sample", 12), ("public", 7), ("local", 7)])
def test_a_shared_value_holds_where_a_profile_says_nothing_else(tmp_path, profile, epochs):
    recipe = load(tmp_path, {(*R, "epochs"): 7}).profiles[profile].train.recipe
    assert recipe.epochs == epochs


def test_a_profile_with_empty_sections_equals_what_is_shared():
    top = ("profile", "datasets", "backbones", "heads", "splits", "views", "further", "profiles")
    shared = {key: value for key, value in VALUES.items() if key not in top}
    local = VALUES["profiles"]["local"]
    assert merged(shared, {key: {} for key in shared}) == shared
    assert merged(shared, local)["search"] == shared["search"]  # of which it says nothing


keys = st.sampled_from("abc")
leaves = st.integers() | st.lists(st.integers(), max_size=2) | st.none()
trees = st.recursive(
    st.dictionaries(keys, leaves, max_size=3), lambda below: st.dictionaries(keys, leaves | below, max_size=3)
)


def values_of(tree, path=()):
    """Every value that is no section, by its path; a section without values has none."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from values_of(value, (*path, key))
        else:
            yield (*path, key), value


def empty_sections(tree):
    return {key: empty_sections(value) for key, value in tree.items() if isinstance(value, dict)}


@settings(max_examples=200, deadline=None)
@given(shared=trees, own=trees)
def test_own_values_win_and_their_siblings_stay(shared, own):
    before = json.dumps([shared, own])
    result = merged(shared, own)
    assert json.dumps([shared, own]) == before
    assert merged(shared, empty_sections(shared)) == shared == merged(shared, {})
    for path, value in values_of(own):
        assert at(result, path) == value
    said = dict(values_of(own))
    for path, value in values_of(shared):
        # Said by the profile: the value itself, or something in the place of a section above or below it.
        parts = [path[:n] for n in range(1, len(path) + 1)]
        if not any(part in said for part in parts) and not isinstance(_get(own, path), dict):
            assert at(result, path) == value
    for path, value in values_of(result):
        assert value in (_get(own, path), _get(shared, path))


def _get(tree, path):
    for key in path:
        if not isinstance(tree, dict) or key not in tree:
            return ...
        tree = tree[key]
    return tree


# ----- Files -----


def test_a_missing_key(tmp_path):
    assert refusal(tmp_path, {("split", "seed"): ...}) == "params.yaml: split.seed: Field required"
    assert refusal(tmp_path, {}, {("lidc", "licence"): ...}) == "datasets/lidc.yaml: licence: Field required"


def test_small_numbers_as_dvc_writes_them(tmp_path):
    # `dvc exp run -S …l2=0.00001` writes 1e-05, which PyYAML by itself reads as text.
    text = PARAMS.read_text(encoding="utf-8")
    assert "l2: 0.0\n" in text
    (tmp_path / "params.yaml").write_text(text.replace("l2: 0.0\n", "l2: 1e-05\n", 1), encoding="utf-8")
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    assert load_config(tmp_path / "params.yaml").active.train.recipe.l2 == 1e-5


def test_values_are_those_that_dvc_takes_from_the_same_line(tmp_path):
    """YAML 1.1 reads 014 as twelve, 1:30 as ninety, `off` as false; DVC reads 1.2."""
    for text in ("014", "1:30", "yes", "off", "1e-05", "0o14", "1_000", "~", "2026-01-01", "'7'"):
        (tmp_path / "a.yaml").write_text(f"key: {text}\n", encoding="utf-8")
        expected = load_yaml(tmp_path / "a.yaml")["key"]
        assert parse_value(f"key: {text}") == {"key": expected}
        assert type(parse_value(text)) is type(expected)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    text = PARAMS.read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text + "\nprofile: local\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"params\.yaml is not valid YAML: [^/]*duplicate key .profile."):
        load_config(tmp_path / "params.yaml")


@pytest.mark.parametrize("content", ["bomb", "deep"])
def test_what_would_fill_the_memory_is_refused_at_once(tmp_path, content):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    text = "\n".join(lines) if content == "bomb" else "[" * 20_000 + "]" * 20_000
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"params\.yaml(?: is not valid YAML|: expected keys)"):
        load_config(tmp_path / "params.yaml")


@pytest.mark.parametrize("name", ["sample"])
def test_a_stand_in_is_named_or_refused(tmp_path, name):
    assert "stand_ins: the embedded images" in refusal(tmp_path, {("profiles", name, "stand_ins"): []})
    random = {("profiles", "local", "backbone"): {"source": "random", "calibration_images": 1}}
    assert "profiles.local: stand_ins" in refusal(tmp_path, random)


def test_a_declared_change_has_a_reason_that_says_something(tmp_path):
    entry = {"cells": ["iqoth-*"], "change": "worse"}
    for reason in ("", "  ", "x", "-"):
        assert "declared" in refusal(tmp_path, {("gate", "declared"): [{**entry, "reason": reason}]})
    load(tmp_path, {("gate", "declared"): [{**entry, "reason": "fewer epochs, see docs"}]})


def test_a_file_that_is_missing_or_no_yaml(tmp_path):
    path = tmp_path / "params.yaml"
    for content in (None, b"a: [", b"", b"\xff\x00", b"- 1"):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UserError, match=r"params\.yaml"):
            load_config(path)


def test_a_profile_that_is_no_section(tmp_path):
    assert refusal(tmp_path, {("profiles", "mine"): 7}).startswith("params.yaml: profiles.mine: ")
    with pytest.raises(UserError, match="expected keys, among them profiles"):
        validate({"profiles": 7}, PARAMS)


def test_without_any_datasets_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(UserError, match="catalog"):
        load_config(tmp_path / "params.yaml")


def test_it_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_config(PARAMS).active.split.seed = 11
    with pytest.raises(AttributeError):
        load_config(PARAMS).active.train.recipe.epochs = 11


def test_a_date_is_text_where_text_is_wanted(tmp_path):
    said = refusal(tmp_path, {("split", "seed"): date(2020, 1, 1)})
    assert said == "params.yaml: split.seed: Input should be a valid integer (received '2020-01-01')"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({("split", "seed"): {1, 2}}, "expected text, a number, true, false or null, received {1, 2}"),
        ({("split", "seed"): b"x"}, "expected text, a number, true, false or null, received b'x'"),
        ({("split", "seed"): {date(2020, 1, 1): 1}}, "keys must be str"),
    ],
)
def test_what_is_neither_text_nor_a_number_is_refused(tmp_path, changes, said):
    assert said in refusal(tmp_path, changes)
