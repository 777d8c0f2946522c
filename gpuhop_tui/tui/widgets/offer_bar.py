"""Offers the way back into a shell that was open when the program was killed."""

from __future__ import annotations

from textual import events

from gpuhop_tui.sessions.hop_memory import OpenHop
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit_line
from gpuhop_tui.tui.render.units import duration
from gpuhop_tui.tui.widgets.lines import Lines


class OfferBar(Lines):
    """One line while there is something to offer. A click takes it."""

    def __init__(self) -> None:
        super().__init__(id="offer", classes="-absent")
        self._offered: Line = ()

    def show(self, hop: OpenHop | None, key: str, now: float) -> None:
        """Offer a hop; None: nothing is offered any more."""
        self.set_class(hop is None, "-absent")
        words = () if hop is None else _words(hop, key, now)
        if words != self._offered:
            self._offered = words
            self.refresh()

    @property
    def line_count(self) -> int:
        return 1

    def line_at(self, y: int) -> Line:
        return fit_line(self._offered, self.room)

    def on_click(self, event: events.Click) -> None:
        self.run_worker(self.screen.run_action("back"), exit_on_error=False)


def _words(hop: OpenHop, key: str, now: float) -> Line:
    what = f"{clean(hop.target.title)} on {clean(hop.node)}"
    return (
        Span(f" {key}", Tone.INFO),
        Span(" goes back into "),
        Span(what, Tone.STRONG),
        Span(f", open when gpuhop was killed; opened {duration(now - hop.opened_at)} ago"),
        Span("   esc forgets it", Tone.DIM),
    )
