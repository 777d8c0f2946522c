"""The doctor: every check between this machine and the GPUs, as each ends."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.types import CSSPathType

from gpuhop_tui.fleet.doctor.finding import LAPTOP, Finding
from gpuhop_tui.tui.clipboard import copy_by_system
from gpuhop_tui.tui.render.doctor import DoctorPage, doctor_page, doctor_title
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.lines import Choice, Lines

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import TemplateConfig
    from gpuhop_tui.fleet.state import FleetSource


class DoctorScreen(Dialog[None]):
    """Runs the checks when it opens, and again on `r`. Closing it ends those that still run."""

    CSS_PATH: ClassVar[CSSPathType | None] = ["dialog.tcss", "doctor.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "check again"),
        Binding("a", "all", "all or only faults"),
        Binding("enter,c", "copy", "copy what mends it"),
        Binding("D,q", "cancel", "close", show=False),
    ]

    def __init__(
        self, source: FleetSource, config_path: Path | None, templates: Sequence[TemplateConfig]
    ) -> None:
        super().__init__()
        self._source, self._config_path, self._templates = source, config_path, templates
        self.findings: list[Finding] = []
        self.running = False
        self._only_bad = False

    def compose(self) -> ComposeResult:
        page = _Page(classes="box")
        page.border_subtitle = "enter copies what mends it, a faults only, r again, escape closes"
        yield page

    def on_mount(self) -> None:
        self.query_one(_Page).focus()
        self.action_again()

    def action_again(self) -> None:
        self.findings.clear()
        self._examine()

    @work(exclusive=True, exit_on_error=False)
    async def _examine(self) -> None:
        from gpuhop_tui.fleet.doctor.examine import Scope

        self.running = True
        self.show()
        try:
            scope = Scope(self._config_path, self._templates)
            async with contextlib.aclosing(self._source.examine(scope)) as told:
                async for finding in told:
                    self.findings.append(finding)
                    self.call_next(self.show)
        finally:
            self.running = False
            if self.is_mounted:
                self.show()

    @on(Lines.Resized)
    def show(self) -> None:
        """Show what is known now."""
        page = self.query_one(_Page)
        state = self._source.state
        subjects = [LAPTOP, *(b.name for b in state.bastions), *(n.name for n in state.nodes)]
        page.border_title = doctor_title(self.findings, running=self.running)
        page.put(doctor_page(self.findings, subjects, page.room or 70, only_bad=self._only_bad))

    def action_all(self) -> None:
        self._only_bad = not self._only_bad
        self.show()

    async def action_copy(self) -> None:
        """Copy the command of the finding under the cursor."""
        finding = self.query_one(_Page).selected
        if finding is None or not finding.command:
            self.notify("Nothing is to be mended there", timeout=3)
            return
        self.app.copy_to_clipboard(finding.command)
        by_system = await copy_by_system(finding.command)
        where = "the clipboard" if by_system else "the terminal's clipboard"
        self.notify(f"Copied to {where}: {clean(finding.command)}", timeout=4, markup=False)


class _Page(Choice):
    """The findings; the cursor rests on the first line of each."""

    def __init__(self, *, classes: str) -> None:
        super().__init__(classes=classes)
        self._findings: Sequence[Finding | None] = ()

    @property
    def selected(self) -> Finding | None:
        at = self.cursor
        return self._findings[at] if at is not None and at < len(self._findings) else None

    def put(self, page: DoctorPage) -> None:
        """Show these lines; the cursor stays with its finding."""
        chosen = self.selected
        self._findings = page.findings
        self.set_lines(page.lines)
        bad = (y for y, f in enumerate(page.findings) if f and f.severity.is_finding)
        if chosen in page.findings and chosen is not None:
            self.cursor = page.findings.index(chosen)
        else:
            self.cursor = next(bad, None)

    def selectable(self, y: int) -> bool:
        return self._findings[y] is not None
