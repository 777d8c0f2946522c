"""The line of a hop that asks for a signature, and the one with the answers. Pure text."""

from __future__ import annotations

from gpuhop_tui.ssh.guard.model import shown
from gpuhop_tui.ssh.prompts import SignatureAnswer, SignatureQuestion

KEYS = {
    b"o": SignatureAnswer.ONCE,
    b"m": SignatureAnswer.MINUTES,
    b"w": SignatureAnswer.LENDING,
    b"n": SignatureAnswer.DENY,
}


def question_line(question: SignatureQuestion, columns: int, now: float) -> str:
    """What is asked, and by whom: what is typed still goes to the shell."""
    facts = question.facts
    seconds = f"{_left(question, now)} s"
    asks = f"{facts.node} asks to {facts.what}"
    key = f" with {shown(facts.key_comment) or facts.key}"
    through = f", passed on to {shown(', '.join(facts.through))}" if facts.through else ""
    for more in (through + key, through, ""):
        text = f" {asks}{more} · ctrl+] answers · {seconds}"
        if len(text) < columns:
            return text
    room = max(12, columns - len(f" … · ctrl+] · {seconds}") - 1)
    return f" {asks[:room]}… · ctrl+] · {seconds}"


def answers_line(question: SignatureQuestion, columns: int, now: float) -> str:
    """The keys that answer. The longest words that have room."""
    words = {
        SignatureAnswer.ONCE: ("o once", "o once"),
        SignatureAnswer.MINUTES: (f"m for {question.minutes} min", f"m {question.minutes} min"),
        SignatureAnswer.LENDING: ("w while this hop is open", "w while open"),
        SignatureAnswer.DENY: ("n no", "n no"),
    }
    offered = [answer for answer in words if answer in question.choices]
    for size in (0, 1):
        keys = " · ".join(words[answer][size] for answer in offered)
        text = f" {question.facts.what}? {keys} · i key · {_left(question, now)} s"
        if len(text) < columns:
            return text
    return f" {keys} · i key · {_left(question, now)} s"


def key_line(question: SignatureQuestion, columns: int) -> str:
    """Which key would sign, and the host key of the server, where there is room. The keys that
    answer still do."""
    facts = question.facts
    comment = f" {shown(facts.key_comment)}" if facts.key_comment else ""
    host_key = f" · host key {facts.host_key}" if facts.host_key else ""
    for more in (comment + host_key, host_key, comment):
        text = f" key {facts.key}{more}"
        if len(text) < columns:
            return text
    return f" key {facts.key}"


def _left(question: SignatureQuestion, now: float) -> int:
    return max(0, round(question.expires_at - now))
