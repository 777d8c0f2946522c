"""What a hop shows while its link is away."""

from __future__ import annotations

import time
from types import SimpleNamespace

from gpuhop_tui.sessions.hop_desk import Desk
from gpuhop_tui.sessions.screen import Screen
from gpuhop_tui.ssh.status import LinkState, LinkStatus

COLUMNS, ROWS = 120, 8


class FakeTerminal:
    """Shows what is written to it."""

    size = COLUMNS, ROWS

    def __init__(self) -> None:
        self.screen = Screen(COLUMNS, ROWS)
        self.written = b""

    @property
    def text(self) -> str:
        return "\n".join(self.screen.text)

    def write(self, data: bytes) -> None:
        self.written += data
        self.screen.feed(data)

    def raw(self) -> None:
        pass

    def pause_input(self, paused: bool) -> None:
        pass


async def test_news_cut_nothing_in_two_and_stay_while_one_types() -> None:
    status = LinkStatus(LinkState.UP)
    link = SimpleNamespace(name="gpu-01", status=status, is_up=True)
    terminal = FakeTerminal()
    desk = Desk(None, link, "gpuhop", terminal)  # type: ignore[arg-type]
    desk.take()
    desk.output(b"\x1b[?1049h\x1b[2J\x1b[Hediting\x1b]0;a ti")
    desk.tell("job killed on gpu-02", b"\x1b]9;job killed\x07")
    assert b"\x1b]9" not in terminal.written
    assert "job killed on gpu-02" in terminal.text
    desk.output(b"tle\x07\xe2\x82")
    assert b"\x1b]9" not in terminal.written
    desk.output(b"\xac")
    assert terminal.written.endswith(b"\x1b]9;job killed\x07")
    desk._typed(b"x")
    assert "job killed on gpu-02" in terminal.text


async def test_nothing_is_drawn_over_a_question_and_the_screen_comes_back() -> None:
    asking = False
    status = LinkStatus(LinkState.CONNECTING, step="your answer")
    link = SimpleNamespace(name="gpu-01", status=status, is_up=False)
    terminal = FakeTerminal()
    desk = Desk(None, link, "gpuhop", terminal, lambda: asking)  # type: ignore[arg-type]
    desk.take()
    desk.output(b"\x1b[2J\x1b[Hthe last screen\r\n$ ")
    desk.lose()
    before = terminal.text
    assert "the last screen" in before
    assert "gpu-01 lost" in before

    asking = True
    terminal.write(b"\r\x1b[KPassphrase: ")
    terminal.written = b""
    desk._away_since = time.time() - 75  # the line has something new to say
    desk.refresh()
    desk._resized()
    assert terminal.written == b""

    asking = False
    desk.refresh()
    assert "Passphrase" not in terminal.text
    assert "the last screen" in terminal.text
    assert "1 min 15 s" in terminal.text


async def test_a_session_that_is_refused_is_said() -> None:
    link = SimpleNamespace(name="gpu-01", status=LinkStatus(LinkState.UP), is_up=True)
    terminal = FakeTerminal()
    desk = Desk(None, link, "gpuhop", terminal)  # type: ignore[arg-type]
    desk.take()
    desk.lose("the server refused a session: open failed")
    assert "reattaching: the server refused a session: open failed" in terminal.text
    desk.lose()
    assert "refused" not in terminal.text
