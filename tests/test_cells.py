from lung_attention.cells import Cell, Paths, design

CELL = Cell("lidc_nodules", "densenet121", "attention", "grouped")


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
                assert path.parts[:2] in (("artifacts", profile), ("results", profile)), name
                assert path not in seen, (name, seen.get(path))
                seen[path] = name
    assert len(seen) > 30
