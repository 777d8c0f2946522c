"""The form for a container. What is typed stays until it is started or given up."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.screen import Screen

from gpuhop_tui.containers.gpus import NodeGpu
from gpuhop_tui.containers.start import DiedAtOnceError, Started
from gpuhop_tui.containers.surroundings import Surroundings
from gpuhop_tui.fleet import containers as fleet_containers
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.problem import Problem
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.clipboard import copy_by_system
from gpuhop_tui.tui.keymap import bindings, shown_key
from gpuhop_tui.tui.render.line import Span, Tone, clean, fit_line
from gpuhop_tui.tui.render.new_container import Outlook, gpu_rows, outlook_lines
from gpuhop_tui.tui.render.states import link_words
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.screens.dialog import TAB_IN_TURN
from gpuhop_tui.tui.screens.new_container_save import TemplateSaver
from gpuhop_tui.tui.starting import pick
from gpuhop_tui.tui.starting.draft import FIELDS, Origin, Values, gpus_text, read
from gpuhop_tui.tui.starting.look import NodeLook, findings, plan, run_line
from gpuhop_tui.tui.starting.run import start, success
from gpuhop_tui.tui.widgets.gpu_picker import GpuPicker
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.spec_fields import SpecFields
from gpuhop_tui.tui.work import Job, JobState, Kind

if TYPE_CHECKING:
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.probe.sample import Sample
    from gpuhop_tui.tui.app import GpuhopApp
    from gpuhop_tui.tui.screens.new_container_actions import NewContainerActions

WIDE = 110  # cells from which the outlook stands beside the fields
PAUSE_SECONDS = 0.4  # after the last key, before the node is looked at
_PROGRESS_SECONDS = 0.2  # between two pictures of a start
_LOOK_SECONDS = 10.0  # between looks, while nobody types: others start containers too


class NewContainerScreen(Screen[Started]):
    """Starts the container itself, so that what is refused is said here. None: given up, or left
    to the background."""

    CSS_PATH = "new_container.tcss"
    HELP_FIRST = "In the form for a container"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("form-start", "form-save", "form-copy", "form-cancel", "form-leave"),
        *TAB_IN_TURN,
        Binding("q", "leave", show=False),
        Binding("up", "focus_previous", show=False),
        Binding("down", "focus_next", show=False),
    ]

    def __init__(
        self,
        dashboard: NewContainerActions,
        node: str,
        containers: NodeContainers,
        values: Values,
        origin: Origin,
        failure: tuple[str, str] = ("", ""),
    ) -> None:
        """`failure`: what came of a start in the background that the form is opened again for."""
        super().__init__()
        self._dashboard, self._node, self._containers = dashboard, node, containers
        self._origin, self._failure = origin, failure
        self._first, self._values = dict(values), dict(values)
        self._is_reopened = bool(failure[0])
        self._read = read(values, origin.template)
        self._touched: set[str] = set()
        self._seen = NodeLook(containers)
        self._job: Job | None = None
        self._started: Started | None = None

    # The parts

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        with Container(id="form"):
            yield SpecFields(self._values, self._images())
            yield _Page(id="outlook")
        yield _Keys()

    @property
    def _fields(self) -> SpecFields:
        return self.query_one(SpecFields)

    def _images(self) -> tuple[str, ...]:
        node = self._state
        listed = node.containers.images if node and node.containers else ()
        tags = [tag for image in listed for tag in image.tags]
        return tuple(dict.fromkeys([*(each.image for each in self._app.templates), *tags]))

    def on_mount(self) -> None:
        self._fit()
        if self._read.spec.gpus.pick or "gpus" in self._read.wrong:
            self._touched.add("gpus")
            self._fields.picker.focus()
        else:
            self._fields.go_to("image")
        self.lay_out()
        self.set_interval(1.0, self.lay_out)
        self.set_interval(_LOOK_SECONDS, self._look_again)
        self._look()

    def on_resize(self, event: events.Resize) -> None:
        self._fit()

    def _fit(self) -> None:
        self.set_class(self.app.size.width >= WIDE, "-wide")

    @property
    def _app(self) -> GpuhopApp:
        return self._dashboard.gpuhop

    @property
    def _state(self) -> NodeState | None:
        state = self._dashboard.state
        return state.node(self._node) if state else None

    def _live(self) -> Sample | None:
        """The node's figures of now."""
        node = self._state
        return node.live_sample if node else None

    @property
    def has_changes(self) -> bool:
        """Whether leaving would lose what was typed."""
        return self._job is None and (self._is_reopened or self._values != self._first)

    @property
    def unsaved(self) -> str:
        """What leaving the app would lose, in words; empty: nothing."""
        return f"The form for a container on {self._node}" if self.has_changes else ""

    # Typing

    @on(SpecFields.Edited)
    def _collect(self) -> None:
        """Take what the fields hold now."""
        values = self._fields.values
        changed = {id for id, text in values.items() if text != self._values[id]}
        if changed:
            self._values = values
            self._touched |= changed
            self._failure = ("", "")
            self._take()

    def _take(self) -> None:
        before, self._read = self._read, read(self._values, self._origin.template)
        if self._read.spec.gpus != before.spec.gpus:
            self._seen.choose_again()
        self.lay_out()
        if self._seen.is_due(self._read.spec):
            self._look()

    @on(GpuPicker.Toggled)
    def _toggled(self, message: GpuPicker.Toggled) -> None:
        self._collect()
        gpus = self._gpus()
        wanted, given = self._read.spec.gpus, self._seen.given(gpus)
        changed = pick.toggled(wanted, message.identity, gpus or (), given)
        self._fields.set_gpus(gpus_text(changed))
        self._collect()

    # Looking at the node

    def _look_again(self) -> None:
        if self.is_active and self._job is None and not self._app.hopper.is_away:
            self._look()

    @work(group="look", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        """Look at the node, in a moment: a newer look takes the place of one that waits."""
        await asyncio.sleep(PAUSE_SECONDS)
        await self._seen.look(self._read.spec, self._live())
        self.lay_out()

    def _gpus(self) -> tuple[NodeGpu, ...] | None:
        return fleet_containers.node_gpus(self._live())

    def _around(self) -> Surroundings | None:
        return self._seen.around(self._read.spec, self._gpus())

    # What is shown

    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Lay it out for the figures and the room of now."""
        if not self.is_mounted:
            return
        title = self.query_one("#title", Lines)
        words = f"   from the template {clean(self._origin.template)}"
        spans = [Span(f" New container on {clean(self._node)}", Tone.STRONG)]
        spans += [Span(words, Tone.DIM)] if self._origin.template else []
        title.set_lines([fit_line(spans, title.room)])
        self._lay_out_notes()
        self._lay_out_gpus()
        page = self.query_one("#outlook", _Page)
        page.set_lines(outlook_lines(self._outlook(), page.room))

    def _lay_out_notes(self) -> None:
        gpus = self._gpus()
        for field in FIELDS:
            wrong = self._read.wrong.get(field.id, "") if field.id in self._touched else ""
            words = wrong
            if field.id == "gpus" and not wrong:
                words = pick.words(self._read.spec.gpus, gpus, self._seen.given(gpus))
                words = words or "space in the list picks a GPU, or no longer"
            self._fields.say(field.id, words, is_wrong=bool(wrong))

    def _lay_out_gpus(self) -> None:
        picker, node, gpus = self._fields.picker, self._state, self._gpus()
        marks = pick.marks(self._read.spec.gpus, gpus or (), self._seen.given(gpus))
        problem = ""
        if node is not None and (node.live_sample is None or node.live_sample.problem):
            problem = _why(node, self._dashboard.clock())
        picker.show_rows(gpu_rows(self._live(), problem, marks, picker.room))

    def _outlook(self) -> Outlook:
        around, node, spec = self._around(), self._state, self._read.spec
        problem = self._seen.problem
        if node is not None and node.link.state is not LinkState.UP:
            problem = (_why(node, self._dashboard.clock()), "The form stays: start it later.")
        leave, cancel = (shown_key(self.app, id) for id in ("form-leave", "form-cancel"))
        labels = {field.id: field.label for field in FIELDS}
        return Outlook(
            node=self._node,
            run_line=run_line(spec, around),
            copy_key=shown_key(self.app, "form-copy"),
            plan=plan(self._node, spec.image, self._origin, around),
            job=self._job,
            job_keys=f"{leave} leaves it to the background, {cancel} cancels it",
            failure=self._failure,
            mistakes=tuple(f"{labels[id]}: {wrong}" for id, wrong in self._read.wrong.items()),
            findings=findings(spec, around, self._read.wrong),
            is_checked=around is not None and not self._seen.is_due(spec),
            problem=problem,
        )

    # Starting

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a start goes on, the form is locked."""
        if action == "cancel":
            return self._job is not None
        if action in ("start", "save_template"):
            return self._job is None
        return True

    def action_start(self) -> None:
        """Start it, in the background; the form waits for the outcome."""
        if not self._is_right():
            return
        spec, build = self._read.spec, self._origin.build_of(self._read.spec.image)
        since, born = self._seen.since, self._dashboard.await_container

        async def run(job: Job) -> str:
            started = await start(job, self._containers, spec, build, self._live, since)
            self._started = started
            born(started)
            return success(started, self._gpus())

        job = self._app.work.begin(f"Start {spec.name or spec.image}", self._node, Kind.START, run)
        job.quiet = True  # as long as this form is there to tell
        job.reopen = partial(self._reopen, job)
        self._failure = ("", "")
        self._lock(job)
        self.run_worker(self._follow(job), exit_on_error=False)

    def _reopen(self, job: Job) -> None:
        failure = (job.words, job.advice)
        self._dashboard.open_form(self._node, self._values, self._origin, failure)

    def _is_right(self) -> bool:
        """Whether no field has a mistake; else the first one is gone to."""
        self._collect()
        self._touched |= {field.id for field in FIELDS}
        self.lay_out()
        first = next(iter(self._read.wrong), None)
        if first is not None:
            self._fields.go_to(first)
        return first is None

    def _lock(self, job: Job | None) -> None:
        self._job = job
        self._fields.disabled = job is not None
        if job is not None:
            self.query_one("#outlook").focus()
        self.refresh_bindings()
        self.lay_out()

    async def _follow(self, job: Job) -> None:
        ended = asyncio.ensure_future(job.wait())
        while not ended.done():
            self.lay_out()
            await asyncio.wait({ended}, timeout=_PROGRESS_SECONDS)
        self._app.work.dismiss(job)  # the user sees its end here
        if job.state is JobState.DONE:
            self._close()
            return
        self._failure = (job.words, job.advice)
        self._seen.start_again()
        self._is_reopened = True
        self._lock(None)
        self._fields.go_to("image")
        self._look()
        if isinstance(job.error, DiedAtOnceError):
            from gpuhop_tui.tui.screens.new_container_died import DiedDialog

            self.app.push_screen(DiedDialog(self._node, job.error, self._containers))

    def _close(self) -> None:
        if self.is_active:
            self.dismiss(self._started)

    def on_screen_resume(self) -> None:
        if self._started is not None:
            self._close()

    def action_cancel(self) -> None:
        """Cancel the start, once that is confirmed."""
        from gpuhop_tui.tui.screens.work import ask_to_cancel

        if self._job is not None:
            ask_to_cancel(self._app, self._job)

    def action_leave(self) -> None:
        """Leave a start to the background; give up what was typed, once that is confirmed."""
        from gpuhop_tui.tui.screens.confirm import ConfirmDialog

        if self._job is not None:
            self._job.quiet = False
            work = shown_key(self.app, "work")
            self.notify(f"It goes on in the background; {work} shows it", timeout=4)
            self.dismiss(None)
            return
        self._collect()
        if not self.has_changes:
            self.dismiss(None)
            return

        def confirmed(yes: bool | None) -> None:
            if yes:
                self.dismiss(None)

        count = sum(self._values[each.id] != self._first[each.id] for each in FIELDS)
        words = [f"{plural(count, 'field')} changed; what was typed is lost."]
        title = f"Give up the container on {self._node}?"
        self.app.push_screen(ConfirmDialog(title, words, "give it up"), confirmed)

    # Copying and saving

    async def action_copy_line(self) -> None:
        """Copy the `docker run` line: by the terminal (OSC 52) and by the system."""
        self._collect()
        line = run_line(self._read.spec, self._around())
        self.app.copy_to_clipboard(line)
        self.run_worker(self._copy(line), exit_on_error=False)

    async def _copy(self, line: str) -> None:
        where = "the clipboard" if await copy_by_system(line) else "the terminal's clipboard"
        left_out = ""
        if self._read.wrong:
            left_out = f", without {', '.join(self._read.wrong)}, which have mistakes"
        self.notify(f"The docker run line was sent to {where}{left_out}", timeout=4, markup=False)

    def action_save_template(self) -> None:
        """Save what the form says as a template of the config."""
        if not self._is_right():
            return
        spec = self._read.spec
        build = self._origin.build_of(spec.image)

        def saved(name: str) -> None:
            self._origin = Origin(name, spec.image, build)
            self._first = dict(self._values)
            self._take()

        TemplateSaver(self._app, self._origin.template, spec, build, saved).ask()


class _Page(Lines, can_focus=True):
    """What stands in the way, and the line for a shell; it scrolls where the screen is small."""


class _Keys(KeyBar):
    """Without the keys that are letters to a field."""

    def _fitting(self) -> list[tuple[str, str, str]]:
        return [each for each in super()._fitting() if len(each[1]) > 1 or each[2] == "cancel"]


def _why(node: NodeState, now: float) -> str:
    """Why there is nothing live of a node."""
    if node.link.state is not LinkState.UP:
        return f"no link to {node.name}: {link_words(node.link, now).text}"
    problem: Problem | None = node.problem
    return problem.message if problem else f"no figures of {node.name} yet"
