"""What the dashboard shows of one container: its log, its figures, and files copied in and out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from textual.screen import Screen

from gpuhop_tui.containers.errors import ContainerError
from gpuhop_tui.containers.model import Container
from gpuhop_tui.fleet.state import FleetSource, FleetState
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import fine_size, plural

if TYPE_CHECKING:
    from gpuhop_tui.containers.copy import CopyProgress
    from gpuhop_tui.containers.engine import Engine
    from gpuhop_tui.tui.app import GpuhopApp
    from gpuhop_tui.tui.screens.copy_form import Copy
    from gpuhop_tui.tui.widgets.target_view import TargetView
    from gpuhop_tui.tui.work import Job

_ACTIONS = ("logs", "stats", "copy_in", "copy_out")


class ContainerViews(Screen[None]):
    """The part of the dashboard that looks into containers."""

    view: TargetView
    state: FleetState | None
    source: FleetSource | None
    clock: Callable[[], float]

    @property
    def gpuhop(self) -> GpuhopApp:
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they do something."""
        if action in _ACTIONS:
            return self.view.selected_container is not None
        return super().check_action(action, parameters)

    def _looked_at(self) -> tuple[Container, Engine] | None:
        container = self.view.selected_container
        if container is None or self.source is None:
            return None
        node = self.source.containers(container.node)
        return (container, node.engine) if node is not None else None

    def action_logs(self) -> None:
        """Show the log of the selected container."""
        from gpuhop_tui.containers.log_follow import ContainerLog
        from gpuhop_tui.tui.screens.logs import LogScreen

        if looked_at := self._looked_at():
            container, engine = looked_at
            log = ContainerLog(engine, container, self.clock)
            self.app.push_screen(LogScreen(log, self.clock))

    def action_stats(self) -> None:
        """Show what the selected container uses."""
        from gpuhop_tui.containers.usage_points import ContainerUsage
        from gpuhop_tui.tui.screens.stats import StatsScreen

        if looked_at := self._looked_at():
            container, engine = looked_at
            usage = ContainerUsage(engine, container, self.clock)
            node = container.node
            self.app.push_screen(
                StatsScreen(
                    usage, lambda: self.state.node(node) if self.state else None, self.clock
                )
            )

    # Copying

    def action_copy_in(self) -> None:
        """Ask what is to be copied into the selected container."""
        self._ask_what_to_copy(inwards=True)

    def action_copy_out(self) -> None:
        """Ask what is to be copied out of it."""
        self._ask_what_to_copy(inwards=False)

    def _ask_what_to_copy(self, *, inwards: bool) -> None:
        from gpuhop_tui.tui.screens.copy_form import Copy

        if looked_at := self._looked_at():
            self._open_copy(*looked_at, Copy(inwards, "", ""))

    def _open_copy(self, container: Container, engine: Engine, wanted: Copy) -> None:
        from gpuhop_tui.tui.screens.copy_form import CopyDialog

        def taken(copy: Copy | None) -> None:
            if copy is not None:
                self._begin_copy(container, engine, copy)

        self.app.push_screen(CopyDialog(engine, container, wanted), taken)

    def _begin_copy(self, container: Container, engine: Engine, wanted: Copy) -> None:
        from gpuhop_tui.tui.work import Kind

        async def run(job: Job) -> str:
            return await copied(job, engine, container, wanted)

        what = PurePosixPath(wanted.source).name or wanted.source
        title = f"Copy {what} {'into' if wanted.inwards else 'out of'} {container.name}"
        job = self.gpuhop.work.begin(title, container.node, Kind.COPY, run)
        job.reopen = lambda: self._open_copy(container, engine, wanted)
        self.notify(clean(f"Copying {what} in the background"), timeout=3, markup=False)


async def copied(job: Job, engine: Engine, container: Container, wanted: Copy) -> str:
    """Copies as part of a job, and says what came of it; where it fails, what is left behind."""
    from gpuhop_tui.containers.copy import copy_in, copy_out
    from gpuhop_tui.tui.completion import local_path

    if wanted.inwards:
        steps: AsyncGenerator[CopyProgress, None] = copy_in(
            engine, container, local_path(wanted.source), wanted.target
        )
    else:
        steps = copy_out(engine, container, wanted.source, local_path(wanted.target))
    step: CopyProgress | None = None
    try:
        async with contextlib.aclosing(steps) as each:
            async for step in each:
                job.tell(step)
    except asyncio.CancelledError:
        job.advice = left_behind(wanted, container, step)
        raise
    except ContainerError as error:
        left = left_behind(wanted, container, step)
        raise ContainerError(error.message, f"{error.advice} {left}", error.status) from error
    except ProblemError as error:
        left = left_behind(wanted, container, step)
        problem = replace(error.problem, advice=f"{error.problem.advice} {left}")
        raise ProblemError(problem) from error
    assert step is not None
    words = f"{plural(step.files, 'file')} ({fine_size(step.done_bytes)}) copied to {wanted.target}"
    if step.skipped:
        words += f"; left out: {', '.join(step.skipped[:3])}"
        words += f" and {len(step.skipped) - 3} more" if len(step.skipped) > 3 else ""
    return words


def left_behind(wanted: Copy, container: Container, step: CopyProgress | None) -> str:
    """What a copy that broke off has left where it was going."""
    if step is None or (step.done_bytes == 0 and step.files == 0):
        return "Nothing was copied."
    if wanted.inwards:
        there = f"{wanted.target} in {container.name}"
        return f"{there} may hold a part: the file that was on its way, {step.name}, cut short."
    return (
        f"{plural(step.files, 'whole file')} of it stayed in {wanted.target}; the file that was on "
        "its way was taken away again."
    )
