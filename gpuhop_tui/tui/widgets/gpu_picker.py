"""The GPUs and MIG instances of a node, to be picked for a container."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from gpuhop_tui.tui.widgets.rows import Rows


class GpuPicker(Rows):
    """Space or a click picks the GPU under the cursor, or no longer picks it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pick", "pick", show=False),
        Binding("enter", "screen.focus_next", "next", show=False),
    ]

    class Toggled(Message):
        """A GPU, by its index, or a MIG instance, by its UUID, is wanted, or not any more."""

        def __init__(self, identity: str) -> None:
            super().__init__()
            self.identity = identity

    def action_pick(self) -> None:
        if isinstance(self.selected, str):
            self.post_message(self.Toggled(self.selected))

    def clicked(self, y: int, x: int) -> None:
        self.action_pick()
