"""The extra of this package that brings a module which is missing."""

from __future__ import annotations

import json
import re
from importlib import metadata
from urllib.parse import unquote, urlsplit

_PACKAGE = "lung-attention"
# From the smallest to the largest; some packages are in several.
_EXTRAS = ("predict", "ray", "track", "train")
# Packages that are not named like what is imported.
_NAMES = {"yaml": "pyyaml", "vl_convert": "vl-convert-python"}
_OF_EXTRA = re.compile(r"""([\w.-]+).*;.*\bextra == ['"](\w+)['"]""")


def how_to_install(module: str) -> str:
    """The command that brings a missing module.

    Args:
        module: Its top-level name, such as `mlflow`.

    Returns:
        An installation of the smallest extra that names it, from where this package came, which is on no
        index; else of a package of its name.
    """
    package = _NAMES.get(module, module).replace("_", "-").lower()
    try:
        required = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:  # run from its sources
        return "make env"
    found = {match[2] for text in required if (match := _OF_EXTRA.match(text)) and match[1] == package}
    for extra in _EXTRAS:
        if extra in found:
            return _installation(extra)
    return f"pip install {package}"


def _installation(extra: str) -> str:
    noted = metadata.distribution(_PACKAGE).read_text("direct_url.json")  # by pip (PEP 610)
    if noted is None:
        return f"pip install '{_PACKAGE}[{extra}]'"
    origin = json.loads(noted)
    if origin.get("dir_info", {}).get("editable"):
        return f"pip install --editable '{unquote(urlsplit(origin['url']).path)}[{extra}]'"
    kind = f"{origin['vcs_info']['vcs']}+" if "vcs_info" in origin else ""
    return f"pip install '{_PACKAGE}[{extra}] @ {kind}{origin['url']}'"
