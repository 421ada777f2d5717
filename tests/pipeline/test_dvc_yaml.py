"""dvc.yaml names what the stages read and write, no more and no less; their code it names by its hash."""

import ast
import itertools
import json
import re
from pathlib import Path

import pytest
import yaml

from lung_attention.cells import FACTORS, PUBLISHED, Cell
from lung_attention.config import DESIGN, Dataset, Profile, load_config, read_values
from lung_attention.config.profiles import CLOSE
from lung_attention.models.heads import HEADS
from lung_attention.paths import (
    DATASETS,
    EXPERIMENTS,
    PARAMS,
    SAMPLE,
    Paths,
    code_digest,
    head_digest,
    recipe_digest,
)
from lung_attention.training.recipes import RECIPES
from lung_attention.workflow.code import code_digests, code_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
STAGES = yaml.safe_load(TEXT)["stages"]
CELL = Cell("iqoth", "densenet121", "attention", "published", "grouped")
PROFILE_KEY = "profiles.${profile}"

# What methods of the configuration read for a script.
SECTION_OF = {"view": "preprocess", "seeds": "train", "recipe": "train", "ingredients": "train"}
KEY_OF = {
    "labels": "classes",
    "unit": "groups.unit",
    "groups_inferred": "groups.method",
    "covariates": "table",
    "id": None,
}
# Of `view`, by the stage that reads it.
KEY_OF_VIEW = {"preprocess": "image_size_px", "preprocess_close": "close_view"}
# These depend on the files of all datasets as a whole.
WHOLE_DATASETS = {"settings", "report"}


def script_of(stage):
    """The script that a stage runs."""
    python, script, *_ = STAGES[stage]["cmd"].split()
    assert python == "python"
    return ROOT / script


def paths_of(stage, *kinds):
    """The paths of a stage, as dvc.yaml spells them."""
    entries = itertools.chain.from_iterable(STAGES[stage].get(kind, []) for kind in kinds)
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def _is(node, name):
    return isinstance(node, ast.Attribute) and node.attr == name


def reads_of(stage):
    """Sections of the profile, keys of a dataset and factors of the design that a stage's code looks at."""
    sections, keys, factors = set(), set(), set()
    for file in code_of(script_of(stage), ROOT):
        if file.suffix != ".py":
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        active = set()  # names that stand for the active profile
        for node in ast.walk(tree):
            if not isinstance(node, ast.Assign):
                continue
            for target in node.targets:
                both = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                pairs = zip(target.elts, node.value.elts, strict=True) if both else [(target, node.value)]
                active |= {name.id for name, value in pairs if _is(value, "active")}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            of = node.value
            named = of.id if isinstance(of, ast.Name) else None
            if _is(of, "active") or named in active:
                sections.add(SECTION_OF.get(node.attr, node.attr))
                keys |= {KEY_OF_VIEW[stage]} if node.attr == "view" else set()
            if named == "dataset" or (isinstance(of, ast.Call) and _is(of.func, "dataset")):
                known = {*Dataset.model_fields, *KEY_OF}
                keys |= {KEY_OF.get(node.attr, node.attr)} if node.attr in known else set()
            if named == "config" or _is(of, "config"):
                factors |= {node.attr} & set(DESIGN)
                # Cells of the design are all its factors but views, and what is looked at of them.
                factors |= set(DESIGN) - {"views", "explained"} if node.attr == "cells" else set()
    return sections, keys - {None}, factors


def params_of(stage):
    """What a stage names: keys of params.yaml, and those of the dataset's file."""
    entries = STAGES[stage].get("params", [])
    keys = [entry for entry in entries if isinstance(entry, str)]
    of_files = [entry for entry in entries if isinstance(entry, dict)]
    assert all(list(entry) == ["datasets/${item.dataset}.yaml"] for entry in of_files)
    return keys, {key for entry in of_files for named in entry.values() for key in named}


def test_the_readers_of_this_test_see_what_scripts_read():
    assert reads_of("preprocess") == ({"preprocess"}, {"image_size_px"}, set())
    sections, keys, factors = reads_of("baseline")
    assert sections == {"baseline", "evaluate"} and keys >= {"classes", "frame_is_empty"}
    assert not factors
    assert "patients" in reads_of("download")[1], "of a module that the script imports"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_the_sections_it_reads_and_no_others(stage):
    sections, _, factors = reads_of(stage)
    keys, _ = params_of(stage)
    shared = {key.split(".")[0] for key in keys if not key.startswith("profiles.")}
    own = {key.removeprefix(f"{PROFILE_KEY}.").split(".")[0] for key in keys if key.startswith("profiles.")}
    values = read_values(ROOT / PARAMS)
    said = set().union(*values["profiles"].values())
    # What a profile says in the place of what all share is read as well; of nothing else can it say any.
    if PROFILE_KEY in keys:
        own = said & sections
    assert own == said & sections
    at_the_top = {name for name in sections if name in values and name not in DESIGN}
    # Of these it reads the source and checksums, which a profile says.
    written_out = at_the_top - ({"download", "backbone"} if stage == "report" else set())
    assert shared == written_out | factors
    assert sections <= set(Profile.model_fields)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_the_keys_of_the_dataset_it_reads(stage):
    _, read = params_of(stage)
    _, keys, _ = reads_of(stage)
    if stage in WHOLE_DATASETS:
        assert DATASETS.as_posix() in STAGES[stage]["deps"]
        assert read == set()
    else:
        assert read == keys


def test_what_is_named_in_params_yaml_and_the_datasets_exists():
    """DVC takes a key that is missing in a profile for a mistake."""
    values = read_values(ROOT / PARAMS)
    config = load_config(ROOT / PARAMS)
    for stage in STAGES:
        keys, of_dataset = params_of(stage)
        for profile in values["profiles"]:
            for key in keys:
                place = values
                for part in key.replace("${profile}", profile).replace("${item.view}", "whole").split("."):
                    place = place[part]
        for name in config.catalog:
            file = read_values(ROOT / DATASETS / f"{name}.yaml")
            for key in of_dataset:
                place = file
                for part in key.split("."):
                    place = place[part]


def test_no_module_is_named():
    """The code of a stage is its hash, which comments do not change."""
    assert STAGES["code"]["deps"] == ["src/lung_attention", "stages", "params.yaml", "datasets"]
    assert STAGES["code"]["outs"] == [code_digest("x").parent.as_posix()]
    for stage in set(STAGES) - {"code"}:
        named = paths_of(stage, "deps", "outs", "metrics", "plots")
        assert not any(path.startswith(("src", "stages", "tools")) or path.endswith(".py") for path in named)
        digest = code_digest(script_of(stage).stem)
        assert digest.as_posix() in STAGES[stage]["deps"]
        others = [path for path in named if path.startswith("artifacts/code/") and path != digest.as_posix()]
        of_cell = ["artifacts/code/heads/${item.head}.json", "artifacts/code/recipes/${item.recipe}.json"]
        assert others == (of_cell if stage.startswith(("train", "explain")) else [])


def test_the_hashes_that_stages_depend_on_are_written():
    written = set(code_digests(ROOT))
    assert {code_digest(script_of(stage).stem) for stage in STAGES} - written == {code_digest("code")}
    assert {head_digest(head) for head in HEADS} | {recipe_digest(recipe) for recipe in RECIPES} <= written


def test_the_paths_of_dvc_yaml_are_those_of_the_package():
    paths = Paths("sample")
    factors = {"profile": "sample", "view": "whole", **vars(CELL)}
    known = set()
    for name, method in vars(Paths).items():
        if isinstance(method, property):
            known.add(str(method.fget(paths)))
        elif callable(method) and not name.startswith("_"):
            names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
            arguments = {**factors, "cell": CELL}
            known.add(str(method(paths, *(arguments[parameter] for parameter in names))))
    for folder in ("cells", "audit", "baselines", "sensitivity", "search", "maps"):
        known.add(f"{paths.results}/{folder}")
    for folder in ("archives", "manifests", "splits", "views", "settings"):
        known.add(f"{paths.artifacts}/{folder}")
    known |= {path.as_posix() for path in (EXPERIMENTS, SAMPLE, DATASETS, head_digest(CELL.head))}
    known.add(recipe_digest(CELL.recipe).as_posix())
    known |= {code_digest(stage).as_posix() for stage in STAGES} | {"artifacts/code"}
    for stage in set(STAGES) - {"code"}:
        for text in paths_of(stage, "deps", "outs", "metrics", "plots"):
            for key, value in factors.items():
                text = text.replace("${" + ("" if key == "profile" else "item.") + f"{key}}}", str(value))
            assert "${" not in text, text
            assert text in known, text


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe != PUBLISHED])
@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_cells_of_further_recipes_are_made_and_scored_like_all_others(stage, recipe):
    further, plain = dict(STAGES[f"{stage}_{recipe}"]), dict(STAGES[stage])
    factors = [factor for factor in FACTORS if factor != "recipe"]
    own = {factor: f"${{further.{recipe}.{factor}s}}" for factor in factors}
    assert further.pop("matrix") == own | {"recipe": [recipe]}
    assert plain.pop("matrix") == {factor: f"${{{factor}s}}" for factor in factors} | {"recipe": [PUBLISHED]}
    assert further == plain
    assert re.search(rf"^  {stage}_{recipe}:\n    <<: \*{stage}\n    matrix: ", TEXT, re.MULTILINE), (
        "written twice"
    )
    for follows in ("compare", "report"):
        assert "results/${profile}/cells" in STAGES[follows]["deps"]
        assert "further" in STAGES[follows]["params"]


def test_the_matrix_covers_what_params_yaml_says():
    config = load_config(ROOT / PARAMS)
    matrices = {
        stage: list(values["matrix"].items()) for stage, values in STAGES.items() if "matrix" in values
    }
    assert {"download", "group", "split", "audit", "backbone", "preprocess", "train"} <= set(matrices)
    for factor, reference in itertools.chain.from_iterable(matrices.values()):
        if isinstance(reference, list):
            assert (factor, *reference) in [("view", CLOSE), *(("recipe", recipe) for recipe in RECIPES)]
            continue
        places = [f"${{{factor}s}}", *(f"${{further.{recipe}.{factor}s}}" for recipe in config.further)]
        places.append(f"${{explained.{factor}s}}")
        assert reference in places
        assert getattr(config, f"{factor}s", None) or getattr(config.explained, f"{factor}s")
    for stage in matrices:
        for factor in STAGES[stage]["matrix"]:
            assert f"--{factor} ${{item.{factor}}}" in STAGES[stage]["cmd"]


def test_stages_without_tensorflow_import_none():
    with_it = ("backbone", "explain", "preprocess", "train")
    allowed = {stage for stage in STAGES if stage.startswith(with_it)}
    imports = re.compile(r"^(?:import|from) (?:keras|tensorflow)\b", re.MULTILINE)
    inside = re.compile(r"^\s+(?:import|from) (?:keras|tensorflow)\b", re.MULTILINE)
    assert any(imports.search(file.read_text()) for file in code_of(script_of("train"), ROOT))
    for stage in set(STAGES) - allowed:
        for file in code_of(script_of(stage), ROOT):
            text = file.read_text(encoding="utf-8")
            assert not imports.search(text), (stage, file)
            assert not inside.search(text), (stage, file)


def test_the_file_stays_short():
    assert len(TEXT.splitlines()) < 275


def test_templates_of_plots_are_there_and_part_what_is_not_one():
    """A line a fit, and a matrix a baseline."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    used = {
        settings["template"]
        for stage in stages.values()
        for entry in stage.get("plots", [])
        for settings in entry.values()
    }
    assert used == {"confusion", "confusion_by_baseline", "fits"}
    for name in used - {"confusion"}:  # that one is DVC's own
        template = json.loads((ROOT / ".dvc" / "plots" / f"{name}.json").read_text(encoding="utf-8"))
        assert template["data"] == {"values": "<DVC_METRIC_DATA>"}
        text = json.dumps(template)
        assert ("datum.fold" if name == "fits" else '"baseline"') in text
