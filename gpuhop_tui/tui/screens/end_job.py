"""Ends a job: SIGINT, then SIGTERM, then SIGKILL, each when it is asked for, and says what came
of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Static

from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.jobs.signals import SIGNALS, Signalled
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.render.jobs import state_words
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import duration, ranges
from gpuhop_tui.tui.screens.dialog import Dialog

if TYPE_CHECKING:
    from gpuhop_tui.fleet.sessions import NodeSessions

ARM_SECONDS = 1.0  # a key held down sends one signal, not all three

_EFFECTS = {
    "INT": "as ctrl+c does: it may save what it has",
    "TERM": "it is told to end, and may clean up",
    "KILL": "at once, with all of its processes: nothing more is saved",
}


class EndJobDialog(Dialog[None]):
    """Stays until the job is over or is left alone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "send", "send"),
        Binding("n,q", "cancel", "no"),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]
    AUTO_FOCUS = "#no"

    def __init__(
        self,
        job: Job,
        sessions: NodeSessions,
        look: Callable[[], Job | None],
        clock: Callable[[], float],
        main_of: str = "",
    ) -> None:
        """`look` tells the job as it is now; `main_of` names the container that ends with it."""
        super().__init__()
        self._job, self._sessions, self._look, self._clock = job, sessions, look, clock
        self._main_of = main_of
        self._sent: list[tuple[str, float]] = []
        self._armed_at = 0.0
        self._problem = ""
        self._over = False
        self._sending = False

    def compose(self) -> ComposeResult:
        job = self._job
        where = f" in {job.where}" if job.where else ""
        user = job.user or "a user not known"
        owner = f" ({job.user_from})" if job.user_from else ""
        on_gpus = f"on GPU {ranges(job.gpus)}" if job.gpus else "on no GPU"
        with VerticalScroll(classes="box -bad", can_focus=False) as box:
            box.border_title = f"End a job on {clean(job.node)}?".replace("[", r"\[")
            yield Static(clean(job.command or job.name or "?"), classes="text", markup=False)
            facts = f"Process {job.pid} of {user}{owner}{where}, {on_gpus}"
            if job.processes and job.processes > 1:
                facts += f"; {job.processes} processes in all"
            yield Static(clean(facts), classes="text", markup=False)
            yield Static(clean(self._loss()), classes="text warn", markup=False)
            yield Static(id="said", classes="text", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("", id="yes", variant="error")
                yield Button("[u]N[/u]o", id="no", variant="primary")

    def _loss(self) -> str:
        job = self._job
        lost = "What it has not saved is lost"
        if job.started_at is not None:
            lost += f": it has run for {duration(self._clock() - job.started_at)}"
        if job.progress is not None and job.progress.percent is not None:
            lost += f", {job.progress.percent:.0f} % done"
        if self._main_of:
            lost += f". It is the main program of {self._main_of}: that container ends with it"
        return f"{lost}."

    def on_mount(self) -> None:
        self._lay_out()
        self.set_interval(0.25, self._lay_out)

    @property
    def _next(self) -> str | None:
        """The signal that comes next."""
        return SIGNALS[len(self._sent)] if len(self._sent) < len(SIGNALS) else None

    def _lay_out(self) -> None:
        now, job = self._clock(), self._look()
        self._over = self._over or job is None or job.is_over
        words = []
        if job is not None and job.is_over:
            told, _ = state_words(job, now)
            words.append(f"It is over: {told}" + (f" ({job.reason})" if job.reason else ""))
        elif self._over:
            words.append("It is over.")
        elif self._sent:
            name, at = self._sent[-1]
            words.append(f"SIG{name} was sent {duration(now - at)} ago; it still runs.")
        if self._problem:
            words.append(self._problem)
        if self._next and not self._over:
            words.append(f"SIG{self._next}: {_EFFECTS[self._next]}.")
        self.query_one("#said", Static).update(clean(" ".join(words)))
        send, leave = self.query_one("#yes", Button), self.query_one("#no", Button)
        send.display = bool(self._next) and not self._over
        send.label = f"[u]Y[/u]es, send SIG{self._next}"
        send.disabled = self._sending or self._is_arming
        leave.label = "Close" if self._over or self._sent else "[u]N[/u]o"

    @property
    def _is_arming(self) -> bool:
        loop = self.app._loop
        return loop is not None and loop.time() < self._armed_at

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self.action_send()
        else:
            self.action_cancel()

    def action_send(self) -> None:
        """Send the next signal."""
        if self._next and not self._over and not self._sending and not self._is_arming:
            self._sending = True
            self.run_worker(self._send(), exit_on_error=False)

    async def _send(self) -> None:
        import asyncio

        name = SIGNALS[len(self._sent)]
        try:
            result = await self._sessions.signal(self._job, name)
        except ProblemError as error:
            self._problem = f"{error.problem.message}. {error.problem.advice}"
        else:
            self._problem = ""
            if result is Signalled.SENT:
                self._sent.append((name, self._clock()))
                self._armed_at = asyncio.get_running_loop().time() + ARM_SECONDS
            else:
                self._over = True
                other = "its process id belongs to another process now"
                gone = "it had ended by itself"
                words = other if result is Signalled.OTHER else gone
                self._problem = f"Nothing was sent: {words}."
        finally:
            self._sending = False
            self._lay_out()
