"""The line of a hop that asks for a signature: what it says, and what the keys do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gpuhop_tui.sessions.hop_desk import Desk
from gpuhop_tui.sessions.signature_line import answers_line, key_line, question_line
from gpuhop_tui.ssh.guard.model import Purpose, SignatureFacts
from gpuhop_tui.ssh.prompts import SignatureAnswer, SignatureQuestion
from gpuhop_tui.ssh.status import LinkState, LinkStatus
from tests.unit.hop.test_desk import FakeTerminal

FACTS = SignatureFacts(
    node="gpu-01",
    via=("jump",),
    purpose=Purpose.LOGIN,
    key="SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDgP6k2xVbrjqqRBzY",
    key_comment="me@laptop",
    user="git",
    destination=("github.com",),
    host_key="SHA256:host",
)
ALL = (
    SignatureAnswer.DENY,
    SignatureAnswer.ONCE,
    SignatureAnswer.MINUTES,
    SignatureAnswer.LENDING,
)
QUESTION = SignatureQuestion(FACTS, 1030.0, 30.0, 10, ALL)


@pytest.mark.parametrize("columns", [40, 60, 80, 120, 200])
def test_the_lines_fit(columns: int) -> None:
    long = replace(FACTS, user="u" * 200, through=("a", "b"))
    for question in (QUESTION, replace(QUESTION, facts=long)):
        line = question_line(question, columns, 1003.0)
        assert len(line) < columns
        assert "gpu-01" in line
        assert "ctrl+]" in line
        assert "27 s" in line


def test_what_they_say() -> None:
    assert question_line(QUESTION, 120, 1000.0) == (
        " gpu-01 asks to log in as git at github.com with me@laptop · ctrl+] answers · 30 s"
    )
    line = answers_line(QUESTION, 120, 1000.0)
    assert line.endswith(
        "log in as git at github.com? o once · m for 10 min · w while this hop is open · n no"
        " · i key · 30 s"
    )
    few = answers_line(replace(QUESTION, choices=ALL[:2]), 80, 1000.0)
    assert "m " not in few.partition("?")[2]
    assert FACTS.key in key_line(QUESTION, 200)


def test_a_user_that_the_node_makes_up_writes_no_sentence() -> None:
    made_up = "git at github.com with me@laptop" + " " * 200
    line = question_line(replace(QUESTION, facts=replace(FACTS, user=made_up)), 100, 1000.0)
    assert '"git at github.com with me@laptop' in line
    assert '…" at github.com' in line
    namespace = replace(FACTS, purpose=Purpose.SIGNATURE, namespace='git" for me')
    assert namespace.what == 'sign for "git\' for me"'


class Shell:
    """Takes what is typed."""

    def __init__(self) -> None:
        self.typed = b""
        self.connection = None

    def write(self, data: bytes) -> bool:
        self.typed += data
        return True

    def resize(self, *_size: int) -> None: ...

    def pause_output(self, _paused: bool) -> None: ...


@pytest.fixture
async def desk() -> tuple[Desk, FakeTerminal, Shell]:
    link = SimpleNamespace(name="gpu-01", status=LinkStatus(LinkState.UP), is_up=True)
    terminal, shell = FakeTerminal(), Shell()
    desk = Desk(None, link, "gpuhop", terminal)  # type: ignore[arg-type]
    desk.take()
    desk.begin(shell, is_tmux=True)  # type: ignore[arg-type]
    desk.output(b"\x1b[?1049h\x1b[2J\x1b[H$ \x1b[8;1Hlast row")
    return desk, terminal, shell


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (b"\x1do", SignatureAnswer.ONCE),
        (b"\x1dm", SignatureAnswer.MINUTES),
        (b"\x1dw", SignatureAnswer.LENDING),
        (b"\x1dn", SignatureAnswer.DENY),
        (b"\x1din", SignatureAnswer.DENY),
        (b"\x1dz\x1do", SignatureAnswer.ONCE),
    ],
)
async def test_answers_after_the_menu_key(
    desk: tuple[Desk, FakeTerminal, Shell], keys: bytes, answer: SignatureAnswer
) -> None:
    it, terminal, shell = desk
    before = terminal.text
    asked = asyncio.create_task(it.ask_signature(QUESTION))
    await asyncio.sleep(0)
    assert "gpu-01 asks to log in as git" in terminal.text
    it._typed(b"omwn\r")  # for the shell
    assert not asked.done()
    it._typed(keys)
    async with asyncio.timeout(30):
        assert await asked is answer
    assert shell.typed == b"omwn\r"
    assert terminal.text == before


async def test_what_is_not_offered_is_no_answer(desk: tuple[Desk, FakeTerminal, Shell]) -> None:
    it, terminal, _shell = desk
    asked = asyncio.create_task(it.ask_signature(replace(QUESTION, choices=ALL[:2])))
    await asyncio.sleep(0)
    it._typed(b"\x1dw")
    await asyncio.sleep(0)
    assert not asked.done()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert "last row" in terminal.text


async def test_the_menu_key_itself_can_still_be_sent(
    desk: tuple[Desk, FakeTerminal, Shell],
) -> None:
    it, _terminal, shell = desk
    asked = asyncio.create_task(it.ask_signature(QUESTION))
    await asyncio.sleep(0)
    it._typed(b"\x1d\x1d")
    assert shell.typed == b"\x1d"
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
