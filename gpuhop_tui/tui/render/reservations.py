"""Notes on GPUs, by which people ask for them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from gpuhop_tui.fleet.alerts.words import gpu_words
from gpuhop_tui.probe.sample import Gpu, Reservation
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut

MARK = "⚑"


def reservation_words(reservation: Reservation, now: float) -> str:
    """`bob until 18:00: evaluation run`."""
    then = time.localtime(reservation.until)
    same_day = then[:3] == time.localtime(now)[:3]
    until = time.strftime("%H:%M" if same_day else "%d %b %H:%M", then)
    note = f": {clean(reservation.note)}" if reservation.note else ""
    return f"{clean(reservation.user)} until {until}{note}"


def reservation_lines(gpus: Sequence[Gpu], width: int, now: float) -> list[Line]:
    """One line a note, below the table; GPUs with the same one share it."""
    found: dict[str, list[int]] = {}
    for gpu in gpus:
        for reservation in gpu.reservations:
            found.setdefault(reservation_words(reservation, now), []).append(gpu.index)
    return [
        (Span(cut(f" {MARK} {gpu_words(indexes)} asked for by {words}", width),
              Tone.INFO),)
        for words, indexes in found.items()
    ]  # fmt: skip


def users_with_marks(users: Sequence[str], gpu: Gpu) -> Line:
    """Who uses a GPU, and who has asked for it: `marie ⚑bob`."""
    asked = sorted({clean(each.user) for each in gpu.reservations})
    spans = [Span(", ".join(users))] if users else []
    if asked:
        space = " " if users else ""
        spans.append(Span(space + " ".join(f"{MARK}{user}" for user in asked), Tone.INFO))
    return tuple(spans)
