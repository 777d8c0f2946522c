"""The question for a signature, on a terminal: one key answers, and the seconds run."""

from __future__ import annotations

import os
import select
import termios
import time

from gpuhop_tui.cli.prompts import Dialogue, write
from gpuhop_tui.cli.text import clean
from gpuhop_tui.ssh.prompts import SignatureAnswer, SignatureQuestion

ARM_SECONDS = 0.8
"""For so long no key answers but `n`."""

_KEYS = {
    "o": SignatureAnswer.ONCE,
    "m": SignatureAnswer.MINUTES,
    "w": SignatureAnswer.LENDING,
    "n": SignatureAnswer.DENY,
}


def dialogue(question: SignatureQuestion) -> Dialogue[SignatureAnswer]:
    """Asks until a key answers, or somebody ends it. Enter and whatever else is no."""

    def ask(tty: int, stop: int) -> SignatureAnswer | None:
        before = termios.tcgetattr(tty)
        try:
            _take_keys(tty)
            write(tty, "\r\x1b[K" + "".join(f"{clean(line)}\n" for line in _head(question)))
            answer = _answer(tty, stop, question)
            said = "denied" if answer is None or answer is SignatureAnswer.DENY else "allowed"
            write(tty, f"\r\x1b[K{said}\n")
            return answer or SignatureAnswer.DENY
        finally:
            termios.tcsetattr(tty, termios.TCSADRAIN, before)

    return ask


def _head(question: SignatureQuestion) -> list[str]:
    facts = question.facts
    lines = [f"{facts.node} asks to {facts.what}."]
    if facts.through:
        lines.append(f"It has passed the agent on to {', '.join(facts.through)}.")
    lines.append(f"Key {facts.key} {facts.key_comment}")
    if facts.host_key:
        lines.append(f"Host key {facts.host_key}")
    return lines


def _answer(tty: int, stop: int, question: SignatureQuestion) -> SignatureAnswer | None:
    words = {
        SignatureAnswer.ONCE: "[o]nce",
        SignatureAnswer.MINUTES: f"[m] for {question.minutes} min",
        SignatureAnswer.LENDING: "[w]hile it is lent",
        SignatureAnswer.DENY: "[N]o",
    }
    choices = ", ".join(words[answer] for answer in words if answer in question.choices)
    armed_at = time.monotonic() + ARM_SECONDS
    while True:
        left = question.expires_at - time.time()
        write(tty, f"\r\x1b[KAllow it? {choices} ({max(0, round(left))} s) ")
        readable, _, _ = select.select([tty, stop], [], [], max(0.05, left % 1))
        if stop in readable:
            return None
        if tty in readable:
            key = os.read(tty, 64).decode("utf-8", "replace").lower()
            answer = _KEYS.get(key)
            if answer is not SignatureAnswer.DENY and time.monotonic() < armed_at:
                continue  # it was meant for what was there before
            return answer if answer in question.choices else SignatureAnswer.DENY


def _take_keys(tty: int) -> None:
    """Key by key, without echo; what was typed ahead is no answer."""
    mode = termios.tcgetattr(tty)
    mode[3] = (mode[3] | termios.ISIG) & ~(termios.ICANON | termios.ECHO)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    termios.tcsetattr(tty, termios.TCSAFLUSH, mode)
