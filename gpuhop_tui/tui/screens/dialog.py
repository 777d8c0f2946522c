"""What all dialogs share: escape cancels, and whoever asked can take the question back."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.types import CSSPathType

Result = TypeVar("Result")

TAB_IN_TURN: tuple[Binding, ...] = (
    Binding("tab", "app.focus_next", show=False, priority=True),
    Binding("shift+tab", "app.focus_previous", show=False, priority=True),
)
"""For forms: what is typed right behind a tab goes to the field that the tab leads to, however fast
the keys come. Not where a field has a use of its own for tab."""


class Dialog(ModalScreen[Result]):
    """A box over the dashboard. Its result is None where it is cancelled."""

    CSS_PATH: ClassVar[CSSPathType | None] = "dialog.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "cancel")]

    withdrawn = False
    _result: Any = None

    def action_cancel(self) -> None:
        self.dismiss(None)

    def withdraw(self) -> None:
        """Go away without a result, as `finish` does."""
        self.finish(None)

    def finish(self, result: Result | None) -> None:
        """End with this; where another screen lies on top, as soon as that is gone."""
        self._result, self.withdrawn = result, True
        if self.is_active:
            self.dismiss(result)

    def on_screen_resume(self) -> None:
        if self.withdrawn and self.is_active:
            self.dismiss(self._result)
