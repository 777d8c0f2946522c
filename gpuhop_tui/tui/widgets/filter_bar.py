"""Where the filter is typed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class TypingBar(Input):
    """A line to type into; while it has the focus, the key bar shows its hints."""

    HINTS: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """Key, how it is shown, what it does."""


class FilterBar(TypingBar):
    """The needle, typed. Enter keeps it and returns to the tree, escape clears it."""

    HINTS = (("enter", "enter", "keep the filter"), ("escape", "esc", "end the filter"))

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "clear_filter", "end the filter", show=False),
        Binding("down", "leave", "to the tree", show=False),
    ]

    class Cleared(Message):
        """The filter is to end."""

    class Left(Message):
        """The filter stays; the tree is wanted."""

    def __init__(self) -> None:
        super().__init__(placeholder="node, tag, GPU or user", compact=True, id="filter")

    def action_clear_filter(self) -> None:
        self.post_message(self.Cleared())

    def action_leave(self) -> None:
        self.post_message(self.Left())

    async def action_submit(self) -> None:
        self.post_message(self.Left())
