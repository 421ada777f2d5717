from lung_attention.cells import Cell, design, tuned_cells
from lung_attention.paths import Paths

CELL = Cell("lidc_nodules", "densenet121", "attention", "published", "grouped")


def test_a_cell_is_named_like_its_stage():
    assert CELL.name == "lidc_nodules-densenet121-attention-grouped"
    assert CELL.stage == f"train@{CELL.name}"


def test_the_design_is_the_full_matrix_in_order():
    cells = list(design(["a", "b"], ["m"], ["plain", "attention"], ["published", "grouped"]))
    assert len(cells) == len(set(cells)) == 8
    assert [cell.name for cell in cells[:3]] == [
        "a-m-plain-published",
        "a-m-plain-grouped",
        "a-m-attention-published",
    ]


def test_no_two_files_share_a_path_and_no_profile_reaches_into_another():
    seen = {}
    for profile in ("sample", "local"):
        paths = Paths(profile)
        args = {"dataset": CELL.dataset, "split": CELL.split, "backbone": CELL.backbone, "cell": CELL}
        for name, method in vars(Paths).items():
            if callable(method) and not name.startswith("_"):
                wanted = method.__code__.co_varnames[1 : method.__code__.co_argcount]
                path = method(paths, *(args[key] for key in wanted))
                tops = [("artifacts",), ("results",), ("search", "found")]
                assert path.parts[: path.parts.index(profile)] in tops, name
                assert path not in seen, (name, seen.get(path))
                seen[path] = name
    assert len(seen) > 30


def test_a_tuned_cell_is_named_beside_its_default_one():
    tuned = CELL.tuned
    assert tuned.name == "lidc_nodules-densenet121-attention_tuned-grouped"
    assert tuned.stage == "train_tuned@lidc_nodules-densenet121-attention"
    assert tuned.default == CELL.default == CELL
    assert tuned_cells(["iqoth"], ["m"], ["plain", "attention"]) == [
        Cell("iqoth", "m", head, "published", "grouped").tuned for head in ("plain", "attention")
    ]
    assert tuned_cells([], ["m"], ["plain"]) == []
