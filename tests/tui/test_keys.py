"""The keys: shown, added to the agent, taken out, and an agent started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from textual.pilot import Pilot
from textual.widgets import Checkbox, Input

from gpuhop_tui.ssh.keychain import KeychainError
from gpuhop_tui.tui.app import GpuhopApp
from gpuhop_tui.tui.screens.add_key import AddKeyDialog
from gpuhop_tui.tui.screens.choose import ChooseDialog
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.keys import KeysScreen
from tests.tui.fake_keychain import FULL, LAPTOP, MISSING, FakeKeychain
from tests.tui.fakes import app_on, fleet_state
from tests.tui.waiting import opened, screen_text, text_of, until


def app_with(keychain: FakeKeychain, agent: str = "3 keys") -> GpuhopApp:
    app, fleet = app_on(replace(fleet_state(), agent=agent))
    fleet.keychain = keychain
    keychain.retried = fleet.retried
    return app


async def keys(pilot: Pilot[int]) -> KeysScreen:
    """The screen, once it shows the keys."""
    await opened(pilot)
    await pilot.press("K")
    await until(pilot, lambda: isinstance(pilot.app.screen, KeysScreen))
    screen = pilot.app.screen
    assert isinstance(screen, KeysScreen)
    await until(pilot, lambda: screen.view is not None)
    await pilot.pause()
    return screen


async def shows(pilot: Pilot[int], kind: type) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, kind), kind.__name__)
    await pilot.pause()


def select(screen: KeysScreen, name: str) -> None:
    """Put the cursor on a key of the agent by its comment, or on a file."""
    assert screen.view is not None
    for file in screen.view.files:
        if file.path.name == name:
            screen.rows.select(("file", str(file.path)))
            return
    found = next(held for held in screen.view.held if held.facts.comment == name)
    certified = " certificate" if found.facts.certificate else ""
    screen.rows.select(("held", found.facts.fingerprint + certified))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_what_there_is_and_what_is_not_well_with_it(size: tuple[int, int]) -> None:
    async with app_with(FakeKeychain()).run_test(notifications=True, size=size) as pilot:
        screen = await keys(pilot)
        shown = text_of(screen.rows)
        for words in (
            "/run/user/1000/agent.sock", "3 keys", "mira@laptop", "ED25519 256",
            LAPTOP.fingerprint, "for another 5 h, asks before each use",
            "certificate mira-2025 for mira, root, for another 2 h", "ECDSA-CERT 256",
            "its certificate mira-2025 ends in 2 h", "wants to be touched", "~/.ssh/id_ed25519",
            "in the agent, with a passphrase", "RSA with 2048 bits", "→ ssh-keygen -t ed25519",
            "no passphrase protects it", "→ ssh-keygen -p -f ~/.ssh/id_rsa",
            "→ chmod 600 ~/.ssh/id_rsa",
        ):  # fmt: skip
            assert words in shown, f"{words}\n{shown}"


async def test_a_key_is_added_on_terms_and_its_passphrase_asked_for_once() -> None:
    keychain = FakeKeychain()
    async with app_with(keychain).run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await keys(pilot)
        select(screen, "spare")
        await pilot.press("a")
        await shows(pilot, AddKeyDialog)
        dialog = pilot.app.screen
        await pilot.press(*"wrong", "ctrl+s")
        await until(pilot, lambda: "did not open the key" in screen_text(pilot))
        assert dialog.query_one("#passphrase", Input).has_focus
        dialog.query_one("#passphrase", Input).value = "sesame"
        dialog.query_one("#lifetime", Input).value = "soon"
        dialog.query_one("#confirm", Checkbox).value = True
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "is no duration" in screen_text(pilot))
        assert dialog.query_one("#lifetime", Input).has_focus
        dialog.query_one("#lifetime", Input).value = "30m"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert keychain.did == [("add", "spare", 1800, True)]
        assert keychain.retried == [None]  # logins that lacked it
        await until(pilot, lambda: "4 keys" in text_of(screen.rows))
        select(screen, "spare")
        await pilot.press("a")
        await until(pilot, lambda: "holds spare already" in screen_text(pilot))


async def test_the_usual_lifetime_is_that_of_the_config() -> None:
    keychain = FakeKeychain()
    async with app_with(keychain).run_test(notifications=True, size=(80, 24)) as pilot:
        select(await keys(pilot), "id_rsa")
        await pilot.press("enter")
        await shows(pilot, AddKeyDialog)
        assert not pilot.app.screen.query("#passphrase")  # it has none
        await pilot.press("ctrl+s")
        await until(pilot, lambda: keychain.did)
        assert keychain.did == [("add", "id_rsa", 8 * 3600, False)]


async def test_why_a_key_was_not_added_is_said_and_nothing_typed_is_lost() -> None:
    keychain = FakeKeychain()
    keychain.failure = KeychainError("the agent does not take keys", "use another")
    async with app_with(keychain).run_test(notifications=True, size=(80, 24)) as pilot:
        select(await keys(pilot), "spare")
        await pilot.press("a")
        await shows(pilot, AddKeyDialog)
        await pilot.press(*"sesame", "ctrl+s")
        await until(pilot, lambda: "does not take keys: use another" in screen_text(pilot))
        assert pilot.app.screen.query_one("#passphrase", Input).value == "sesame"
        assert not pilot.app.screen.query_one("#ok").disabled


async def test_a_key_is_taken_out_once_that_is_confirmed() -> None:
    keychain = FakeKeychain()
    async with app_with(keychain).run_test(notifications=True, size=(120, 40)) as pilot:
        screen = await keys(pilot)
        select(screen, "mira@laptop")
        await pilot.press("x")
        await shows(pilot, ConfirmDialog)
        assert "Take mira@laptop out of the agent?" in screen_text(pilot)
        await pilot.press("n")
        await shows(pilot, KeysScreen)
        assert keychain.did == []
        await pilot.press("x")
        await shows(pilot, ConfirmDialog)
        await pilot.press("y")
        await until(pilot, lambda: keychain.did == [("remove", LAPTOP.fingerprint)])
        await until(pilot, lambda: "2 keys" in text_of(screen.rows))


@pytest.mark.parametrize(("steps", "keep"), [(0, False), (1, True)])
async def test_without_an_agent_one_is_offered_and_started(steps: int, keep: bool) -> None:
    keychain = FakeKeychain(MISSING)
    app = app_with(keychain, "no agent")
    async with app.run_test(notifications=True, size=(120, 40)) as pilot:
        await opened(pilot)
        await until(pilot, lambda: "No agent: K starts one" in screen_text(pilot))
        screen = await keys(pilot)
        assert "→ s starts one" in text_of(screen.rows)
        select(screen, "spare")
        await pilot.press("a")
        await until(pilot, lambda: "no agent to add it to" in screen_text(pilot))
        await pilot.press("s")
        await shows(pilot, ChooseDialog)
        assert "it ends with gpuhop, and the keys with it" in screen_text(pilot)
        assert "gpuhop finds it again" in screen_text(pilot)
        await pilot.press(*["down"] * steps, "enter")
        await until(pilot, lambda: keychain.did == [("start", keep)])
        await until(pilot, lambda: "/run/own.sock" in text_of(screen.rows))
        assert "choose a file below, and a adds it" in text_of(screen.rows)
        await pilot.press("s")
        await until(pilot, lambda: "There is an agent already" in screen_text(pilot))


async def test_an_agent_that_does_not_start_says_why() -> None:
    keychain = FakeKeychain(MISSING)
    keychain.failure = KeychainError("there is no ssh-agent", "install OpenSSH")
    async with app_with(keychain).run_test(notifications=True, size=(120, 40)) as pilot:
        await keys(pilot)
        await pilot.press("s")
        await shows(pilot, ChooseDialog)
        await pilot.press("enter")
        await until(pilot, lambda: "There is no ssh-agent. install OpenSSH" in screen_text(pilot))


@pytest.mark.parametrize(
    ("agent", "words"),
    [("0 keys", "The agent holds no keys: K adds one"), ("2 keys", None)],
)
async def test_the_offer_is_made_where_it_helps(agent: str, words: str | None) -> None:
    async with app_with(FakeKeychain(), agent).run_test(notifications=True) as pilot:
        await opened(pilot)
        if words:
            await until(pilot, lambda: words in screen_text(pilot))
        else:
            await pilot.pause()
            assert "K adds" not in screen_text(pilot)


async def test_what_mends_a_key_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    async with app_with(FakeKeychain()).run_test(notifications=True, size=(120, 40)) as pilot:
        copied: list[str] = []
        monkeypatch.setattr(pilot.app, "copy_to_clipboard", copied.append)
        screen = await keys(pilot)
        select(screen, "id_rsa")
        await pilot.press("c")
        await until(pilot, lambda: copied == ["chmod 600 ~/.ssh/id_rsa"])
        select(screen, "id_ed25519")
        await pilot.press("c")
        await until(pilot, lambda: "Nothing is to be mended" in screen_text(pilot))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
@pytest.mark.parametrize("view", [FULL, MISSING], ids=["full", "no-agent"])
def test_picture(snap_compare: Callable[..., bool], size: tuple[int, int], view: object) -> None:
    async def ready(pilot: Pilot[int]) -> None:
        await keys(pilot)

    app = app_with(FakeKeychain(view))
    assert snap_compare(app, terminal_size=size, run_before=ready)


def test_picture_of_adding(snap_compare: Callable[..., bool]) -> None:
    async def ready(pilot: Pilot[int]) -> None:
        select(await keys(pilot), "spare")
        await pilot.press("a")
        await shows(pilot, AddKeyDialog)
        for field in pilot.app.screen.query(Input):
            field.cursor_blink = False

    app = app_with(FakeKeychain())
    assert snap_compare(app, terminal_size=(80, 24), run_before=ready)
