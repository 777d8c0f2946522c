"""Questions of the core, answered by dialogs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gpuhop_tui.ssh.prompts import ChallengeQuestion, HostKeyAnswer
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.prompter import TuiPrompter
from gpuhop_tui.tui.screens.challenge import ChallengeDialog
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.screens.host_key import HostKeyDialog
from gpuhop_tui.tui.screens.passphrase import PassphraseDialog
from tests.tui.fakes import CHALLENGE, HOST_KEY, PASSPHRASE, Questions, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, until


def asking(*questions: Any) -> tuple[GpuhopApp, Questions]:
    asked = Questions(questions)
    return app_on(fleet_state(), questions=asked)[0], asked


def shown(app: GpuhopApp, dialog: type[Dialog[Any]]) -> bool:
    return isinstance(app.screen, dialog) and app.focused is not None


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["a"], HostKeyAnswer.ALWAYS),
        (["o"], HostKeyAnswer.ONCE),
        (["n"], HostKeyAnswer.REFUSE),
        (["enter"], HostKeyAnswer.REFUSE),
        (["escape"], HostKeyAnswer.REFUSE),
        (["left", "enter"], HostKeyAnswer.ONCE),
    ],
)
async def test_host_key(keys: list[str], answer: HostKeyAnswer) -> None:
    app, asked = asking(HOST_KEY)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: shown(app, HostKeyDialog))
        await until(pilot, lambda: HOST_KEY.fingerprint in screen_text(pilot))
        for words in ("gpu-07", "ssh-ed25519", "[10.0.0.57]:2222", "jump-server", "known_hosts"):
            assert words in screen_text(pilot)
        await pilot.press(*keys)
        await opened(pilot)
    assert asked.answers == [answer]


async def test_passphrase() -> None:
    app, asked = asking(PASSPHRASE, replace(PASSPHRASE, wrong=True, lifetime_seconds=None))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: shown(app, PassphraseDialog))
        await until(pilot, lambda: "The agent will hold the key for 8 h." in screen_text(pilot))
        await pilot.press(*"q[s", "enter")
        await until(pilot, lambda: "did not open the key" in screen_text(pilot))
        assert "not added to the agent" in screen_text(pilot)
        await pilot.press(*"secret")
        assert "secret" not in screen_text(pilot)
        await pilot.press("escape")
        await opened(pilot)
    assert asked.answers == ["q[s", None]


async def test_challenge() -> None:
    app, asked = asking(CHALLENGE, CHALLENGE)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: shown(app, ChallengeDialog))
        await until(pilot, lambda: "One-time code:" in screen_text(pilot))
        assert "Open the authenticator" in screen_text(pilot)
        await pilot.press(*"123456")
        assert "123456" in screen_text(pilot)
        await pilot.press("enter", *"0000")
        assert "0000" not in screen_text(pilot)
        first = app.screen
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not first and shown(app, ChallengeDialog))
        await pilot.press("escape")
        await opened(pilot)
    assert asked.answers == [["123456", "0000"], None]


async def test_a_challenge_without_prompts_asks_nobody() -> None:
    app, asked = asking(ChallengeQuestion("edge", "", "", ()))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
    assert asked.answers == [[]]


async def test_hostile_words_of_a_server() -> None:
    evil = "[red]x[/red]\x1b[2J"
    question = ChallengeQuestion(evil, evil, evil + "\nmore", ((evil, True),))
    app, asked = asking(question, replace(HOST_KEY, hop=evil, fingerprint=evil, address=evil))
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: shown(app, ChallengeDialog))
        await until(pilot, lambda: "[red]x[/red][2J asks" in screen_text(pilot))
        assert "\x1b" not in screen_text(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: shown(app, HostKeyDialog))
        assert "\x1b" not in screen_text(pilot)
        await pilot.press("escape")
        await opened(pilot)
    assert asked.answers == [None, HostKeyAnswer.REFUSE]


async def test_questions_queue_and_can_be_taken_back() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        prompter = TuiPrompter(app)
        one = asyncio.create_task(prompter.host_key(HOST_KEY))
        two = asyncio.create_task(prompter.passphrase(PASSPHRASE))
        three = asyncio.create_task(prompter.challenge(CHALLENGE))
        await until(pilot, lambda: shown(app, HostKeyDialog))
        assert len(app.screen_stack) == 3
        two.cancel()  # while it waits for its turn
        one.cancel()  # while it is shown
        await until(pilot, lambda: shown(app, ChallengeDialog))
        assert len(app.screen_stack) == 3
        await pilot.press(*"1", "enter", *"2", "enter")
        assert await three == ["1", "2"]
        await until(pilot, lambda: app.screen is dashboard)
        assert one.cancelled()
        assert two.cancelled()


async def test_a_question_that_is_taken_back_under_another_screen() -> None:
    app, _ = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        task = asyncio.create_task(TuiPrompter(app).passphrase(PASSPHRASE))
        await until(pilot, lambda: shown(app, PassphraseDialog))
        app.action_help()
        await until(pilot, lambda: len(app.screen_stack) == 4)
        task.cancel()
        await until(pilot, lambda: task.cancelled())
        await pilot.pause()
        assert len(app.screen_stack) == 4
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is dashboard)
