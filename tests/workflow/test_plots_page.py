"""The page of `dvc plots show`: drawn in a browser that has no network."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lung_attention.errors import UserError
from lung_attention.workflow import plots_page

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ROC = "fpr,tpr\n0,0\n0.1,0.7\n0.4,0.9\n1,1\n"
STAGES = """\
stages:
  draw:
    cmd: 'true'
plots:
  - roc.csv:
      x: fpr
      y: tpr
      title: ROC of a test
"""


def dvc(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one plot, DVC being configured as here."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".dvc").mkdir()
    for name in ("config", "plots.html", ".gitignore"):
        shutil.copy(ROOT / ".dvc" / name, tmp_path / ".dvc" / name)
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "roc.csv").write_text(ROC)
    return tmp_path


class Drawn:
    """What a browser without a network made of a page."""

    def __init__(self, page: Path) -> None:
        playwright = pytest.importorskip("playwright.sync_api")
        browser_path = next((path for name in BROWSERS if (path := shutil.which(name))), None)
        if browser_path is None:
            pytest.skip("no Chromium on this machine")
        self.requests: list[str] = []
        self.errors: list[str] = []
        with playwright.sync_playwright() as session:
            browser = session.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
            context = browser.new_context(offline=True)
            tab = context.new_page()
            tab.on("request", lambda request: self.requests.append(request.url))
            tab.on("pageerror", lambda error: self.errors.append(str(error)))
            tab.goto(page.as_uri(), wait_until="load")
            tab.wait_for_selector("svg.marks, #no-libraries:visible")
            self.charts = tab.locator("svg.marks").count()
            lines = tab.locator("svg.marks .mark-line path").all()
            self.points = [(line.get_attribute("d") or "").count("L") + 1 for line in lines]
            self.text = tab.locator("body").inner_text()
            tab.screenshot(path=str(page.with_suffix(".png")))
            browser.close()

    @property
    def from_the_web(self) -> list[str]:
        return [url for url in self.requests if url.startswith("http")]


@pytest.mark.browser
def test_a_set_up_checkout_draws_plots_without_a_network(repository: Path) -> None:
    plots_page.set_up(repository)
    dvc(repository, "plots", "show")
    drawn = Drawn(repository / "dvc_plots" / "index.html")
    assert drawn.charts == 1
    assert 4 in drawn.points, "the line of the table's four points"
    assert drawn.from_the_web == []
    assert drawn.errors == []


@pytest.mark.browser
def test_a_plain_checkout_without_a_network_says_what_to_do(repository: Path) -> None:
    dvc(repository, "plots", "show")
    drawn = Drawn(repository / "dvc_plots" / "index.html")
    assert drawn.charts == 0
    assert drawn.from_the_web, "the committed page is meant to use the web"
    assert "make env" in drawn.text and f"python -m {plots_page.__name__})" in drawn.text
    assert drawn.errors == []


def test_dvc_finds_its_places_in_both_pages() -> None:
    for page in (plots_page.plots_page(), (ROOT / ".dvc" / "plots.html").read_text()):
        assert page.count("{plot_divs}") == 1
        assert page.count("{refresh_tag}") == 1
    assert "{scripts}" not in plots_page.plots_page()


def test_the_libraries_cannot_end_their_script_element() -> None:
    assert "</script" not in plots_page.vega_libraries().lower()


def test_setting_up_keeps_what_a_user_configured_and_leaves_git_clean(repository: Path) -> None:
    local = repository / ".dvc" / "config.local"
    local.write_text("[core]\n    remote = mine\n")
    subprocess.run(["git", "add", "--all"], cwd=repository, check=True)
    subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=n@n.invalid", "commit", "--quiet", "-m", "x"],
        cwd=repository,
        check=True,
    )
    plots_page.set_up(repository)
    assert local.read_text().split("\n") == [
        "[core]",
        "    remote = mine",
        "[plots]",
        f"    html_template = {plots_page.TEMPLATE_NAME}",
        "",
    ]
    status = subprocess.run(["git", "status", "--short"], cwd=repository, capture_output=True, text=True)
    assert status.stdout == ""


def test_outside_a_dvc_repository_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no DVC repository"):
        plots_page.set_up(tmp_path)
    assert list(tmp_path.iterdir()) == []
