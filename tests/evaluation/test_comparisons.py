import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from known import DATASETS, LABELS
from prediction_tables import softened, table_of

from lung_attention.cells import FACTORS, Cell
from lung_attention.data.published import load_published
from lung_attention.errors import UserError
from lung_attention.evaluation.comparisons import compare
from lung_attention.evaluation.intervals import evaluate
from lung_attention.evaluation.leakage import LEAKAGE_SCORES
from lung_attention.evaluation.paired_comparison import SCORES

PUBLISHED = load_published().results
SETTINGS = {"resamples": 300, "confidence": 0.95, "bins": 10, "seed": 0}
N, GROUPS = 600, 100  # images and groups of a planted dataset; every fifth image is a published test image


def planted(dataset, split, accuracy, *, seed=0, groups=True, cluster_errors=False):
    """Predictions with the given accuracy; whole groups are wrong if `cluster_errors`."""
    classes = DATASETS[dataset].labels
    rng = np.random.default_rng(seed)
    labels, group = np.arange(N) % len(classes), np.arange(N) // (N // GROUPS)
    images = np.array([f"image-{k}" for k in range(N)])
    right = (rng.random(GROUPS)[group] if cluster_errors else rng.permutation(N) / N) < accuracy
    test = np.arange(N) % 5 == 0 if split == "published" else np.ones(N, bool)
    return table_of(
        labels[test],
        softened(labels, right, classes, rng=rng)[test],
        classes,
        images=images[test],
        groups=group[test] if groups else None,
    )


BLIND = {name: ["image_size", "border"] for name in DATASETS}
NO_EXPERIMENTS = pd.DataFrame(columns=["dataset", "backbone", "head", "split"])


def compared(cells, **options):
    options = {"baselines": {}, "blind": BLIND, "experiments": NO_EXPERIMENTS, "stand_in": False} | options
    published = options.pop("published", PUBLISHED)
    result = compare(cells, published, labels=LABELS, **options, **SETTINGS)
    return json.loads(json.dumps(result, allow_nan=False))


@pytest.fixture(scope="module")
def outcome():
    """Attention helps iqoth without leakage; densenet121 loses from leakage; lidc is missing."""
    cells = {}
    for backbone, (published, grouped) in {"densenet121": (1.0, 0.7), "mobilenetv2": (0.98, 0.97)}.items():
        for head, gain in (("plain", 0.0), ("attention", 0.1 if backbone == "densenet121" else 0.0)):
            for split, accuracy in (("published", published), ("grouped", grouped + gain)):
                cells[Cell("iqoth", backbone, head, "published", split)] = planted(
                    "iqoth", split, accuracy, seed=1
                )
    baselines = {
        ("iqoth", split): pd.concat(
            [
                planted("iqoth", split, accuracy, groups=split == "grouped").assign(baseline=name)
                for name, accuracy in (("nearest_neighbour", near), ("image_size", 0.4))
            ]
        )
        for split, near in (("published", 1.0), ("grouped", 0.6))
    }
    return cells, compared(cells, baselines=baselines)


def test_attention_against_plain(outcome):
    _, result = outcome
    entries = {(entry["backbone"], entry["split"]): entry for entry in result["attention_vs_plain"]}
    assert len(entries) == 4 and all(entry["family_size"] == 2 for entry in entries.values())
    helped = entries["densenet121", "grouped"]
    assert helped["test"] == "sign_flip" and helped["verdict"] == "helps"
    assert helped["differences"]["accuracy"]["difference"] == pytest.approx(0.1)
    assert 0.05 < helped["differences"]["accuracy"]["low"] < 0.1 < helped["differences"]["accuracy"]["high"]
    assert helped["p_holm"] == pytest.approx(2 * helped["p_value"])
    assert helped["n_test"] == N and helped["n_groups"] == GROUPS
    same = entries["mobilenetv2", "published"]
    assert same["test"] == "mcnemar" and same["p_value"] == 1 and same["verdict"] == "undecided"
    assert same["n_test"] == N / 5
    for entry in entries.values():
        assert set(entry["differences"]) == set(SCORES)
        for numbers in entry["differences"].values():
            assert numbers["low"] <= numbers["difference"] <= numbers["high"]


def test_leakage(outcome):
    _, result = outcome
    networks = {
        (entry["backbone"], entry["head"]): entry for entry in result["leakage"] if entry["kind"] == "network"
    }
    assert networks["densenet121", "plain"]["verdict"] == "drop"
    assert networks["densenet121", "plain"]["accuracy"]["difference"] == pytest.approx(0.3)
    assert networks["mobilenetv2", "plain"]["verdict"] == "no clear change"
    trivial = {entry["baseline"]: entry for entry in result["leakage"] if entry["kind"] == "baseline"}
    assert trivial["nearest_neighbour"]["verdict"] == "drop"
    assert set(trivial) == {"nearest_neighbour", "image_size"}
    for entry in result["leakage"]:
        for score in LEAKAGE_SCORES:
            numbers = entry[score]
            assert numbers["difference"] == pytest.approx(numbers["published"] - numbers["grouped"])
            assert numbers["low"] <= numbers["difference"] <= numbers["high"]
    perfect = networks["densenet121", "plain"]["accuracy"]
    assert perfect["published"] == 1
    # The published side has no error to resample; its own exact interval is still in the bound.
    assert perfect["difference"] - perfect["low"] > 0.025


def test_the_same_images_are_set_beside_each_other(outcome):
    cells, result = outcome
    entry = next(
        entry for entry in result["leakage"] if (entry["backbone"], entry["head"]) == ("densenet121", "plain")
    )
    published, grouped = (
        cells[Cell("iqoth", "densenet121", "plain", "published", split)] for split in ("published", "grouped")
    )
    again = grouped[grouped["image"].isin(published["image"])]
    right = [(table["label"] == table["prediction"]).mean() for table in (published, again)]
    assert len(again) == len(published) == entry["same_images"]["n_test"] < len(grouped)
    assert entry["same_images"]["accuracy"]["difference"] == pytest.approx(right[0] - right[1])
    benign = grouped[grouped["label"] == "benign"]
    assert entry["classes"]["benign"] == pytest.approx(
        {
            "share": len(benign) / len(grouped),
            "published": 1.0,
            "grouped": (benign["prediction"] == "benign").mean(),
        }
    )


def test_networks_are_tested_against_baselines_where_nothing_leaks(outcome):
    _, result = outcome
    entries = {(e["backbone"], e["head"], e["baseline"]): e for e in result["network_vs_baseline"]}
    assert len(entries) == 8 and {e["split"] for e in entries.values()} == {"grouped"}
    assert all(e["family_size"] == 8 and e["test"] == "sign_flip" for e in entries.values())
    blind = entries["densenet121", "plain", "image_size"]
    assert blind["blind"] and blind["verdict"] == "better"
    assert blind["differences"]["accuracy"]["difference"] == pytest.approx(0.3, abs=0.02)
    assert not entries["densenet121", "plain", "nearest_neighbour"]["blind"]


@pytest.mark.parametrize("baseline, verdict", [(0.95, "worse"), (0.7, "undecided"), (0.3, "better")])
def test_a_planted_baseline_is_judged_as_it_was_planted(baseline, verdict):
    cell = Cell("iqoth", "densenet121", "plain", "published", "grouped")
    baselines = {
        ("iqoth", "grouped"): planted("iqoth", "grouped", baseline, seed=2).assign(baseline="border")
    }
    result = compared({cell: planted("iqoth", "grouped", 0.7, seed=1)}, baselines=baselines)
    (entry,) = result["network_vs_baseline"]
    assert entry["verdict"] == verdict and entry["blind"]


def test_metrics_are_those_of_evaluate(outcome):
    cells, result = outcome
    cell = Cell("iqoth", "mobilenetv2", "attention", "published", "published")
    metrics = evaluate(cells[cell], DATASETS["iqoth"].labels, **SETTINGS)
    entry = next(
        entry
        for entry in result["reproduction"]
        if (entry["dataset"], entry["backbone"], entry["head"]) == ("iqoth", "mobilenetv2", "attention")
    )
    assert entry["ours"]["accuracy"] == metrics["accuracy"]
    assert entry["ours"]["low"] == metrics["accuracy_low"]
    assert entry["ours"]["high"] == metrics["accuracy_high"]


def test_reproduction(outcome):
    _, result = outcome
    entries = {
        (entry["dataset"], entry["backbone"], entry["head"]): entry for entry in result["reproduction"]
    }
    assert len(entries) == 12
    assert entries["iqoth", "mobilenetv2", "plain"]["verdict"] == "within sampling error"
    assert entries["iqoth", "mobilenetv2", "plain"]["published"]["n_right"] == 217
    missing = entries["lidc", "densenet121", "plain"]
    assert missing["verdict"] == "open" and missing["ours"] is None and missing["difference"] is None


def searched(head, split="grouped"):
    return Cell("iqoth", "densenet121", head, "searched", split)


def test_a_cell_of_another_recipe_is_set_beside_the_same_cell_of_the_published_one(outcome):
    cells, without = outcome
    cell = searched("plain")
    result = compared(cells | {cell: planted("iqoth", "grouped", 0.9, seed=1)})
    (entry,) = result["recipe_vs_published"]
    assert {factor: entry[factor] for factor in FACTORS} == vars(cell)
    accuracy = entry["differences"]["accuracy"]
    assert accuracy["published"] == pytest.approx(0.7, abs=0.01)
    assert accuracy["changed"] == pytest.approx(0.9, abs=0.01)
    assert accuracy["low"] < accuracy["difference"] < accuracy["high"]
    assert (entry["test"], entry["verdict"]) == ("sign_flip", "helps")
    assert entry["changed_better"] > entry["published_better"]
    assert (entry["p_holm"], entry["family_size"]) == (entry["p_value"], 1)
    # Nothing else knows of it: it is the other head's and the other split's of no cell.
    assert without["recipe_vs_published"] == []
    assert {**result, "recipe_vs_published": []} == compared(cells)


def test_a_recipe_without_its_published_cell_is_compared_with_nothing(outcome):
    cells, _ = outcome
    cell = Cell("iqoth", "resnet", "plain", "searched", "grouped")
    assert compared(cells | {cell: planted("iqoth", "grouped", 0.9)})["recipe_vs_published"] == []


def test_heads_of_one_recipe_are_set_beside_each_other(outcome):
    cells, _ = outcome
    result = compared(
        cells
        | {
            searched("plain"): planted("iqoth", "grouped", 0.7, seed=1),
            searched("attention"): planted("iqoth", "grouped", 0.95, seed=1),
        }
    )
    (entry,) = [entry for entry in result["attention_vs_plain"] if entry["recipe"] == "searched"]
    assert (entry["split"], entry["test"], entry["family_size"]) == ("grouped", "sign_flip", 1)
    assert entry["differences"]["accuracy"]["difference"] == pytest.approx(0.25, abs=0.01)
    assert "head" not in entry
    assert [gain["family_size"] for gain in result["recipe_vs_published"]] == [2, 2]
    assert all(gain["p_holm"] >= gain["p_value"] for gain in result["recipe_vs_published"])
    # More comparisons of another recipe make those of the published one no harder to win.
    published = [entry for entry in result["attention_vs_plain"] if entry["recipe"] == "published"]
    assert published == compared(cells)["attention_vs_plain"]


def test_each_recipe_and_split_is_a_family_of_its_own_and_leaks_by_itself(outcome):
    cells, _ = outcome
    more = {
        searched("plain", split): planted("iqoth", split, accuracy, seed=1)
        for split, accuracy in (("published", 0.9), ("grouped", 0.8))
    }
    more[replace(searched("plain"), recipe="cropped")] = planted("iqoth", "grouped", 0.75, seed=1)
    result = compared(cells | more)
    gains = {(entry["recipe"], entry["split"]): entry for entry in result["recipe_vs_published"]}
    assert {key: entry["test"] for key, entry in gains.items()} == {
        ("searched", "published"): "mcnemar", ("searched", "grouped"): "sign_flip",
        ("cropped", "grouped"): "sign_flip",
    }  # fmt: skip
    assert all(entry["family_size"] == 1 for entry in gains.values())
    (leak,) = [entry for entry in result["leakage"] if entry["recipe"] == "searched"]
    assert leak["accuracy"]["published"] == pytest.approx(0.9, abs=0.05)
    assert leak["accuracy"]["grouped"] == pytest.approx(0.8, abs=0.01)
    assert {entry["recipe"] for entry in result["leakage"]} == {"published", "searched"}


def test_another_recipe_reproduces_nothing(outcome):
    """The published results are those of the published recipe, however near another one comes."""
    cells, _ = outcome
    cell = Cell("lc25000", "densenet121", "plain", "searched", "published")
    result = compared(cells | {cell: planted("lc25000", "published", 0.97)})
    (entry,) = [
        entry
        for entry in result["reproduction"]
        if (entry["dataset"], entry["backbone"], entry["head"]) == (cell.dataset, cell.backbone, cell.head)
    ]
    assert entry["verdict"] == "open" and entry["ours"] is None


def test_datasets_without_published_results_are_compared_with_none():
    cells = {
        Cell("lidc_slices", "densenet121", "plain", "published", split): planted("lidc_slices", split, 0.8)
        for split in ("published", "grouped")
    }
    result = compared(cells, published=load_published().on(["lidc_slices"]).results)
    assert result["reproduction"] == []
    assert [entry["dataset"] for entry in result["leakage"]] == ["lidc_slices"]


def test_stand_ins_get_no_verdict_on_the_paper():
    cell = Cell("lidc", "densenet121", "plain", "published", "published")
    result = compared({cell: planted("lidc", "published", 0.5)}, stand_in=True)
    verdicts = {entry["verdict"] for entry in result["reproduction"]}
    assert verdicts == {"open", "stand-in"}
    assessed = [entry for entry in result["reproduction"] if entry["verdict"] == "stand-in"]
    assert assessed[0]["ours"]["accuracy"] > 0 and assessed[0]["difference"] is None


def test_nothing_trained_is_all_open():
    result = compared({})
    assert result["attention_vs_plain"] == result["leakage"] == result["recipe_vs_published"] == []
    assert {entry["verdict"] for entry in result["reproduction"]} == {"open"}


def test_joint_resampling_takes_shared_images_into_account():
    cells = {
        Cell("lidc", "densenet121", "plain", "published", split): planted(
            "lidc", split, 0.8, cluster_errors=True
        )
        for split in ("published", "grouped")
    }
    entry = compared(cells)["leakage"][0]["accuracy"]
    # The same groups are wrong in both: their resampled scores move together.
    apart = [evaluate(table, DATASETS["lidc"].labels, **SETTINGS) for table in cells.values()]
    length = np.hypot(*(metrics["accuracy_high"] - metrics["accuracy_low"] for metrics in apart))
    assert entry["high"] - entry["low"] < 0.7 * length


def test_a_perfect_figure_is_not_certain_where_resamples_lack_a_class():
    """Its balanced accuracy is 1 in every resample that has one; that says nothing of the next test set."""
    cells = {Cell("lidc", "densenet121", "plain", "published", split): planted("lidc", split, accuracy)
             for split, accuracy in (("published", 1.0), ("grouped", 0.8))}  # fmt: skip
    published = cells[Cell("lidc", "densenet121", "plain", "published", "published")]
    rare = published["label"] == DATASETS["lidc"].labels[0]
    kept = ~rare | (published["group"] == published.loc[rare, "group"].iloc[0])
    cells[Cell("lidc", "densenet121", "plain", "published", "published")] = published[kept].reset_index(
        drop=True
    )
    entry = compared(cells)["leakage"][0]["balanced_accuracy"]
    own = evaluate(published[kept], DATASETS["lidc"].labels, **SETTINGS)["balanced_accuracy_low"]
    assert entry["published"] == 1
    assert own < 0.8
    assert entry["difference"] - entry["low"] > 0.9 * (1 - own)


def test_an_image_in_two_groups_is_refused():
    cells = {Cell("lidc", "densenet121", "plain", "published", split): planted("lidc", split, 0.8)
             for split in ("published", "grouped")}  # fmt: skip
    grouped = cells[Cell("lidc", "densenet121", "plain", "published", "grouped")]
    grouped.loc[0, "group"] = "another"
    with pytest.raises(UserError, match="image-0"):
        compared(cells)


def test_a_test_of_images_and_a_mean_over_seeds_that_disagree_decide_nothing():
    """20 images are better in one seed of three, 7 are worse in all: more images, but a lower accuracy."""
    classes = DATASETS["lidc"].labels
    labels = np.arange(60) % 2
    better, worse = np.arange(60) < 20, (np.arange(60) >= 20) & (np.arange(60) < 27)

    def cell(right):
        return pd.concat([table_of(labels, softened(labels, right(seed), classes), classes, seed=seed)
                          for seed in range(3)], ignore_index=True)  # fmt: skip

    plain = Cell("lidc", "densenet121", "plain", "published", "published")
    changed = cell(lambda seed: ~worse & (~better | (seed == 0)))
    for other, key, names in (
        (replace(plain, head="attention"), "attention_vs_plain", ("attention_better", "plain_better")),
        (replace(plain, recipe="cropped"), "recipe_vs_published", ("changed_better", "published_better")),
    ):
        (entry,) = compared({plain: cell(lambda seed: ~better), other: changed})[key]
        assert tuple(entry[name] for name in names) == (20, 7)
        assert entry["p_holm"] < 0.05
        assert entry["differences"]["accuracy"]["difference"] < 0
        assert entry["verdict"] == "undecided"


def test_heads_on_other_images_are_refused():
    cells = {
        Cell("lidc", "densenet121", "plain", "published", "grouped"): planted("lidc", "grouped", 0.8),
        Cell("lidc", "densenet121", "attention", "published", "grouped"): planted("lidc", "published", 0.8),
    }
    with pytest.raises(UserError, match="images"):
        compared(cells)
