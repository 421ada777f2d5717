"""The extra of this package that brings a module which is missing."""

from __future__ import annotations

import re
from importlib import metadata

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
        An installation of the smallest extra that names it, else of a package of its name.
    """
    package = _NAMES.get(module, module).replace("_", "-").lower()
    try:
        required = metadata.requires(_PACKAGE) or []
    except metadata.PackageNotFoundError:  # run from its sources
        return "make env"
    found = {match[2] for text in required if (match := _OF_EXTRA.match(text)) and match[1] == package}
    for extra in _EXTRAS:
        if extra in found:
            return f"pip install '{_PACKAGE}[{extra}]'"
    return f"pip install {package}"
