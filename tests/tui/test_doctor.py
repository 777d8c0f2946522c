"""The doctor's screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from gpuhop_tui.fleet.doctor.finding import LAPTOP, Finding, ok, problem, unchecked, warning
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.screens.doctor import DoctorScreen, _Page
from tests.tui.fakes import FakeFleet, app_on, fleet_state
from tests.tui.waiting import opened, screen_text, until

FINDINGS = [
    ok("config", LAPTOP, "~/.config/gpuhop-tui/config.toml: 6 nodes, 2 bastions"),
    warning(
        "keys",
        LAPTOP,
        "~/.ssh/id_rsa: RSA with 2048 bits is too short (3072 or more): make a new key",
        "a key is worth what protects it",
        "ssh-keygen -t ed25519",
    ),
    ok("login", "gpu-01", "logged in as gpu-user"),
    problem(
        "gpu",
        "gpu-01",
        "the NVIDIA driver and its library have different versions",
        "the driver was updated, and the old one is still loaded",
        "on gpu-01: sudo reboot  # or sudo rmmod nvidia_uvm nvidia && sudo modprobe nvidia",
    ),
    *(unchecked(check, "gpu-03", "it was not reached") for check in ("python", "tmux", "disk")),
    ok("tmux", "gpu-02", "tmux 3.3a"),
]


def doctored(*findings: Finding, done: bool = True) -> tuple[GpuhopApp, FakeFleet]:
    app, source = app_on(fleet_state())
    source.findings = list(findings)
    if done:
        source.examined.set()
    return app, source


async def open_doctor(pilot: Pilot[int]) -> DoctorScreen:
    await opened(pilot)
    await pilot.press("D")
    await until(pilot, lambda: isinstance(pilot.app.screen, DoctorScreen))
    screen = pilot.app.screen
    assert isinstance(screen, DoctorScreen)
    return screen


async def test_findings_come_as_they_are_known() -> None:
    app, source = doctored(*FINDINGS, done=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await open_doctor(pilot)
        await until(pilot, lambda: "different versions" in screen_text(pilot))
        assert "checking" in str(pilot.app.screen.query_one(_Page).border_title)
        source.examined.set()
        await until(
            pilot, lambda: "checking" not in str(pilot.app.screen.query_one(_Page).border_title)
        )
        assert "3 checks well, 2 to mend, 3 not checked" in str(
            pilot.app.screen.query_one(_Page).border_title
        )


async def test_only_what_is_to_be_mended_and_its_command_copied() -> None:
    app, _ = doctored(*FINDINGS)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_doctor(pilot)
        await until(pilot, lambda: "different versions" in screen_text(pilot))
        await pilot.press("a")
        await until(pilot, lambda: "logged in" not in screen_text(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: "sudo reboot" in pilot.app.clipboard)


async def test_closing_it_ends_the_checks() -> None:
    app, _source = doctored(*FINDINGS, done=False)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_doctor(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is not screen)
        await until(pilot, lambda: not screen.running)


async def test_checking_again() -> None:
    app, source = doctored(*FINDINGS)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await open_doctor(pilot)
        await until(pilot, lambda: not screen.running and len(screen.findings) == len(FINDINGS))
        source.findings = FINDINGS[:1]
        await pilot.press("r")
        await until(pilot, lambda: not screen.running and len(screen.findings) == 1)


def test_doctor_picture(snap_compare: Callable[..., bool]) -> None:
    async def ready(pilot: Pilot[Any]) -> None:
        screen = await open_doctor(pilot)
        await until(pilot, lambda: not screen.running and len(screen.findings) == len(FINDINGS))

    app, _ = doctored(*FINDINGS)
    assert snap_compare(app, terminal_size=(120, 40), run_before=ready)
