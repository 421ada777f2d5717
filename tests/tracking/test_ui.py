"""The six cells side by side in MLflow's own pages."""

from __future__ import annotations

import json
import shutil
from urllib.parse import quote

import mlflow
import pytest
from cell_files import copy_configuration, curve, publish

from lung_attention import tracking
from lung_attention.tracking.view import share_view

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

# MLflow's page asks who is logged in; a server without log-in has no such address, and the browser says so.
ASKS_FOR_A_LOGIN = "/ajax-api/2.0/mlflow/users/current"
# Else the assistant's panel opens by itself and takes a quarter of the page.
CLOSE_ASSISTANT = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""


@pytest.fixture
def page():
    if CHROMIUM is None:
        pytest.skip("no Chromium on the path")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = browser.new_page(viewport={"width": 1600, "height": 1300})
        opened.add_init_script(CLOSE_ASSISTANT)
        yield opened
        browser.close()


def test_six_cells_compare(server, cells, drawn, page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copy_configuration(tmp_path)
    tracking.connect(tmp_path)
    run_ids = []
    for number, cell in enumerate(cells):
        scores = {"accuracy": 0.7 + number / 50, "balanced_accuracy": 0.6 + number / 50}
        run_ids.append(publish(cell, curve(12, seed=number), **scores))
    experiment = mlflow.MlflowClient().get_experiment_by_name(cells[0].experiment).experiment_id

    problems = []

    def note(message):
        if message.type == "error" and not message.location["url"].endswith(ASKS_FOR_A_LOGIN):
            problems.append((message.text, message.location))

    page.on("console", note)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append((request.url, request.failure)))

    # The link opens the results, the best first; names and columns are read in full on a small screen.
    page.set_viewport_size({"width": 1500, "height": 900})
    found = mlflow.MlflowClient().get_experiment(experiment)
    page.goto(f"{server.address}/#/{share_view(mlflow.MlflowClient(), found)}")
    names = page.locator(".ag-row a", has_text="-attention-published-")
    names.nth(5).wait_for(timeout=30000)
    assert names.all_inner_texts() == [cell.cell.name for cell in reversed(cells)]
    for read in (*names.all(), page.get_by_text("test_balanced_accuracy", exact=True).last):
        assert read.evaluate("one => one.scrollWidth <= one.clientWidth + 1 || one.clientWidth === 0")
    page.screenshot(path=tmp_path / "list.png")

    runs, experiments = (quote(json.dumps(ids)) for ids in (run_ids, [experiment]))
    page.goto(f"{server.address}/#/compare-runs?runs={runs}&experiments={experiments}")
    page.get_by_text("Comparing 6 Runs from 1 Experiment").wait_for(timeout=30000)
    for cell in cells:
        page.get_by_text(cell.cell.name, exact=True).first.wait_for(timeout=10000)
    page.screenshot(path=tmp_path / "compare.png")

    page.goto(f"{server.address}/#/experiments/{experiment}/runs?compareRunsMode=CHART")
    page.get_by_text("test_accuracy", exact=True).first.wait_for(timeout=30000)
    for cell in cells:
        # Once in the list of runs, and in the legends of the charts.
        page.get_by_text(cell.cell.name, exact=True).nth(1).wait_for(timeout=10000)
    page.screenshot(path=tmp_path / "charts.png")
    assert not problems
