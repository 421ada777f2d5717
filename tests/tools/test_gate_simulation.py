"""The simulation, and that what the docs promise is what it found."""

import re
from pathlib import Path

import numpy as np
import pytest

import gate_luck
from gate_families import Family, committed_cells
from gate_simulation import EFFORTS, IN_ALL, IN_ONE, PROFILES, Effort, Simulation, to_markdown
from lung_attention.config import load_config
from lung_attention.errors import UserError
from lung_attention.gate.chance import Luck, seed_excess
from lung_attention.gate.scores import mean_scores

ROOT = Path(__file__).parents[2]
CONFIG = load_config(ROOT / "params.yaml")
TEXT = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")
SOME = ("lidc_nodules-densenet121-plain-published", "lidc_nodules-densenet121-plain-searched")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def rows(number):
    """The rows of one of the two generated tables: a title and its cells."""
    region = TEXT.split("<!-- generated:gate-simulation -->")[1].split("<!-- /generated")[0]
    table = [part for part in region.split("\n\n") if part.strip().startswith("|")][number]
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
    return {title: rest for title, *rest in cells[2:]}


def percent(text):
    return float(re.match(r"[\d.]+", text)[0])


def test_the_docs_are_of_the_families_that_are_committed():
    for title, profile in zip(rows(0), PROFILES, strict=True):
        cells = len(list((ROOT / "results" / profile / "cells").glob("*/predictions.csv")))
        assert title.startswith(f"`{profile}`: {cells} cells of ")
        assert int(rows(0)[title][0]) == EFFORTS[profile].equal


def test_false_alarms_of_the_whole_family_are_at_most_5_percent():
    for title, values in rows(0).items():
        _, single, pooled, floors, whole, at_most, _ = map(percent, values)
        assert max(single, pooled, floors) <= whole <= at_most, title
        assert whole <= 5.0, title


def test_larger_losses_are_found_and_two_points_everywhere_in_real_images():
    table = rows(1)
    for title, values in table.items():
        if title.startswith("`"):
            one, two = map(percent, values[len(IN_ONE) :])
            assert one <= two
        else:
            rates = [percent(text) for text in values[: len(IN_ONE)]]
            assert rates[0] <= rates[-1], title
    assert percent(table["`local`"][len(IN_ONE) + IN_ALL.index(0.02)]) > 90


def test_drawn_classifiers_are_like_the_committed_ones():
    cells = {
        name: side
        for name, side in committed_cells("local", CONFIG.labels).items()
        if name.startswith(SOME)
    }  # fmt: skip
    luck = dict.fromkeys(cells, Luck(0.01, 0.1))
    family = Family(cells, luck, seed=0)
    drawn = [family.pairs(dict.fromkeys(cells, 0.0)) for _ in range(12)]
    lost = [family.pairs(dict.fromkeys(cells, 0.05)) for _ in range(12)]
    for name, side in cells.items():
        scores = mean_scores(side)
        found = [mean_scores(pairs[name].reference) for pairs in drawn]
        for score, tolerance in (("balanced_accuracy", 0.02), ("log_loss", 0.4)):
            mean = np.mean([values[score] for values in found])
            assert mean == pytest.approx(scores[score], abs=tolerance), (name, score)
        worse = np.mean([mean_scores(pairs[name].candidate)["balanced_accuracy"] for pairs in lost])
        assert worse == pytest.approx(scores["balanced_accuracy"] - 0.05, abs=0.02)
        assert drawn[0][name].candidate.clusters()[1] == side.clusters()[1]
        different = np.mean(
            [(p[name].candidate.predicted != p[name].reference.predicted).mean() for p in drawn]
        )
        assert 0.04 < different < 0.12


def test_a_simulation_in_small():
    def run(part=0):
        simulation = Simulation(CONFIG, "local", SOME, part=part)
        assert len(simulation.committed) == 3
        return simulation.run(Effort(equal=2, luckier=1, in_all=1, in_one=1))

    result = run()
    assert not any(result.equal.any)
    assert all(result.in_one["lidc_nodules"][-1])  # ten points
    text = to_markdown([result])
    assert text.count("\n| ") == 4 and "| lidc_nodules |" in text
    assert to_markdown([run()]) == text
    other = run(part=1)
    both = result + other
    assert both.equal.any == [*result.equal.any, *other.equal.any]
    assert [len(found.any) for found in (both.luckier, *both.in_all)] == [2, 2, 2]
    assert both.in_one["lidc_nodules"][0] == [
        *result.in_one["lidc_nodules"][0],
        *other.in_one["lidc_nodules"][0],
    ]


def test_other_parts_draw_other_families():
    drawn = []
    for part in (0, 1):
        simulation = Simulation(CONFIG, "local", SOME[:1], part=part)
        family = simulation.family()
        drawn.append(family.pairs(dict.fromkeys(simulation.committed, 0.0)))
    for name, pair in drawn[0].items():
        assert (pair.candidate.probabilities != drawn[1][name].candidate.probabilities).any()


def test_an_effort_is_parted_evenly_or_refused():
    assert Effort(8, 4, 0, 12).of_part() == Effort(2, 1, 0, 3)
    with pytest.raises(ValueError, match="multiples of 4"):
        Effort(8, 3, 0, 12).of_part()
    for effort in EFFORTS.values():
        effort.of_part()


def test_scatter_is_of_the_datasets_whose_cells_have_several_seeds(tmp_path):
    cells = gate_luck.read_cells(ROOT / "results" / "local" / "cells", CONFIG.labels)
    found = {item.dataset: item for item in gate_luck.scatter(cells)}
    assert set(found) == {"iqoth", "lidc_boxes", "lidc_nodules", "lidc_slices"}
    of_nodules = [
        side
        for name, side in cells.items()
        if name.startswith("lidc_nodules") and len(side.seeds) > 1 and "recommended" not in name
    ]
    nodules = found["lidc_nodules"]
    assert (nodules.cells, nodules.pairs) == (len(of_nodules), 3 * len(of_nodules))
    variance = np.mean([seed_excess(side)[0].mean() for side in of_nodules])
    assert nodules.balanced_accuracy == pytest.approx(np.sqrt(variance))
    # What the gate assumes is no less than what committed trainings show.
    for name, item in found.items():
        assumed = CONFIG.catalog[name].training_sd
        assert item.balanced_accuracy <= assumed.balanced_accuracy
        assert item.log_loss <= assumed.log_loss
    with pytest.raises(UserError, match="found none"):
        gate_luck.read_cells(tmp_path, CONFIG.labels)


def test_the_docs_say_how_committed_trainings_scatter(tmp_path, monkeypatch, capsys):
    page = tmp_path / "gate.md"
    page.write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(gate_luck, "PAGE", page)
    monkeypatch.setattr("sys.argv", ["gate_luck.py"])
    gate_luck.main()
    assert page.read_text(encoding="utf-8") == TEXT
    page.unlink()
    monkeypatch.setattr("sys.argv", ["gate_luck.py", str(gate_luck.COMMITTED)])
    gate_luck.main()
    assert capsys.readouterr().out in TEXT and not page.exists()
