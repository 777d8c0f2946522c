"""The hop: the user's terminal on a shell that outlives the link.

Bytes are pumped between the terminal and a PTY on the link's open connection, at whose far end a
tmux client shows a named session. When the link is lost, the last screen stays with one line that
says so, what is typed is held, and when the link is back the session is attached again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from gpuhop_tui.config.hops import Route
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions import hop_memory, menu
from gpuhop_tui.sessions.agent_socket import stable_agent_socket
from gpuhop_tui.sessions.hop_keys import HeldKeys, MenuKeyFinder, SentKeys, first_key, parted
from gpuhop_tui.sessions.hop_script import (
    GO,
    Finish,
    Header,
    HeaderReader,
    attach_command,
    finish_command,
    parse_finish,
)
from gpuhop_tui.sessions.hop_target import HopEnd, HopResult, HopTarget
from gpuhop_tui.sessions.screen_view import View
from gpuhop_tui.ssh import keepalive
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.network import Network
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.ssh.terminal import Terminal
from gpuhop_tui.ssh.terminal_session import RemoteTerminal, SessionEnd, remote_terminal
from gpuhop_tui.ssh.terminal_signals import handling, stop_process

EXIT_NO_LINK = 255  # what ssh(1) exits with for an error of its own
TICK_SECONDS = 0.25
STALL_SECONDS = 2.5  # unanswered for so long, the screen counts as frozen
CONFIRM_SECONDS = 0.3  # after what was typed, before it is asked whether it arrived
KICK_SECONDS = (1.0, 5.0)  # between two tries while a person waits: at first, and after minutes
FINISH_SECONDS = 10.0
NOTICE_SECONDS = 6.0
HEADER_SECONDS = 5.0  # output for so long without our header: it will not come
GAP_SECONDS = 0.5  # between two attachments on a link that is up

_log = logging.getLogger(__name__)


async def run_hop(
    network: Network,
    route: Route,
    target: HopTarget,
    tty: int | None = None,
    *,
    is_asking: Callable[[], bool] = lambda: False,
    on_terminal: Callable[[Terminal | None], None] = lambda _terminal: None,
) -> HopResult:
    """Takes the terminal over until the hop ends, and gives it back sane whatever happens.

    tty: a descriptor of the terminal; None: that of the standard streams.
    is_asking: whether a login's question is on the terminal now, which is then left alone.
    on_terminal: told when the terminal is raw (with it) and when it is not any more (None), for
    a prompter that has to ask meanwhile.
    Raises nothing but CancelledError.
    """
    try:
        terminal = Terminal(tty)
    except OSError as error:
        return _failed(
            Problem("laptop", ErrorKind.LOST, f"no terminal: {error}", "run it on a terminal")
        )
    hop: _Hop | None = None
    try:
        async with AsyncExitStack() as stack:
            lend = route.target.forward_agent
            if lend:
                link = await stack.enter_async_context(network.lending(route))
                await stack.enter_async_context(stable_agent_socket(link))
            else:
                link = network.link(route)
            hop = _Hop(network, link, target, terminal, lend, is_asking, on_terminal)
            return await hop.run()
    except ProblemError as error:
        return _failed(error.problem)
    except Exception as error:
        _log.exception("the hop to %s failed", route.target.name)
        what = f"unexpected {type(error).__name__}: {error}"
        return _failed(
            Problem(route.target.name, ErrorKind.LOST, what, "see the log file (--log-file)")
        )
    finally:
        terminal.close(hop.last_words if hop is not None else b"")


@dataclass(slots=True)
class _Question:
    """Something to be answered by one key."""

    text: Callable[[], str]
    answer: asyncio.Future[bool]


class _Hop:
    """One hop's state. Everything runs on the loop; input and output are callbacks."""

    def __init__(
        self,
        network: Network,
        link: Link,
        target: HopTarget,
        terminal: Terminal,
        lend: bool,
        is_asking: Callable[[], bool],
        on_terminal: Callable[[Terminal | None], None],
    ) -> None:
        self.network, self.link, self.target = network, link, target
        self.terminal, self.lend = terminal, lend
        self.is_asking, self.on_terminal = is_asking, on_terminal
        self.view = View(terminal, terminal.size)
        self.header = Header()  # of the session that is attached; empty until it has come
        self._last = Header()  # of the last session that was there
        self._attached_at = 0.0
        self.last_words = b""
        self._leaving: asyncio.Future[HopResult] = asyncio.get_running_loop().create_future()
        self._shell: RemoteTerminal | None = None
        self._finder = MenuKeyFinder()
        self._held = HeldKeys()
        self._sent = SentKeys()
        self._menu = ""  # "", "menu" or "link"
        self._question: _Question | None = None
        self._away_since: float | None = None
        self._stalled_since: float | None = None
        self._asked_at: float | None = None  # loop time of the unanswered round trip
        self._heard_at = 0.0  # loop time of the last output
        self._notice, self._notice_until = "", 0.0
        self._is_raw = False

    @property
    def node(self) -> str:
        return self.link.name

    # From the first connection to the end

    async def run(self) -> HopResult:
        handlers = {
            signal.SIGTERM: lambda: self._signalled(signal.SIGTERM),
            signal.SIGHUP: lambda: self._signalled(signal.SIGHUP),
            signal.SIGINT: lambda: self._signalled(signal.SIGINT),
            signal.SIGWINCH: self._resized,
            signal.SIGTSTP: self._stop,
            signal.SIGCONT: self._continued,
        }
        with handling(handlers):
            try:
                if problem := await self._first_connection():
                    return _failed(problem)
                if self._leaving.done():
                    return self._leaving.result()
                return await self._taken_over()
            finally:
                if self._is_raw:
                    self.on_terminal(None)
                    self.last_words = self.view.farewell()

    async def _first_connection(self) -> Problem | None:
        """Waits for the link as ssh(1) does: the first failure is final. The terminal is as it
        was found, so that questions can be asked on it."""
        tried = False

        def failed(link: Link) -> bool:
            nonlocal tried
            state = link.status.state
            tried = tried or state is LinkState.CONNECTING
            return tried and state not in (LinkState.CONNECTING, LinkState.UP)

        def note() -> None:
            failed(self.link)

        stop_listening = self.link.listen(note)
        progress = asyncio.create_task(self._show_progress())
        try:
            if not self.link.is_up:
                self.network.retry_now(self.link)
            await _either(
                self.link.wait_until(lambda link: link.is_up or failed(link)), self._leaving
            )
        finally:
            stop_listening()
            progress.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await progress
            self.terminal.write(b"\r\x1b[K")
        if self._leaving.done() or self.link.is_up:
            return None
        return self.link.status.problem

    async def _show_progress(self) -> None:
        await asyncio.sleep(TICK_SECONDS)
        while True:
            if not self.is_asking():
                step = self.link.status.step or "connecting"
                columns = self.terminal.size[0]
                text = f"{self.node}: {step} … (ctrl+c gives up)"[: columns - 1]
                self.terminal.write(f"\r\x1b[K{text}".encode())
            await asyncio.sleep(TICK_SECONDS)

    async def _taken_over(self) -> HopResult:
        self.terminal.on_input = self._typed
        self.terminal.on_backlog = self._backlog
        self.view.resize(*self.terminal.size)
        self.terminal.raw()
        self._is_raw = True
        self.on_terminal(self.terminal)
        ticker = asyncio.create_task(self._tick(), name="hop line")
        memory = await asyncio.to_thread(hop_memory.remember, self.node, self.target)
        try:
            result = await self._sessions()
        finally:
            ticker.cancel()
        if result.end is not HopEnd.SIGNALLED:
            await asyncio.to_thread(hop_memory.forget, memory)
        return result

    async def _sessions(self) -> HopResult:
        """One PTY session after the other, until one ends for good or the user leaves."""
        again = False
        while True:
            await _either(self._next_session(again), self._leaving)
            if self._leaving.done():
                return self._leaving.result()
            again = True

    async def _next_session(self, again: bool) -> None:
        """Attaches once; settles `_leaving` where the hop is over. Returns to be called again."""
        if again:
            await self._back_up()
            if self._last.mode == "plain" and not await self._ask_for_new(
                "a shell without tmux ends with its link"
            ):
                return self._leave(HopEnd.ENDED, f"the shell on {self.node} ended with its link")
        began = asyncio.get_running_loop().time()
        try:
            end = await self._attached()
        except ProblemError as error:
            if not again and self.link.is_up:
                return self._leave_with(_failed(error.problem))
            end = SessionEnd()
        _log.info("%s: the session ended: %s, %s", self.node, end, self.header)
        if end.lost:
            self._lost()
        elif self.header.mode == "gone":
            await self._gone()
        else:
            await self._ended(end)
        if asyncio.get_running_loop().time() - began < GAP_SECONDS:
            await asyncio.sleep(GAP_SECONDS)
        return None

    async def _attached(self) -> SessionEnd:
        reader = HeaderReader()
        self.header = Header()
        self._attached_at = asyncio.get_running_loop().time()

        def output(shell: RemoteTerminal, data: bytes) -> None:
            awaited = reader.header is None
            data = reader.feed(data)
            if awaited and reader.header is not None:
                self._shell = shell  # output may come before the session is handed over
                self._began(shell, reader.header)
            self._output(data)

        command = attach_command(
            self.target,
            self.terminal.size,
            create=self._last.mode != "tmux",  # what was there and is gone is not made unasked
            lend=self.lend,
            old_client=self._last.client_pid,
            true_colour=os.environ.get("COLORTERM") in ("truecolor", "24bit"),
        )
        async with remote_terminal(
            self.link,
            command,
            on_output=output,
            term=os.environ.get("TERM") or "xterm-256color",
            size=self.terminal.size,
            env=_locale(),
        ) as shell:
            self._shell = shell
            shell.on_pause = self.terminal.pause_input
            confirming = asyncio.create_task(self._confirm(shell), name="hop keys")
            try:
                return await shell.ended
            finally:
                self._shell = None
                confirming.cancel()
                self.terminal.pause_input(False)

    def _began(self, shell: RemoteTerminal, header: Header) -> None:
        """The header has come: from here on the session's own output follows."""
        self.header = header
        if header.mode == "gone":
            return
        if header.mode == "tmux":
            shell.write(GO)
        before, self._last = self._last, header
        was_away = self._away_since is not None
        self._away_since = self._stalled_since = None
        if was_away or header.mode == "plain":
            self.view.start_afresh(clear=header.mode == "plain")
        self._say_once(before)
        if self._held:
            if was_away:
                self._ask_about_held()
            else:
                self._send(self._held.take())  # typed ahead
        self._refresh()

    def _say_once(self, before: Header) -> None:
        header, node = self.header, self.node
        if header.mode == "plain" and before.mode != "plain":
            why = header.why or "tmux does not start"
            text = f"{why} on {node}: this shell will not survive a lost link"
            self.view.output(f"\x1b[2m{text}\x1b[0m\r\n".encode())
        words = []
        if header.term != header.term_asked and before.term != header.term:
            words.append(f"{node} does not know TERM={header.term_asked}: using {header.term}")
        if header.agent == "refused" and before.agent != "refused":
            words.append(f"{node} refuses agent forwarding: no agent in this shell")
        if before.mode == "tmux" and header.created != before.created and not header.is_new:
            words.append(f"another session of this name runs on {node} now")
        if words:
            self._notice = " " + " · ".join(words)
            self._notice_until = asyncio.get_running_loop().time() + NOTICE_SECONDS

    async def _ended(self, end: SessionEnd) -> None:
        """The far end has ended of its own accord: what is left of the session?"""
        await self.terminal.drained()
        if self.header.mode != "tmux":
            status = end.status if end.status is not None else 255
            if end.signal:
                status = 128 + getattr(signal, f"SIG{end.signal}", 127)
            return self._leave(HopEnd.ENDED, f"the shell on {self.node} has ended", status)
        finish = await self._finish()
        if finish is None:  # the link was lost at this very moment: the way back tells
            return self._lost()
        if finish.alive:
            if end.signal or (end.status or 0) > 128:
                return self._lost()  # the client was killed, the session was not
            name = self.target.session
            return self._leave(
                HopEnd.DETACHED, f"detached from {name} on {self.node}; it runs on", 0
            )
        return self._leave_ended(finish)

    def _leave_ended(self, finish: Finish) -> None:
        name, node = self.target.session, self.node
        if self.target.run is None:
            return self._leave(HopEnd.ENDED, f"session {name} on {node} has ended", 0)
        if finish.status is None:
            return self._leave(
                HopEnd.ENDED, f"the command on {node} ended without an exit status", EXIT_NO_LINK
            )
        text = f"the command on {node} exited with {finish.status}"
        return self._leave_with(HopResult(HopEnd.ENDED, finish.status, text, output=finish.output))

    async def _finish(self) -> Finish | None:
        try:
            async with (
                asyncio.timeout(FINISH_SECONDS),
                self.link.process(finish_command(self.target, self._last)) as process,
            ):
                return parse_finish(await process.stdout.read())
        except (ProblemError, TimeoutError, OSError):
            return None

    async def _gone(self) -> None:
        """The link is back, the session is not: say why, and offer a new one."""
        last = self._last
        finish = await self._finish()
        if finish is not None and finish.status is not None:
            return self._leave_ended(finish)
        if last.mode != "tmux":
            why = self.header.why
            text = f"there is no session {self.target.session} on {self.node}"
            return self._leave(HopEnd.FAILED, f"{text}{f' ({why})' if why else ''}", EXIT_NO_LINK)
        if last.boot and self.header.boot and last.boot != self.header.boot:
            reason = "the node was rebooted"
        else:
            reason = "it ended while the link was away"
        if not self.target.create or not await self._ask_for_new(reason):
            text = f"session {self.target.session} on {self.node} is gone: {reason}"
            return self._leave(HopEnd.ENDED, text, EXIT_NO_LINK if self.target.run else 0)
        self._last = Header()  # as for the first time
        return None

    async def _ask_for_new(self, reason: str) -> bool:
        session = self.target.session if self._last.mode == "tmux" else "the shell"
        self._away_since = self._stalled_since = None
        return await self._ask(lambda: menu.gone_question(self.node, session, reason))

    # Away and back

    def _lost(self) -> None:
        self._held.put_back(self._sent.take())
        self._asked_at = None
        if self._away_since is None:
            self._away_since = self._stalled_since or time.time()
            self._stalled_since = None
            self._notice = ""
            self.view.freeze()
        self._refresh()

    async def _back_up(self) -> None:
        """Returns when the link is up. A person waits for it, so a wait is cut short every second
        at first; where the server is overloaded, or a person is needed, it is not."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not self.link.is_up:
            status = self.link.status
            if status.state is LinkState.WAITING and not (
                status.problem is not None and status.problem.kind is ErrorKind.OVERLOADED
            ):
                step: Link | None = self.link
                while step is not None:
                    step.check_now()
                    step = step.parent
            first, most = KICK_SECONDS
            pause = min(most, first + (loop.time() - began) / 60)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.link.wait_until(lambda link: link.is_up)

    async def _confirm(self, shell: RemoteTerminal) -> None:
        """Asks for a round trip after what was typed, and so learns what has arrived."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(CONFIRM_SECONDS)
            if not self._sent:
                continue
            mark = self._sent.mark
            self._asked_at = loop.time()
            try:
                await keepalive.round_trip(shell.connection)
            except OSError:
                return
            self._asked_at = None
            self._sent.confirm(mark)
            if self._stalled_since is not None:
                self._thawed()

    def _watch_for_stall(self) -> None:
        if self._asked_at is None or self._shell is None or self._stalled_since is not None:
            return
        quiet = asyncio.get_running_loop().time() - max(self._asked_at, self._heard_at)
        if quiet > STALL_SECONDS and self._away_since is None:
            self._stalled_since = time.time() - quiet
            self.view.freeze()
            self._refresh()

    def _thawed(self) -> None:
        self._stalled_since = None
        self.view.thaw()
        if self._held:
            self._ask_about_held()
        self._refresh()

    # Output

    def _output(self, data: bytes) -> None:
        if not data:
            return
        self._heard_at = asyncio.get_running_loop().time()
        if self._stalled_since is not None:
            self._thawed()
        self.view.output(data)

    def _backlog(self, full: bool) -> None:
        if self._shell is not None:
            self._shell.pause_output(full)

    # Input

    def _typed(self, data: bytes) -> None:
        if not data:
            self._leave(HopEnd.SIGNALLED, "the terminal is gone", EXIT_NO_LINK)
            return
        for piece in self._finder.feed(data):
            if piece is None:
                if self._menu:
                    self._choose(b"]")
                else:
                    self._menu = "menu"
                continue
            for is_report, part in parted(piece):
                if is_report:
                    self._report(part)
                else:
                    self._take(part)
        self._refresh()

    def _report(self, data: bytes) -> None:
        """What the terminal says by itself is for who asked, and worth nothing later."""
        if self._is_live and self._shell is not None:
            self._shell.write(data)

    def _take(self, data: bytes) -> None:
        if self._menu:
            key = first_key(data)
            self._choose(key)
            data = data[len(key) :]
        if self._question is not None and data and self._is_live:
            key = first_key(data)
            if key in (b"\r", b"\n", b"\x1b"):
                question, self._question = self._question, None
                question.answer.set_result(key != b"\x1b")
                data = data[len(key) :]
            else:
                self._held.add(data)
                return
        if data:
            self._notice = ""
            self._send(data)

    def _send(self, data: bytes) -> None:
        if (
            self._is_live
            and self._shell is not None
            and self.header.mode
            and self._shell.write(data)
        ):
            self._sent.add(data)
        elif not self._held.add(data):
            self.terminal.write(b"\a")

    def _choose(self, key: bytes) -> None:
        showed, self._menu = self._menu, ""
        if key == b"d":
            text = f"detached from {self.target.session} on {self.node}; it runs on"
            if self.header.mode == "plain":
                text = f"left the shell on {self.node}: without tmux it has ended"
            self._leave(HopEnd.DETACHED, text, 0)
        elif key == b"x":
            self._leave(HopEnd.DISCONNECTED, f"disconnected from {self.node}", 0)
        elif key == b"]":
            self._send(b"\x1d")
        elif key == b"l" and showed == "menu":
            self._menu = "link"
        elif key == b"r":
            self.network.retry_now(self.link)

    @property
    def _is_live(self) -> bool:
        return self._away_since is None and self._stalled_since is None

    # Questions and the line

    async def _ask(self, text: Callable[[], str]) -> bool:
        """Enter is yes, Esc is no."""
        self._question = _Question(text, asyncio.get_running_loop().create_future())
        self._refresh()
        return await self._question.answer

    def _ask_about_held(self) -> None:
        if self._question is not None:
            return

        def decided(answer: asyncio.Future[bool]) -> None:
            keys = self._held.take()
            if not answer.cancelled() and answer.result():
                self._send(keys)
            self._refresh()

        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(decided)
        self._question = _Question(
            lambda: menu.held_question(self._held, self.view.columns), answer
        )

    def _refresh(self) -> None:
        if self._is_raw:
            self.view.show_line(self._line())

    def _line(self) -> str:
        columns = self.view.columns
        if self._menu == "menu":
            session = self.target.session if self.header.mode == "tmux" else ""
            return menu.menu_line(self.node, session)
        if self._menu == "link":
            return menu.link_line(self.link)
        if self._away_since is not None:
            return menu.away_line(self.link, self._away_since, self._held, columns)
        if self._stalled_since is not None:
            return menu.stalled_line(self.link, self._stalled_since, self._held, columns)
        if self._question is not None:
            return self._question.text()
        if self._notice and asyncio.get_running_loop().time() < self._notice_until:
            # Before tmux has taken its own screen, the cursor's place on the user's is not known.
            is_ours = self.header.mode == "plain" or self.view.screen.is_alternate
            return self._notice if is_ours else ""
        return ""

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            heard = self._heard_at > self._attached_at and not self.header.mode
            if self._shell and heard and loop.time() - self._attached_at > HEADER_SECONDS:
                self._began(self._shell, Header(mode="plain"))  # a forced command: not our shell
            self._watch_for_stall()
            self._refresh()

    # Signals

    def _signalled(self, number: signal.Signals) -> None:
        if number is signal.SIGINT and self._is_raw:
            return  # sent by hand: ctrl+c itself is a key here
        self._leave_with(
            HopResult(HopEnd.SIGNALLED, 128 + number, f"ended by {number.name}", signal=int(number))
        )

    def _resized(self) -> None:
        size = self.terminal.size
        self.view.resize(*size)
        if self._shell is not None:
            self._shell.resize(*size)

    def _stop(self) -> None:
        """SIGTSTP from elsewhere (ctrl+z is a key): the shell above gets a sane terminal."""
        if self._is_raw:
            self.terminal.write(self.view.screen.modes_undone())
            self.terminal.cooked()
        stop_process()
        self._continued()

    def _continued(self) -> None:
        """SIGCONT, also after a SIGSTOP that nobody was told of: others used the terminal."""
        if self._is_raw and self.terminal.is_in_foreground():
            self.terminal.raw()
            self._resized()
            self.view.redraw()

    # Leaving

    def _leave(self, end: HopEnd, message: str, status: int = 0) -> None:
        self._leave_with(HopResult(end, status, message))

    def _leave_with(self, result: HopResult) -> None:
        if not self._leaving.done():
            self._leaving.set_result(result)


async def _either(work: Awaitable[None], or_this: asyncio.Future[Any]) -> None:
    """Waits for `work`, or gives it up when the future is done."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, or_this}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ProblemError):
                await task


def _failed(problem: Problem) -> HopResult:
    return HopResult(HopEnd.FAILED, EXIT_NO_LINK, problem.message, problem)


def _locale() -> dict[str, str]:
    """What ssh(1) sends by most systems' SendEnv, and whether colours are true."""
    names = ("LANG", "LANGUAGE", "COLORTERM")
    return {
        name: value for name, value in os.environ.items() if name in names or name.startswith("LC_")
    }
