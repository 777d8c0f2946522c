"""Where each key of a TOML text stands. `tomllib` keeps no positions, and only errors need them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

KeyPath = tuple[str | int, ...]


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every table, array element and key of a valid TOML text.

    A key is where its statement begins; of a table that is opened several times (`[a]`, `[a.b]`)
    the first line counts.
    """
    lines: dict[KeyPath, int] = {}
    for line, path in key_statements(text):
        for depth in range(1, len(path) + 1):
            lines.setdefault(path[:depth], line)
    return lines


def key_statements(text: str) -> Iterator[tuple[int, KeyPath]]:
    """(line, path) of everything that a statement sets, in the order of the text."""
    table: KeyPath = ()
    elements: dict[KeyPath, int] = {}  # arrays of tables: how many elements so far
    for line, source in _statements(text):
        parsed = tomllib.loads(source)
        if not source.lstrip().startswith("["):
            yield from ((line, table + path) for path in _paths(parsed))
            continue
        keys = _header(parsed)
        is_element = source.lstrip().startswith("[[")
        table = ()
        for depth, key in enumerate(keys, 1):
            table = (*table, key)
            if depth == len(keys) and is_element:
                elements[table] = elements.get(table, 0) + 1
            if table in elements:
                table = (*table, elements[table] - 1)
        yield line, table


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """(first line, text) of each statement: the fewest lines that parse by themselves, because a
    part of a statement never does."""
    pending: list[str] = []
    first = 1
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        pending.append(line)
        source = "\n".join(pending)
        try:
            parsed = tomllib.loads(source)
        except tomllib.TOMLDecodeError:
            continue
        if parsed:
            yield first, source
        pending.clear()
        first = number + 1


def _header(parsed: dict[str, Any]) -> list[str]:
    """The keys of `[a.b]` or `[[a.b]]`, parsed by itself."""
    keys: list[str] = []
    value: Any = parsed
    while value:
        value = value[0] if isinstance(value, list) else value
        if value:
            key, value = next(iter(value.items()))
            keys.append(key)
    return keys


def _paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The path of every key and element inside a value."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))
