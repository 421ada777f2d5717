"""The page of `dvc plots show` and `dvc plots diff`, with all it needs to draw without a network.

DVC writes a page that loads the Vega libraries from the web, and stays blank where there is none. A page
template of one's own mends that: the libraries come with the installed package `vl-convert-python`, so the
template is made on each machine (`make env`) instead of being committed. The setting goes to DVC's local
configuration; a checkout without it uses `.dvc/plots.html`, which loads from the web and says what to do
if that fails.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lung_attention.errors import UserError, run_guarded
from lung_attention.files import write_text

TEMPLATE_NAME = "plots-offline.html"

# DVC's templates of plots are written for this major version of Vega-Lite.
_VEGA_LITE_MAJOR = "5."

# DVC fills in {refresh_tag} and {plot_divs}. Its third place, {scripts}, is left out: it would hold the
# addresses of the libraries on the web.
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>Plots</title>
<style>
body { font-family: sans-serif; margin: 1.5rem; }
table { border-spacing: 15px; }
img { max-width: 100%; }
</style>
<script>
(function () {
LIBRARIES
})();
</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def vega_libraries() -> str:
    """JavaScript that defines `window.vegaEmbed` and loads nothing.

    Returns:
        The newest Vega-Lite 5 that the installed `vl-convert-python` holds, with Vega and Vega-Embed; about
        0.9 MB, safe inside a `<script>` element.

    Raises:
        UserError: The installed version holds no Vega-Lite 5.
    """
    import vl_convert

    versions = [v for v in vl_convert.get_vegalite_versions() if v.startswith(_VEGA_LITE_MAJOR)]
    if not versions:
        raise UserError(
            "the installed vl-convert-python holds no Vega-Lite 5, for which DVC's plots are written",
            remedy="install the locked version: make env",
        )
    newest = max(versions, key=lambda version: [int(part) for part in version.split(".")])
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", newest)
    # The only text that would end the element early.
    return script.replace("</script", r"<\/script")


def plots_page() -> str:
    """The template of the page: HTML with DVC's `{refresh_tag}` and `{plot_divs}` still open."""
    return _PAGE.replace("LIBRARIES", vega_libraries())


def set_up(root: Path) -> Path:
    """Writes the template below `.dvc/` and names it in DVC's local configuration (not committed).

    Args:
        root: A checkout in which DVC was initialised.

    Returns:
        The path of the template.

    Raises:
        UserError: `root` is no DVC repository, or DVC refuses its configuration.
    """
    folder = root / ".dvc"
    if not folder.is_dir():
        raise UserError(
            f"{root.resolve()} is no DVC repository: it has no folder .dvc",
            remedy="run this at the top of a checkout",
        )
    path = folder / TEMPLATE_NAME
    write_text(path, plots_page())
    command = ["config", "--quiet", "--local", "plots.html_template", TEMPLATE_NAME]
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *command], cwd=root, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise UserError(
            f"DVC did not take the setting plots.html_template: {done.stderr.strip()}",
            remedy=f"see {folder / 'config.local'}, then: dvc {' '.join(command)}",
        )
    return path


def main() -> None:
    """Sets up the checkout in which it is called."""
    path = set_up(Path())
    print(f"dvc plots draws offline, with {path}")


if __name__ == "__main__":
    run_guarded(main)
