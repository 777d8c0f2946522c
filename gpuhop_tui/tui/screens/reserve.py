"""Asks until when, and what for, a GPU is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, Static

from gpuhop_tui.fleet.reservations import LONGEST_NOTE, seconds_until
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog

Put = Callable[[float, str], Awaitable[None]]  # seconds from now, note
End = Callable[[], Awaitable[None]]


class ReserveDialog(Dialog[str]):
    """The result says what was done. What fails is said beside what was typed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "put", "reserve")]
    AUTO_FOCUS = "#until"

    def __init__(
        self,
        title: str,
        words: list[str],
        clock: Callable[[], float],
        put: Put,
        end: End | None,
        note: str = "",
    ) -> None:
        """`words`: what there is to know, such as that somebody else has asked for it. `end` takes
        one's own note away; None: there is none. `note`: what it says."""
        super().__init__()
        self._title, self._words, self._clock = clean(title), words, clock
        self._put, self._end, self._note = put, end, clean(note)
        self._is_working = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = self._title.replace("[", r"\[")
            box.border_subtitle = "enter reserves, escape gives up"
            words = "\n".join(map(clean, self._words))
            yield Static(words, classes="text soft", markup=False)
            until = Input(id="until", placeholder="18:00, or 2h, 45m, 1d")
            until.border_title = "until"
            yield until
            hint = "such as: evaluation run"
            note = Input(self._note, id="note", placeholder=hint, max_length=LONGEST_NOTE)
            note.border_title = "what for"
            yield note
            yield Static(id="failure", classes="text warn", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                if self._end is not None:
                    yield Button("Give it up", id="end", variant="error")
                yield Button("Reserve", id="ok", variant="primary")

    @on(Input.Changed)
    def _edited(self) -> None:
        self._say("")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#end")
    def _end_it(self) -> None:
        if self._end is not None:
            self._begin(self._end(), "The note is taken away")

    @on(Input.Submitted)
    @on(Button.Pressed, "#ok")
    def action_put(self) -> None:
        """Write the note, where nothing is wrong with it."""
        until, note = (self.query_one(f"#{name}", Input).value for name in ("until", "note"))
        try:
            seconds = seconds_until(until, self._clock())
        except ValueError as wrong:
            self._say(f"Until when? {wrong}")
            self.query_one("#until").focus()
            return
        self._begin(self._put(seconds, note), "Reserved: others see it with gpuhop")

    def _begin(self, work: Awaitable[None], done: str) -> None:
        if self._is_working:
            return
        self._is_working = True
        self._say("…")
        self.run_worker(self._do(work, done), exit_on_error=False)

    async def _do(self, work: Awaitable[None], done: str) -> None:
        try:
            await work
        except ProblemError as error:
            words = f"{error.problem.message}. {error.problem.advice}"
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
        else:
            if self.is_active:
                self.dismiss(done)
            return
        finally:
            self._is_working = False
        self._say(words)

    def _say(self, words: str) -> None:
        self.query_one("#failure", Static).update(clean(words[:1].upper() + words[1:]))
