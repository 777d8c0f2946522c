"""What the dashboard does about asking for a GPU by courtesy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from textual.screen import Screen

from gpuhop_tui.fleet.reservations import others_reservation, own_reservation
from gpuhop_tui.fleet.state import FleetSource
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.reservations import reservation_words

if TYPE_CHECKING:
    from gpuhop_tui.tui.widgets.target_view import TargetView


class ReserveActions(Screen[None]):
    """The part of the dashboard that puts notes on GPUs."""

    view: TargetView
    source: FleetSource | None
    clock: Callable[[], float]

    def action_reserve(self) -> None:
        """Put a note on the selected GPU, change it, or take it away."""
        from gpuhop_tui.tui.screens.reserve import ReserveDialog

        node, gpu = self.view.node, self.view.selected_gpu
        if node is None or gpu is None or self.source is None:
            self.notify("Select a node with GPUs first", timeout=3)
            return
        sessions = self.source.sessions(node.name)
        if sessions is None or node.link.state is not LinkState.UP:
            why = f"No way to {node.name}: a note is kept on the node"
            self.notify(clean(why), severity="warning", timeout=5, markup=False)
            return
        now = self.clock()
        words = ["A note for all who use gpuhop on this node. It keeps nobody away, and expires."]
        own, other = own_reservation(node, gpu), others_reservation(node, gpu)
        if other is not None:
            words.insert(0, f"Asked for by {reservation_words(other, now)}.")
        if own is not None:
            words.append(f"Yours now: {reservation_words(own, now)}.")

        def done(what: str | None) -> None:
            if what is not None:
                self.notify(what, timeout=4)

        dialog = ReserveDialog(
            f"Reserve GPU {gpu.index} of {node.name}",
            words,
            self.clock,
            partial(sessions.reserve, gpu),
            partial(sessions.end_reservation, gpu) if own is not None else None,
            own.note if own is not None else "",
        )
        self.app.push_screen(dialog, done)
