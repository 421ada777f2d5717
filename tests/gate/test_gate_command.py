"""The command: fabricated classifiers in a real git repository."""

import hashlib
import json
import shutil
import sys
from dataclasses import asdict, replace

import pandas as pd
import pytest
import yaml
from gate_tables import (
    CELL,
    OTHER,
    PATHS,
    ROOT,
    commit_all,
    git,
    new_project,
    table_of,
    write_cell,
    write_comparisons,
)

from lung_attention.cells import Cell
from lung_attention.cli import main
from lung_attention.files import write_json

NEW = Cell("lc25000", "densenet121", "plain", "published", "published")


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = new_project(tmp_path / "project")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def gate(project, monkeypatch, capsys):
    """Runs the command against HEAD; exit code, what it printed, and what it wrote for machines."""

    def run(*options, reference="HEAD"):
        file = project.parent / "gate.json"
        file.unlink(missing_ok=True)
        arguments = ["lung-attention", "gate", "--reference", reference, "--json", str(file), *options]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as exited:
            main()
        printed = capsys.readouterr()
        found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
        return exited.value.code, printed.out + printed.err, found

    return run


def verdicts(found):
    return {cell["cell"]: cell["verdict"] for cell in found["cells"]}


def set_gate(project, *, shared=False, **settings):
    """Changes the gate's parameters, those of all profiles or of the profile sample."""
    path = project / "params.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    (values["gate"] if shared else values["profiles"]["sample"]["gate"]).update(settings)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def set_design(project, recipe, **part):
    """Adds cells of a further recipe to the design."""
    path = project / "params.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["further"][recipe] = {"backbones": [CELL.backbone], "heads": [CELL.head]} | part
    # Whose view it looks at; no cell of that recipe is asked for.
    values["further"]["recommended"] = values["further"][recipe] | {"heads": [], "splits": []}
    values["further"]["finetuned"] = {factor: [] for factor in values["further"]["finetuned"]}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


def declare(project, change, *, cells=(CELL.name,), reason="a leak was closed", shared=False):
    set_gate(project, shared=shared, declared=[{"cells": list(cells), "change": change, "reason": reason}])


def test_an_unchanged_tree_passes(gate, project):
    code, printed, found = gate("--markdown", "gate.md")
    assert code == 0
    assert set(verdicts(found).values()) == {"identical"}
    assert found["commit"] == git(project, "rev-parse", "HEAD")
    assert printed.startswith("## Gate: pass\n")
    assert (project / "gate.md").read_text(encoding="utf-8") == printed


def test_a_loss_fails_whether_committed_or_not(gate, project):
    write_cell(project, CELL, table_of(CELL, errors=45))
    code, printed, found = gate()
    assert code == 1
    assert verdicts(found) == {CELL.name: "regression", OTHER.name: "identical"}
    assert f"| ❌ | `{CELL.name}` | regression | 0.900 → 0.550 (−0.350; −0." in printed
    commit_all(project, "worse")
    assert gate(reference="HEAD~1")[0] == 1
    assert gate()[0] == 0


def test_champions_move_when_asked_and_only_once_it_passes(gate, project, monkeypatch):
    moved = []

    def promote(cells, paths, *, root):
        moved.append((paths.profile, [cell.name for cell in cells]))
        return {"a.model": "7"}

    monkeypatch.setattr("lung_attention.tracking.cells.promote", promote)
    for cell in (CELL, OTHER):
        write_json(project / PATHS.metrics(cell), asdict(cell))
    assert gate()[0] == 0 and moved == []
    code, printed, _ = gate("--promote", "--cells", CELL.name)
    assert code == 0
    assert "models:/a.model@champion is version 7" in printed
    assert moved == [("sample", [CELL.name])]
    write_cell(project, CELL, table_of(CELL, errors=45))
    assert gate("--promote")[0] == 1 and len(moved) == 1


def test_a_gain_passes(gate, project):
    write_cell(project, CELL, table_of(CELL, errors=0))
    code, _, found = gate()
    assert code == 0
    assert verdicts(found)[CELL.name] == "pass"


def test_an_inconclusive_loss_passes_with_a_warning_and_says_what_it_could_have_seen(gate, project):
    write_cell(project, CELL, table_of(CELL, errors=13))
    code, printed, found = gate()
    assert code == 0
    assert verdicts(found)[CELL.name] == "inconclusive"
    assert "## Gate: pass, with a warning" in printed
    [loss] = [cell["detectable_loss"] for cell in found["cells"] if cell["cell"] == CELL.name]
    assert 0.1 < loss < 0.3
    assert f"{100 * loss:.1f} points |" in printed


def test_the_margin_can_be_set(gate, project):
    write_cell(project, CELL, table_of(CELL, errors=13))
    wide = [f"{name}=0.5" for name in ("balanced_accuracy", "mcc", "auroc_ovr", "log_loss")]
    code, _, found = gate("--margin", *wide)
    assert verdicts(found)[CELL.name] == "pass" and found["margins"]["mcc"] == 0.5
    # One that is left as it was is enough for a warning.
    assert verdicts(gate("--margin", *wide[1:])[2])[CELL.name] == "inconclusive"
    for text in ("0.1", "mcc=nan", "mcc=-1", "accuracy=0.1", "mcc="):
        code, printed, _ = gate("--margin", text)
        assert code == 2 and f"received {text!r}" in printed


@pytest.mark.parametrize("fold", [0, 1])
def test_a_constant_fold_is_below_the_floor_and_no_declaration_helps(gate, project, fold):
    """The other fold is perfect, so that the whole is above any floor, and not worse than it was."""
    before = (
        table_of(CELL, errors=30).assign(fold=lambda t: range(len(t))).assign(fold=lambda t: t["fold"] % 2)
    )
    write_cell(project, CELL, before)
    commit_all(project, "two folds")
    after = table_of(CELL, errors=0).assign(fold=before["fold"])
    columns = [column for column in after if column.startswith("probability_")]
    rows = after["fold"] == fold
    after.loc[rows, columns] = [0.9, 0.1]
    after.loc[rows, "prediction"] = columns[0].removeprefix("probability_")
    write_cell(project, CELL, after)
    declare(project, "worse")
    code, printed, found = gate()
    assert (code, verdicts(found)[CELL.name]) == (1, "below floor")
    assert f"fold {fold}: all 100 images are decided as" in printed
    commit_all(project, "broken")
    code, printed, found = gate()
    assert (code, verdicts(found)[CELL.name]) == (0, "identical")
    assert "so it was in the reference" in printed


def test_a_small_loss_in_all_cells_fails_together(gate, project):
    cells = [Cell(CELL.dataset, backbone, head, "published", split)
             for backbone in ("mobilenetv2", "densenet121") for head in ("plain", "attention")
             for split in ("published", "grouped")]  # fmt: skip
    for cell in cells:
        write_cell(project, cell, table_of(cell, per_class=500, errors=0))
    commit_all(project, "a family")
    set_gate(project, training_sd={"balanced_accuracy": 0.005, "log_loss": 0.02})
    for k, cell in enumerate(cells):
        write_cell(project, cell, table_of(cell, per_class=500, errors=10, first=15 * k))
    code, printed, found = gate("--cells", "lidc-*")
    assert code == 1
    assert found["pooled"]["regression"] and found["pooled"]["cells"] == 8
    assert found["pooled"]["differences"]["balanced_accuracy"] == pytest.approx(-0.02)
    assert "All 8 changed cells together: ❌ **a regression** (p < 0.001 of 0.01)" in printed
    assert "regression" not in verdicts(found).values()  # only together
    # Declared, they are not pooled.
    declare(project, "worse", cells=["lidc-*"])
    code, _, found = gate("--cells", "lidc-*")
    assert (code, found["pooled"]) == (0, None)


def test_cells_can_be_chosen(gate, project):
    write_cell(project, CELL, table_of(CELL, errors=60))
    code, _, found = gate("--cells", "iqoth-*")
    assert (code, list(verdicts(found))) == (0, [OTHER.name])
    code, printed, _ = gate("--cells", "iqoth-*", "lung*")
    assert code == 2
    assert "--cells lung*: no such cell" in printed


@pytest.mark.parametrize(
    ("table", "change"),
    [
        (None, "missing"),
        (table_of(CELL, per_class=90), "images"),
        (table_of(CELL).replace({"label": {"benign": "malignant", "malignant": "benign"}}), "labels"),
        (table_of(CELL, fold=1), "folds"),
    ],
    ids=["missing", "images", "labels", "folds"],
)
def test_what_cannot_be_compared_fails_unless_declared(gate, project, table, change):
    if change == "labels":  # swapped labels with unswapped decisions are below any floor
        table.loc[10:, "label"] = table_of(CELL).loc[10:, "label"]
    if table is None:
        (project / PATHS.predictions(CELL)).unlink()
    else:
        write_cell(project, CELL, table)
    code, printed, found = gate()
    assert code == 2
    assert verdicts(found)[CELL.name] == "not comparable"
    assert f"- `{CELL.name}`: {change}: " in printed
    declare(project, "worse")
    assert gate()[0] == 2  # another change was declared
    declare(project, change, cells=[OTHER.name])
    assert gate()[0] == 2  # for another cell
    declare(project, change, cells=["lidc-*"])
    code, printed, found = gate()
    assert code == 0
    assert verdicts(found)[CELL.name] == "declared"
    assert "declared: a leak was closed" in printed


def test_two_changes_need_two_declarations(gate, project):
    table = table_of(CELL, fold=1)
    table.loc[0, "label"] = "malignant"
    write_cell(project, CELL, table)
    declare(project, "labels")
    code, _, found = gate()
    assert (code, verdicts(found)[CELL.name]) == (2, "not comparable")


@pytest.mark.parametrize("shared", [False, True], ids=["of the profile", "of all profiles"])
def test_a_wanted_loss_can_be_declared_once(gate, project, shared):
    write_cell(project, CELL, table_of(CELL, errors=40))
    declare(project, "worse", shared=shared)
    code, printed, found = gate()
    assert (code, verdicts(found)[CELL.name]) == (0, "declared")
    commit_all(project, "a leak was closed")
    write_cell(project, CELL, table_of(CELL, errors=80))
    code, printed, found = gate()
    assert (code, verdicts(found)[CELL.name]) == (1, "regression")
    assert "Spent, since the reference holds them already" in printed
    assert found["spent_declarations"][0]["change"] == "worse"


def test_a_majority_vote_is_below_the_floor_and_no_declaration_helps(gate, project):
    table = table_of(CELL, errors=0)
    benign = table["prediction"].iloc[0]
    constant = pd.concat([table[table["label"] == benign]] * 2, ignore_index=True)
    constant = constant.assign(image=table["image"], label=table["label"])
    write_cell(project, CELL, constant)
    commit_all(project, "already so in the reference")
    declare(project, "worse")
    code, printed, found = gate()
    assert (code, verdicts(found)[CELL.name]) == (1, "below floor")
    assert "balanced accuracy 0.500 is not above 0.510" in printed
    assert "MCC 0.000 is not above 0" in printed


def test_a_new_cell_has_only_its_floor(gate, project):
    write_cell(project, NEW, table_of(NEW, errors=30))
    code, _, found = gate()
    assert (code, verdicts(found)[NEW.name]) == (0, "new")
    write_cell(project, NEW, table_of(NEW, errors=70))
    code, _, found = gate()
    assert (code, verdicts(found)[NEW.name]) == (1, "below floor")


def test_predictions_that_an_earlier_design_left_behind_are_no_result(gate, project):
    left = Cell(
        "lidc_nodules", "mobilenetv2", "plain", "published", "published"
    )  # not of the sample's design
    of_recipe = replace(CELL, recipe="searched")  # neither is another recipe
    for cell in (left, of_recipe):
        write_cell(project, cell, table_of(cell, errors=90))
    assert set(verdicts(gate()[2])) == {CELL.name, OTHER.name}


def test_a_cell_of_another_recipe_is_compared_with_its_own_past(gate, project):
    set_design(project, "searched", datasets=[OTHER.dataset], splits=[OTHER.split])
    searched = replace(OTHER, recipe="searched")
    write_cell(project, searched, table_of(searched, errors=30))
    assert verdicts(gate()[2])[searched.name] == "new"
    commit_all(project, "searched")
    write_cell(project, searched, table_of(searched, errors=65))
    assert verdicts(gate()[2]) == {
        CELL.name: "identical", OTHER.name: "identical", searched.name: "regression",
    }  # fmt: skip


def test_what_is_below_the_paper_is_the_published_recipe_alone(gate, project):
    set_design(project, "searched", datasets=[CELL.dataset], splits=[CELL.split])
    write_cell(project, replace(CELL, recipe="searched"), table_of(CELL))
    write_comparisons(project, "below")
    found = verdicts(gate()[2])
    assert found[CELL.name] == "below floor" and found[replace(CELL, recipe="searched").name] == "new"


def test_a_reference_whose_cells_have_other_factors_lets_nothing_pass(gate, project):
    """All cells would be new to it."""
    for cell in (CELL, OTHER):
        folder = project / PATHS.cell(cell)
        folder.rename(folder.with_name(cell.name.replace("-published-", "-", 1)))
    commit_all(project, "an earlier layout")
    for cell in (CELL, OTHER):
        write_cell(project, cell, table_of(cell, errors=60))
    code, printed, _ = gate()
    assert code == 2
    assert "by other factors" in printed and "newer --reference" in printed


def test_a_dataset_that_no_file_describes_is_named(gate, project):
    left = Cell("mammograms", "mobilenetv2", "plain", "published", "published")
    write_cell(project, left, table_of(CELL))
    commit_all(project, "another dataset")
    code, printed, _ = gate("--cells", "mammograms-*")
    assert code == 2
    assert f"- `{left.name}`: missing: only the reference has this cell" in printed


def test_a_lost_reproduction_is_below_the_floor(gate, project):
    write_comparisons(project, "within sampling error")
    commit_all(project, "reproduced")
    write_comparisons(project, "below")
    code, printed, found = gate()
    assert (code, verdicts(found)[CELL.name]) == (1, "below floor")
    assert "below the published one" in printed
    declare(project, "below_published")
    assert gate()[0] == 0
    declare(project, "worse")
    assert gate()[0] == 1
    commit_all(project, "not reproduced")
    assert gate()[0] == 0  # it is no news any more


@pytest.mark.parametrize("verdict", ["stand-in", "open", "above"])
def test_other_verdicts_on_the_paper_do_not_fail(gate, project, verdict):
    write_comparisons(project, verdict)
    assert gate()[0] == 0


def test_other_seeds_are_compared_and_named(gate, project):
    write_cell(project, CELL, table_of(CELL, errors=10, seed=5))
    code, printed, found = gate()
    assert (code, verdicts(found)[CELL.name]) == (0, "identical")
    assert "seeds [0] became [5]: compared 5 with 0" in printed


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "cannot be read as a table"),
        (b"\xff\xfe\x00", "cannot be read as a table"),
        (b"picture,truth\na.png,benign\n", "lack the columns"),
        (b"image,label,group,fold,seed,prediction,probability_benign\na,benign,,0,0,benign,1\n", "lack"),
    ],
)
@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_predictions_of_another_schema(gate, project, side, content, said):
    path = project / PATHS.predictions(CELL)
    good = path.read_bytes()
    path.write_bytes(content)
    if side == "reference":
        commit_all(project, "another schema")
        path.write_bytes(good)
    code, printed, found = gate()
    assert code == 2
    assert (found["exit_code"], found["cells"]) == (2, [])
    assert f"{side}, cell {CELL.name}" in printed
    assert f"{side}, cell {CELL.name}" in found["problem"]
    assert said in printed
    assert ("name a newer --reference" if side == "reference" else "dvc repro") in printed
    assert "Traceback" not in printed


def test_no_table_of_an_earlier_run_is_left_behind(gate, project):
    assert gate("--markdown", "gate.md")[0] == 0
    code, _, _ = gate("--markdown", "gate.md", reference="nonsense")
    assert code == 2
    text = (project / "gate.md").read_text(encoding="utf-8")
    assert text.startswith("## Gate: not comparable\n\n--reference nonsense: ")
    assert "→ see `git branch" in text


def test_a_class_without_test_images(gate, project):
    table = table_of(CELL)
    write_cell(project, CELL, table[table["label"] == "benign"])
    code, printed, _ = gate()
    assert code == 2
    assert "no test image of the classes ['malignant']" in printed


def test_comparisons_that_are_none(gate, project):
    (project / PATHS.comparisons).write_text("[1]", encoding="utf-8")
    code, printed, _ = gate()
    assert code == 2
    assert "these are no comparisons" in printed


def test_without_results_or_with_an_unknown_profile(gate):
    code, printed, _ = gate("--profile", "local")
    assert code == 2
    assert "results/local/cells" in printed
    code, printed, _ = gate("--profile", "lokal")
    assert code == 2
    assert "received 'lokal'" in printed


def test_a_folder_is_compared_like_a_revision(gate, project, tmp_path):
    other = new_project(tmp_path / "other")
    write_cell(other, CELL, table_of(CELL, errors=0))
    write_cell(project, CELL, table_of(CELL, errors=60))
    code, _, found = gate(reference=str(other))
    assert (code, found["commit"]) == (1, None)
    assert verdicts(found) == {CELL.name: "regression", OTHER.name: "identical"}


def test_a_loss_goes_before_what_cannot_be_compared(gate, project):
    write_cell(project, CELL, table_of(CELL, errors=60))
    (project / PATHS.predictions(OTHER)).unlink()
    code, printed, found = gate()
    assert code == 1
    assert set(verdicts(found).values()) == {"regression", "not comparable"}
    assert printed.index("regression |") < printed.index("not comparable |")


def test_changed_parameters_and_code_are_named(gate, project):
    (project / "src").mkdir(exist_ok=True)
    (project / "src" / "fitting.py").write_text("rate = 1\n")
    commit_all(project, "code")
    values = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    values["train"]["recipe"]["epochs"] = 7
    values["profiles"]["sample"]["tolerance"] = 0.2
    (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (project / "src" / "fitting.py").write_text("rate = 2\n")
    code, printed, found = gate()
    assert code == 0
    assert found["changed_params"] == {
        "train.recipe.epochs": {"reference": 100, "candidate": 7},
        "profiles.sample.tolerance": {"reference": 0.1, "candidate": 0.2},
    }
    assert found["changed_files"] == ["src/fitting.py"]
    assert "`train.recipe.epochs`: 100 → 7" in printed
    assert "Changed code: `src/fitting.py`." in printed


def test_nothing_is_said_of_changes_where_there_are_none(gate, project):
    _, printed, found = gate()
    assert (found["changed_params"], found["changed_files"]) == ({}, [])
    assert "Changed" not in printed


@pytest.fixture
def stale(project):
    """Makes the results stale: of a training by another number of epochs."""
    for folder in ("src/lung_attention", "stages"):
        shutil.copytree(ROOT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = project / "dvc.lock"

    def write(epochs):
        entry = {
            "params": {"params.yaml": {"train.recipe.epochs": epochs}},
            "outs": [{"path": PATHS.trained(CELL).as_posix()}],
        }
        predictions = PATHS.predictions(CELL)
        digest = hashlib.md5((project / predictions).read_bytes()).hexdigest()
        evaluate = {
            "deps": [{"path": PATHS.trained(CELL).as_posix()}],
            "outs": [{"path": predictions.as_posix(), "md5": digest}],
        }
        stages = {CELL.stage: entry, f"evaluate@{CELL.name}": evaluate}
        path.write_text(yaml.safe_dump({"stages": stages}))

    write(100)
    return write


def test_stale_results_do_not_pass(gate, project, stale, monkeypatch):
    monkeypatch.setattr("lung_attention.tracking.cells.promote", lambda *_, **__: pytest.fail("promoted"))
    code, printed, found = gate()
    assert (code, found["verdict"], found["stale"]) == (0, "pass", {})
    assert "stale" not in printed
    stale(7)
    code, printed, found = gate("--promote")
    assert (code, found["verdict"], found["stale"]) == (0, "stale", {"other parameters": [CELL.stage]})
    assert printed.startswith("## Gate: stale\n")
    assert "Stages with other parameters: train. `make repro` makes them anew" in printed
    assert "no model was promoted" in printed
    code, _, found = gate("--strict")
    assert (code, found["exit_code"], found["verdict"]) == (1, 1, "stale")
    write_cell(project, CELL, table_of(CELL, errors=45))
    code, _, found = gate()
    assert (code, found["verdict"]) == (1, "fail")


@pytest.mark.parametrize("missing", ["dvc.lock", "stages", None])
def test_where_it_cannot_be_asked_whether_results_are_stale_that_is_said(
    gate, project, stale, monkeypatch, missing
):
    if missing is None:  # an installation without what reads locks
        monkeypatch.setitem(sys.modules, "lung_attention.workflow.stale", None)
    elif missing == "dvc.lock":
        (project / missing).unlink()
    else:
        shutil.rmtree(project / missing)
    code, printed, found = gate("--strict")
    assert (code, found["verdict"], found["stale"]) == (0, "pass", None)
    assert "of this code and these parameters was not asked: " in printed


def test_another_checkout_is_compared_file_by_file(gate, project, tmp_path):
    for root, text in ((project, "rate = 2\n"), (tmp_path / "other", "rate = 1\n")):
        (root / "src").mkdir(parents=True, exist_ok=True)
        (root / "src" / "fitting.py").write_text(text)
    shutil.copytree(project / "results", tmp_path / "other" / "results")
    shutil.copy(project / "params.yaml", tmp_path / "other")
    _, _, found = gate(reference=str(tmp_path / "other"))
    assert "src/fitting.py" in found["changed_files"]
    assert found["changed_params"] == {}


def test_what_is_inconclusive_fails_where_strict_is_asked_for(gate, project):
    write_cell(project, CELL, table_of(CELL, errors=12))
    code, _, found = gate()
    assert (code, verdicts(found)[CELL.name]) == (0, "inconclusive")
    code, printed, found = gate("--strict")
    assert (code, found["strict"]) == (1, True)
    assert printed.startswith("## Gate: pass, with a warning, which --strict makes a failure\n")
