"""What is known of the real archives, found again."""

from known import DATASETS
from real_archives import MARKS, load

from lung_attention.audit.dataset import audit
from lung_attention.evaluation.baselines.run import run_baselines
from lung_attention.evaluation.baselines.settings import BaselineSettings
from lung_attention.evaluation.baselines.table import BASELINES, Images
from lung_attention.splits.published import published_split

pytestmark = MARKS


def run(dataset_id, *, near_duplicates_leak):
    manifest, thumbnails = load(dataset_id)
    split = published_split(manifest, DATASETS[dataset_id].published_split, seed=0)
    return audit(
        manifest,
        thumbnails,
        manifest["group"],
        {"published": split},
        near_duplicate_cosine=0.98,
        near_duplicates_leak=near_duplicates_leak,
        group_unit=DATASETS[dataset_id].unit,
        groups_inferred=DATASETS[dataset_id].groups_inferred,
        listed=20,
        shortcuts={"probes": {}, "groups_known": False},  # leaks alone are looked for here
    )


def test_iqoth():
    found = run("iqoth", near_duplicates_leak=True)
    assert found["images_per_class"] == {"normal": 416, "malignant": 561, "benign": 120}
    assert found["redundant_files"] == {"total": 43, "within_classes": 43, "across_classes": 0}
    size = found["shape"]["size"]
    assert size["giveaway_images_per_class"] == {"malignant": 59}
    assert size["giveaway_images_expected"] < 0.01
    split = found["splits"]["published"]
    assert split["test_images"] == 220
    assert split["test_images_with_near_duplicate_in_training"] == 171  # 77.7 %
    assert split["leak"] is True


def test_on_the_published_iqoth_split_a_nearest_neighbour_makes_no_mistake():
    manifest, thumbnails = load("iqoth")
    split = published_split(manifest, DATASETS["iqoth"].published_split, seed=0)
    nearest = run_baselines(
        {"nearest_neighbour": BASELINES["nearest_neighbour"]},
        split,
        Images(manifest, thumbnails, {}),
        DATASETS["iqoth"].labels,
        BaselineSettings(seed=0, inner_folds=2, trees=1, histogram_bins=[8], C=[1.0]),
    ).predictions
    assert len(nearest) == 220
    assert (nearest["label"] == nearest["prediction"]).all()


def test_lc25000():
    found = run("lc25000", near_duplicates_leak=False)
    assert found["images"] == 15_000
    assert found["redundant_files"] == {"total": 777, "within_classes": 777, "across_classes": 0}
    assert found["splits"]["published"]["leak"] is True
    assert found["splits"]["published"]["redundant_files"]["across"] > 0
