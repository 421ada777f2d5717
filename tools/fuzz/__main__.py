"""Feeds one parser of `faults.parsers`, led by which code an input reaches.

    make fuzz PARSER=DICOM SECONDS=3600

Good inputs and what was found before are its corpus, in `.fuzz/<parser>`; an input that falls is written
beside it. atheris has wheels for Linux and Python 3.11 to 3.13, and is no dependency of this project.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import atheris

from faults.parsers import PARSERS, parser
from lung_attention.errors import UserError, run_guarded

_LOOKED_AT = ["lung_attention", "pydicom", "PIL", "zipfile", "ruamel", "yaml"]


def main() -> None:
    """Runs until libFuzzer's options end it, or an input falls."""
    name, *options = sys.argv[1:] or [""]
    if name not in PARSERS:
        raise UserError(
            f"parser: expected one of {', '.join(PARSERS)}, received {name!r}",
            remedy="make fuzz PARSER=DICOM",
        )
    corpus = Path(".fuzz", re.sub(r"\W+", "-", name).strip("-")).absolute()
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        with atheris.instrument_imports(include=_LOOKED_AT):
            given = parser(name, Path(folder))
        for number, content in enumerate([*given.seeds, *given.hostile]):
            (corpus / f"good-{number}").write_bytes(content)

        def feed(content: bytes) -> None:
            try:
                given.feed(content)
            except given.refusals:
                return

        atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={corpus}-", str(corpus)], feed)
        atheris.Fuzz()


if __name__ == "__main__":
    run_guarded(main)
