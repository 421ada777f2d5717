"""The gate on anyone's predictions: tables of two plain scikit-learn scripts, and of MLflow runs.

`logistic_regression.csv` and `random_forest.csv` hold cross-validated predictions on the Breast Cancer
Wisconsin data that scikit-learn brings: 240 cases, two of them a patient; the forest sees four features.
"""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from gate_tables import CELL, table_of
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from lung_attention.cli import main
from lung_attention.files import write_table

HERE = Path(__file__).parent
REGRESSION, FOREST = HERE / "logistic_regression.csv", HERE / "random_forest.csv"
COLUMNS = [
    "--id", "case", "sample", "--label", "diagnosis", "y_true", "--cluster", "patient_id", "subject",
    "--fold", "cv_fold", "split",
    "--probability", "malignant=p_malignant", "benign=p_benign", "malignant=score",
]  # fmt: skip
OURS = ["--id", "image", "--label", "label"]


@pytest.fixture
def gate(tmp_path, monkeypatch, capsys):
    """Runs the command where there is neither a repository nor params.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'runs.db'}")

    def run(old, new, *options):
        arguments = ["lung-attention", "gate", str(old), str(new), "--json", "gate.json", *options]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as exited:
            main()
        printed = capsys.readouterr()
        found = json.loads(Path("gate.json").read_text(encoding="utf-8"))
        return exited.value.code, printed.out + printed.err, found

    return run


def changed(tmp_path, source, change):
    """A copy of a table, changed by a function."""
    path = tmp_path / f"changed-{source.name}"
    change(pd.read_csv(source)).to_csv(path, index=False)
    return path


def test_two_other_tools_with_other_column_names(gate):
    code, printed, found = gate(REGRESSION, FOREST, *COLUMNS)
    assert code == 1
    [cell] = found["cells"]
    assert (found["verdict"], cell["verdict"], found["pooled"]) == ("fail", "regression", None)
    for side, path, label, of_class in (
        ("reference", REGRESSION, "diagnosis", "p_malignant"), ("candidate", FOREST, "y_true", "score"),
    ):  # fmt: skip
        table = pd.read_csv(path)
        truth, p = table[label] == "malignant", table[of_class]
        assert cell["balanced_accuracy"][side] == pytest.approx(
            balanced_accuracy_score(truth, p > 0.5), abs=0.01
        )
        assert cell["auroc_ovr"][side] == pytest.approx(roc_auc_score(truth, p))
        assert cell["log_loss"][side] == pytest.approx(log_loss(truth, p), abs=1e-3)
    assert f"| ❌ | `predictions` | regression | {cell['balanced_accuracy']['reference']:.3f} → " in printed
    code, _, found = gate(FOREST, REGRESSION, *COLUMNS)
    assert (code, found["verdict"]) == (0, "pass")
    assert gate(FOREST, FOREST, *COLUMNS)[2]["cells"][0]["verdict"] == "identical"


def test_clusters_and_luck_make_the_test_more_careful(gate):
    loss = [gate(REGRESSION, FOREST, *COLUMNS)[2]["cells"][0]["detectable_loss"]]
    for options in (["--training-sd", "0.05"], ["--training-sd", "0.3", "--log-loss-sd", "2"]):
        code, _, found = gate(REGRESSION, FOREST, *COLUMNS, *options)
        loss.append(found["cells"][0]["detectable_loss"])
    assert loss == sorted(loss) and loss[0] < loss[-1]
    assert (code, found["verdict"]) == (0, "pass, with a warning")
    assert found["cells"][0]["training_sd"] == {"balanced_accuracy": 0.3, "log_loss": 2.0}


def test_a_constant_fold_and_a_floor_of_ones_own(gate, tmp_path):
    def constant(table):
        rows = table["cv_fold"] == 2
        return table.assign(
            p_malignant=table["p_malignant"].where(~rows, 0.3), p_benign=table["p_benign"].where(~rows, 0.7)
        )

    code, printed, _ = gate(REGRESSION, changed(tmp_path, REGRESSION, constant), *COLUMNS)
    assert code == 1
    assert "fold 2: all 60 images are decided as benign" in printed
    code, printed, _ = gate(FOREST, FOREST, *COLUMNS, "--floor", "0.9")
    assert code == 1 and "is not above 0.900" in printed


def test_folds_and_seeds_are_optional_and_named_as_ours_by_default(gate, tmp_path):
    table = pd.concat([table_of(CELL, seed=seed) for seed in (0, 1)])
    write_table(tmp_path / "old.csv", table)
    write_table(tmp_path / "new.csv", table[["image", "label", "seed", *table.columns[-2:]]])
    code, _, found = gate("old.csv", "new.csv")
    assert (code, found["cells"][0]["verdict"]) == (0, "identical")


def test_folds_may_have_any_names(gate, tmp_path):
    def named(table):
        return table.assign(cv_fold="part-" + table["cv_fold"].astype(str))

    path = changed(tmp_path, REGRESSION, named)
    assert gate(path, path, *COLUMNS)[0] == 0
    code, printed, found = gate(REGRESSION, path, *COLUMNS)
    assert (code, found["cells"][0]["verdict"]) == (2, "not comparable")
    assert "folds: 240 of 240 images" in printed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="case"), "has none of the columns ['case', 'sample']"),
        (lambda t: t.drop(columns=["p_malignant", "p_benign"]), "holds no probabilities"),
        (lambda t: t.assign(p_benign=t["p_benign"] / 2), "probabilities that do not sum to 1"),
        (lambda t: t.assign(p_benign="high"), "hold what is no number"),
        (lambda t: t.assign(diagnosis="malign"), "none of the classes"),
        (lambda t: t.assign(diagnosis="benign"), "no row has the label 'malignant'"),
        (lambda t: pd.concat([t, t.head(1)]), "two rows for one seed"),
    ],
)
def test_tables_that_cannot_be_used(gate, tmp_path, change, said):
    path = changed(tmp_path, REGRESSION, change)
    code, printed, found = gate(REGRESSION, path, *COLUMNS)
    assert code == 2
    assert said in printed and "Traceback" not in printed
    assert str(path) in found["problem"] and found["exit_code"] == 2


def test_decisions_alone_are_refused_with_what_to_do(gate, tmp_path):
    path = changed(
        tmp_path, REGRESSION, lambda t: t.assign(predicted="benign").drop(columns=["p_benign", "p_malignant"])
    )
    code, printed, _ = gate(REGRESSION, path, *COLUMNS)
    assert code == 2 and "predict_proba" in printed


def test_other_images_and_other_classes_cannot_be_compared(gate, tmp_path):
    code, printed, _ = gate(REGRESSION, changed(tmp_path, REGRESSION, lambda t: t.head(200)), *COLUMNS)
    assert code == 2 and "240 test images in the reference, 200 here" in printed
    write_table(
        tmp_path / "iqoth.csv", table_of(CELL).rename(columns={"probability_benign": "probability_cyst"})
    )
    write_table(tmp_path / "lidc.csv", table_of(CELL))
    code, printed, _ = gate("lidc.csv", "iqoth.csv")
    assert code == 2 and "probabilities of the classes" in printed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--probability", "malignant"], "expected CLASS=COLUMN, received 'malignant'"),
        (["--floor", "1.5"], "--floor: expected 0 or more"),
        (["--training-sd", "nan"], "--training-sd: expected 0 or more"),
        (["--margin", "mcc"], "--margin: expected SCORE=LOSS"),
        (["--reference", "main"], "expected two tables and none of"),
        (["--promote"], "expected two tables and none of"),
    ],
)
def test_options_that_cannot_be_used(gate, options, said):
    code, printed, found = gate(REGRESSION, FOREST, *COLUMNS, *options)
    assert (code, found["exit_code"]) == (2, 2)
    assert said in printed


def test_neither_tables_nor_a_reference(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["lung-attention", "gate"])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 2 and "--reference main" in capsys.readouterr().err


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Logs tables as the predictions of MLflow runs; gives their ids."""
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'runs.db'}")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    experiment = mlflow.create_experiment("others", artifact_location=(tmp_path / "artifacts").as_uri())

    def log(table, folder=None):
        with mlflow.start_run(experiment_id=experiment) as run:
            if table is not None:
                write_table(tmp_path / "predictions.csv", table)
                mlflow.log_artifact(str(tmp_path / "predictions.csv"), folder)
        return f"mlflow-run:{run.info.run_id}"

    return log


def test_two_runs_and_a_run_with_a_file(gate, runs, tmp_path):
    old = runs(table_of(CELL, errors=10), "results")  # as this project's runs
    worse = runs(table_of(CELL, errors=45))
    code, printed, found = gate(old, worse)
    assert (code, found["cells"][0]["verdict"]) == (1, "regression")
    assert (found["reference"], found["subject"]) == (old, worse)
    write_table(tmp_path / "better.csv", table_of(CELL, errors=5))
    assert gate(worse, "better.csv")[0] == 0
    code, printed, _ = gate(old, runs(None))
    assert code == 2 and "none of the artifacts" in printed
    code, printed, _ = gate("mlflow-run:0123", "better.csv")
    assert code == 2 and "has no such run" in printed
