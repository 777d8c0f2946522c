"""Questions answered on the terminal, for commands that run without the dashboard."""

from __future__ import annotations

import asyncio
import os
import select
import termios
import time
from collections.abc import Sequence

from gpuhop_tui.cli.text import clean
from gpuhop_tui.ssh.prompts import ChallengeQuestion, NoPrompter, PassphraseQuestion

Prompt = tuple[str, bool]  # what is asked, and whether typing is echoed


class TerminalPrompter(NoPrompter):
    """Asks for passphrases and second factors on the controlling terminal, one at a time.

    Unknown host keys stay refused: a command line that accepts keys is one that scripts abuse.
    """

    def __init__(self, terminal: str = "/dev/tty") -> None:
        self._terminal = terminal
        self._turn = asyncio.Lock()
        self._spent = 0.0
        self._asking_since: float | None = None

    @property
    def asking(self) -> bool:
        """Whether a question is on the terminal now."""
        return self._asking_since is not None

    def human_seconds(self) -> float:
        """How long a person has been waited for until now: time that is no timeout."""
        open_question = time.monotonic() - self._asking_since if self._asking_since else 0.0
        return self._spent + open_question

    async def passphrase(self, question: PassphraseQuestion) -> str | None:
        head = "That passphrase did not open the key." if question.wrong else ""
        text = f"Passphrase for {question.key_file} (login to {question.hop}): "
        answers = await self._ask(head, [(text, False)])
        return answers[0] if answers else None

    async def challenge(self, question: ChallengeQuestion) -> list[str] | None:
        parts = (f"{question.hop} asks:", question.title, question.instructions)
        return await self._ask(" ".join(part for part in parts if part), question.prompts)

    async def _ask(self, head: str, prompts: Sequence[Prompt]) -> list[str] | None:
        async with self._turn:
            self._asking_since = time.monotonic()
            try:
                return await _converse(self._terminal, head, prompts)
            finally:
                self._spent = self.human_seconds()
                self._asking_since = None


async def _converse(terminal: str, head: str, prompts: Sequence[Prompt]) -> list[str] | None:
    """Ask on the terminal in a thread; cancelling ends the thread and mends the terminal."""
    stop_reading, stop = os.pipe()
    work = asyncio.ensure_future(
        asyncio.to_thread(_converse_blocking, terminal, head, prompts, stop_reading)
    )
    try:
        return await asyncio.shield(work)
    finally:
        os.close(stop)
        await asyncio.wait({work})
        os.close(stop_reading)


def _converse_blocking(
    terminal: str, head: str, prompts: Sequence[Prompt], stop: int
) -> list[str] | None:
    try:
        tty = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None  # nobody is there to ask
    try:
        return _dialogue(tty, head, prompts, stop)
    except (OSError, termios.error):
        return None  # the terminal went away
    finally:
        os.close(tty)


def _dialogue(tty: int, head: str, prompts: Sequence[Prompt], stop: int) -> list[str] | None:
    before = termios.tcgetattr(tty)
    answers = []
    try:
        _write(tty, "\r\x1b[K" + (clean(head) + "\n" if head else ""))
        for text, echo in prompts:
            _set_echo(tty, echo)
            _write(tty, clean(text))
            line = _read_line(tty, stop)
            if not echo or line is None:
                _write(tty, "\n")
            if line is None:
                return None
            answers.append(line)
    finally:
        termios.tcsetattr(tty, termios.TCSADRAIN, before)
    return answers


def _set_echo(tty: int, echo: bool) -> None:
    """Line-wise input with echo on or off; what was typed ahead is dropped, as getpass(3) does."""
    mode = termios.tcgetattr(tty)
    mode[3] |= termios.ICANON | termios.ISIG
    mode[3] = mode[3] | termios.ECHO if echo else mode[3] & ~termios.ECHO
    termios.tcsetattr(tty, termios.TCSAFLUSH, mode)


def _read_line(tty: int, stop: int) -> str | None:
    """One line, or None where input ended or `stop` was closed at its other end."""
    line = b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([tty, stop], [], [])
        if stop in readable:
            return None
        piece = os.read(tty, 4096)
        if not piece:
            return None
        line += piece
    return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


def _write(tty: int, text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(tty, data) :]
