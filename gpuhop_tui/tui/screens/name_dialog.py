"""Asks for a name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, Static

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog

Check = Callable[[str], str | None]
Use = Callable[[str], Awaitable[None]]


class NameDialog(Dialog[str]):
    """The result is the name. What `check` or `use` refuses is said beside what was typed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "take", "take it")]
    AUTO_FOCUS = "#name"

    def __init__(
        self, title: str, words: str, value: str, check: Check, yes: str, use: Use | None = None
    ) -> None:
        """`check` says what is wrong with a name; `use` does what is wanted with it, so that it can
        be mended where that fails. `yes` is the word on the button that does it."""
        super().__init__()
        self._title, self._words, self._value = clean(title), clean(words), clean(value)
        self._check, self._yes, self._use = check, yes, use

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = self._title.replace("[", r"\[")
            box.border_subtitle = f"enter {self._yes.lower()}s, escape gives up"
            yield Static(self._words, classes="text soft", markup=False)
            yield Input(self._value, id="name")
            yield Static(id="failure", classes="text warn", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button(self._yes, id="ok", variant="primary")

    @on(Input.Changed)
    def _edited(self) -> None:
        self._say("")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    @on(Button.Pressed, "#ok")
    def action_take(self) -> None:
        """Take the name, where nothing is wrong with it."""
        name, button = self.query_one("#name", Input).value.strip(), self.query_one("#ok", Button)
        wrong = self._check(name)
        if wrong is not None:
            self._say(wrong)
            self.query_one("#name").focus()
        elif self._use is None:
            self.dismiss(name)
        elif not button.disabled:
            button.disabled = True
            self._say("…")
            self.run_worker(self._use_it(self._use, name), exit_on_error=False)

    async def _use_it(self, use: Use, name: str) -> None:
        try:
            await use(name)
        except ContainerError as error:
            words = f"{error.message}. {error.advice}"
        except ProblemError as error:
            words = f"{error.problem.message}. {error.problem.advice}"
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
        else:
            self.finish(name)
            return
        self.query_one("#ok", Button).disabled = False
        self._say(words)
        self.query_one("#name").focus()

    def _say(self, words: str) -> None:
        self.query_one("#failure", Static).update(clean(words[:1].upper() + words[1:]))
