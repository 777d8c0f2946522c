"""Every key of the app, by its stable id. `ui.keymap` of the config rebinds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Key:
    """One binding: its id in `ui.keymap`, the default keys, what it does in a word and in full."""

    id: str
    keys: str
    action: str
    label: str
    help: str
    group: str
    shown: bool = True  # in the bar at the bottom

    def binding(self) -> Binding:
        return Binding(
            self.keys, self.action, self.label, show=self.shown, tooltip=self.help, id=self.id
        )


_GO, _LOOK, _APP = "Find your way", "Look closer", "The app"

KEYS: tuple[Key, ...] = (
    Key("freest", "f", "freest", "freest", "Jump to the freest GPU; again: the next freest", _GO),
    Key("filter", "slash", "filter", "filter", "Filter by node, tag, GPU or user; escape ends", _GO),
    Key("sort", "o", "sort", "sort", "Order: config, name, free GPUs, utilization", _GO),
    Key("retry", "r", "retry", "retry", "Try the selected link again now", _GO),
    Key("retry-all", "R", "retry_all", "retry all", "Try every link again now", _GO, False),
    Key("details", "d", "details", "details", "Every figure of the selected GPU, or why not", _LOOK),
    Key("tab-processes", "1", "tab('processes')", "processes", "Show processes", _LOOK, False),
    Key("tab-history", "2", "tab('history')", "history", "Show the GPU's history", _LOOK, False),
    Key("tab-node", "3", "tab('node')", "node", "Show the machine: CPU, memory, disks", _LOOK, False),
    Key("tab-log", "4", "tab('log')", "log", "Show the log of the link", _LOOK, False),
    Key("clear", "escape", "clear", "clear", "End the filter", _APP, False),
    Key("help", "question_mark", "help", "help", "This page", _APP),
    Key("palette", "ctrl+p", "app.command_palette", "palette", "Every command by name", _APP, False),
    Key("quit", "q", "app.quit_fleet", "quit", "Leave; nothing is left running on the nodes", _APP),
)

KEY_IDS = frozenset(key.id for key in KEYS)


def bindings(*ids: str) -> list[Binding]:
    """The bindings of these ids, in this order."""
    by_id = {key.id: key for key in KEYS}
    return [by_id[name].binding() for name in ids]


def unknown_ids(keymap: Mapping[str, str]) -> list[str]:
    """Ids of a user's keymap that name no binding."""
    return sorted(set(keymap) - KEY_IDS)
