"""Code hashes: what changes them, and what does not."""

import ast
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lung_attention.training.recipes import RECIPES
from lung_attention.workflow.code import OBSERVERS, PACKAGE, STAGES, canonical, code_digests, code_of

ROOT = Path(__file__).parents[2]
BEFORE = code_digests(ROOT)


@pytest.fixture
def copy(tmp_path):
    """The code of the project, to be edited."""
    for folder in (PACKAGE, STAGES):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def changed(copy):
    """Names of the stages, heads and recipes whose hash is another one now."""
    after = code_digests(copy)
    assert after.keys() == BEFORE.keys()
    return {
        path.relative_to("artifacts/code").with_suffix("").as_posix()
        for path in after
        if after[path] != BEFORE[path]
    }


def edit(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, (path, old)
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_comments_docstrings_and_blank_lines_change_no_hash(copy):
    """In every module: a comment at the top, a blank line, other docstrings."""
    modules = [*(copy / PACKAGE).rglob("*.py"), *(copy / STAGES).rglob("*.py")]
    edited = 0
    for path in modules:
        text = path.read_text(encoding="utf-8")
        docstrings = {
            ast.get_docstring(node, clean=False)
            for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        } - {None}
        for docstring in docstrings:
            assert f'"""{docstring}' in text or docstring.startswith(("'", "\\")), path
            text = text.replace(f'"""{docstring}', f'"""Said otherwise. {docstring}')
            edited += 1
        path.write_text(f"# a comment\n\n{text}\n# another\n", encoding="utf-8")
    assert edited > 500
    assert changed(copy) == set()


def test_an_operator_that_only_the_report_uses_changes_the_report_alone(copy):
    edit(copy / PACKAGE / "report" / "numbers.py", "100 *", "100 +")
    assert changed(copy) == {"report"}


def test_an_operator_of_the_fit_changes_what_fits_alone(copy):
    edit(copy / PACKAGE / "training" / "fitting.py", "epoch + 1", "epoch + 2")
    # Where networks look is compared between fits, too.
    assert changed(copy) == {"train", "search", "explain", *(f"recipes/{recipe}" for recipe in RECIPES)}


def test_a_recipe_changes_its_own_hash_alone(copy):
    edit(copy / PACKAGE / "training" / "recommended.py", "epochs=0", "epochs=1")
    assert changed(copy) == {"recipes/recommended"}


def test_a_head_changes_its_own_hash_alone(copy):
    edit(copy / PACKAGE / "models" / "heads" / "attention.py", "seed=seed", "seed=seed + 1")
    assert changed(copy) == {"heads/attention"}


def test_package_data_that_a_stage_reads_counts(copy):
    edit(copy / PACKAGE / "report" / "report.css", "{", "{ ")
    assert changed(copy) == {"report"}


def test_all_package_data_are_read_by_some_stage_or_command(copy):
    """A data file that no module names would never make anything stale."""
    texts = {
        node.value
        for path in (copy / PACKAGE).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for template in (copy / PACKAGE).rglob("*.j2"):
        texts |= set(re.findall(r'{% (?:include|from|import|extends) "([^"]+)"', template.read_text()))
    data = {path.name for path in (copy / PACKAGE).rglob("*") if path.is_file()} - {"py.typed"}
    assert {name for name in data if not name.endswith(".py")} <= texts


def test_what_cannot_change_results_is_left_out_and_exists():
    package = ROOT / PACKAGE
    for observer in OBSERVERS:
        assert (package / observer).is_dir() or (package / observer).with_suffix(".py").is_file()
    names = {file for path, files in BEFORE.items() if path.stem != "settings" for file in files}
    assert not any("/tracking/" in name or "/config/" in name for name in names)
    (settings,) = (files for path, files in BEFORE.items() if path.stem == "settings")
    assert f"{PACKAGE}/config/profiles.py" in settings, "it puts a cell's settings together"
    assert f"{PACKAGE}/training/fits.py" in names


def test_imports_inside_functions_count_and_those_for_type_checkers_do_not(tmp_path):
    package = tmp_path / PACKAGE
    package.mkdir(parents=True)
    for name in ("__init__", "a", "b", "c"):
        (package / f"{name}.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import lung_attention.c\n"
        "def f():\n    from lung_attention import a\n    import lung_attention.b\n"
    )
    found = {path.name for path in code_of(script, tmp_path)}
    assert found == {"script.py", "__init__.py", "a.py", "b.py"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = True"),
        ("x = 1", "x = 1.0"),
        ("x = ''", "x = None"),
        ("def f(a: int): pass", "def f(a: str): pass"),
        ("x = f'{a}b'", "x = f'{a}c'"),
        ("x = a + b", "x = a - b"),
        ("x = (1, 2)", "x = (2, 1)"),
    ],
)
def test_other_code_is_other_code(one, other):
    assert canonical(one) != canonical(other)


def test_layout_is_no_code():
    assert canonical("x = f'a' 'b' f'{c}'") == canonical("x = f'ab{c}'")
    assert canonical("f(1,\n  2)  # two") == canonical("f(1, 2)")
    assert canonical('def f():\n    "says"\n    return 1') == canonical("def f():\n    return 1")


@given(st.text(st.characters(exclude_characters="\r\n\x0c\x00", exclude_categories=["Cs"])))
def test_no_comment_changes_code(comment):
    assert canonical(f"x = 1  # {re.sub(chr(0), '', comment)}") == canonical("x = 1")
