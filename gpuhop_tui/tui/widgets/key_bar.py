"""The keys that do something here, on the bottom line. A click on one presses it."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.screen import Screen

from gpuhop_tui.tui.keymap import KEYS
from gpuhop_tui.tui.render.line import Line, Span, Tone
from gpuhop_tui.tui.widgets.filter_bar import TypingBar
from gpuhop_tui.tui.widgets.lines import Lines

_ORDER = {key.id: number for number, key in enumerate(KEYS)}
_NEEDED = frozenset({"help", "quit"})  # never dropped for room


def _width(item: tuple[str, str, str]) -> int:
    _, shown, label = item
    return cell_len(shown) + cell_len(label) + 3


class KeyBar(Lines):
    """Follows the active bindings and the user's keymap; what does not fit is left to the help."""

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._places: list[tuple[int, int, str]] = []  # from cell, to cell, key

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, screen: Screen[object]) -> None:
        self.refresh()

    @property
    def line_count(self) -> int:
        return 1

    def line_at(self, y: int) -> Line:
        spans: list[Span] = []
        self._places = []
        start = 0
        for key, shown, label in self._fitting():
            spans += [Span(f" {shown}", Tone.INFO), Span(f" {label} ", Tone.DIM)]
            end = start + _width((key, shown, label))
            self._places.append((start, end, key))
            start = end
        return tuple(spans)

    def _fitting(self) -> list[tuple[str, str, str]]:
        """Key, how it is shown, and label of the bindings there is room for, in their order."""
        typing = self.screen.focused
        if isinstance(typing, TypingBar):
            return list(typing.HINTS)
        shown: dict[str, tuple[str, str, str]] = {}
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            if binding.id in _ORDER and binding.show and enabled:
                display = self.app.get_key_display(binding)
                shown.setdefault(binding.id, (binding.key, display, binding.description))
        ids = sorted(shown, key=lambda name: _ORDER[name])
        optional = [name for name in ids if name not in _NEEDED]
        while optional and sum(_width(shown[name]) for name in ids) > self.room:
            ids.remove(optional.pop())
        return [shown[name] for name in ids]

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._places:
            if start <= event.x < end:
                self.app.simulate_key(key)
