"""The lent agent on the screen: the question for a signature, and who has what."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gpuhop_tui.ssh.guard.model import Purpose
from gpuhop_tui.ssh.prompts import SignatureAnswer, SignatureQuestion
from gpuhop_tui.tui.prompter import TuiPrompter
from gpuhop_tui.tui.screens import signature
from gpuhop_tui.tui.screens.guard import GuardScreen
from gpuhop_tui.tui.screens.passphrase import PassphraseDialog
from gpuhop_tui.tui.screens.signature import SignatureDialog
from tests.tui.fakes import (
    GITHUB,
    NOW,
    PASSPHRASE,
    SIGNATURE,
    Questions,
    app_on,
    fleet_state,
    with_lendings,
)
from tests.tui.waiting import opened, screen_text, until

UNBOUND = replace(
    SIGNATURE,
    facts=replace(GITHUB, purpose=Purpose.UNBOUND, destination=(), host_key=""),
    choices=SIGNATURE.choices[:3],
)


@pytest.fixture(autouse=True)
def _armed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature, "ARM_SECONDS", 0.0)


@pytest.mark.parametrize(
    ("question", "keys", "answer"),
    [
        (SIGNATURE, ["o"], SignatureAnswer.ONCE),
        (SIGNATURE, ["m"], SignatureAnswer.MINUTES),
        (SIGNATURE, ["w"], SignatureAnswer.LENDING),
        (SIGNATURE, ["n"], SignatureAnswer.DENY),
        (SIGNATURE, ["enter"], SignatureAnswer.DENY),
        (SIGNATURE, ["escape"], SignatureAnswer.DENY),
        (SIGNATURE, ["left", "enter"], SignatureAnswer.LENDING),
        (UNBOUND, ["w", "n"], SignatureAnswer.DENY),
    ],
)
async def test_answers(
    question: SignatureQuestion, keys: list[str], answer: SignatureAnswer
) -> None:
    asked = Questions((question,))
    app, _ = app_on(fleet_state(), questions=asked)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, SignatureDialog) and app.focused)
        await pilot.press(*keys)
        await opened(pilot)
    assert asked.answers == [answer]


async def test_it_names_who_asks_and_for_what() -> None:
    app, _ = app_on(fleet_state(), questions=Questions((SIGNATURE, UNBOUND)))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: "denied in 30 s" in screen_text(pilot))
        for words in ("gpu-01 asks to log in as git at github.com", GITHUB.host_key, GITHUB.key):
            assert words in screen_text(pilot)
        await pilot.press("n")
        await until(pilot, lambda: "Nothing proves which server" in screen_text(pilot))
        await pilot.press("n")
        await opened(pilot)


async def test_what_was_typed_for_something_else_allows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signature, "ARM_SECONDS", 1000.0)
    asked = Questions((SIGNATURE,))
    app, _ = app_on(fleet_state(), questions=asked)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, SignatureDialog) and app.focused)
        await pilot.press("o", "m", "w", "left", "enter")
        assert isinstance(app.screen, SignatureDialog)
        await pilot.press("n")
        await opened(pilot)
    assert asked.answers == [SignatureAnswer.DENY]


async def test_it_lies_over_other_questions_and_can_be_taken_back() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        prompter = TuiPrompter(app)
        login = asyncio.create_task(prompter.passphrase(PASSPHRASE))
        await until(pilot, lambda: isinstance(app.screen, PassphraseDialog) and app.focused)
        await pilot.press("a", "b")
        signing = asyncio.create_task(prompter.signature(SIGNATURE))
        await until(pilot, lambda: isinstance(app.screen, SignatureDialog))
        signing.cancel()
        await until(pilot, lambda: isinstance(app.screen, PassphraseDialog))
        await pilot.press("c", "enter")
        assert await login == "abc"


async def test_who_has_the_terminal_is_asked_whichever_node_asks() -> None:
    class Aside:
        async def signature(self, question: SignatureQuestion) -> SignatureAnswer:
            return SignatureAnswer.ONCE

    app, _ = app_on(fleet_state())
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        prompter = TuiPrompter(app)
        aside: Any = Aside()
        prompter.ask_aside(aside, frozenset({"another"}))
        assert await prompter.signature(SIGNATURE) is SignatureAnswer.ONCE


async def test_hostile_names_are_only_shown() -> None:
    evil = "[red]x[/red]\x1b[2J\u202e"
    facts = replace(GITHUB, user=evil, destination=(evil, evil), key_comment=evil, through=(evil,))
    app, _ = app_on(fleet_state(), questions=Questions((replace(SIGNATURE, facts=facts),)))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: "[red]x[/red]" in screen_text(pilot))
        assert "\x1b" not in screen_text(pilot)
        assert "\u202e" not in screen_text(pilot)
        await pilot.press("escape")
        await opened(pilot)


# The guard's screen


async def test_grants_are_revoked_and_the_agent_is_locked() -> None:
    app, fleet = app_on(with_lendings(fleet_state()))
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("g")
        await until(pilot, lambda: "for 6 min more" in screen_text(pilot))
        await pilot.press("x")  # a lending is selected: nothing is revoked
        await pilot.press("down", "x")
        await until(pilot, lambda: fleet.revoked == [7])
        await pilot.press("L")
        await until(pilot, lambda: "LOCKED" in screen_text(pilot))
        assert fleet.state.agent_locked
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is dashboard)
        await until(pilot, lambda: "agent locked" in screen_text(pilot))
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, GuardScreen))
        await pilot.press("L")
        await until(pilot, lambda: not fleet.state.agent_locked)


async def test_it_is_live() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("g")
        await until(pilot, lambda: "lent to nobody" in screen_text(pilot))
        fleet.set(with_lendings(fleet_state(), NOW))
        await until(pilot, lambda: "12 signed" in screen_text(pilot))
        assert "after 41 more: " in screen_text(pilot)
