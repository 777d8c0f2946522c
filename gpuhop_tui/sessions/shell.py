"""One shell on a node that runs commands one after the other: one session, one round trip each.

Each command goes out as one line and its output comes back between markers that it cannot know.
The node ends a command that takes too long, and the whole shell when nothing was asked of it for a
minute: a cut link leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from gpuhop_tui.problem import ErrorKind, Problem, ProblemError

TIMEOUT_SECONDS = 10.0
OUTPUT_LIMIT = 4 << 20
IDLE_SECONDS = 60
"""A shell that was asked nothing for so long ends by itself, on the node."""

_ANSWER_SECONDS = 6.0  # beyond the command's own time: the way there and back, on a bad line
_OPEN_SECONDS = 15.0  # a node's start-up files may be slow
_CHUNK = 1 << 16

# `head` may take in more than a line: never more than one is under way. `timeout` may be missing;
# then the end of input alone ends the shell. No single quote and no `!`: see `shell_command`.
_LOOP = r"""
exec 2>/dev/null;
command -v timeout >/dev/null || timeout() { if [ "$1" = -s ]; then shift 2; fi; shift; "$@"; };
while l=$(timeout %d head -n 1) && [ -n "$l" ]; do
 m=${l%%%% *}; l=${l#* }; t=${l%%%% *}; l=${l#* };
 printf "\n%%s<\n" "$m";
 printf "{ %%b\n} </dev/null\n" "$l" | timeout -s KILL "$t" sh 2>&1;
 printf "\n%%s>%%d\n" "$m" "$?";
done
"""


class ShellLink(Protocol):
    """What a shell needs of a link; `gpuhop_tui.ssh.link.Link` is one."""

    @property
    def name(self) -> str: ...

    def process(self, command: str) -> AbstractAsyncContextManager[Any]: ...


class Runner(Protocol):
    """What runs `sh` commands; `RemoteShell` is one."""

    async def run(self, script: str) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, standard error included, and its exit status."""

    status: int
    output: bytes

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")


class RemoteShell:
    """Runs `sh` commands on the node of a link, one at a time. Opened when first used."""

    def __init__(self, link: ShellLink) -> None:
        self._link = link
        self._turn = asyncio.Lock()
        self._open: _Open | None = None

    @property
    def node(self) -> str:
        return self._link.name

    async def run(
        self,
        script: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        limit: int = OUTPUT_LIMIT,
    ) -> Answer:
        """Runs a script of any number of lines, its standard input empty.

        Raises ProblemError where the link is not up, or the command takes more than `timeout`
        seconds or says more than `limit` bytes; the command is ended, the next one gets a new
        shell. After a lost link it is not known whether the command ran.
        """
        async with self._turn:
            if self._open is not None and not self._open.is_fresh():
                await self._end()
            try:
                if self._open is not None:
                    with contextlib.suppress(_NotStartedError):
                        return await self._open.ask(script, timeout, limit)
                    await self._end()  # it had just ended by itself
                self._open = await self._start()
                return await self._open.ask(script, timeout, limit)
            except ProblemError:
                await self._end()
                raise
            except Exception as error:  # whatever the transport raises when it breaks
                await self._end()
                raise ProblemError(self._no_shell(str(error))) from error
            except BaseException:
                await self._end()
                raise

    async def close(self) -> None:
        """Ends the shell on the node; it may be used again all the same."""
        async with self._turn:
            await self._end()

    async def _start(self) -> _Open:
        stack = AsyncExitStack()
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                process = await stack.enter_async_context(self._link.process(shell_command()))
        except TimeoutError:
            await stack.aclose()
            raise ProblemError(_too_slow(self.node, "opening a shell", _OPEN_SECONDS)) from None
        return _Open(self.node, process, stack)

    async def _end(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            await opened.end()

    def _no_shell(self, why: str) -> Problem:
        return Problem(
            self.node,
            ErrorKind.LOST,
            f"the shell on {self.node} ended{': ' + why if why else ''}",
            "It is started again by itself; a start-up file of the login shell may end it.",
        )


def shell_command(idle_seconds: int = IDLE_SECONDS) -> str:
    """The command to exec on the node. Any login shell takes it: one line, single quotes."""
    loop = " ".join((_LOOP % idle_seconds).split())
    return f"exec sh -c '{loop}' gpuhop-shell"


class _NotStartedError(Exception):
    """The shell ended before it began with the command: asking again does nothing twice."""


class _Open:
    """A running shell."""

    def __init__(self, node: str, process: Any, stack: AsyncExitStack) -> None:
        self._node = node
        self._process = process
        self._stack = stack
        self._used = time.monotonic()
        self._said = False
        self._reaper = asyncio.create_task(self._reap(), name=f"shell on {node}")

    def is_fresh(self) -> bool:
        """Whether the node's end is surely still there, as far as its own idle time goes."""
        return time.monotonic() - self._used < IDLE_SECONDS * 0.7 and not self._reaper.done()

    async def ask(self, script: str, timeout: float, limit: int) -> Answer:
        mark = secrets.token_hex(12)
        patience = timeout + _ANSWER_SECONDS + (0 if self._said else _OPEN_SECONDS)
        try:
            async with asyncio.timeout(patience):
                self._process.stdin.write(_line(mark, timeout, script))
                answer = await self._answer(mark.encode("ascii"), limit)
        except TimeoutError:
            raise ProblemError(_too_slow(self._node, "a command", timeout)) from None
        self._used = time.monotonic()
        self._said = True
        if answer.status == 137:  # 128 + SIGKILL, which is what `timeout` sends
            raise ProblemError(_too_slow(self._node, "a command", timeout))
        return answer

    async def _answer(self, mark: bytes, limit: int) -> Answer:
        begin, end = b"\n" + mark + b"<\n", re.compile(b"\n" + mark + rb">(\d+)\n")
        said = bytearray()
        started = False
        looked = 0
        while True:
            data = await self._process.stdout.read(_CHUNK)
            if not data:
                if not started:
                    raise _NotStartedError
                raise ConnectionError("in the middle of a command")
            said += data
            if not started and (at := said.find(begin)) >= 0:
                del said[: at + len(begin)]
                started = True
            elif not started:
                del said[: -len(begin)]  # what start-up files say
                continue
            if found := end.search(said, looked):
                return Answer(int(found[1]), bytes(said[: found.start()]))
            looked = max(0, len(said) - len(mark) - 16)
            if len(said) > limit:
                raise ProblemError(_too_much(self._node, limit))

    async def end(self) -> None:
        self._reaper.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._reaper
        with contextlib.suppress(Exception):  # gone already
            self._process.stdin.write_eof()
        await self._stack.aclose()

    async def _reap(self) -> None:
        """Gives the session back when the node's end is gone."""
        with contextlib.suppress(Exception):
            await self._process.wait_closed()
        await self._stack.aclose()


def _line(mark: str, timeout: float, script: str) -> bytes:
    """One line for the loop: `printf %b` makes the script of it again."""
    if "\0" in script:
        raise ValueError("a command cannot hold a NUL")
    packed = script.replace("\\", "\\\\").replace("\n", "\\n")
    return f"{mark} {timeout:g} {packed}\n".encode("utf-8", "surrogateescape")


def _too_slow(node: str, what: str, seconds: float) -> Problem:
    return Problem(
        node,
        ErrorKind.TIMEOUT,
        f"{what} took more than {seconds:g} s",
        f"{node} is overloaded, or a disk or a tmux server on it hangs; look with `ssh {node}`.",
    )


def _too_much(node: str, limit: int) -> Problem:
    return Problem(
        node,
        ErrorKind.OVERLOADED,
        f"a command said more than {limit >> 20} MiB",
        "This is more than the dashboard takes in at once; use a shell on the node.",
    )


async def have_end_told(shell: Runner, *servers: int) -> None:
    """Has tmux servers, by their pids, look for commands that have ended.

    tmux (3.3a) sometimes misses one: its pane is dead, its exit status unknown and the process a
    zombie, until another one ends. SIGCHLD has it look again; it means nothing to anything else.
    """
    await shell.run(f"kill -CHLD {' '.join(map(str, sorted(servers)))}")
