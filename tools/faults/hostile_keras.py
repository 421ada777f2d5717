"""Keras files that were written to run code, read files or reach out when they are opened."""

from __future__ import annotations

import base64
import io
import json
import marshal
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

PWNED = "pwned"
"""A file that the poison tries to make in the current folder."""

_COMMAND = f"touch {PWNED}"


class _Pickled:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        import os

        return os.system, (_COMMAND,)


def poisoned(good: bytes) -> list[bytes]:
    """Poisoned versions of a sound `.keras` file."""
    code = base64.b64encode(marshal.dumps(compile(f"open({PWNED!r}, 'w')", "poison", "eval"))).decode()
    pickled = base64.b64encode(pickle.dumps(_Pickled())).decode()
    function = {"class_name": "__lambda__", "config": {"code": code, "defaults": None, "closure": None}}
    layers = [
        _layer("keras.layers", "Lambda", {"name": "x", "function": function}),
        _layer("keras.layers", "Lambda", {"name": "x", "function": _named("os", "system")}),
        _layer("keras.layers", "TorchModuleWrapper", {"name": "x", "module": pickled}),
        _layer("keras.layers", "StringLookup", {"name": "x", "vocabulary": "/etc/passwd"}),
        _layer("keras.layers", "Dense", {"name": "x", "units": 1, "activation": _named("os", "system")}),
        _layer("keras.layers", "Dense", {"name": "x", "units": 1, "kernel_initializer": function}),
        _layer("subprocess", "Popen", {"args": ["touch", PWNED]}),
        _layer("builtins", "exec", {"source": f"open({PWNED!r}, 'w')"}),
        _layer("keras.utils", "get_file", {"fname": PWNED, "origin": "http://127.0.0.1:9/x"}),
        _layer("os", "system", {"command": _COMMAND}),
    ]
    made = [_with(good, _first_layer_is(layer)) for layer in layers]
    made += [_with_members(good, {"config.json": json.dumps(layer).encode()}) for layer in layers]
    made.append(_with_members(good, {"config.json": pickle.dumps(_Pickled())}))
    made.append(_with_members(good, {f"assets/../../{PWNED}": b"x", f"/tmp/{PWNED}": b"x"}))
    made.append(_with_members(good, {"model.weights.h5": pickle.dumps(_Pickled())}))
    made.append(pickle.dumps(_Pickled()))
    return made


def _layer(module: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": name, "name": "x"}


def _named(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _first_layer_is(layer: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(config: dict[str, Any]) -> dict[str, Any]:
        config["config"]["layers"][1] |= layer
        return config

    return change


def _with(good: bytes, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        config = json.loads(archive.read("config.json"))
    return _with_members(good, {"config.json": json.dumps(change(config)).encode()})


def _with_members(good: bytes, changed: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            if name not in changed:
                new.writestr(name, old.read(name))
        for name, content in changed.items():
            new.writestr(name, content)
    return stream.getvalue()
