"""The form by which a key file is added to the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.types import CSSPathType
from textual.widgets import Button, Input, Static

from gpuhop_tui.ssh.key_care import KeyFileFacts, read_lifetime
from gpuhop_tui.ssh.keychain import PASSPHRASE, KeychainError
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import brief
from gpuhop_tui.tui.screens.dialog import TAB_IN_TURN, Dialog
from gpuhop_tui.tui.widgets.tick import Tick

if TYPE_CHECKING:
    from gpuhop_tui.ssh.keychain import Keychain

LIFETIME = "lifetime"


class AddKeyDialog(Dialog[bool]):
    """Adds the key itself, so that a wrong passphrase is said where it was typed. True: added."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "keys.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [*TAB_IN_TURN, Binding("ctrl+s", "add", "add")]
    AUTO_FOCUS = "Input"

    def __init__(self, file: KeyFileFacts, keychain: Keychain) -> None:
        super().__init__()
        self._file, self._keychain = file, keychain

    def compose(self) -> ComposeResult:
        file = self._file
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = f"Add {clean(file.path.name)} to the agent".replace("[", r"\[")
            box.border_subtitle = "enter goes on, ctrl+s adds, escape gives up"
            known = f"\n{file.facts.fingerprint}" if file.facts else ""
            yield Static(f"{clean(str(file.path))}{known}", classes="text", markup=False)
            if file.locked:
                secret = Input(password=True, id=PASSPHRASE, compact=True)
                yield from self._field(PASSPHRASE, secret)
            usual = self._keychain.lifetime_seconds
            text = brief(usual).replace(" ", "") if usual else ""
            lifetime = Input(text, placeholder="until the agent ends", id=LIFETIME, compact=True)
            yield from self._field(LIFETIME, lifetime)
            yield Tick("ask before each use, by ssh-askpass", id="confirm", compact=True)
            if not self._keychain.can_confirm:
                words = "There is no ssh-askpass here: such a key could never be used."
                yield Static(words, classes="text soft")
            yield Static(id="failure", classes="failure", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Add", id="ok", variant="primary")

    def _field(self, name: str, field: Input) -> ComposeResult:
        with Horizontal(classes="field"):
            yield Static(name, classes="label")
            yield field
        yield Static(id=f"{name}-failure", classes="failure at-field", markup=False)

    @on(Input.Submitted)
    @on(Tick.Submitted)
    def _next(self) -> None:
        self.focus_next("Input, #ok")

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        self._say(event.input.id, "")

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(False)

    @on(Button.Pressed, "#ok")
    def action_add(self) -> None:
        button = self.query_one("#ok", Button)
        try:
            lifetime = read_lifetime(self.query_one(f"#{LIFETIME}", Input).value)
        except ValueError as error:
            self._say(LIFETIME, str(error))
            self.query_one(f"#{LIFETIME}").focus()
            return
        if not button.disabled:
            button.disabled = True
            self._say(None, "adding…")
            self.run_worker(self._add(lifetime), exit_on_error=False)

    async def _add(self, lifetime: int | None) -> None:
        passphrase = None
        if self._file.locked:
            passphrase = self.query_one(f"#{PASSPHRASE}", Input).value
        confirm = self.query_one("#confirm", Tick).value
        try:
            await self._keychain.add(
                self._file.path, passphrase, lifetime_seconds=lifetime, confirm=confirm
            )
        except KeychainError as error:
            self.query_one("#ok", Button).disabled = False
            self._say(None, "")
            self._say(error.field, f"{error.message}: {error.advice}")
            if error.field is not None:
                self.query_one(f"#{error.field}").focus()
            return
        if self.is_active:
            self.dismiss(True)

    def _say(self, field: str | None, words: str) -> None:
        """Say something at a field; None: below them all."""
        place = self.query_one(f"#{field}-failure" if field else "#failure", Static)
        place.update(clean(words))
        place.set_class(bool(words), "-said")
