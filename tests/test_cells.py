from dataclasses import astuple, replace

from lung_attention.cells import FACTORS, PUBLISHED, Cell, design
from lung_attention.paths import Paths

CELL = Cell("lidc_nodules", "densenet121", "attention", "published", "grouped")


def test_a_cell_is_named_like_its_stage():
    assert CELL.name == "lidc_nodules-densenet121-attention-published-grouped"
    assert CELL.name.split("-") == list(astuple(CELL)) == [getattr(CELL, factor) for factor in FACTORS]


def test_the_design_is_the_full_matrix_in_order():
    cells = list(
        design(["a", "b"], ["m"], ["plain", "attention"], ["published", "searched"], ["published", "grouped"])
    )
    assert len(cells) == len(set(cells)) == 16
    assert [cell.name for cell in cells[:5]] == [
        "a-m-plain-published-published",
        "a-m-plain-published-grouped",
        "a-m-plain-searched-published",
        "a-m-plain-searched-grouped",
        "a-m-attention-published-published",
    ]
    assert list(design(["a"], ["m"], ["plain"], [], ["grouped"])) == []


def test_no_two_files_share_a_path_and_no_profile_reaches_into_another(monkeypatch):
    monkeypatch.delenv("LUNG_ATTENTION_CHECKPOINTS", raising=False)
    seen = {}
    for profile in ("sample", "local"):
        paths = Paths(profile)
        args = {
            "dataset": CELL.dataset,
            "split": CELL.split,
            "backbone": CELL.backbone,
            "view": "whole",
            "cell": CELL,
        }
        for name, method in vars(Paths).items():
            if callable(method) and not name.startswith("_"):
                wanted = method.__code__.co_varnames[1 : method.__code__.co_argcount]
                path = method(paths, *(args[key] for key in wanted))
                tops = [("artifacts",), ("results",), ("search", "found")]
                assert path.parts[: path.parts.index(profile)] in tops, name
                assert path not in seen, (name, seen.get(path))
                seen[path] = name
    assert len(seen) > 30


def test_another_recipe_makes_another_cell_of_the_same_search():
    searched = replace(CELL, recipe="searched")
    assert searched.name == "lidc_nodules-densenet121-attention-searched-grouped"
    assert replace(searched, recipe=PUBLISHED) == CELL != searched
    assert searched.searched == CELL.searched == "lidc_nodules-densenet121-attention"
    paths = Paths("local")
    assert paths.search(searched) == paths.search(CELL)
    assert paths.metrics(searched) != paths.metrics(CELL)
