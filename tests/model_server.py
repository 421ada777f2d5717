"""A model behind `mlflow models serve`, asked by real requests, where the package is not installed."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lung_attention.predict.requests import MOST_IMAGES

# Python runs it at its start, after the folders of packages that are installed in place were added.
_WITHOUT_THE_PACKAGE = """
import os, sys
sys.path[:] = [one for one in sys.path if not os.path.isdir(os.path.join(one, "lung_attention"))]
"""


def without_the_package(folder: Path) -> dict[str, str]:
    """An environment in which Python finds no `lung_attention`, by a file in a folder."""
    blocker = folder / "blocker"
    blocker.mkdir(exist_ok=True)
    (blocker / "sitecustomize.py").write_text(_WITHOUT_THE_PACKAGE)
    environment = os.environ | {"PYTHONPATH": str(blocker), "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = [sys.executable, "-c", "import lung_attention"]
    assert subprocess.run(found, env=environment, cwd=folder, capture_output=True).returncode == 1
    return environment


@contextmanager
def serving(address: str, store: str, folder: Path) -> Iterator[str]:
    """Serves a model from a store's registry or runs, and yields the server's address."""
    environment = without_the_package(folder) | {"MLFLOW_TRACKING_URI": store}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", address]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    log = folder / "server.log"
    with log.open("w") as opened:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=opened, stderr=opened, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 180  # TensorFlow may take 20 seconds on an idle machine
        while True:
            try:
                urllib.request.urlopen(f"{url}/ping", timeout=2)
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
                time.sleep(0.5)
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)


def ask(url: str, contents: Sequence[str]) -> tuple[int, Any]:
    """The status and the answer to images in base64."""
    return post(url, {"dataframe_split": {"columns": ["image"], "data": [[one] for one in contents]}})


def post(url: str, body: object) -> tuple[int, Any]:
    """The status and the answer to a request."""
    request = urllib.request.Request(
        f"{url}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def text(content: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(content).decode()


def encoded(size: tuple[int, int] = (40, 50), kind: str = "png") -> bytes:
    """An image of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return written(Image.fromarray(pixels), kind)


def written(image: Image.Image, kind: str = "png") -> bytes:
    """An image file."""
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def bad_requests() -> dict[str, tuple[list[str], str]]:
    """By name the images of a request that must be refused, and what the answer says."""
    deep = np.full((9, 9), 30_000, np.uint16)
    return {
        "empty": ([text(b"")], "no JPEG, PNG, TIFF or BMP file, nor DICOM"),
        "text": ([text(b"hello")], "no JPEG, PNG, TIFF or BMP file, nor DICOM"),
        "cut": ([text(encoded()[:500])], "damaged"),
        "16 bits": ([text(written(Image.fromarray(deep)))], "16 bits a channel, expected 8"),
        "the second": ([text(encoded()), text(b"")], "image 1: it is no JPEG"),
        "20,000 x 20,000": ([text(written(Image.new("1", (20_000, 20_000))))], "pixels"),
        "one too many": ([text(encoded())] * (MOST_IMAGES + 1), f"at most {MOST_IMAGES} images"),
        "1,000": ([text(encoded((8, 8)))] * 1000, f"at most {MOST_IMAGES} images"),
    }


def check_refusals(url: str) -> None:
    """Asserts that bad requests are refused with an answer of 4xx, and that the server lives on."""
    for name, (contents, said) in bad_requests().items():
        status, answer = ask(url, contents)
        assert 400 <= status < 500, (name, status)
        assert said in answer, (name, answer)
        assert ask(url, [text(encoded())])[0] == 200, name
