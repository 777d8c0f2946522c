"""Forwards that come back at the next start, by node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from gpuhop_tui.fleet.ports.model import Wanted
from gpuhop_tui.fleet.state_file import StateFile

FILE_NAME = "ports.json"


def saved(node: str, file: StateFile) -> list[Wanted]:
    """What was saved for a node. Never raises: an entry that is not as it should be is left out."""
    entries = file.read().get(node)
    found = [_read(each) for each in entries] if isinstance(entries, list) else []
    return [each for each in found if each is not None]


def save(node: str, forwards: Iterable[Wanted], file: StateFile) -> None:
    """Saves these and no others for a node."""
    entries = [asdict(each) for each in forwards]

    def edit(held: dict[str, Any]) -> None:
        held.pop(node, None)
        if entries:
            held[node] = entries

    file.change(edit)


def _read(entry: object) -> Wanted | None:
    if not isinstance(entry, Mapping):
        return None
    host, port, local = entry.get("host"), entry.get("port"), entry.get("local_port")
    if not isinstance(host, str) or not host or not _is_port(port) or not _is_port(local):
        return None
    words = {name: entry.get(name) for name in ("container", "program", "service")}
    texts = {name: word for name, word in words.items() if isinstance(word, str)}
    return Wanted(host, int(str(port)), int(str(local)), **texts)


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536
