"""The keys: what the agent holds, the files of ~/.ssh, and what is not well with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.types import CSSPathType

from gpuhop_tui.ssh.key_care import HeldKey, KeyFileFacts, KeyFinding, KeysView, key_findings
from gpuhop_tui.ssh.keychain import KeychainError
from gpuhop_tui.tui.clipboard import copy_by_system
from gpuhop_tui.tui.render.keys import held_name, key_rows
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit_line
from gpuhop_tui.tui.screens.add_key import AddKeyDialog
from gpuhop_tui.tui.screens.choose import ChooseDialog
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from gpuhop_tui.ssh.keychain import Keychain

SECONDS_BETWEEN_LOOKS = 2.0


class KeysScreen(Dialog[None]):
    """Looks again every two seconds: keys come and go by other programs too."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "keys.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a,enter", "add", "add to the agent"),
        Binding("x", "remove", "take out of the agent"),
        Binding("s", "start", "start an agent"),
        Binding("c", "copy", "copy what mends it"),
        Binding("r", "look", "look again"),
        Binding("K,q", "cancel", "close", show=False),
    ]

    def __init__(
        self, keychain: Keychain, clock: Callable[[], float], added: Callable[[], None]
    ) -> None:
        """`added` is called once a key was added: logins that lacked it can be tried again."""
        super().__init__()
        self._keychain, self._clock, self._added = keychain, clock, added
        self.view: KeysView | None = None
        self.rows = Rows(classes="box")

    def compose(self) -> ComposeResult:
        self.rows.border_title = "Keys"
        self.rows.border_subtitle = (
            "a adds, x takes out, s starts an agent, c copies →, escape closes"
        )
        yield self.rows

    def on_mount(self) -> None:
        self.rows.show_rows([(None, (Span("Looking…", Tone.DIM),))])
        self.rows.focus()
        self.action_look()
        self.set_interval(SECONDS_BETWEEN_LOOKS, self.action_look)

    def action_look(self) -> None:
        """Look at the agent and the files again."""
        self.run_worker(self._look(), group="look", exclusive=True, exit_on_error=False)

    async def _look(self) -> None:
        self.view = await self._keychain.view()
        self.lay_out()

    @on(Lines.Resized)
    def lay_out(self) -> None:
        if self.view is not None:
            width = self.rows.room or 70
            self.rows.show_rows(key_rows(self.view, width, self._clock(), self._home))

    @property
    def _home(self) -> Path:
        return self._keychain.home or Path.home()

    # What is selected

    @property
    def held(self) -> HeldKey | None:
        """The selected key of the agent."""
        held = self.view.held if self.view else ()
        return next((each for each in held if held_name(each) == self.rows.selected), None)

    @property
    def file(self) -> KeyFileFacts | None:
        """The selected file."""
        files = self.view.files if self.view else ()
        selected = self.rows.selected
        return next((each for each in files if ("file", str(each.path)) == selected), None)

    # What is done

    def action_add(self) -> None:
        """Add the selected file to the agent: asks for the passphrase, and on what terms."""
        file = self.file
        if self.view is None or file is None:
            self._say("Choose one of the key files first")
        elif self.view.agent_problem is not None:
            self._say("There is no agent to add it to: s starts one")
        elif self.view.is_held(file):
            self._say(f"The agent holds {file.path.name} already")
        else:
            self.app.push_screen(AddKeyDialog(file, self._keychain), self._after_adding)

    def _after_adding(self, added: bool | None) -> None:
        self.action_look()
        if added:
            self._added()

    def action_remove(self) -> None:
        """Take the selected key out of the agent, once that is confirmed."""
        held = self.held
        if held is None:
            self._say("Choose one of the agent's keys first")
            return
        facts = held.facts

        def confirmed(yes: bool | None) -> None:
            if yes:
                self._do(partial(self._keychain.remove, facts.fingerprint), "The agent forgot it")

        name = facts.comment or facts.fingerprint
        words = [
            f"{facts.kind} {facts.fingerprint}",
            "Logins that are open stay open. New ones need another key, or this one added again; "
            "a key whose file is not here cannot be added again.",
        ]
        title = f"Take {name} out of the agent?"
        self.app.push_screen(ConfirmDialog(title, words, "take it out"), confirmed)

    def action_start(self) -> None:
        """Start an agent: for as long as gpuhop runs, or for longer."""
        if self.view is not None and self.view.agent_problem is None:
            self._say("There is an agent already")
            return

        def chosen(number: int | None) -> None:
            if number is not None:
                start = partial(self._keychain.start_agent, keep=number == 1)
                self._do(start, "An agent runs: a adds a key file to it")

        choices = [partial(_choice, *words) for words in _CHOICES]
        self.app.push_screen(ChooseDialog("Start an SSH agent", choices), chosen)

    async def action_copy(self) -> None:
        """Copy the command that mends what is selected."""
        finding = self._finding()
        if finding is None:
            self._say("Nothing is to be mended there")
            return
        self.app.copy_to_clipboard(finding.command)
        by_system = await copy_by_system(finding.command)
        where = "the clipboard" if by_system else "the terminal's clipboard"
        self._say(f"Copied to {where}: {finding.command}")

    def _finding(self) -> KeyFinding | None:
        if self.view is None:
            return None
        about = self.held or self.file
        findings = key_findings(self.view, self._clock(), home=self._home)
        return next((each for each in findings if each.about is about), None)

    def _do(self, work: Callable[[], Awaitable[None]], done: str) -> None:
        self.run_worker(self._try(work, done), group="act", exit_on_error=False)

    async def _try(self, work: Callable[[], Awaitable[None]], done: str) -> None:
        try:
            await work()
        except KeychainError as error:
            words = clean(f"{error.message}. {error.advice}")
            self.notify(words[:1].upper() + words[1:], severity="error", timeout=12, markup=False)
        else:
            self._say(done)
        self.action_look()

    def _say(self, words: str) -> None:
        self.notify(clean(words), timeout=4, markup=False)


_CHOICES = (
    ("While gpuhop runs", "it ends with gpuhop, and the keys with it"),
    ("Keep it", "gpuhop finds it again; other programs by SSH_AUTH_SOCK"),
)


def _choice(head: str, words: str, width: int) -> Line:
    return fit_line((Span(f"{head}: ", Tone.STRONG), Span(words, Tone.DIM)), width)
