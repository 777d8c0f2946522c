"""Questions answered on the terminal, for commands that run without the dashboard."""

from __future__ import annotations

import asyncio
import os
import select
import sys
import termios
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from gpuhop_tui.cli.text import clean
from gpuhop_tui.ssh.prompts import (
    ChallengeQuestion,
    NoPrompter,
    PassphraseQuestion,
    SignatureAnswer,
    SignatureQuestion,
)

Prompt = tuple[str, bool]  # what is asked, and whether typing is echoed
T = TypeVar("T")
Dialogue = Callable[[int, int], T | None]
"""Talks on a terminal's descriptor until it has its answer, or the other one can be read."""


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
        what_for = f"login to {question.hop}" if question.hop else "to add it to the agent"
        text = f"Passphrase for {question.key_file} ({what_for}): "
        answers = await self._ask(head, [(text, False)])
        return answers[0] if answers else None

    async def challenge(self, question: ChallengeQuestion) -> list[str] | None:
        parts = (f"{question.hop} asks:", question.title, question.instructions)
        return await self._ask(" ".join(part for part in parts if part), question.prompts)

    async def signature(self, question: SignatureQuestion) -> SignatureAnswer:
        from gpuhop_tui.cli.signature_prompt import dialogue

        answer = await self._converse(dialogue(question))
        if answer is None:
            who = clean(f"{question.facts.node} asked to {question.facts.what}")
            why = "denied, for there is no terminal to ask on"
            advice = "[[agent.guard.rules]] in the config can allow it"
            print(f"gpuhop-tui: {who}: {why}; {advice}", file=sys.stderr)
        return answer or SignatureAnswer.NOBODY

    async def _ask(self, head: str, prompts: Sequence[Prompt]) -> list[str] | None:
        return await self._converse(lambda tty, stop: _dialogue(tty, head, prompts, stop))

    async def _converse(self, dialogue: Dialogue[T]) -> T | None:
        """One dialogue on the terminal; None where there is none."""
        async with self._turn:
            self._asking_since = time.monotonic()
            try:
                return await _in_thread(self._terminal, dialogue)
            finally:
                self._spent = self.human_seconds()
                self._asking_since = None


async def _in_thread(terminal: str, dialogue: Dialogue[T]) -> T | None:
    """Ask on the terminal in a thread; cancelling ends the thread and mends the terminal."""
    stop_reading, stop = os.pipe()
    talk: Callable[[], T | None] = lambda: _blocking(terminal, dialogue, stop_reading)  # noqa: E731
    work = asyncio.ensure_future(asyncio.to_thread(talk))
    try:
        return await asyncio.shield(work)
    finally:
        os.close(stop)
        await asyncio.wait({work})
        os.close(stop_reading)


def _blocking(terminal: str, dialogue: Dialogue[T], stop: int) -> T | None:
    try:
        tty = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None  # nobody is there to ask
    try:
        return dialogue(tty, stop)
    except (OSError, termios.error):
        return None  # the terminal went away
    finally:
        os.close(tty)


def _dialogue(tty: int, head: str, prompts: Sequence[Prompt], stop: int) -> list[str] | None:
    before = termios.tcgetattr(tty)
    answers = []
    try:
        write(tty, "\r\x1b[K" + (clean(head) + "\n" if head else ""))
        for text, echo in prompts:
            _set_echo(tty, echo)
            write(tty, clean(text))
            line = _read_line(tty, stop)
            if not echo or line is None:
                write(tty, "\n")
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


def write(tty: int, text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(tty, data) :]
