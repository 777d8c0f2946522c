"""What must hold between entries: unique names, `via` that names bastions, no way in a circle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from gpuhop_tui.config.positions import KeyPath


class Fault(NamedTuple):
    """Something wrong at a key of a parsed file."""

    path: KeyPath
    message: str
    nearest: str | None = None
    other: KeyPath | None = None  # the entry that it clashes with


def nearest(word: str, words: list[str]) -> str | None:
    """The valid word that was probably meant."""
    lower = {valid.lower(): valid for valid in words}
    close = get_close_matches(word.lower(), list(lower), n=1)
    return lower[close[0]] if close else None


def reference_faults(raw: Mapping[str, Any]) -> Iterator[Fault]:
    """Faults between the entries of a parsed file, which need not be valid otherwise."""
    yield from _duplicates(raw, ("bastions", "nodes"))
    yield from _duplicates(raw, ("templates",))
    bastions = {name: path for path, name in _names(raw, "bastions")}
    vias = {path: via for kind in ("bastions", "nodes") for path, via in _vias(raw, kind)}
    for via in vias.values():
        for key, name in via:
            if name not in bastions:
                yield Fault(key, f'no bastion is named "{name}"', nearest(name, list(bastions)))
    graph = {
        name: [bastion for _, bastion in vias.get(path[:2], [])] for name, path in bastions.items()
    }
    told: list[set[str]] = []
    for name, path in bastions.items():
        circle = _circle(graph, name)
        if circle and set(circle) not in told:
            told.append(set(circle))
            yield Fault((*path[:2], "via"), f"leads in a circle: {' > '.join(circle)}")


def _entries(raw: Mapping[str, Any], kind: str) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    entries = raw.get(kind)
    if isinstance(entries, list):
        for index, entry in enumerate(entries):
            if isinstance(entry, dict):
                yield (kind, index), entry


def _names(raw: Mapping[str, Any], kind: str) -> Iterator[tuple[KeyPath, str]]:
    for path, entry in _entries(raw, kind):
        if isinstance(entry.get("name"), str):
            yield (*path, "name"), entry["name"]


def _vias(raw: Mapping[str, Any], kind: str) -> Iterator[tuple[KeyPath, list[tuple[KeyPath, str]]]]:
    for path, entry in _entries(raw, kind):
        via = entry.get("via")
        if isinstance(via, str):
            yield path, [((*path, "via"), via)]
        elif isinstance(via, list):
            named = enumerate(via)
            yield path, [((*path, "via", i), v) for i, v in named if isinstance(v, str)]


def _duplicates(raw: Mapping[str, Any], kinds: tuple[str, ...]) -> Iterator[Fault]:
    first: dict[str, KeyPath] = {}
    for kind in kinds:
        for path, name in _names(raw, kind):
            if name in first:
                yield Fault(path, f'the name "{name}" is taken', other=first[name])
            first.setdefault(name, path)


def _circle(graph: Mapping[str, list[str]], start: str) -> list[str]:
    """A way from `start` back to it, or nothing."""
    ways = [[start, name] for name in graph[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == start:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, name] for name in graph.get(way[-1], [])]
    return []
