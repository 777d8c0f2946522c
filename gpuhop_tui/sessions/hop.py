"""The hop: the user's terminal on a shell that outlives the link.

Bytes are pumped between the terminal and a PTY on the link's open connection, at whose far end a
tmux client shows a named session. When the link is lost, the last screen stays with one line that
says so, what is typed is held, and when the link is back the session is attached again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import AsyncExitStack

from gpuhop_tui.config.hops import Route
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions import container_problems, hop_memory, menu
from gpuhop_tui.sessions.agent_socket import stable_agent_socket
from gpuhop_tui.sessions.container_door import container_route
from gpuhop_tui.sessions.hop_desk import Desk
from gpuhop_tui.sessions.hop_script import (
    GO,
    Finish,
    Header,
    HeaderReader,
    attach_command,
    finish_command,
    parse_finish,
)
from gpuhop_tui.sessions.hop_target import EXIT_NO_LINK as EXIT_NO_LINK
from gpuhop_tui.sessions.hop_target import HopEnd, HopResult, HopTarget
from gpuhop_tui.sessions.hop_waiting import back_up, either, first_connection
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.network import Network
from gpuhop_tui.ssh.terminal import Terminal
from gpuhop_tui.ssh.terminal_session import RemoteTerminal, SessionEnd, remote_terminal
from gpuhop_tui.ssh.terminal_signals import handling

FINISH_SECONDS = 10.0
HEADER_SECONDS = 5.0  # output for so long without our header: it will not come
GAP_SECONDS = 0.5  # between two attachments on a link that is up
REFUSED_SECONDS = 2.0  # until a server that opens no session is asked again

_log = logging.getLogger(__name__)

Tell = Callable[[str, bytes], None]
"""Says something on a hop's line, and writes a sequence for the terminal beside it."""


async def run_hop(
    network: Network,
    route: Route,
    target: HopTarget,
    tty: int | None = None,
    *,
    is_asking: Callable[[], bool] = lambda: False,
    on_terminal: Callable[[Terminal | None], None] = lambda _terminal: None,
    on_line: Callable[[Tell | None], None] = lambda _tell: None,
    remember: bool = True,
) -> HopResult:
    """Takes the terminal over until the hop ends, and gives it back sane whatever happens.

    tty: a descriptor of the terminal; None: that of the standard streams.
    is_asking: whether a login's question is on the terminal now, which is then left alone.
    on_terminal: told when the terminal is raw (with it) and when it is not any more (None), for
    a prompter that has to ask meanwhile.
    on_line: told, at the same times, how something can be said on the hop's line: `Desk.tell`.
    remember: whether it is to be offered again after the program was killed.
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
            way = container_route(route, target.door) if target.door else route
            lend = way.target.forward_agent
            if lend:
                link = await stack.enter_async_context(network.lending(way))
            else:
                link = network.link(way)
                if target.door is not None:  # nobody else has a use for it
                    stack.push_async_callback(network.release, link)
            hop = _Hop(network, link, target, terminal, lend, is_asking, on_terminal)
            hop.on_line = on_line
            hop.place, hop.is_remembered = route.target.name, remember
            if lend:
                await stack.enter_async_context(stable_agent_socket(link, hop.desk.notice))
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


class _Hop:
    """The far side of one hop: sessions that come and go on one link."""

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
        self.on_line: Callable[[Tell | None], None] = lambda _tell: None
        self.place = link.name  # by which it is remembered
        self.is_remembered = True
        # By its SSH server a container is a host of its own, and the link has its name.
        self.called = target.session if target.door else target.title
        self.desk = Desk(network, link, self.called, terminal, is_asking)
        self.last_words = b""
        self._header = Header()  # of the session that is attached; empty until it has come
        self._last = Header()  # of the last session that was there
        self._since = ""  # when the container was started that the hop leads into
        self._attached_at = 0.0

    @property
    def node(self) -> str:
        return self.link.name

    # From the first connection to the end

    async def run(self) -> HopResult:
        desk = self.desk
        with handling(desk.signals):
            try:
                if problem := await first_connection(
                    self.network, self.link, self.terminal, self.is_asking, desk.leaving
                ):
                    return _failed(problem)
                if desk.leaving.done():
                    return desk.leaving.result()
                return await self._taken_over()
            finally:
                if desk.is_taken:
                    self.on_terminal(None)
                    self.on_line(None)
                    self.last_words = desk.view.farewell()

    async def _taken_over(self) -> HopResult:
        self.desk.take()
        self.on_terminal(self.terminal)
        self.on_line(self.desk.tell)
        ticker = asyncio.create_task(self.desk.tick(), name="hop line")
        memory = None
        if self.is_remembered:
            memory = await asyncio.to_thread(hop_memory.remember, self.place, self.target)
        try:
            with self.network.guard.asked_through(self.desk.ask_signature):
                result = await self._sessions()
        finally:
            ticker.cancel()
        if memory is not None and result.end is not HopEnd.SIGNALLED:
            await asyncio.to_thread(hop_memory.forget, memory)
        return result

    async def _sessions(self) -> HopResult:
        """One PTY session after the other, until one ends for good or the user leaves."""
        leaving = self.desk.leaving
        again = False
        while True:
            await either(self._next_session(again), leaving)
            if leaving.done():
                return leaving.result()
            again = True

    async def _next_session(self, again: bool) -> None:
        """Attaches once, and leaves where the hop is over. Returns to be called again."""
        if again:
            await back_up(self.link)
            if self._last.mode == "plain" and not await self._ask_for_new(
                "a shell without tmux ends with its link"
            ):
                return self._leave(HopEnd.ENDED, f"the shell on {self.node} ended with its link")
        loop = asyncio.get_running_loop()
        self._attached_at = loop.time()
        try:
            end = await self._attached()
        except ProblemError as error:
            if not again and self.link.is_up:
                return self.desk.leave(_failed(error.problem))
            if self.link.is_up and error.problem.kind is ErrorKind.OVERLOADED:
                self.desk.lose(error.problem.message)
                await asyncio.sleep(REFUSED_SECONDS)
                return None
            end = SessionEnd()
        _log.info("%s: the session ended: %s, %s", self.node, end, self._header)
        if end.lost:
            self.desk.lose()
        elif self._header.mode == "refused":
            self._refused()
        elif self._header.mode == "gone":
            await self._gone()
        else:
            await self._ended(end)
        await asyncio.sleep(max(0.0, self._attached_at + GAP_SECONDS - loop.time()))
        return None

    async def _attached(self) -> SessionEnd:
        reader = HeaderReader()
        self._header = Header()

        def output(shell: RemoteTerminal, data: bytes) -> None:
            awaited = reader.header is None
            data = reader.feed(data)
            if awaited and reader.header is not None and not self._header.mode:
                self._began(shell, reader.header)
            self.desk.output(data)

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
            shell.on_pause = self.terminal.pause_input
            beside = [
                asyncio.create_task(self.desk.confirm(shell), name="hop keys"),
                asyncio.create_task(self._do_without_header(shell), name="hop header"),
            ]
            try:
                return await shell.ended
            finally:
                self.desk.end()
                for task in beside:
                    task.cancel()

    async def _do_without_header(self, shell: RemoteTerminal) -> None:
        """A forced command (sshd_config(5)) runs something else: it gets the terminal as it is."""
        await asyncio.sleep(HEADER_SECONDS)
        while not self._header.mode:
            if self.desk.heard_at > self._attached_at:
                self._began(shell, Header(mode="plain"))
            await asyncio.sleep(HEADER_SECONDS)

    def _began(self, shell: RemoteTerminal, header: Header) -> None:
        """The header has come: from here on the session's own output follows."""
        self._header = header
        self._since = header.since or self._since
        if header.mode in ("gone", "refused"):
            return
        if header.mode == "tmux":
            shell.write(GO)
        before, self._last = self._last, header
        self.desk.begin(shell, is_tmux=header.mode == "tmux")
        self._say_once(before)

    def _say_once(self, before: Header) -> None:
        header, node = self._header, self.node
        if header.mode == "plain" and before.mode != "plain":
            why = header.why or "tmux does not start"
            text = f"{why} on {node}: this shell will not survive a lost link"
            self.desk.output(f"\x1b[2m{text}\x1b[0m\r\n".encode())
        words = []
        if header.term != header.term_asked and before.term != header.term:
            words.append(f"{node} does not know TERM={header.term_asked}: using {header.term}")
        if header.agent == "lent" and (warning := self.network.guard.warning(node)):
            words.append(warning)
        if header.agent == "refused" and before.agent != "refused":
            words.append(f"{node} refuses agent forwarding: no agent in this shell")
        if before.mode == "tmux" and header.created != before.created and not header.is_new:
            words.append(f"another session of this name runs on {node} now")
        if words:
            self.desk.notice(" · ".join(words))

    # The end of a session

    async def _ended(self, end: SessionEnd) -> None:
        """The far end has ended of its own accord: what is left of the session?"""
        await self.terminal.drained()
        if self._header.mode != "tmux":
            text = f"the shell on {self.node} has ended"
            return self._leave(HopEnd.ENDED, text, end.exit_status)
        finish = await self._finish()
        if finish is None:  # the link was lost at this very moment: the way back tells
            return self.desk.lose()
        if finish.alive:
            if end.signal or (end.status or 0) > 128:
                return self.desk.lose()  # the client was killed, the session was not
            text = f"detached from {self.called} on {self.node}; it runs on"
            return self._leave(HopEnd.DETACHED, text, 0)
        return self._leave_ended(finish)

    def _leave_ended(self, finish: Finish) -> None:
        node = self.node
        if self.target.run is None:
            if problem := self._end_of_container(finish):
                return self.desk.leave(_failed(problem))
            what = f"session {self.target.session}"
            if self.target.container is not None:
                what = f"the shell in {self.target.title}"
            return self._leave(HopEnd.ENDED, f"{what} on {node} has ended", 0)
        if finish.status is None:
            return self._leave(
                HopEnd.ENDED, f"the command on {node} ended without an exit status", EXIT_NO_LINK
            )
        text = f"the command on {node} exited with {finish.status}"
        return self.desk.leave(HopResult(HopEnd.ENDED, finish.status, text, output=finish.output))

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
            why = self._header.why
            text = f"there is no session {self.target.session} on {self.node}"
            if self.target.container is not None:
                text += f" of {self.target.title}"
            return self._leave(HopEnd.FAILED, f"{text}{f' ({why})' if why else ''}", EXIT_NO_LINK)
        if last.boot and self._header.boot and last.boot != self._header.boot:
            reason = "the node was rebooted"
        else:
            reason = "it ended while the link was away"
            if finish is not None and (problem := self._end_of_container(finish)):
                return self.desk.leave(_failed(problem))
        if not self.target.create or self.target.run or not await self._ask_for_new(reason):
            name = self.target.session
            text = f"session {name} on {self.node} is gone: {reason}"
            return self._leave(HopEnd.ENDED, text, EXIT_NO_LINK if self.target.run else 0)
        self._last = Header()  # as for the first time
        return None

    def _refused(self) -> None:
        """The container is not there, or not to be entered."""
        place = self.target.container
        assert place is not None
        self.desk.leave(_failed(container_problems.refused(self.node, place, self._header)))

    def _end_of_container(self, finish: Finish) -> Problem | None:
        """Whether it was the container that ended, and not a shell in it."""
        place = self.target.container
        if place is None:
            return None
        return container_problems.ended(self.node, place, finish, self._since)

    async def _ask_for_new(self, reason: str) -> bool:
        session = self.called if self._last.mode == "tmux" else "the shell"
        return await self.desk.ask(lambda: menu.gone_question(self.node, session, reason))

    def _leave(self, end: HopEnd, message: str, status: int = 0) -> None:
        self.desk.leave(HopResult(end, status, message))


def _failed(problem: Problem) -> HopResult:
    return HopResult(HopEnd.FAILED, EXIT_NO_LINK, problem.message, problem)


def _locale() -> dict[str, str]:
    """What ssh(1) sends by most systems' SendEnv, and whether colours are true."""
    names = ("LANG", "LANGUAGE", "COLORTERM")
    return {
        name: value for name, value in os.environ.items() if name in names or name.startswith("LC_")
    }
