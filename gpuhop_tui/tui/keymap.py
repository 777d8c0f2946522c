"""Every key of the app, by its stable id. `ui.keymap` of the config rebinds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.binding import Binding

if TYPE_CHECKING:
    from textual.screen import Screen


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

# fmt: off
KEYS: tuple[Key, ...] = (
    Key("freest", "f", "freest", "freest",
        "Jump to the freest GPU; again: the next freest", _GO),
    Key("filter", "slash", "filter", "filter",
        "Filter by node, tag, GPU name or user; escape ends it", _GO),
    Key("sort", "o", "sort", "sort",
        "Order of nodes: config, name, free GPUs, utilization", _GO),
    Key("retry", "r", "retry", "retry",
        "Try the selected link again now", _GO),
    Key("retry-all", "R", "retry_all", "retry all",
        "Try every link again now", _GO, shown=False),
    Key("details", "d", "details", "details",
        "Every figure of the selected GPU, or why it is missing", _LOOK),
    Key("tab-processes", "1", "tab('processes')", "processes",
        "Processes on the node's GPUs", _LOOK, shown=False),
    Key("tab-history", "2", "tab('history')", "history",
        "Recent past of the selected GPU", _LOOK, shown=False),
    Key("tab-node", "3", "tab('node')", "node",
        "The machine: CPU, memory, load, disks", _LOOK, shown=False),
    Key("tab-log", "4", "tab('log')", "log",
        "What happened to the link", _LOOK, shown=False),
    Key("clear", "escape", "clear", "clear",
        "End the filter", _GO, shown=False),
    Key("help", "question_mark", "help", "help",
        "This page", _APP),
    Key("palette", "ctrl+p", "app.command_palette", "palette",
        "Every command, by name", _APP),
    Key("quit", "q", "app.quit_fleet", "quit",
        "Leave; nothing is left running on the nodes", _APP),
)
# fmt: on

KEY_IDS = frozenset(key.id for key in KEYS)


def bindings(*ids: str) -> list[Binding]:
    """The bindings of these ids, in this order."""
    by_id = {key.id: key for key in KEYS}
    return [by_id[name].binding() for name in ids]


def shown_key(screen: Screen[Any], id: str) -> str:
    """The key that a binding has on a screen now, as it is shown to the user."""
    for _, binding, _, _ in screen.active_bindings.values():
        if binding.id == id:
            return screen.app.get_key_display(binding)
    return id


def unknown_ids(keymap: Mapping[str, str]) -> list[str]:
    """Ids of a user's keymap that name no binding."""
    return sorted(set(keymap) - KEY_IDS)
