"""Good inputs made bad: bytes, trees of values (JSON, YAML), and tables. All by a seeded generator."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
from collections.abc import Sequence
from typing import Any

import yaml

NASTY: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 10**30, -0.0, 1e-320, 1e308, float("inf"), float("-inf"),
    float("nan"), "", " ", "0", "nan", "-1e999", "yes", "014", "1:30", "\x00", "\u202e", "\ud7ff",
    "../../etc/passwd", "/dev/zero", "a" * 5000, "<script>alert(1)</script>", "{0.__class__}", "%s%n", "${x}",
    "=cmd()", "(a+)+$", "\n", "'", '"', [], {}, [[]], [None], {"": None}, [1, "a", None], {"a": {"b": {}}},
)  # fmt: skip
"""Values that somebody may write in place of any other."""

_MOST = 300_000  # bytes of an input


def bytes_of(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """Changes, cuts, repeats, moves or splices bytes, some times over."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        if not data:
            break
        place = chance.randrange(len(data))
        length = min(chance.choice((1, 2, 4, 8, 64, 512)), len(data) - place)
        match chance.randrange(8):
            case 0:
                data[place] ^= 1 << chance.randrange(8)
            case 1:
                data[place : place + length] = chance.randbytes(length)
            case 2:
                del data[place:]
            case 3:
                del data[place : place + length]
            case 4:
                data[place:place] = data[place : place + length] * chance.choice((1, 2, 50))
            case 5:
                number = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
                width = chance.choice((1, 2, 4))
                data[place : place + width] = (number & (256**width - 1)).to_bytes(
                    width, chance.choice(("little", "big"))
                )
            case 6:
                other = chance.choice(others)
                start = chance.randrange(max(1, len(other)))
                data[place : place + length] = other[start : start + length]
            case _:
                data[place : place + length] = bytes(length)
    return bytes(data[:_MOST])


def tree(value: Any, chance: random.Random) -> Any:
    """Replaces, removes, renames, wraps or exchanges values at random places of a tree."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return chance.choice(NASTY)
        parent, key = chance.choice(places)
        match chance.randrange(8):
            case 0 | 1 | 2:
                parent[key] = copy.deepcopy(chance.choice(NASTY))
            case 3:
                del parent[key]
            case 4 if isinstance(parent, dict):
                parent[str(chance.choice(NASTY))] = parent.pop(key)
            case 5:
                parent[key] = chance.choice(([parent[key]], {"x": parent[key]}, str(parent[key])))
            case 6:
                other, at = chance.choice(places)
                parent[key] = copy.deepcopy(other[at]) if _has(other, at) else None
            case _:
                old = parent[key]
                number = isinstance(old, int | float) and not isinstance(old, bool)
                parent[key] = old * chance.choice((-1, 10, 1e6, 0.5)) if number else [old, old]
    return value


def _places(value: Any) -> Any:
    """Each place of a tree as its parent and key."""
    todo = [value]
    while todo:
        one = todo.pop()
        for key in list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ():
            yield one, key
            todo.append(one[key])


def _has(parent: Any, key: Any) -> bool:
    return key in parent if isinstance(parent, dict) else key < len(parent)


def json_of(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """A JSON text with other values, seldom with other bytes."""
    if chance.random() < 0.15:
        return bytes_of(content, others, chance)
    if chance.random() < 0.01:
        return _deep(chance, "[", "]") if chance.random() < 0.5 else _deep(chance, '{"a":', "}")
    return json.dumps(tree(json.loads(content), chance)).encode(errors="surrogatepass")


def yaml_of(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """A YAML text with other values, seldom with other bytes, tags, aliases or a great depth."""
    kind = chance.random()
    if kind < 0.3:
        return bytes_of(content, others, chance)
    if kind < 0.33:
        lines = content.decode().splitlines()
        row = chance.randrange(len(lines))
        lines[row] += chance.choice(
            (" !!python/object/apply:os.system ['true']", " &a", " *a", ": :", " |", " {", " []]", "\t")
        )
        return "\n".join(lines).encode()
    if kind < 0.35:
        return chance.choice((_deep(chance, "[", "]"), _deep(chance, "{a: ", "}"), _aliases(chance)))
    return yaml.safe_dump(tree(yaml.safe_load(content), chance), sort_keys=False, allow_unicode=True).encode(
        errors="surrogatepass"
    )


def _deep(chance: random.Random, opened: str, closed: str) -> bytes:
    depth = chance.choice((50, 900, 5_000, 100_000))
    return (opened * depth + "0" + closed * depth).encode()


def _aliases(chance: random.Random) -> bytes:
    """Each line nine times the one before: a few hundred bytes that mean billions of values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for number in range(1, chance.choice((3, 6, 9, 30))):
        lines.append(f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]")
    return "\n".join(lines).encode()


def table_of(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """A CSV table with other cells, rows and columns, seldom with other bytes."""
    if chance.random() < 0.2:
        return bytes_of(content, others, chance)
    rows = list(csv.reader(io.StringIO(content.decode())))
    for _ in range(chance.choice((1, 1, 2, 3))):
        if not rows or not rows[0]:
            break
        row = chance.randrange(len(rows))
        column = chance.randrange(max(1, min(map(len, rows))))
        match chance.randrange(10):
            case 0 | 1 | 2 | 3 if column < len(rows[row]):
                rows[row][column] = str(chance.choice(NASTY))
            case 4:
                del rows[row]
            case 5:
                rows.insert(row, list(rows[row]))
            case 6:
                rows = [line[:column] + line[column + 1 :] for line in rows]
            case 7:
                rows = [[*line, line[column] if column < len(line) else ""] for line in rows]
            case 8:
                rows = [
                    rows[0],
                    *(
                        [str(chance.choice(NASTY)) if k == column else cell for k, cell in enumerate(line)]
                        for line in rows[1:]
                    ),
                ]
            case _:
                chance.shuffle(rows)
    stream = io.StringIO()
    csv.writer(stream, lineterminator=chance.choice(("\n", "\r\n"))).writerows(rows)
    return stream.getvalue().encode(errors="surrogatepass")


def text_of(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """A short text with other characters, parts of others, or one of the nasty values."""
    if chance.random() < 0.3:
        return (content + str(chance.choice(NASTY)).encode(errors="surrogatepass"))[:_MOST]
    return bytes_of(content, others, chance)
