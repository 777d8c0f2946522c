"""The form for a new tmux session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.types import CSSPathType
from textual.widgets import Button, Input, Static, TextArea

from gpuhop_tui.problem import ProblemError
from gpuhop_tui.sessions.tmux_actions import (
    Created,
    NewSession,
    SessionError,
    check_environment,
    check_name,
)
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import TAB_IN_TURN, Dialog

Make = Callable[[NewSession], Awaitable[Created]]
_FIELDS = ("name", "directory", "command", "environment")


class NewSessionDialog(Dialog[Created]):
    """Makes the session itself, so that what is refused is said at its field. None: given up."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "new_session.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [*TAB_IN_TURN, Binding("ctrl+s", "make", "start")]
    AUTO_FOCUS = "#name"

    def __init__(self, node: str, make: Make, taken: frozenset[str]) -> None:
        """`taken` are the names that sessions of the usual server have."""
        super().__init__()
        self._node, self._make, self._taken = clean(node), make, taken

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = f"New tmux session on {self._node}".replace("[", r"\[")
            box.border_subtitle = "enter goes on, ctrl+s starts, escape gives up"
            yield from self._field("name", Input(placeholder="train", id="name", compact=True))
            yield from self._field(
                "directory", Input(placeholder="~", id="directory", compact=True)
            )
            yield from self._field(
                "command",
                Input(placeholder="the login shell", id="command", compact=True),
            )
            area = TextArea(id="environment", compact=True, tab_behavior="focus")
            area.placeholder = "NAME=value, one a line"
            yield from self._field("environment", area)
            yield Static(id="failure", classes="failure", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Start", id="ok", variant="primary")

    def _field(self, name: str, field: Input | TextArea) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Static(f"  {name}", id=f"{name}-label", classes="label")
            yield field
        yield Static(id=f"{name}-failure", classes="failure at-field", markup=False)

    # Filling it in

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _mark(self) -> None:
        """Mark the field that is typed into, not by a colour alone."""
        for name in _FIELDS:
            has_focus = self.query_one(f"#{name}").has_focus
            self.query_one(f"#{name}-label", Static).update(f"{'›' if has_focus else ' '} {name}")

    @on(Input.Submitted)
    def _next(self) -> None:
        self.focus_next("Input, TextArea, #ok")

    @on(Input.Changed)
    @on(TextArea.Changed)
    def _edited(self, event: Input.Changed | TextArea.Changed) -> None:
        field = event.control
        if field is not None and field.id in _FIELDS:
            self._say(field.id, "")
        self._say(None, "")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#ok")
    def action_make(self) -> None:
        wanted = self._checked()
        if wanted is not None and not self.query_one("#ok", Button).disabled:
            self.query_one("#ok", Button).disabled = True
            self._say(None, "starting…")
            self.run_worker(self._start(wanted), exit_on_error=False)

    def _checked(self) -> NewSession | None:
        """What is wanted, where nothing is plainly wrong with it."""
        values = {name: self.query_one(f"#{name}", Input).value for name in _FIELDS[:3]}
        environment, wrong = read_environment(self.query_one("#environment", TextArea).text)
        name = values["name"].strip()
        failures = {"name": check_name(name), "environment": wrong}
        if name in self._taken:
            failures["name"] = f"there is a session named {name} already"
        for field in _FIELDS:
            self._say(field, failures.get(field) or "")
        first = next((field for field in _FIELDS if failures.get(field)), None)
        if first is not None:
            self.query_one(f"#{first}").focus()
            return None
        return NewSession(name, values["directory"].strip(), values["command"], environment)

    async def _start(self, wanted: NewSession) -> None:
        field, words = None, ""
        try:
            created = await self._make(wanted)
        except SessionError as error:
            field = error.field if error.field in _FIELDS else None
            words = f"{error.message}. {error.advice}"
        except ProblemError as error:
            words = f"{error.problem.message}. {error.problem.advice}"
        except Exception as error:
            words = f"it was not started: {error or type(error).__name__}"
        else:
            self.finish(created)
            return
        self.query_one("#ok", Button).disabled = False
        self._say(None, "")
        self._say(field, words)
        if field is not None:
            self.query_one(f"#{field}").focus()

    def _say(self, field: str | None, words: str) -> None:
        """Say something at a field; None: below them all."""
        place = self.query_one(f"#{field}-failure" if field else "#failure", Static)
        place.update(clean(words))
        place.set_class(bool(words), "-said")


def read_environment(text: str) -> tuple[dict[str, str], str | None]:
    """Variables of lines such as `NAME=value` or `export NAME=value`; and what is wrong, if so.

    Values are taken as they stand: no quotes, no `$`.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if not equals:
            return found, f"line {number} is no NAME=value"
        if wrong := check_environment({name: value}):
            return found, f"line {number}: {wrong}"
        found[name] = value
    return found, None
