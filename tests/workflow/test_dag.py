"""The picture of the pipeline is that of dvc.yaml."""

from pathlib import Path

import networkx as nx
import yaml

from lung_attention.workflow.dag import mermaid, stage_graph

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def test_every_script_but_the_hash_of_the_code_is_a_stage():
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"code", "search"}
    assert set(stage_graph(STAGES).nodes) == scripts


def test_arrows_lead_from_the_archive_to_the_report():
    graph = stage_graph(STAGES)
    assert nx.is_directed_acyclic_graph(graph)
    assert {"train", "evaluate", "compare", "report"} <= nx.descendants(graph, "download")
    assert nx.ancestors(graph, "report") == set(graph.nodes) - {"report"}
    assert list(graph.successors("report")) == []


def test_an_arrow_that_others_imply_is_left_out_and_kinds_of_one_script_are_one():
    stages = {
        "code": {"cmd": "python stages/code.py", "outs": ["code"]},
        "a": {"cmd": "python stages/a.py", "deps": ["code"], "outs": ["x/${item.one}.csv"]},
        "b": {"cmd": "python stages/b.py", "deps": ["x/${item.two}.csv"], "outs": [{"y": {"cache": False}}]},
        "b_more": {"cmd": "python stages/b.py", "deps": ["x"], "metrics": ["z/${item.one}"]},
        "c": {"cmd": "python stages/c.py", "deps": ["x", "z"], "outs": ["w"]},
    }
    assert list(stage_graph(stages).edges) == [("a", "b"), ("b", "c")]


def test_the_picture_is_the_one_of_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{mermaid(ROOT)}\n```" in text
