"""Asks before containers are stopped, killed, restarted or removed; says what would be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.css.query import NoMatches
from textual.types import CSSPathType
from textual.widgets import Button, Static

from gpuhop_tui.containers.actions import Losses
from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.model import Container
from gpuhop_tui.probe.sample import Process
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.render.line import Line, clean
from gpuhop_tui.tui.render.losses import Found, losses_lines
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.lines import Lines

LOOK_SECONDS = 10.0

# What may be chosen: its key, its word, and what it does
WAYS: Mapping[str, tuple[str, str, str]] = {
    "stop": ("s", "[u]S[/u]top", "Stop: by its signal, after 10 s by force; it can be started."),
    "kill": ("k", "[u]K[/u]ill", "Kill: by force, at once; it can be started again."),
    "restart": ("r", "[u]R[/u]estart", "Restart: it is stopped and started; what ran in it ends."),
    "remove": ("r", "[u]R[/u]emove", "Remove: it is gone for good; its image stays."),
}


class EndContainersDialog(Dialog[str]):
    """The result is one of the `ways`; None: nothing is done, which is the default.

    Nothing can be chosen before it is known what would be lost, or that it cannot be known.
    """

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "end_containers.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"choose('{way}')", show=False) for way, (key, _, _) in WAYS.items()),
        Binding("n,q", "cancel", "no", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("pagedown", "scroll(10)", show=False),
    ]
    AUTO_FOCUS = "#no"

    def __init__(
        self,
        containers: Sequence[Container],
        ways: Sequence[str],
        look: Callable[[Container], Awaitable[Losses]],
        processes: Callable[[Container], Sequence[Process]],
        clock: Callable[[], float],
    ) -> None:
        """`look` asks the engine what would be lost; `processes` are those on GPUs as of now."""
        super().__init__()
        self._containers, self._ways = containers, ways
        self._look, self._processes, self._clock = look, processes, clock
        self._found: dict[str, Found] = {}
        self._lines = Lines(id="losses")

    @property
    def _title(self) -> str:
        words = [way.capitalize() if not n else way for n, way in enumerate(self._ways)]
        what = " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
        first = self._containers[0]
        several = len(self._containers) > 1
        name = plural(len(self._containers), "container") if several else clean(first.name)
        return f"{what} {name} on {clean(first.node)}?"

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box -bad", can_focus=False) as box:
            box.border_title = self._title.replace("[", r"\[")
            yield self._lines
            ways = "\n".join(WAYS[way][2] for way in self._ways)
            yield Static(ways, classes="text soft", markup=False)
            with Horizontal(classes="buttons"):
                for way in self._ways:
                    yield Button(WAYS[way][1], id=way, variant="error", disabled=True)
                yield Button("[u]N[/u]o", id="no", variant="primary")

    def on_mount(self) -> None:
        self._lay_out()
        self.run_worker(self._look_at_all(), exit_on_error=False)

    @on(Lines.Resized)
    def _lay_out(self) -> None:
        width, now = self._lines.room or 70, self._clock()
        removal = "remove" in self._ways
        lines: list[Line] = []
        for each in self._containers:
            found, processes = self._found.get(each.id), self._processes(each)
            lines += losses_lines(each, found, processes, width, now, removal=removal)
            lines.append(())
        self._lines.set_lines(lines)

    async def _look_at_all(self) -> None:
        await asyncio.gather(*map(self._look_at, self._containers))
        for way in self._ways:
            self.query_one(f"#{way}", Button).disabled = False

    async def _look_at(self, container: Container) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                found: Found = await self._look(container)
        except TimeoutError:
            found = f"no answer within {LOOK_SECONDS:.0f} s"
        except ContainerError as error:
            found = error.message
        except ProblemError as error:
            found = error.problem.message
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        self._found[container.id] = found
        self._lay_out()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "no":
            self.dismiss(None)
        elif event.button.id is not None:
            self.action_choose(event.button.id)

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Restart and remove share a key; only what is offered counts."""
        return action != "choose" or parameters[0] in self._ways

    def action_choose(self, way: str) -> None:
        """Do it, where it is offered by now."""
        try:
            button = self.query_one(f"#{way}", Button)
        except NoMatches:
            return
        if not button.disabled:
            self.dismiss(way)
