"""The one line that a hop shows over the terminal's last row: its menu, and what it has to say.

Pure text from plain data; `hop` decides when which is shown.
"""

from __future__ import annotations

import time

from gpuhop_tui.sessions.hop_keys import HeldKeys
from gpuhop_tui.ssh.link import Link
from gpuhop_tui.ssh.status import LinkState

MENU_KEYS = "d detach · ] send ctrl+] · l link · r retry now · x disconnect"


def menu_line(node: str, session: str, columns: int) -> str:
    """The keys of the menu; where it is about goes first where there is no room."""
    where = f"{node} · {session}" if session else node
    full = f" {where} │ {MENU_KEYS} · other keys close"
    return full if len(full) < columns else f" {MENU_KEYS}"


def link_line(link: Link) -> str:
    """The way hop by hop with its round-trip times, from here to the node."""
    chain: list[Link] = []
    step: Link | None = link
    while step is not None:
        chain.insert(0, step)
        step = step.parent
    parts = ["laptop"]
    before = 0.0
    for each in chain:
        rtt = each.status.rtt_seconds
        if not each.is_up:
            parts.append(f"─ {_state(each)} ─ {each.name}")
        elif rtt is None:
            parts.append(f"─ ? ms ─ {each.name}")  # no round trip was measured yet
        else:
            # A link's round trip goes all the way: the part of this hop is what it adds.
            parts.append(f"─ {max(0.0, rtt - before) * 1000:.0f} ms ─ {each.name}")
            before = rtt
    text = " ".join(parts)
    if link.is_up:
        text += f" · up {duration(time.time() - link.status.since)}"
        if (rtt := link.status.rtt_seconds) is not None:
            text += f" · round trip {rtt * 1000:.0f} ms"
    elif link.status.problem is not None:
        text += f" · {link.status.problem.message}"
    return f" {text}"


def away_line(link: Link, since: float, held: HeldKeys, columns: int, refused: str = "") -> str:
    """While the link is away: what happened, since when, what is done about it; `refused` is why
    a link that is up gives no session."""
    status, now = link.status, time.time()
    lost = f"{link.name} lost {clock(since)} ({duration(now - since)})"
    step = ""
    if status.state is LinkState.BLOCKED:
        todo = "needs you"
        step = f": {status.problem.advice} · ctrl+] r retries" if status.problem else ""
    elif link.is_up:
        todo, step = "reattaching", f": {refused}" if refused else ""
    elif status.state is LinkState.CONNECTING:
        todo, step = "connecting", f" ({status.step})" if status.step else ""
    elif status.retry_at is not None and status.retry_at > now + 0.5:
        todo = f"next try in {status.retry_at - now:.0f} s"
    else:
        todo = "trying now"
    if held:
        text = f" {lost} · {todo} · "
        return text + held.preview(columns - len(text) - 1)
    keys = "ctrl+] menu · ctrl+] r retry now"
    why = f"{status.problem.message} · " if status.problem is not None else ""
    # What can be done without goes first where there is no room.
    for text in (
        f" {lost} · {why}{todo}{step} · {keys}",
        f" {lost} · {todo}{step} · {keys}",
        f" {lost} · {todo}{step} · ctrl+] menu",
        f" {lost} · {todo} · ctrl+] menu",
    ):
        if len(text) < columns:
            return text
    return f" lost {clock(since)} · {todo} · ctrl+] menu"


def stalled_line(link: Link, since: float, held: HeldKeys, columns: int) -> str:
    """The connection is open, but nothing has come back for a while."""
    text = f" {link.name} does not answer since {clock(since)} ({duration(time.time() - since)})"
    if held:
        return f"{text} · {held.preview(columns - len(text) - 4)}"
    return f"{text} · ctrl+] menu"


def held_question(held: HeldKeys, columns: int) -> str:
    ask = " · Enter sends them · Esc drops them"
    return f" {held.preview(columns - len(ask) - 1)}{ask}"


def gone_question(node: str, session: str, reason: str) -> str:
    return f" {session} on {node} is gone: {reason} · Enter opens a new one · Esc leaves"


def clock(at: float) -> str:
    """Local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def duration(seconds: float) -> str:
    seconds = max(0, int(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def _state(link: Link) -> str:
    return "connecting" if link.status.state is LinkState.UP else str(link.status.state)
