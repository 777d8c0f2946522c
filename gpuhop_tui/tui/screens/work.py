"""What goes on in the background, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from gpuhop_tui.tui.clipboard import copy_by_system
from gpuhop_tui.tui.keymap import bindings, shown_key
from gpuhop_tui.tui.render.line import Span, Tone, fit_line, plain
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.render.work import job_details, job_rows, loss_words
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.rows import Rows
from gpuhop_tui.tui.work import Job, Kind

if TYPE_CHECKING:
    from gpuhop_tui.tui.app import GpuhopApp

_MOST_NAMED = 6
_KEPT = {
    Kind.PULL: "Layers that are finished stay with the engine: a new pull goes on from there.",
    Kind.BUILD: "Steps that are finished stay with the engine: a new build goes on from there.",
    Kind.COPY: "What has arrived so far may be incomplete.",
    Kind.START: "The container is removed again, unless it runs already.",
}


class WorkScreen(Screen[None]):
    """The jobs, the newest first, and the details of the selected one."""

    CSS_PATH = "work.tcss"
    HELP_FIRST = "Work in the background"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("work-cancel", "work-reopen", "work-copy", "work-leave"),
        Binding("w,q", "leave", show=False),
    ]
    AUTO_FOCUS = "#jobs"

    def __init__(self, app: GpuhopApp) -> None:
        super().__init__()
        self._gpuhop = app
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        yield Rows(id="jobs")
        yield _Details(id="details")
        yield KeyBar()

    def on_mount(self) -> None:
        self.lay_out()
        self.set_interval(0.25, self.lay_out)

    @property
    def job(self) -> Job | None:
        """The selected job."""
        selected = self.query_one("#jobs", Rows).selected
        return next((job for job in self._gpuhop.work.jobs if job.id == selected), None)

    @on(Rows.Selected)
    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Lay it out as it is now."""
        work, rows = self._gpuhop.work, self.query_one("#jobs", Rows)
        title = self.query_one("#title", Lines)
        running = len(work.running)
        words = f"{plural(running, 'job')} under way" if running else "nothing is under way"
        spans = (Span(" Work in the background", Tone.STRONG), Span(f"   {words}", Tone.DIM))
        title.set_lines([fit_line(spans, title.room)])
        lines = job_rows(work.jobs, rows.room, self._gpuhop.clock())
        nothing = (Span("Nothing was begun, or all of it is dismissed.", Tone.DIM),)
        rows.show_rows(lines or [(None, nothing)])
        details, job = self.query_one("#details", _Details), self.job
        details.follow(job, job_details(job, details.room) if job else [])
        able = (job and job.id, job and job.state)
        if able != self._shown:
            self._shown = able
            self.refresh_bindings()

    # What is done with the selected one

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "cancel":
            return self.job is not None
        if action == "reopen":
            return self.job is not None and not self.job.is_running and bool(self.job.reopen)
        if action == "copy":
            return self.job is not None
        return True

    def action_cancel(self) -> None:
        """Cancel what runs, once that is confirmed; dismiss what has ended."""
        job = self.job
        if job is None:
            return
        if job.is_running:
            ask_to_cancel(self._gpuhop, job)
        else:
            self._gpuhop.work.dismiss(job)
            self.lay_out()

    def action_reopen(self) -> None:
        """Open the form again that the job came from."""
        job = self.job
        if job is not None and job.reopen is not None and not job.is_running:
            self._gpuhop.work.dismiss(job)
            self.dismiss()
            self.app.call_later(job.reopen)

    async def action_copy(self) -> None:
        """Copy the details: by the terminal (OSC 52) and by the system."""
        job = self.job
        if job is None:
            return
        text = "\n".join(plain(line) for line in job_details(job, 10_000))
        self.app.copy_to_clipboard(text)
        self.run_worker(self._copy(text), exit_on_error=False)

    async def _copy(self, text: str) -> None:
        where = "the clipboard" if await copy_by_system(text) else "the terminal's clipboard"
        self.notify(f"{plural(len(text.splitlines()), 'line')} sent to {where}", timeout=3)

    def action_leave(self) -> None:
        self.dismiss()


class _Details(Lines, can_focus=True):
    """Stays at the end while that grows, as long as nobody has scrolled away from it."""

    _job: Job | None = None

    def follow(self, job: Job | None, lines: list[tuple[Span, ...]]) -> None:
        is_other = job is not self._job
        at_end = self.scroll_offset.y >= self.max_scroll_y
        self._job = job
        self.set_lines(lines)
        if is_other or at_end:
            self.call_after_refresh(self.scroll_end, animate=False)


# Questions


def ask_to_cancel(app: GpuhopApp, job: Job) -> None:
    """Ask before a job is cancelled, naming it and what stays of it."""

    def confirmed(yes: bool | None) -> None:
        if yes:
            app.work.cancel(job)

    words = [f"{loss_words(job)}.", _KEPT[job.kind]]
    title = f"Cancel: {job.title} on {job.node}?"
    app.push_screen(ConfirmDialog(title, words, "cancel it"), confirmed)


def ask_to_leave(
    app: GpuhopApp, jobs: Sequence[Job], unsaved: Sequence[str], leave: Callable[[], None]
) -> None:
    """Ask before the app is left while these run, or while something typed would be lost. Asked
    once: a second `q` changes nothing."""
    if any(isinstance(screen, LeaveDialog) for screen in app.screen_stack):
        return

    def confirmed(yes: bool | None) -> None:
        if yes:
            leave()

    app.push_screen(LeaveDialog(jobs, unsaved, shown_key(app, "work")), confirmed)


class LeaveDialog(ConfirmDialog):
    """Names what would break off or be lost."""

    def __init__(self, jobs: Sequence[Job], unsaved: Sequence[str], work_key: str) -> None:
        words = [f"• {loss_words(job)}" for job in jobs[:_MOST_NAMED]]
        if len(jobs) > _MOST_NAMED:
            words.append(f"and {len(jobs) - _MOST_NAMED} more, see {work_key}")
        if jobs:
            words.append("This breaks off. What the engine has finished, it keeps.")
        words += [f"• {what}: what was typed is lost" for what in unsaved]
        still = "still run" if len(jobs) > 1 else "still runs"
        title = f"Leave while {plural(len(jobs), 'job')} {still}?" if jobs else "Leave?"
        super().__init__(title, words, "leave")
