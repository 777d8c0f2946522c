"""A container that ended within its first moments: the last that it said."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button

from gpuhop_tui.containers.actions import remove
from gpuhop_tui.containers.start import DiedAtOnceError
from gpuhop_tui.tui.render.line import Line, Tone, clean, wrap
from gpuhop_tui.tui.render.work import output_lines
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.work import told

if TYPE_CHECKING:
    from gpuhop_tui.fleet.containers import NodeContainers


class DiedDialog(Dialog[None]):
    """It is still there: to be looked at, or removed so that its name is free again."""

    CSS = """
    DiedDialog .box { height: auto; }
    DiedDialog #said { height: auto; max-height: 14; margin: 0 0 1 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "remove", "remove it"),
        Binding("k,enter,q", "cancel", "keep it", show=False),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]
    AUTO_FOCUS = "#keep"

    def __init__(self, node: str, error: DiedAtOnceError, containers: NodeContainers) -> None:
        super().__init__()
        self._node, self._error, self._containers = node, error, containers

    def compose(self) -> ComposeResult:
        name = clean(self._error.container.name)
        with Vertical(classes="box -bad") as box:
            box.border_title = f"{name} ended at once on {clean(self._node)}".replace("[", r"\[")
            box.border_subtitle = "escape keeps it, and returns to the form"
            yield Lines(id="said")
            with Horizontal(classes="buttons"):
                yield Button("[u]R[/u]emove it", id="remove", variant="error")
                yield Button("[u]K[/u]eep it", id="keep", variant="primary")

    def on_mount(self) -> None:
        self.lay_out()

    @on(Lines.Resized)
    def lay_out(self) -> None:
        said = self.query_one("#said", Lines)
        width = said.room or 70
        lines: list[Line] = wrap(self._error.message, width, Tone.BAD)
        if self._error.lines:
            lines += [(), *wrap("The last that it wrote:", width, Tone.DIM)]
            lines += output_lines(self._error.lines, width)
        lines += [(), *wrap(f"→ {self._error.advice}", width, Tone.INFO)]
        lines += wrap("Removing it loses what it wrote into its own files.", width, Tone.DIM)
        said.set_lines(lines)

    @on(Button.Pressed, "#keep")
    def _keep(self) -> None:
        self.dismiss(None)

    @on(Button.Pressed, "#remove")
    def action_remove(self) -> None:
        """Remove it; the form stays."""
        self.run_worker(self._remove(), exclusive=True, exit_on_error=False)

    async def _remove(self) -> None:
        container = self._error.container
        try:
            await remove(self._containers.engine, container, force=True)
        except Exception as error:
            message, advice = told(error)
            self.notify(f"{message}. {advice}", severity="error", timeout=12, markup=False)
            return
        self.notify(f"{clean(container.name)} was removed", timeout=4, markup=False)
        if self.is_active:
            self.dismiss(None)
