"""Every figure of the selected GPU, and what limits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from gpuhop_tui.fleet.explain import explain_gpu, explain_job
from gpuhop_tui.tui.render.details import gpu_details
from gpuhop_tui.tui.render.explain import explanation_lines
from gpuhop_tui.tui.render.gpus import dimmed
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean
from gpuhop_tui.tui.render.units import age
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from gpuhop_tui.tui.widgets.target_view import TargetView


class DetailsScreen(Dialog[None]):
    """Follows the selection, so that the figures stay live."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,q,enter", "cancel", "close", show=False),
    ]

    def __init__(self, view: TargetView) -> None:
        super().__init__()
        self._view = view

    def compose(self) -> ComposeResult:
        page = _Page(classes="box")
        page.border_subtitle = "escape closes"
        yield page

    def on_mount(self) -> None:
        self.show()
        self.set_interval(1.0, self.show)

    @on(Lines.Resized)
    def show(self) -> None:
        """Show the figures of now."""
        page = self.query_one(_Page)
        node, gpu = self._view.node, self._view.selected_gpu
        if node is None or node.sample is None or gpu is None:
            page.set_lines([(Span("This GPU is no longer there", Tone.WARN),)])
            return
        page.border_title = f"GPU {gpu.index} of {clean(node.name)}".replace("[", r"\[")
        width = page.room or 70
        explained = explain_gpu(node, gpu, self._view.clock())
        lines: list[Line] = [*gpu_details(gpu, width), (), *explanation_lines(explained, width)]
        job = self._view.selected_job
        if job is not None and not job.is_over:
            found = explain_job(node, job, self._view.clock())
            head = f"what limits {clean(job.name) or f'process {job.pid}'}"
            lines += [(), *explanation_lines(found, width, head)]
        if node.stale:
            words = age(self._view.clock() - node.sample.sampled_at)
            lines = [(Span(words, Tone.WARN),), *map(dimmed, lines)]
        if node.sample.source == "simulated":
            lines.insert(0, (Span("simulated: no real GPU stands behind this", Tone.INFO),))
        page.set_lines(lines)


class _Page(Lines, can_focus=True):
    """The figures; they scroll where the screen is small."""
