"""Asks where the past that is shown is to be written, and writes it there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, Static

from gpuhop_tui.config.atomic import write_atomically
from gpuhop_tui.fleet.state import FleetSource
from gpuhop_tui.fleet.store.export import to_csv, to_json
from gpuhop_tui.tui.completion import local_candidates, local_path
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.screens.confirm import ConfirmDialog
from gpuhop_tui.tui.screens.dialog import Dialog
from gpuhop_tui.tui.widgets.path_input import PathInput


class ExportDialog(Dialog[str]):
    """The result is the path that was written. One that is there is asked about first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+s", "take", "write")]
    AUTO_FOCUS = "#path"

    def __init__(
        self, source: FleetSource, node: str, gpus: Sequence[int], since: float, until: float
    ) -> None:
        """What is written: these GPUs of a node between two times."""
        super().__init__()
        self._source, self._node, self._gpus = source, node, gpus
        self._since, self._until = since, until
        self._busy = False

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_title = "Export the history"
            box.border_subtitle = "tab completes, enter writes, escape gives up"
            yield Static(self._words(), classes="text soft", markup=False)
            yield PathInput(self._offered(), local_candidates, id="path")
            yield Static(id="failure", classes="text warn", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel")
                yield Button("Write", id="ok", variant="primary")

    def _words(self) -> str:
        times = [
            time.strftime("%d %b %H:%M", time.localtime(t)) for t in (self._since, self._until)
        ]
        gpus = f"GPU {self._gpus[0]}" if len(self._gpus) == 1 else plural(len(self._gpus), "GPU")
        return (
            f"{gpus} of {clean(self._node)}, {times[0]} to {times[1]}. "
            "As JSON where the name ends in .json, else as CSV."
        )

    def _offered(self) -> str:
        name = "".join(char if char.isalnum() or char in "-_." else "-" for char in self._node)
        gpu = f"-gpu{self._gpus[0]}" if len(self._gpus) == 1 else ""
        begin = time.strftime("%Y%m%d-%H%M", time.localtime(self._since))
        return f"./{name}{gpu}-{begin}.csv"

    @on(Input.Changed)
    def _edited(self) -> None:
        self._say("")

    @on(PathInput.Candidates)
    def _candidates(self, message: PathInput.Candidates) -> None:
        self._say("  ".join(name.rstrip("/").rpartition("/")[2] for name in message.names[:12]))

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)

    @on(Input.Submitted)
    @on(Button.Pressed, "#ok")
    def action_take(self) -> None:
        """Write it, where there is no such file, or it may be overwritten."""
        typed = self.query_one("#path", PathInput).value.strip()
        if not typed or typed.endswith("/"):
            self._say("Name a file")
        elif not self._busy:
            self._busy = True
            self.run_worker(self._write(local_path(typed)), exit_on_error=False)

    async def _write(self, path: Path, *, overwrite: bool = False) -> None:
        self._say("…")
        try:
            text = await self._text(path)
            await asyncio.to_thread(_write, path, text, overwrite)
        except FileExistsError:
            self._say("")
            words = [f"{path} is there already, and would be lost."]
            self.app.push_screen(
                ConfirmDialog("Overwrite?", words, "overwrite it"),
                lambda yes: self._answered(path, yes),
            )
        except OSError as error:
            self._say(f"{path} cannot be written: {error.strerror or error}")
            self._busy = False
        else:
            self._busy = False
            if self.is_active:
                self.dismiss(str(path))

    def _answered(self, path: Path, yes: bool | None) -> None:
        if yes:
            self.run_worker(self._write(path, overwrite=True), exit_on_error=False)
        else:
            self._busy = False

    async def _text(self, path: Path) -> str:
        past = {
            (self._node, gpu): await self._source.past(self._node, gpu, self._since, self._until)
            for gpu in self._gpus
        }
        convert = to_json if path.suffix.lower() == ".json" else to_csv
        return await asyncio.to_thread(convert, past)

    def _say(self, words: str) -> None:
        self.query_one("#failure", Static).update(clean(words))


def _write(path: Path, text: str, overwrite: bool) -> None:
    if overwrite:
        write_atomically(path, text.encode(), 0o644)
    else:
        with path.open("x", newline="") as file:
            file.write(text)
