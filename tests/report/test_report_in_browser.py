"""The page in Chromium: quiet, offline, small, and no wider than the window."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lung_attention.report.compact import compact
from lung_attention.report.embed import svg_text

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).resolve().parents[2]
MOST_BYTES = 3_000_000


@pytest.fixture(scope="module")
def page_path(real):
    """What the stage writes."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    script = REPOSITORY / "stages" / "report.py"
    subprocess.run([sys.executable, str(script)], cwd=real.root, check=True, env=environment)
    assert (real.root / real.paths.summary).exists()
    assert (real.root / real.paths.report_markdown).exists()
    return real.root / real.paths.report_html


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api")
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no Chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_quiet_offline_and_fits(chromium, page_path, width):
    assert page_path.stat().st_size <= MOST_BYTES
    context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    said, requested = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(page_path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.wait_for_function("[...document.images].every(one => one.complete)")
    assert said == []
    assert [url for url in requested if not url.startswith("data:")] == [page_path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    broken = page.evaluate("[...document.images].filter(one => !one.naturalWidth).map(one => one.alt)")
    assert broken == []
    assert page.evaluate("document.images.length") > 20
    # What is wider than its place scrolls inside it.
    overflowing = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(one => !one.closest('.scroll') && "
        "one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"
    )
    assert overflowing == []
    context.close()


def test_a_compact_drawing_looks_like_what_matplotlib_drew(chromium, tmp_path):
    figure = Figure(figsize=(4, 3))
    left, right = figure.subplots(1, 2)
    rng = np.random.default_rng(0)
    left.step(np.arange(30), rng.random(30).cumsum(), linestyle="--", label="a step")
    left.fill_between(np.arange(30), rng.random(30), 10, alpha=0.3)
    left.legend()
    right.imshow(rng.random((3, 3)))
    right.set(ylabel="turned", title="a < b")
    drawn = svg_text(figure)
    shown = []
    for name, text in (("drawn", drawn), ("compact", compact(drawn))):
        (tmp_path / f"{name}.svg").write_text(text, encoding="utf-8")
        page = chromium.new_page(viewport={"width": 400, "height": 300})
        page.goto((tmp_path / f"{name}.svg").as_uri())
        with Image.open(io.BytesIO(page.screenshot())) as image:
            shown.append(np.asarray(image.convert("L"), dtype=float))
        page.close()
    assert shown[0].std() > 20, "an empty picture"
    assert (np.abs(shown[0] - shown[1]) > 60).mean() < 0.002


def test_the_answers_stand_on_the_first_screen(chromium, page_path):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(page_path.as_uri())
    for heading in page.locator(".headline h2").all():
        assert heading.bounding_box()["y"] < 900
    # Regenerated? Leaky? More than the baselines? Does attention help? What remains?
    assert page.locator(".headline h2").count() == 5
    page.close()
