"""A choice of yes or no that is told by more than a colour."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox


class Tick(Checkbox, inherit_bindings=False):
    """`[x] words`. Space ticks it; enter goes on, as in any other field."""

    class Submitted(Message):
        """Enter was pressed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "toggle_button", "tick", show=False),
        Binding("enter", "submit", show=False),
    ]

    @property
    def _button(self) -> Content:
        return Content("[x]" if self.value else "[ ]").stylize_before(
            self.get_visual_style("toggle--label")
        )

    def action_submit(self) -> None:
        self.post_message(self.Submitted())
