"""The form for a container. What is typed stays until it is started or given up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.screen import Screen
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Static, TextArea

from gpuhop_tui.containers import gpus as node_gpus
from gpuhop_tui.containers.checks import Finding, check, settled
from gpuhop_tui.containers.gpus import NodeGpu
from gpuhop_tui.containers.spec import ContainerSpec, Gpus, docker_run_line
from gpuhop_tui.containers.start import DiedAtOnceError, Started
from gpuhop_tui.containers.surroundings import Surroundings, sources
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
from gpuhop_tui.tui.screens.new_container_save import TemplateSaver
from gpuhop_tui.tui.starting import pick
from gpuhop_tui.tui.starting.draft import FIELDS, Field, Origin, Values, gpus_text, read
from gpuhop_tui.tui.starting.run import start, success
from gpuhop_tui.tui.widgets.gpu_picker import GpuPicker
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.work import Job, JobState, Kind, told

if TYPE_CHECKING:
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.probe.sample import Sample
    from gpuhop_tui.tui.app import GpuhopApp
    from gpuhop_tui.tui.screens.new_container_actions import NewContainerActions

WIDE = 110  # cells from which the outlook stands beside the fields
PAUSE_SECONDS = 0.4  # after the last key, before the node is looked at
_PROGRESS_SECONDS = 0.2  # between two pictures of a start
_TYPING_SECONDS = 0.05  # between a key and what the form says to it
_LOOK_SECONDS = 10.0  # between looks, while nobody types: others start containers too
_MOST_LINES = 6  # of a field


class NewContainerScreen(Screen[Started]):
    """Starts the container itself, so that what is refused is said here. None: given up, or left
    to the background."""

    CSS_PATH = "new_container.tcss"
    HELP_FIRST = "In the form for a container"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("form-start", "form-save", "form-copy", "form-cancel", "form-leave"),
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
        self._said: dict[str, tuple[str, str]] = {}  # below each field
        self._marked = ""  # the field that is typed into
        self._is_behind = False  # something was typed that was not taken yet
        self._around: Surroundings | None = None
        self._looked_for: tuple[str, list[str]] | None = None  # image and paths of that look
        self._since: Surroundings | None = None  # what was there when the GPUs were chosen
        self._problem = ("", "")
        self._job: Job | None = None
        self._started: Started | None = None

    # The parts

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        with Container(id="form"):
            with VerticalScroll(id="fields", can_focus=False):
                for field in FIELDS:
                    yield from self._field(field)
                    if field.id == "gpus":
                        yield GpuPicker(id="picker")
            yield _Page(id="outlook")
        yield _Keys()

    def _field(self, field: Field) -> ComposeResult:
        text = self._values[field.id]
        with Horizontal(classes="field"):
            yield Static(f"  {field.label}", id=f"{field.id}-label", classes="label", markup=False)
            if field.lines:
                area = TextArea(
                    text, id=field.id, compact=True, tab_behavior="focus", soft_wrap=False
                )
                area.placeholder = field.hint
                area.styles.height = _height(text)
                area.move_cursor(area.document.end)  # enter, and the next one is typed
                yield area
            else:
                choices = self._images() if field.id == "image" else field.choices
                yield Input(
                    text,
                    placeholder=field.hint,
                    id=field.id,
                    compact=True,
                    select_on_focus=False,
                    suggester=SuggestFromList(choices) if choices else None,
                )
        yield Static(id=f"{field.id}-note", classes="note", markup=False)

    def _images(self) -> tuple[str, ...]:
        node = self._state
        listed = node.containers.images if node and node.containers else ()
        tags = [tag for image in listed for tag in image.tags]
        return tuple(dict.fromkeys([*(each.image for each in self._app.templates), *tags]))

    def on_mount(self) -> None:
        self._fit()
        if self._read.spec.gpus.pick or "gpus" in self._read.wrong:
            self._touched.add("gpus")
            self.query_one(GpuPicker).focus()
        else:
            self.query_one("#image").focus()
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

    @on(Input.Changed)
    @on(TextArea.Changed)
    def _edited(self, event: Input.Changed | TextArea.Changed) -> None:
        if isinstance(event, TextArea.Changed):
            event.text_area.styles.height = _height(event.text_area.text)
        if not self._is_behind:  # keys go first, however fast they come
            self._is_behind = True
            self.set_timer(_TYPING_SECONDS, self._collect)

    def _collect(self) -> None:
        """Take what the fields hold now."""
        self._is_behind = False
        fields = {field.id: self.query_one(f"#{field.id}") for field in FIELDS}
        values = {id: _text_of(field) for id, field in fields.items()}
        changed = {id for id, text in values.items() if text != self._values[id]}
        if changed:
            self._values = values
            self._touched |= changed
            self._failure = ("", "")
            self._take()

    def _take(self) -> None:
        before, self._read = self._read, read(self._values, self._origin.template)
        if self._read.spec.gpus != before.spec.gpus:
            self._since = self._around
        self.lay_out()
        if self._wants_look():
            self._look()

    @on(GpuPicker.Toggled)
    def _toggled(self, message: GpuPicker.Toggled) -> None:
        self._collect()
        wanted = self._wanted_gpus()
        changed = pick.toggled(wanted, message.identity, self._gpus() or (), self._given())
        self.query_one("#gpus", Input).value = gpus_text(changed)
        self._collect()

    @on(Input.Submitted)
    def _next(self) -> None:
        self.focus_next()

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _mark(self) -> None:
        """Mark the field that is typed into, not by a colour alone."""
        focused = self.focused.id if self.focused is not None else None
        before, self._marked = self._marked, focused or ""
        for field in FIELDS:
            if field.id in (before, self._marked) and before != self._marked:
                glyph = "›" if field.id == self._marked else " "
                self.query_one(f"#{field.id}-label", Static).update(f"{glyph} {field.label}")

    # Looking at the node

    def _wants_look(self) -> bool:
        spec = self._read.spec
        return self._around is None or self._looked_for != (spec.image, sources(spec))

    def _look_again(self) -> None:
        if self.is_active and self._job is None and not self._app.hopper.is_away:
            self._look()

    @work(group="look", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        """Look at the node, in a moment: a newer look takes the place of one that waits."""
        await asyncio.sleep(PAUSE_SECONDS)
        spec = self._read.spec
        asked = replace(spec, image=spec.image or "scratch")  # which no engine has
        try:
            around = await self._containers.look_around(asked, self._live())
        except Exception as error:
            self._problem = told(error)
        else:
            self._problem = ("", "")
            self._around, self._looked_for = around, (spec.image, sources(spec))
            self._since = self._since or around
        self.lay_out()

    def _gpus(self) -> tuple[NodeGpu, ...] | None:
        return fleet_containers.node_gpus(self._live())

    def _given(self) -> list[NodeGpu]:
        """GPUs that running containers were given."""
        around, gpus = self._around, self._gpus()
        return list(node_gpus.holders(around.containers, gpus)) if around and gpus else []

    def _wanted_gpus(self) -> Gpus:
        return self._read.spec.gpus

    def _surroundings(self) -> Surroundings | None:
        """The last look, with the figures of now and without answers to what was not asked."""
        around, spec = self._around, self._read.spec
        if around is None or self._looked_for is None:
            return None
        image, paths = self._looked_for
        return replace(
            around,
            gpus=self._gpus(),
            has_image=around.has_image if image == spec.image else True,
            missing_paths=around.missing_paths if paths == sources(spec) else (),
        )

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
        for field in FIELDS:
            wrong = self._read.wrong.get(field.id, "") if field.id in self._touched else ""
            words = wrong
            if field.id == "gpus" and not wrong:
                words = pick.words(self._wanted_gpus(), self._gpus(), self._given())
                words = words or "space in the list picks a GPU, or no longer"
            if self._said.get(field.id) != (words, wrong):
                self._said[field.id] = (words, wrong)
                note = self.query_one(f"#{field.id}-note", Static)
                note.update(clean(words))
                note.set_class(bool(words), "-said")
                note.set_class(bool(wrong), "-wrong")

    def _lay_out_gpus(self) -> None:
        picker, node = self.query_one(GpuPicker), self._state
        marks = pick.marks(self._wanted_gpus(), self._gpus() or (), self._given())
        problem = ""
        if node is not None and (node.live_sample is None or node.live_sample.problem):
            problem = _why(node, self._dashboard.clock())
        picker.show_rows(gpu_rows(self._live(), problem, marks, picker.room))

    def _outlook(self) -> Outlook:
        around = self._surroundings()
        node, spec = self._state, self._read.spec
        problem = self._problem
        if node is not None and node.link.state is not LinkState.UP:
            problem = (_why(node, self._dashboard.clock()), "The form stays: start it later.")
        leave, cancel = (shown_key(self.app, id) for id in ("form-leave", "form-cancel"))
        return Outlook(
            node=self._node,
            run_line=docker_run_line(
                _for_a_shell(replace(spec, image=spec.image or "IMAGE"), around)
            ),
            copy_key=shown_key(self.app, "form-copy"),
            plan=self._plan(around),
            job=self._job,
            job_keys=f"{leave} leaves it to the background, {cancel} cancels it",
            failure=self._failure,
            mistakes=tuple(
                f"{field.label}: {self._read.wrong[field.id]}"
                for field in FIELDS
                if field.id in self._read.wrong
            ),
            findings=tuple(self._findings(around)),
            is_checked=around is not None and not self._wants_look(),
            problem=problem,
        )

    def _findings(self, around: Surroundings | None) -> list[Finding]:
        """Mistakes are said at their fields, a missing image by the plan."""
        if around is None:
            return []
        found = check(self._read.spec, around)
        return [each for each in found if each.name not in ("mistake", "image-missing")]

    def _plan(self, around: Surroundings | None) -> str:
        image = self._read.spec.image
        if around is None or around.has_image or not image:
            return ""
        build = self._origin.build_of(image)
        if build is None:
            return f"{self._node} has no image {image}: it is pulled first, then started"
        source = f"the preset {build.preset}" if build.preset else str(build.dockerfile)
        return f"{self._node} has no image {image}: it is built first, from {source}"

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
        since, born = self._since, self._dashboard.await_container

        async def run(job: Job) -> str:
            started = await start(job, self._containers, spec, build, self._live, since)
            self._started = started
            born(started)
            return success(started)

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
            self.query_one(f"#{first}").focus()
        return first is None

    def _lock(self, job: Job | None) -> None:
        self._job = job
        self.query_one("#fields").disabled = job is not None
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
        self._failure, self._since = (job.words, job.advice), None
        self._is_reopened = True
        self._lock(None)
        self.query_one("#image").focus()
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
        line = docker_run_line(_for_a_shell(self._read.spec, self._surroundings()))
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


def _text_of(field: Widget) -> str:
    if isinstance(field, TextArea):
        return field.text
    assert isinstance(field, Input)
    return field.value


def _height(text: str) -> int:
    return min(_MOST_LINES, max(1, text.count("\n") + 1))


def _why(node: NodeState, now: float) -> str:
    """Why there is nothing live of a node."""
    if node.link.state is not LinkState.UP:
        return f"no link to {node.name}: {link_words(node.link, now).text}"
    problem: Problem | None = node.problem
    return problem.message if problem else f"no figures of {node.name} yet"


def _for_a_shell(spec: ContainerSpec, around: Surroundings | None) -> ContainerSpec:
    """With the node's home for "~", which quotes would hide from a shell, and with the GPUs that a
    count comes to, which docker would take from the first one on."""
    if around is None:
        return spec
    shown = replace(settled(spec, around), gpus=spec.gpus)
    if not spec.gpus.count or not around.gpus:
        return shown
    given = node_gpus.holders(around.containers, around.gpus)
    numbers = sorted(gpu.index for gpu in node_gpus.chosen(spec.gpus, around.gpus, given))
    return replace(shown, gpus=Gpus(ids=tuple(map(str, numbers))))
