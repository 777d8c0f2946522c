"""The sessions of a node: listed, hopped into, attached, started and ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual.widgets import Input, TextArea

from gpuhop_tui.problem import ErrorKind, Problem, ProblemError
from gpuhop_tui.sessions.hop_memory import OpenHop, open_hops, remember
from gpuhop_tui.sessions.hop_target import HopEnd, HopResult, HopTarget
from gpuhop_tui.sessions.tmux_actions import SessionError
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.new_session import NewSessionDialog, read_environment
from tests.tui.fake_sessions import pane, session, some_sessions, with_sessions
from tests.tui.fakes import HOST_KEY, NOW, FakeFleet, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, text_of, until

SIZES = [(80, 24), (120, 40), (200, 60)]


class Hopping:
    """Stands in for the terminal that a test has none of: what App.suspend did."""

    def __init__(self) -> None:
        self.suspended = 0
        self.resumed = 0


@pytest.fixture
def hopping(monkeypatch: pytest.MonkeyPatch) -> Hopping:
    record = Hopping()

    @contextmanager
    def suspend(self: GpuhopApp) -> Iterator[None]:
        record.suspended += 1
        yield
        record.resumed += 1  # as App.suspend: not after an exception

    monkeypatch.setattr(GpuhopApp, "suspend", suspend)
    return record


def app_with_sessions(**more: Any) -> tuple[GpuhopApp, FakeFleet]:
    return app_on(with_sessions(fleet_state(), NOW), **more)


# The list


@pytest.mark.parametrize("size", SIZES)
async def test_sessions_are_listed(size: tuple[int, int]) -> None:
    app, _ = app_with_sessions()
    async with app.run_test(notifications=True, size=size) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("3")
        await until(pilot, lambda: "SESSION" in screen_text(pilot))
        shown = text_of(dashboard.view.sessions)
        for words in (
            "train", "python", "71 %", "9.45 it/s", "@gpuhop", "exit 1", "x dismisses",
            "OutOfMemoryError", "4s", "1d 1h",
        ):  # fmt: skip
            assert words in shown, words
        for key in ("⏎ hop", "a attach", "t tail", "N new", "x end"):
            assert key in screen_text(pilot), key


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpu-02", "No tmux session of yours runs on gpu-02. N makes one"),
        ("mig-01", "No tmux: there is no tmux on mig-01"),
        ("old-01", "Looking for tmux sessions on old-01"),
        ("gpu-03", "No link to gpu-03: waiting 4 s"),
    ],
)
async def test_without_sessions_the_reason_is_there(name: str, words: str) -> None:
    app, _ = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("3")
        dashboard.go_to_node(name)
        await until(pilot, lambda: words in text_of(dashboard.view.sessions))
        await until(pilot, lambda: "a attach" not in screen_text(pilot))


async def test_session_keys_are_only_where_they_work() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        assert "a attach" not in screen_text(pilot)
        await pilot.press("a", "t", "x")
        assert app.screen is dashboard
        assert fleet.hops == []
        await pilot.press("left")  # to the bastion
        await until(pilot, lambda: "N new" not in screen_text(pilot))
        await pilot.press("N")
        assert app.screen is dashboard


async def test_sessions_are_watched_while_they_are_in_view() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        assert not fleet.actors
        await pilot.press("3")
        await until(pilot, lambda: fleet.sessions("gpu-01").watched)
        dashboard.go_to_node("gpu-02")
        await until(pilot, lambda: fleet.sessions("gpu-02").watched)
        assert not fleet.sessions("gpu-01").watched
        await pilot.press("4")
        await until(pilot, lambda: not fleet.sessions("gpu-02").watched)


async def test_the_cursor_is_on_a_session_whatever_changes() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        rows = dashboard.view.sessions
        await pilot.press("3", "3", "down")
        assert rows.session is not None
        assert rows.session.name == "gpuhop"
        newer = session("a-new-one", NOW, number=8)
        fleet.change("gpu-01", sessions=(newer, *some_sessions(NOW)))
        await until(pilot, lambda: "a-new-one" in text_of(rows))
        assert rows.session.name == "gpuhop"
        train, _, *rest = some_sessions(NOW)
        fleet.change("gpu-01", sessions=(newer, train, *rest))
        await until(pilot, lambda: rows.session and rows.session.name == "sweep")
        dashboard.go_to_node("gpu-02")
        dashboard.go_to_node("gpu-01")
        assert rows.session.name == "sweep"
        fleet.change("gpu-01", sessions=())
        await until(pilot, lambda: rows.session is None)


async def test_the_job_list_has_a_cursor() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("1", "down")  # it is shown already: into the list
        assert dashboard.view.jobs.selected == ("gpu-01", 422801, NOW - 27 * 3600)
        fleet.change("gpu-01", stale=True)
        await until(pilot, lambda: dashboard.view.node and dashboard.view.node.stale)
        assert dashboard.view.jobs.selected == ("gpu-01", 422801, NOW - 27 * 3600)
        await pilot.press("escape")
        assert app.focused is dashboard.fleet_tree


async def test_the_palette_goes_to_a_session() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node("gpu-02")
        await pilot.press("ctrl+p")
        await until(pilot, lambda: fleet.fleet_watched)
        await pilot.press(*"session: sweep")
        await until(pilot, lambda: "session: sweep on gpu-01" in screen_text(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: dashboard.view.selected_session is not None)
        selected = dashboard.view.selected_session
        assert selected is not None
        assert (selected.node, selected.name) == ("gpu-01", "sweep")
        await until(pilot, lambda: not fleet.fleet_watched)
        await until(pilot, lambda: fleet.sessions("gpu-01").watched)


# Hopping


async def test_enter_hops_into_the_node(hopping: Hopping) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        drawn_at = []

        async def meanwhile() -> None:
            assert app._batch_count == 1  # nothing is drawn
            fleet.change("gpu-01", stale=True)
            await pilot.pause()
            drawn_at.append(hopping.resumed)

        fleet.during_hop = meanwhile
        await pilot.press("enter")
        await until(pilot, lambda: hopping.resumed)
        assert fleet.hops == [("gpu-01", HopTarget.shell())]
        assert drawn_at == [0]
        assert app._batch_count == 0
        await until(pilot, lambda: "Detached from gpuhop; it runs on" in screen_text(pilot))
        await until(pilot, lambda: "0 s old" in screen_text(pilot))


async def test_a_bastion_is_hopped_into_too(hopping: Hopping) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("left")
        await until(pilot, lambda: dashboard.fleet_tree.selected == ("bastion", "jump-server"))
        assert "⏎ hop" in screen_text(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: hopping.resumed)
        assert fleet.hops == [("jump-server", HopTarget.shell())]


async def test_attach_goes_to_exactly_that_session(hopping: Hopping) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("3", "3", "down", "enter")
        await until(pilot, lambda: hopping.resumed == 1)
        await pilot.press("down", "down", "a")
        await until(pilot, lambda: hopping.resumed == 2)
        assert fleet.hops == [
            ("gpu-01", HopTarget.attached("gpuhop", "/tmp/tmux-1000/gpuhop")),
            ("gpu-01", HopTarget.attached("edit", "/home/me/own.sock")),
        ]


@pytest.mark.parametrize(
    ("name", "words"),
    [("gpu-03", "No route to host"), ("lab-b", "ssh-keygen -R lab-b.example.org")],
)
async def test_a_hop_that_cannot_be_is_refused_at_once(
    hopping: Hopping, name: str, words: str
) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        dashboard.go_to_node(name)
        await pilot.press("enter")
        await until(pilot, lambda: f"No way to {name}" in screen_text(pilot))
        assert words in " ".join(n.message for n in app._notifications)
        assert fleet.hops == []
        assert hopping.suspended == 0


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyError("gpu-01")])
async def test_a_mistake_in_a_hop_gives_the_dashboard_back(
    hopping: Hopping, error: Exception
) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)

        async def fail() -> None:
            raise error

        fleet.during_hop = fail
        await pilot.press("enter")
        await until(pilot, lambda: "hop failed" in screen_text(pilot))
        assert (hopping.suspended, hopping.resumed, app._batch_count) == (1, 1, 0)
        fleet.during_hop = None
        await pilot.press("enter")
        await until(pilot, lambda: hopping.resumed == 2)


async def test_a_terminal_that_cannot_be_handed_over_is_said() -> None:
    app, _ = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "cannot be handed over" in screen_text(pilot))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (HopResult(HopEnd.ENDED, 0, "session gpuhop on gpu-01 has ended"), "has ended"),
        (HopResult(HopEnd.ENDED, 3, "the shell on gpu-01 exited with 3"), "exited with 3"),
        (
            HopResult(
                HopEnd.FAILED, 255, "refused",
                Problem("gpu-01", ErrorKind.LOST, "refused", "Try it again."),
            ),
            "Refused. Try it again.",
        ),
    ],
)  # fmt: skip
async def test_how_a_hop_ended_is_said(hopping: Hopping, result: HopResult, words: str) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        fleet.hop_result = result
        await pilot.press("enter")
        await until(pilot, lambda: words in screen_text(pilot))


async def test_a_signal_in_a_hop_ends_the_app_with_its_status(hopping: Hopping) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        fleet.hop_result = HopResult(HopEnd.SIGNALLED, 143, "ended by SIGTERM", signal=15)
        await pilot.press("enter")
        await until(pilot, lambda: app.return_code is not None)
    assert app.return_code == 143
    assert fleet.stopped


class Aside:
    """A prompter that answers on the terminal."""

    asking = False

    def __init__(self) -> None:
        self.asked: list[object] = []

    def use(self, terminal: object) -> None:
        pass

    async def passphrase(self, question: object) -> str:
        self.asked.append(question)
        return "secret"

    async def host_key(self, question: object) -> str:
        self.asked.append(question)
        return "once"


async def test_questions_of_the_hop_are_asked_on_its_terminal(hopping: Hopping) -> None:
    app, fleet = app_with_sessions()
    aside = Aside()
    app.hopper._aside = lambda: aside  # type: ignore[return-value,assignment]
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        answers: list[object] = []

        async def ask() -> None:
            mine = replace(HOST_KEY, hop="jump-server")
            answers.append(await app._prompter.host_key(mine))
            assert app._prompter._other("lab-b") is None

        fleet.during_hop = ask
        await pilot.press("enter")
        await until(pilot, lambda: hopping.resumed)
        assert answers == ["once"]
        assert app._prompter._other("jump-server") is None


# Hops that were open before


def orphan(node: str, target: HopTarget) -> OpenHop:
    """As a killed program leaves it."""
    hop = replace(remember(node, target), started="0")
    return replace(hop, opened_at=NOW - 300)


async def test_a_hop_that_was_open_is_offered(hopping: Hopping) -> None:
    hops = [orphan("elsewhere", HopTarget.shell()), orphan("gpu-02", HopTarget.shell("work"))]
    app, fleet = app_with_sessions(open_hops=hops)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await until(pilot, lambda: "b goes back into work on gpu-02" in screen_text(pilot))
        await pilot.press("b")
        await until(pilot, lambda: hopping.resumed)
        assert fleet.hops == [("gpu-02", HopTarget.shell("work"))]
        await until(pilot, lambda: not dashboard.offer.display)
        await pilot.press("b")
        assert len(fleet.hops) == 1


async def test_an_offer_can_be_refused(hopping: Hopping) -> None:
    app, fleet = app_with_sessions(open_hops=[orphan("gpu-02", HopTarget.shell())])
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        await until(pilot, lambda: "goes back into" in screen_text(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: not dashboard.offer.display)
    assert fleet.hops == []
    assert open_hops() == []


# Starting


async def test_a_new_session_is_made_and_selected() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        fleet.sessions("gpu-01").on_new = lambda wanted: fleet.change(
            "gpu-01", sessions=(*some_sessions(NOW), session(wanted.name, NOW, number=9))
        )
        await pilot.press("N", *"tune", "enter", *"work", "enter", *"make tune", "enter")
        await pilot.press(*"A=1", "enter", *"B=x y", "ctrl+s")
        await until(pilot, lambda: app.screen is dashboard)
        wanted = fleet.sessions("gpu-01").wanted
        assert wanted is not None
        assert (wanted.name, wanted.directory, wanted.command) == ("tune", "work", "make tune")
        assert wanted.environment == {"A": "1", "B": "x y"}
        await until(
            pilot,
            lambda: (
                dashboard.view.selected_session and dashboard.view.selected_session.name == "tune"
            ),
        )


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        (("name", ""), "name", "a session needs a name"),
        (("name", "a:b"), "name", "':' has a meaning of its own"),
        (("name", "train"), "name", "there is a session named train already"),
        (("environment", "A"), "environment", "line 1 is no NAME=value"),
        (("environment", "1A=2"), "environment", "line 1: '1A' is no name"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field(
    typed: tuple[str, str], field: str, words: str
) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await pilot.press("N")
        await until(pilot, lambda: isinstance(app.screen, NewSessionDialog))
        app.screen.query_one("#name", Input).value = "fine"
        where, text = typed
        widget = app.screen.query_one(f"#{where}", Input | TextArea)
        setattr(widget, "value" if isinstance(widget, Input) else "text", text)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: words in screen_text(pilot))
        assert app.focused is app.screen.query_one(f"#{field}")
        assert fleet.sessions("gpu-01").wanted is None
        await pilot.press("escape")
        assert app.screen is app.dashboard


@pytest.mark.parametrize(
    ("refusal", "focus", "words"),
    [
        (SessionError("there is no directory x", "Make it first.", "directory"), "directory",
         "there is no directory x. Make it first."),
        (SessionError("taken", "Choose another.", "name"), "name", "taken. Choose another."),
        (ProblemError(Problem("gpu-01", ErrorKind.NO_TMUX, "no tmux", "Install it.")), None,
         "no tmux. Install it."),
        (RuntimeError("boom"), None, "it was not started: boom"),
    ],
)  # fmt: skip
async def test_what_the_node_refuses_is_said_in_the_form(
    refusal: Exception, focus: str | None, words: str
) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        fleet.sessions("gpu-01").refusal = refusal
        await pilot.press("N", *"one", "ctrl+s")
        await until(pilot, lambda: words in screen_text(pilot))
        if focus:
            assert app.focused is app.screen.query_one(f"#{focus}")
        fleet.sessions("gpu-01").refusal = None
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.screen is app.dashboard)


def test_environment_lines() -> None:
    assert read_environment("A=1\n\n export B=x=y \n") == ({"A": "1", "B": "x=y"}, None)
    assert read_environment("A=1\nB") == ({"A": "1"}, "line 2 is no NAME=value")


# Ending


async def test_killing_asks_and_names_its_target() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("3", "x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        shown = screen_text(pilot)
        assert "Kill session train on gpu-01?" in shown
        assert "python in 1 pane; 1 terminal attached" in shown
        await pilot.press("enter")  # no is the default
        await until(pilot, lambda: app.screen is dashboard)
        assert fleet.sessions("gpu-01").asked == []
        await pilot.press("x", "y")
        await until(pilot, lambda: fleet.sessions("gpu-01").asked == [("kill", "train")])
        await until(pilot, lambda: "was killed" in screen_text(pilot))


async def test_a_kill_that_is_refused_is_said() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await opened(pilot)
        fleet.sessions("gpu-01").refusal = SessionError("train is gone already", "Look again.")
        await pilot.press("3", "x", "y")
        await until(pilot, lambda: "gone already" in screen_text(pilot))


async def test_a_finished_command_is_dismissed_unasked() -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("3", "3", "down", "down", "x")
        await until(pilot, lambda: fleet.sessions("gpu-01").asked == [("dismiss", "sweep", "%3")])
        assert app.screen is dashboard


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"exit_status": 0}, "exit 0"),
        ({"exit_status": 3}, "exit 3"),
        ({"exit_signal": 9}, "signal 9"),
        ({}, "ended"),
    ],
)
async def test_how_a_command_finished_is_shown(fields: dict[str, int], words: str) -> None:
    app, fleet = app_with_sessions()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        dashboard = await opened(pilot)
        await pilot.press("3")
        fleet.change("gpu-01", sessions=(session("it", NOW, pane(dead=True, **fields)),))
        await until(pilot, lambda: words in text_of(dashboard.view.sessions))


async def test_two_ids_on_one_key_are_said() -> None:
    app, _ = app_with_sessions(keymap={"tail": "f", "tail-next": "f"})
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "f is both tail and freest" in " ".join(
            n.message for n in app._notifications))  # fmt: skip
        assert "tail-next" not in " ".join(n.message for n in app._notifications)
