"""What goes on in the background, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.render.work import loss_words
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.work import Job

if TYPE_CHECKING:
    from gpuhop_tui.tui.app import GpuhopApp

_MOST_NAMED = 6


def ask_to_leave(app: GpuhopApp, jobs: Sequence[Job], leave: Callable[[], None]) -> None:
    """Ask before the app is left while these run. Asked once: a second `q` changes nothing."""
    if any(isinstance(screen, LeaveDialog) for screen in app.screen_stack):
        return

    def confirmed(yes: bool | None) -> None:
        if yes:
            leave()

    app.push_screen(LeaveDialog(jobs), confirmed)


class LeaveDialog(ConfirmDialog):
    """Names what would break off."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        words = [f"• {loss_words(job)}" for job in jobs[:_MOST_NAMED]]
        if len(jobs) > _MOST_NAMED:
            words.append(f"and {len(jobs) - _MOST_NAMED} more")
        words.append(
            "They break off. Layers and steps that are finished are kept by the engine; a copy "
            "begins anew."
        )
        title = (
            f"Leave while {plural(len(jobs), 'job')} still {'run' if len(jobs) > 1 else 'runs'}?"
        )
        super().__init__(title, words, "leave")
