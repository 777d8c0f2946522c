"""A path, typed; tab completes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.completion import common

Complete = Callable[[str], Awaitable[list[str]]]


class PathInput(Input):
    """Tab goes on to the next field where there is nothing to complete."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "complete", show=False)]

    class Candidates(Message):
        """What was typed may become one of these; or why nothing can be said."""

        def __init__(self, field: PathInput, names: list[str], why: str = "") -> None:
            super().__init__()
            self.field, self.names, self.why = field, names, why

        @property
        def control(self) -> PathInput:
            return self.field

    def __init__(self, value: str, complete: Complete, *, id: str, placeholder: str = "") -> None:
        super().__init__(value, id=id, placeholder=placeholder, compact=True, select_on_focus=False)
        self._complete = complete

    def action_complete(self) -> None:
        self.run_worker(self._completed(), group="complete", exclusive=True, exit_on_error=False)

    async def _completed(self) -> None:
        typed = self.value
        try:
            candidates = await self._complete(typed)
        except ProblemError as error:
            self.post_message(self.Candidates(self, [], error.problem.message))
            return
        except ContainerError as error:
            self.post_message(self.Candidates(self, [], error.message))
            return
        if typed != self.value or not self.has_focus:
            return  # typed on meanwhile
        whole = common(candidates)
        if len(whole) > len(typed):
            self.value = whole
            self.cursor_position = len(whole)
            names = candidates if len(candidates) > 1 else []
            self.call_after_refresh(self.post_message, self.Candidates(self, names))
        elif len(candidates) > 1:
            self.post_message(self.Candidates(self, candidates))
        else:
            self.post_message(self.Candidates(self, []))
            self.screen.focus_next()
