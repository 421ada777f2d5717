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
from lung_attention.report.staleness import with_note

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


@pytest.fixture(params=["report.html", "report/lidc_nodules.html"])
def address(request, page_path):
    return page_path.parent / request.param


@pytest.mark.parametrize("width", [1920, 1280, 390])
def test_the_page_is_quiet_offline_and_fits(chromium, address, width):
    assert address.stat().st_size <= MOST_BYTES
    context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    said, requested = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(address.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.wait_for_function("[...document.images].every(one => one.complete)")
    assert said == []
    assert [url for url in requested if not url.startswith("data:")] == [address.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    broken = page.evaluate("[...document.images].filter(one => !one.naturalWidth).map(one => one.alt)")
    assert broken == []
    assert page.evaluate("document.images.length") >= 15
    # What is wider than its place scrolls inside it.
    overflowing = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(one => !one.closest('.scroll') && "
        "one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"
    )
    assert overflowing == []
    assert page.evaluate(OVERLAPPING) == []
    context.close()


OVERLAPPING = """
() => {
  const kinds = 'main :is(p, li, h1, h2, summary, table, img)';
  const all = [...document.querySelectorAll(kinds)]
    .filter(one => !one.closest('.scroll') && one.getBoundingClientRect().height)
    .map(one => [one, one.getBoundingClientRect()]);
  const found = [];
  for (let i = 0; i < all.length; i++)
    for (let j = i + 1; j < all.length; j++) {
      const [a, p] = all[i], [b, q] = all[j];
      const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (wide > 2 && high > 2 && !a.contains(b) && !b.contains(a))
        found.push(a.outerHTML.slice(0, 60) + ' / ' + b.outerHTML.slice(0, 60));
    }
  return found;
}
"""
"""Pairs of texts and pictures of which one lies on the other."""

FAINT = """
() => {
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map(x => x / 255)
    .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
    .reduce((sum, x, k) => sum + x * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = one => {
    const color = parts(getComputedStyle(one).backgroundColor);
    return color.length < 4 || color[3] > 0 ? color : ground(one.parentElement);
  };
  const found = [];
  for (const one of document.querySelectorAll('body *')) {
    const own = [...one.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    if (!own || ['STYLE', 'SCRIPT'].includes(one.tagName)) continue;
    const [a, b] = [light(parts(getComputedStyle(one).color)), light(ground(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(contrast.toFixed(2) + ' ' + one.outerHTML.slice(0, 80));
  }
  return found;
}
"""
"""Texts whose contrast is below 4.5 to 1 (WCAG 2.2, 1.4.3)."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_read_on_light_and_dark_pages(chromium, address, scheme):
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(address.as_uri())
    note = (
        with_note(address.read_text(encoding="utf-8"), ["train@a"]) if address.name == "report.html" else ""
    )
    if note:
        page.set_content(note)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert page.evaluate(FAINT) == []
    context.close()


@pytest.mark.parametrize(("scheme", "least", "most"), [("light", 230, 256), ("dark", 0, 60)])
def test_drawings_follow_the_page(chromium, page_path, scheme, least, most):
    context = chromium.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(page_path.as_uri())
    with Image.open(io.BytesIO(page.locator(".lead-picture img").screenshot())) as image:
        shown = np.asarray(image.convert("L"), dtype=float)
    assert least <= np.median(shown) < most
    assert shown.std() > 15, "nothing is drawn"
    context.close()


def test_a_phone_gets_a_narrow_picture(chromium, page_path):
    shown = {}
    for width in (390, 1280):
        page = chromium.new_page(viewport={"width": width, "height": 900})
        page.goto(page_path.as_uri())
        shown[width] = page.locator(".lead-picture img").evaluate("one => one.naturalWidth")
        page.close()
    assert shown[390] < 400 < shown[1280]


def test_every_picture_is_told_in_words_and_its_data_are_one_click_away(chromium, address, page_path):
    page = chromium.new_page()
    page.goto(address.as_uri())
    alts = page.evaluate("[...document.images].map(one => one.alt)")
    assert all(len(alt) > 30 for alt in alts), alts
    links = page.evaluate("[...document.querySelectorAll('a')].map(one => one.href)")
    files = {link.partition("#")[0] for link in links if link.startswith("file:")}
    present = {one.as_uri() for one in page_path.parent.rglob("*")}
    assert files and not files - present
    unnamed = page.evaluate(
        "[...document.querySelectorAll('figure.picture')].filter(one => !one.querySelector('a.data'))"
        ".map(one => one.innerText)"
    )
    # Published matrices have their counts below them; photographs are their own data.
    assert all(": published" in text or "ours, " in text or "sample images" in text for text in unnamed), (
        unnamed
    )
    page.close()


def test_it_prints_on_light_paper(chromium, page_path):
    context = chromium.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(page_path.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.pdf(format="A4").startswith(b"%PDF")
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
