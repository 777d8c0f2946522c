"""How the app opens, fails, and ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from textual.widgets import SelectionList

from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.ssh.prompts import Prompter
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.opening import FirstRun, Opened
from gpuhop_tui.tui.screens.first_run import FirstRunScreen
from gpuhop_tui.tui.screens.open_failed import OpenFailedScreen
from tests.tui.fakes import FakeFleet, app_on, fleet_state, past
from tests.tui.waiting import opened, screen_text, until


def a_fleet() -> FakeFleet:
    state = fleet_state()
    return FakeFleet(state, past(state))


def test_importing_the_app_imports_no_slow_library() -> None:
    code = (
        "import sys, gpuhop_tui.tui.app, gpuhop_tui.tui.screens.dashboard;"
        "print(*[m for m in ('asyncssh', 'docker', 'pydantic', 'tomli_w') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == ""


async def test_the_first_paint_comes_before_the_fleet_is_opened() -> None:
    seen: list[str] = []
    going_on = asyncio.Event()

    async def open_fleet(prompter: Prompter) -> Opened:
        seen.append(screen_text(pilot))
        await going_on.wait()
        return Opened(a_fleet())

    app = GpuhopApp(open_fleet)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: seen)
        assert "gpuhop   opening the fleet…" in seen[0]
        assert "q quit" in seen[0]
        going_on.set()
        await opened(pilot)
        assert "6/9 nodes" in screen_text(pilot)


async def test_a_plain_source_will_do() -> None:
    fleet = a_fleet()

    async def open_fleet(prompter: Prompter) -> FakeFleet:
        return fleet

    app = GpuhopApp(open_fleet)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        assert fleet.started
    assert fleet.stopped


async def test_theme_and_keys_of_the_config() -> None:
    async def open_fleet(prompter: Prompter) -> Opened:
        return Opened(a_fleet(), theme="nord", keymap={"retry": "z"})

    app = GpuhopApp(open_fleet)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        assert app.theme == "nord"
        assert "z retry" in screen_text(pilot)


async def test_an_unknown_theme_is_told() -> None:
    async def open_fleet(prompter: Prompter) -> Opened:
        return Opened(a_fleet(), theme="[no]such")

    app = GpuhopApp(open_fleet)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "There is no theme '[no]such'" in screen_text(pilot))


async def test_a_config_error_is_shown_and_can_be_mended() -> None:
    tries = 0

    async def open_fleet(prompter: Prompter) -> Opened:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError('config.toml:14: nodes[2].prt: unknown key; did you mean "port"?')
        return Opened(a_fleet())

    app = GpuhopApp(open_fleet)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, OpenFailedScreen))
        await until(pilot, lambda: "nodes[2].prt" in screen_text(pilot))
        assert "Traceback" not in screen_text(pilot)
        await pilot.press("r")
        await until(pilot, lambda: tries == 2)
        await until(pilot, lambda: isinstance(app.screen, OpenFailedScreen))
        await pilot.press("enter")
        await opened(pilot)


async def test_leaving_an_error_is_status_2() -> None:
    problem = Problem("laptop", ErrorKind.UNRESOLVED, "There is no ssh.", "Install OpenSSH.")

    async def open_fleet(prompter: Prompter) -> Opened:
        raise ProblemError(problem)

    app = GpuhopApp(open_fleet)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, OpenFailedScreen))
        await until(pilot, lambda: "Install OpenSSH." in screen_text(pilot))
        await pilot.press("q")
    assert app.return_value == 2


def first_run(written: list[list[str]], *hosts: str, fail: bool = False) -> GpuhopApp:
    def write_starter(picked: Sequence[str]) -> None:
        if fail:
            raise PermissionError(13, "Permission denied", "/etc/[x]")
        written.append(list(picked))

    async def open_fleet(prompter: Prompter) -> Opened | FirstRun:
        if written:
            return Opened(a_fleet())
        return FirstRun(Path("/home/ann/.config/gpuhop-tui/config.toml"), hosts, write_starter)

    return GpuhopApp(open_fleet)


async def test_the_first_run_offers_the_hosts() -> None:
    written: list[list[str]] = []
    app = first_run(written, "gpu-01", "[b]odd", "github.com")
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, FirstRunScreen))
        await until(pilot, lambda: "github.com" in screen_text(pilot))
        shown = screen_text(pilot)
        for words in ("/home/ann/.config/gpuhop-tui/config.toml", "[[bastions]]", "[b]odd"):
            assert words in shown
        assert isinstance(app.focused, SelectionList)
        await pilot.press("space", "down", "space")
        await until(pilot, lambda: "Write 2 nodes and connect" in screen_text(pilot))
        await pilot.press("shift+tab")
        await pilot.click("#write")
        await opened(pilot)
    assert written == [["gpu-01", "[b]odd"]]


async def test_the_first_run_without_hosts_writes_the_example() -> None:
    written: list[list[str]] = []
    app = first_run(written)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, FirstRunScreen))
        await until(pilot, lambda: "Write the example" in screen_text(pilot))
        await pilot.press("enter")
        await opened(pilot)
    assert written == [[]]


async def test_the_first_run_says_why_nothing_was_written() -> None:
    app = first_run([], "gpu-01", fail=True)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, FirstRunScreen))
        await pilot.click("#write")
        await until(pilot, lambda: "Permission denied" in screen_text(pilot))
        await pilot.press("q")
    assert app.return_value == 2


async def test_a_worker_that_fails_does_not_take_the_app_along() -> None:
    class Broken(FakeFleet):
        async def changes(self) -> AsyncIterator[FleetState]:
            raise RuntimeError("[boom]")
            yield self.state

        async def start(self) -> None:
            raise OSError("no [net]")

        async def stop(self) -> None:
            raise OSError("not stopped")

    state = fleet_state()

    async def open_fleet(prompter: Prompter) -> Opened:
        return Opened(Broken(state, past(state)))

    app = GpuhopApp(open_fleet)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "[boom]" in screen_text(pilot))
        await until(pilot, lambda: "no [net]" in screen_text(pilot))
        assert "Traceback" not in screen_text(pilot)
        await pilot.press("down")
        assert app.is_running


async def test_a_mistake_of_ours_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "hunter2"
    app, _ = app_on(fleet_state())

    async def run_into_it() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            dashboard = await opened(pilot)
            monkeypatch.setattr(dashboard.fleet_tree, "line_at", lambda y: len(secret) / 0)
            dashboard.fleet_tree.refresh()
            await until(pilot, lambda: app.return_code)

    with pytest.raises(ZeroDivisionError):
        await run_into_it()
    assert app.return_code == 1
    said = capsys.readouterr().err
    assert "stopped on a mistake of its own: ZeroDivisionError" in said
    assert "Traceback" not in said
    assert secret not in said


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_quitting_while_the_fleet_opens(key: str) -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def open_fleet(prompter: Prompter) -> Opened:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    app = GpuhopApp(open_fleet)
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await until(pilot, entered.is_set)
        await pilot.press(key)
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_states_that_pile_up_are_merged() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        shown: list[FleetState] = []
        show = dashboard.show
        dashboard.show = lambda state, source: shown.append(state) or show(state, source)  # type: ignore[method-assign]
        for number in range(200):
            fleet.change("gpu-01", tags=(str(number),))
            await asyncio.sleep(0)
        await until(pilot, lambda: dashboard.state is fleet.state)
        assert len(shown) < 20
