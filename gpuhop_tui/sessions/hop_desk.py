"""The near side of a hop: what is typed, what is shown, the menu, and keys held while away.

A desk has one terminal and, while attached, one shell. Input and output are callbacks on the loop.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncssh

from gpuhop_tui.sessions import menu
from gpuhop_tui.sessions.hop_keys import HeldKeys, MenuKeyFinder, SentKeys, first_key, parted
from gpuhop_tui.sessions.hop_target import EXIT_NO_LINK, HopEnd, HopResult
from gpuhop_tui.sessions.screen_view import View
from gpuhop_tui.sessions.signature_line import KEYS, answers_line, key_line, question_line
from gpuhop_tui.ssh import keepalive
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.network import Network
from gpuhop_tui.ssh.prompts import SignatureAnswer, SignatureQuestion
from gpuhop_tui.ssh.terminal import Terminal
from gpuhop_tui.ssh.terminal_session import RemoteTerminal
from gpuhop_tui.ssh.terminal_signals import Handlers, stop_process

TICK_SECONDS = 0.25
STALL_SECONDS = 2.5  # unanswered for so long, the screen counts as frozen
CONFIRM_SECONDS = 0.3  # after what was typed, before it is asked whether it arrived
NOTICE_SECONDS = 6.0
MOST_NEWS = 8  # sequences that wait; the oldest are dropped


@dataclass(slots=True)
class _Question:
    """Something to be answered by one key: Enter is yes, Esc is no."""

    text: Callable[[], str]
    answer: asyncio.Future[bool]


@dataclass(slots=True)
class _Signature:
    """A signature that a host asks for. What is typed is not for it, but after ctrl+]."""

    question: SignatureQuestion
    answer: asyncio.Future[SignatureAnswer]


class Desk:
    """`leaving` is settled when the user, a signal or the end of the terminal ends the hop."""

    def __init__(
        self,
        network: Network,
        link: Link,
        session: str,
        terminal: Terminal,
        is_asking: Callable[[], bool] = lambda: False,
    ) -> None:
        """`is_asking`: whether a login's question is on the terminal: nothing is drawn over it."""
        self.leaving: asyncio.Future[HopResult] = asyncio.get_running_loop().create_future()
        self.view = View(terminal, terminal.size)
        self.heard_at = 0.0  # loop time of the last output
        self.is_taken = False  # whether the terminal is ours
        self._network, self._link, self._session = network, link, session
        self._terminal = terminal
        self._is_asking = is_asking
        self._was_asked = False  # whether a question has been written over the screen
        self._shell: RemoteTerminal | None = None
        self._is_tmux = False
        self._takes_keys = False  # whether the shell is there to be typed into
        self._finder = MenuKeyFinder()
        self._held = HeldKeys()
        self._sent = SentKeys()
        self._menu = ""  # "", "menu" or "link"
        self._question: _Question | None = None
        self._signature: _Signature | None = None
        self._away_since: float | None = None
        self._refused = ""
        self._stalled_since: float | None = None
        self._asked_at: float | None = None  # loop time of the unanswered round trip
        self._notice, self._notice_until, self._notice_stays = "", 0.0, False
        self._news: list[bytes] = []  # sequences for the terminal that wait for a place

    @property
    def is_live(self) -> bool:
        """Whether what is on the screen is what is there."""
        return self._away_since is None and self._stalled_since is None

    # Taking the terminal, and giving it back

    def take(self) -> None:
        """The terminal is raw from here on."""
        self._terminal.on_input = self._typed
        self._terminal.on_backlog = self._backlog
        self.view.resize(*self._terminal.size)
        self._terminal.raw()
        self.is_taken = True

    async def tick(self) -> None:
        """Keeps the line up to date; to be run for as long as the terminal is taken."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._watch_for_stall()
            self.refresh()

    @property
    def signals(self) -> Handlers:
        """What each signal means while a hop has the terminal."""
        return {
            signal.SIGTERM: lambda: self._signalled(signal.SIGTERM),
            signal.SIGHUP: lambda: self._signalled(signal.SIGHUP),
            signal.SIGINT: lambda: self._signalled(signal.SIGINT),
            signal.SIGWINCH: self._resized,
            signal.SIGTSTP: self._stop,
            signal.SIGCONT: self._continued,
        }

    def leave(self, result: HopResult) -> None:
        if not self.leaving.done():
            self.leaving.set_result(result)

    # The shell comes and goes

    def begin(self, shell: RemoteTerminal, *, is_tmux: bool) -> None:
        """The shell takes keys; its own output follows."""
        self._shell, self._is_tmux, self._takes_keys = shell, is_tmux, True
        was_away = self._away_since is not None
        self._away_since = self._stalled_since = None
        if was_away or not is_tmux:
            self.view.start_afresh(clear=not is_tmux)
        if self._held:
            if was_away:
                self._ask_about_held()
            else:
                self._send(self._held.take())  # typed ahead
        self.refresh()

    async def confirm(self, shell: RemoteTerminal) -> None:
        """Asks for a round trip after what was typed, and so learns what has arrived; to be run
        for as long as the shell is there."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CONFIRM_SECONDS)
            if not self._sent:
                continue
            mark = self._sent.mark
            self._asked_at = loop.time()
            try:
                await keepalive.round_trip(shell.connection)
            except (OSError, asyncssh.Error):
                return
            self._asked_at = None
            self._sent.confirm(mark)
            if self._stalled_since is not None:
                self._thaw()

    def end(self) -> None:
        """The shell is not there any more."""
        self._shell, self._takes_keys = None, False
        self._terminal.pause_input(False)

    def lose(self, refused: str = "") -> None:
        """The link is away: the last screen stays, and what is typed is held. `refused`: why a
        link that is up again gives no session."""
        self._refused = refused
        self._held.put_back(self._sent.take())
        self._asked_at = None
        if self._away_since is None:
            self._away_since = self._stalled_since or time.time()
            self._stalled_since = None
            self._notice = ""
            self.view.freeze()
        self.refresh()

    def _watch_for_stall(self) -> None:
        if self._asked_at is None or self._shell is None or not self.is_live:
            return
        quiet = asyncio.get_running_loop().time() - max(self._asked_at, self.heard_at)
        if quiet > STALL_SECONDS:
            self._stalled_since = time.time() - quiet
            self.view.freeze()

    def _thaw(self) -> None:
        self._stalled_since = None
        self.view.thaw()
        if self._held:
            self._ask_about_held()
        self.refresh()

    # Output

    def output(self, data: bytes) -> None:
        if not data:
            return
        self.heard_at = asyncio.get_running_loop().time()
        if self._stalled_since is not None:
            self._thaw()
        self.view.output(data)
        self._pass_on_news()

    def _backlog(self, full: bool) -> None:
        if self._shell is not None:
            self._shell.pause_output(full)

    # Input

    def _typed(self, data: bytes) -> None:
        if not data:
            self.leave(HopResult(HopEnd.SIGNALLED, EXIT_NO_LINK, "the terminal is gone"))
            return
        for piece in self._finder.feed(data):
            if piece is None:
                if self._menu:
                    self._choose(b"]")
                else:
                    self._menu = "menu" if self._signature is None else "signature"
                continue
            for is_report, part in parted(piece):
                if is_report:
                    self._report(part)
                else:
                    self._take(part)
        self.refresh()

    def _report(self, data: bytes) -> None:
        """What the terminal says by itself is for who asked, and worth nothing later."""
        if self.is_live and self._takes_keys and self._shell is not None:
            self._shell.write(data)

    def _take(self, data: bytes) -> None:
        while self._menu and data:
            key = first_key(data)
            self._choose(key)
            data = data[len(key) :]
        if self._question is not None and data and self.is_live:
            key = first_key(data)
            if key not in (b"\r", b"\n", b"\x1b"):
                self._held.add(data)
                return
            question, self._question = self._question, None
            question.answer.set_result(key != b"\x1b")
            data = data[len(key) :]
        if data:
            if not self._notice_stays:
                self._notice = ""
            self._send(data)

    def _send(self, data: bytes) -> None:
        shell = self._shell
        if self.is_live and self._takes_keys and shell is not None and shell.write(data):
            self._sent.add(data)
        elif not self._held.add(data):
            self._terminal.write(b"\a")

    def _choose(self, key: bytes) -> None:
        showed, self._menu = self._menu, ""
        if showed in ("signature", "signature-key"):
            return self._answer_signature(key)
        node, session = self._link.name, self._session
        if key == b"d":
            text = f"detached from {session} on {node}; it runs on"
            if self._takes_keys and not self._is_tmux:
                text = f"left the shell on {node}: without tmux it has ended"
            self.leave(HopResult(HopEnd.DETACHED, 0, text))
        elif key == b"x":
            self.leave(HopResult(HopEnd.DISCONNECTED, 0, f"disconnected from {node}"))
        elif key == b"]":
            self._send(b"\x1d")
        elif key == b"l" and showed == "menu":
            self._menu = "link"
        elif key == b"r":
            self._network.retry_now(self._link)
        return None

    # Questions and notices

    async def ask(self, text: Callable[[], str]) -> bool:
        """Shows a question on the line until it is answered."""
        self._away_since = self._stalled_since = None
        self._question = _Question(text, asyncio.get_running_loop().create_future())
        self.refresh()
        return await self._question.answer

    async def ask_signature(self, question: SignatureQuestion) -> SignatureAnswer:
        """Asks on the line, which what is typed goes past: to the shell, as ever."""
        asked = _Signature(question, asyncio.get_running_loop().create_future())
        self._signature = asked
        if self.view.screen.tokens.at_rest:  # else it would end what is being written
            self._terminal.write(b"\a")
        self.refresh()
        try:
            return await asked.answer
        finally:
            self._signature = None
            if self._menu.startswith("signature"):
                self._menu = ""
            self.refresh()

    def _answer_signature(self, key: bytes) -> None:
        asked = self._signature
        answer = KEYS.get(key)
        if key == b"]":
            self._send(b"\x1d")
        elif key == b"i":
            self._menu = "signature-key"
        elif asked is not None and answer in asked.question.choices and not asked.answer.done():
            asked.answer.set_result(answer)

    def notice(self, text: str, *, stays: bool = False) -> None:
        """Shows something for a while, or until a key is pressed, unless it `stays`."""
        self._notice, self._notice_stays = f" {text}", stays
        self._notice_until = asyncio.get_running_loop().time() + NOTICE_SECONDS

    def tell(self, text: str, sequence: bytes = b"") -> None:
        """Shows what happened elsewhere. `sequence`, such as a bell, is for the terminal itself: it
        goes where nothing that the shell writes is cut in two."""
        self.notice(text, stays=True)
        if sequence:
            self._news = [*self._news, sequence][-MOST_NEWS:]
            self._pass_on_news()
        self.refresh()

    def _pass_on_news(self) -> None:
        if self._news and self.is_taken and self.view.screen.tokens.at_rest:
            news, self._news = self._news, []
            self._terminal.write(b"".join(news))

    def _ask_about_held(self) -> None:
        if self._question is not None:
            return

        def decided(answer: asyncio.Future[bool]) -> None:
            keys = self._held.take()
            if not answer.cancelled() and answer.result():
                self._send(keys)
            self.refresh()

        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(decided)
        self._question = _Question(
            lambda: menu.held_question(self._held, self.view.columns), answer
        )

    # The line

    def refresh(self) -> None:
        if not self.is_taken:
            return
        if self._is_asking():
            self._was_asked = True
            return
        if self._was_asked:
            self._was_asked = False
            self.view.resize(*self._terminal.size)
            self.view.redraw()
        self.view.show_line(self._line())

    def _line(self) -> str:
        columns = self.view.columns
        if self._menu == "menu":
            session = self._session if self._is_tmux else ""
            return menu.menu_line(self._link.name, session, columns)
        if self._menu == "link":
            return menu.link_line(self._link)
        if self._signature is not None:
            return self._signature_line(self._signature.question, columns)
        if self._away_since is not None:
            return menu.away_line(self._link, self._away_since, self._held, columns, self._refused)
        if self._stalled_since is not None:
            return menu.stalled_line(self._link, self._stalled_since, self._held, columns)
        if self._question is not None:
            return self._question.text()
        if self._notice and asyncio.get_running_loop().time() < self._notice_until:
            # Before tmux has taken its own screen, the cursor's place on the user's is not known.
            is_ours = not self._is_tmux or self.view.screen.is_alternate
            return self._notice if is_ours else ""
        return ""

    def _signature_line(self, question: SignatureQuestion, columns: int) -> str:
        if self._menu == "signature-key":
            return key_line(question, columns)
        line = answers_line if self._menu == "signature" else question_line
        return line(question, columns, time.time())

    # Signals

    def _signalled(self, number: signal.Signals) -> None:
        if number is signal.SIGINT and self.is_taken:
            return  # sent by hand: ctrl+c itself is a key here
        text = f"ended by {number.name}"
        self.leave(HopResult(HopEnd.SIGNALLED, 128 + number, text, signal=int(number)))

    def _resized(self) -> None:
        size = self._terminal.size
        if not self._is_asking():
            self.view.resize(*size)
        if self._shell is not None:
            self._shell.resize(*size)

    def _stop(self) -> None:
        """SIGTSTP from elsewhere (ctrl+z is a key): the shell above gets a sane terminal."""
        if self.is_taken:
            self._terminal.write(self.view.screen.modes_undone())
            self._terminal.cooked()
        stop_process()
        self._continued()

    def _continued(self) -> None:
        """SIGCONT, also after a SIGSTOP that nobody was told of: others used the terminal."""
        if self.is_taken and self._terminal.is_in_foreground() and not self._is_asking():
            self._terminal.raw()
            self._resized()
            self.view.redraw()
