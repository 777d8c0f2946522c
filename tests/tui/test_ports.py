"""The ports of a node: found, forwarded, opened, saved, ended; and VS Code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from gpuhop_tui.fleet.editor import EditorError, WayIn
from gpuhop_tui.fleet.ports.model import Wanted
from gpuhop_tui.problem import ErrorKind, Problem
from gpuhop_tui.ssh.port_forward import ForwardState
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.forward_form import ForwardDialog, read_place
from gpuhop_tui.tui.screens.link_dialog import LinkDialog
from gpuhop_tui.tui.screens.name_dialog import NameDialog
from gpuhop_tui.tui.screens.ports import PortsScreen
from gpuhop_tui.tui.widgets.rows import Rows
from tests.tui.fake_containers import with_containers
from tests.tui.fake_ports import TOKEN, FakePorts
from tests.tui.fakes import NOW, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, text_of, until

REFUSED = Problem(
    "gpu-01",
    ErrorKind.FORWARDING_DENIED,
    "the SSH server of gpu-01 does not allow TCP forwarding to 127.0.0.1:8888",
    "Ask its administrator for AllowTcpForwarding.",
)


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)


def app_with_ports() -> tuple[GpuhopApp, FakePorts]:
    app, fleet = app_on(fleet_state())
    return app, fleet.ports("gpu-01")


async def select_node(pilot: Pilot[int]) -> None:
    dashboard = await opened(pilot)
    dashboard.go_to_node("gpu-01")
    await pilot.pause()


async def shown(pilot: Pilot[int]) -> PortsScreen:
    """The screen of gpu-01, once it has looked."""
    await select_node(pilot)
    await pilot.press("p")
    await shows(pilot, PortsScreen)
    screen = pilot.app.screen
    assert isinstance(screen, PortsScreen)
    await until(pilot, lambda: screen._looked)
    await pilot.pause()
    return screen


async def shows(pilot: Pilot[int], kind: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, kind), kind.__name__)
    await pilot.pause()


def select(screen: PortsScreen, place: str, port: int) -> None:
    screen.query_one("#ports", Rows).select((place, port))
    screen.lay_out()


def table(screen: PortsScreen) -> str:
    return text_of(screen.query_one("#ports", Rows))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_what_listens_is_listed_whose_it_is_and_where(size: tuple[int, int]) -> None:
    app, ports = app_with_ports()
    async with app.run_test(notifications=True, size=size) as pilot:
        screen = await shown(pilot)
        said = table(screen)
        for words in ("YOURS", "IN CONTAINERS", "8888", "Jupyter", "TensorBoard", "devbox:22",
                      "Gradio", "jonas-nb:8888"):  # fmt: skip
            assert words in said
        assert "631" not in said
        assert "1 more: a" in screen_text(pilot)
        await pilot.press("a")
        await until(pilot, lambda: "631" in table(screen))
        await pilot.press("escape")
        await until(pilot, lambda: ports.rested.is_set(), "the session to be given back")
        assert TOKEN not in said


async def test_enter_forwards_and_shows_what_to_open_where_there_is_no_browser() -> None:
    app, _ = app_with_ports()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await shown(pilot)
        copied: list[str] = []
        app.copy_to_clipboard = copied.append
        select(screen, "127.0.0.1", 8888)
        await pilot.press("enter")
        await shows(pilot, LinkDialog)
        url = f"http://127.0.0.1:8888/lab?token={TOKEN}"
        assert url in screen_text(pilot)
        await pilot.press("c")
        await until(pilot, lambda: copied == [url])
        await pilot.press("escape")
        await shows(pilot, PortsScreen)
        assert "→ 8888" in table(screen)
        assert "token=…" in screen_text(pilot)
        assert TOKEN not in screen_text(pilot)
        await pilot.press("c")
        await until(pilot, lambda: copied == [url, url])


async def test_enter_opens_the_browser_of_a_desktop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app, _ = app_with_ports()
    said = tmp_path / "said"
    program = tmp_path / "bin" / "xdg-open"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1" >{said}.part && mv {said}.part {said}\n')
    program.chmod(0o755)
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await shown(pilot)
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        select(screen, "127.0.0.1", 6006)
        await pilot.press("enter")
        await until(pilot, said.exists)
        assert said.read_text() == "http://127.0.0.1:6006/\n"
        await until(pilot, lambda: "Opened in the browser" in screen_text(pilot))


async def test_a_taken_port_and_a_refusal_are_said() -> None:
    app, ports = app_with_ports()
    ports.taken = {8888}
    ports.refusal = REFUSED
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await shown(pilot)
        select(screen, "127.0.0.1", 8888)
        await pilot.press("enter")
        await until(
            pilot, lambda: "8888 of this machine is taken: it is 8889" in screen_text(pilot)
        )
        await until(pilot, lambda: "does not allow TCP forwarding" in screen_text(pilot))
        assert pilot.app.screen is screen  # no browser for nothing
        ports.forwards[0].port.state = ForwardState.REFUSED
        screen.lay_out()
        assert "✗ refused" in table(screen)


async def test_space_forwards_save_keeps_and_x_ends() -> None:
    app, ports = app_with_ports()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await shown(pilot)
        select(screen, "devbox", 7860)
        await pilot.press("space")
        [forward] = ports.forwards
        assert forward.wanted == Wanted("172.17.0.4", 7860, 7860, "devbox", "Gradio", "gradio")
        await pilot.press("s")
        await until(pilot, lambda: "ready, saved" in table(screen))
        forward.port.connections = 2
        await pilot.press("x")
        await shows(pilot, ConfirmDialog)
        assert "2 connections through it would break off" in screen_text(pilot)
        await pilot.press("n")
        await shows(pilot, PortsScreen)
        assert ports.forwards == (forward,)
        forward.port.connections = 0
        await pilot.press("x")
        await until(pilot, lambda: not ports.forwards)


async def test_another_port_can_be_named_and_the_one_here_chosen() -> None:
    app, ports = app_with_ports()
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        screen = await shown(pilot)
        select(screen, "127.0.0.1", 8888)
        await pilot.press("n")
        await shows(pilot, ForwardDialog)
        dialog = pilot.app.screen
        assert dialog.query_one("#port", Input).value == "8888"
        dialog.query_one("#port", Input).value = "many"
        await pilot.press("enter")
        await until(pilot, lambda: "Its port is a number" in screen_text(pilot))
        dialog.query_one("#port", Input).value = "10.0.0.9:443"
        await pilot.press("enter")
        await shows(pilot, PortsScreen)
        assert ports.forwards[0].wanted == Wanted("10.0.0.9", 443, 8443)
        assert "FORWARDED, AND NOT SEEN TO LISTEN NOW" in table(screen)
        assert screen.row is not None
        assert screen.row.key == ("10.0.0.9", 443)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("8888", ("127.0.0.1", 8888)),
        (" db:5432 ", ("db", 5432)),
        ("[::1]:80", ("::1", 80)),
        ("", None),
        ("0", None),
        ("70000", None),
        (":80", None),
        ("a b:80", None),
        ("８８", None),
    ],
)
def test_a_place_as_it_is_typed(text: str, place: tuple[str, int] | None) -> None:
    assert read_place(text) == place


async def test_a_look_that_fails_says_why_and_forwards_all_the_same() -> None:
    app, ports = app_with_ports()
    ports.trouble = Problem("gpu-01", ErrorKind.REFUSED, "gpu-01 has no awk", "Name the port.")
    async with app.run_test(notifications=True, size=(80, 24)) as pilot:
        await shown(pilot)
        assert "gpu-01 has no awk" in screen_text(pilot)
        await pilot.press("n")
        await shows(pilot, ForwardDialog)
        await pilot.press(*"8080", "enter")
        await until(pilot, lambda: ports.forwards)
        assert ports.forwards[0].wanted == Wanted("127.0.0.1", 8080, 8080)


async def test_forwards_are_restored_and_counted_in_the_head() -> None:
    app, fleet = app_on(fleet_state())
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: fleet.ports_restored)
        assert " ports" not in screen_text(pilot).splitlines()[0]
        fleet.set(replace(fleet.state, forwarded_ports=2))
        await until(pilot, lambda: "2 ports" in screen_text(pilot).splitlines()[0])


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
def test_picture(snap_compare: Callable[..., bool], size: tuple[int, int]) -> None:
    app, ports = app_with_ports()
    jupyter = ports.begin(Wanted("127.0.0.1", 8888, 8888, "", "Jupyter", "jupyter"), saved=True)
    jupyter.port.connections, jupyter.port.served = 3, 41
    jupyter.port.sent_bytes, jupyter.port.received_bytes = 51_300, 8_100_000
    gone = ports.begin(Wanted("127.0.0.1", 5000, 5000, "", "MLflow", "mlflow"), saved=True)
    gone.port.state, gone.port.problem = ForwardState.REFUSED, REFUSED
    waits = ports.begin(Wanted("127.0.0.1", 2222, 2222, "", "SSH server", "sshd"))
    waits.port.state = ForwardState.WAITING

    async def ready(pilot: Pilot[int]) -> None:
        select(await shown(pilot), "127.0.0.1", 8888)

    assert snap_compare(app, terminal_size=size, run_before=ready)


def test_picture_of_the_form(snap_compare: Callable[..., bool]) -> None:
    async def ready(pilot: Pilot[int]) -> None:
        select(await shown(pilot), "127.0.0.1", 8888)
        await pilot.press("n")
        await shows(pilot, ForwardDialog)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False

    assert snap_compare(app_with_ports()[0], terminal_size=(80, 24), run_before=ready)


# VS Code


@pytest.fixture
def editing(monkeypatch: pytest.MonkeyPatch):
    """The editor's doings, instead of the editor."""
    from gpuhop_tui.fleet import editor

    class Editing:
        known = True
        program: str | None = "/usr/bin/code"
        failure: EditorError | None = None
        opened: list[tuple[str, str]]
        written = 0

    doings = Editing()
    doings.opened = []

    async def way_in(config, name, doors=()):
        host = name.replace("/", "-")
        return WayIn(host, doings.known, "text", (host, "gpu-02"), ("old-box",), Path("/h/.ssh"))

    async def open_editor(program, host, path):
        if doings.failure is not None:
            raise doings.failure
        doings.opened.append((host, path))

    def write(way):
        doings.written += 1
        return editor.Installed(way.directory, ("wrote it",))

    monkeypatch.setattr(editor, "way_in", way_in)
    monkeypatch.setattr(editor, "open_editor", open_editor)
    monkeypatch.setattr(editor, "find_editor", lambda: doings.program)
    monkeypatch.setattr(editor, "write", write)
    return doings


def app_for_editor() -> GpuhopApp:
    app, _ = app_on(with_containers(fleet_state(), NOW))
    return app


def told(app: GpuhopApp) -> str:
    """All that was said in passing."""
    return "\n".join(each.message for each in app._notifications)


async def typed(pilot: Pilot[int], *keys: str) -> None:
    """`v` on gpu-01, and a path."""
    pilot.app.config_path = Path("config.toml")
    await pilot.press("v")
    await shows(pilot, NameDialog)
    await pilot.press(*keys, "enter")


async def test_vs_code_opens_a_path_of_the_node_and_remembers_it(editing) -> None:
    app = app_for_editor()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await select_node(pilot)
        await typed(pilot, *"code")
        await until(pilot, lambda: "A path begins with / or ~/" in screen_text(pilot))
        await pilot.press("home", *"~/", "enter")
        await until(pilot, lambda: editing.opened == [("gpu-01", "/home/gpu-user/code")])
        await until(pilot, lambda: "It opens /home/gpu-user/code on gpu-01" in screen_text(pilot))
        await pilot.press("v")
        await shows(pilot, NameDialog)
        assert pilot.app.screen.query_one("#name", Input).value == "~/code"
        assert not editing.written


async def test_a_host_that_ssh_does_not_know_is_written_once_that_is_allowed(editing) -> None:
    editing.known = False
    app = app_for_editor()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await select_node(pilot)
        await typed(pilot)
        await shows(pilot, ConfirmDialog)
        for words in (
            "Make gpu-01 known to ssh?",
            "gpuhop-tui.conf",
            "one Include line",
            "old-box",
        ):
            assert words in " ".join(screen_text(pilot).split())
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.screen is app.dashboard)
        assert not editing.written
        assert not editing.opened
        await typed(pilot)
        await shows(pilot, ConfirmDialog)
        await pilot.press("y")
        await until(pilot, lambda: editing.opened == [("gpu-01", "/home/gpu-user")])
        assert editing.written == 1


async def test_without_a_program_and_where_it_fails_there_is_the_link(editing) -> None:
    app = app_for_editor()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await select_node(pilot)
        editing.program = None
        await typed(pilot, *"/data")
        await shows(pilot, LinkDialog)
        assert "vscode://vscode-remote/ssh-remote+gpu-01/data" in screen_text(pilot)
        await pilot.press("escape")
        editing.program = "code"
        editing.failure = EditorError("code failed: no such extension", "Use the link.")
        await typed(pilot)
        await shows(pilot, LinkDialog)
        assert "code failed: no such extension" in screen_text(pilot)


async def test_the_demo_and_containers_without_an_sshd_say_why(editing) -> None:
    app = app_for_editor()
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await select_node(pilot)
        await pilot.press("v")
        await until(pilot, lambda: "VS Code is for your own fleet" in told(app))
        pilot.app.config_path = Path("config.toml")
        await pilot.press("2", "2")
        dashboard = app.dashboard
        assert dashboard is not None
        await until(pilot, lambda: dashboard.view.selected_container)
        await pilot.press("down")
        await until(pilot, lambda: dashboard.view.selected_container.name == "jupyter-wei")
        await pilot.press("v")
        await until(pilot, lambda: "It publishes no SSH server" in told(app))
