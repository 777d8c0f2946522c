"""The selected node's GPUs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message

from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.tui.render.gpus import gpu_table
from gpuhop_tui.tui.render.line import Line
from gpuhop_tui.tui.widgets.lines import Choice


class GpuTable(Choice):
    """One line a GPU, and one a MIG instance. The selection is a GPU's index."""

    class Selected(Message):
        """Another GPU is selected."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self) -> None:
        super().__init__(id="gpus")
        self.selected: int | None = None
        self._indexes: list[int | None] = []  # the GPU of each line; None: a heading or a note

    def show(self, sample: Sample, stale: bool, notes: Sequence[Line] = ()) -> None:
        """Show the GPUs of a sample; dimmed where it is old. `notes` stand below them."""
        table = gpu_table(sample, self.room, stale)
        notes = (*notes, *table.notes)
        self._indexes = [None, *(index for index, _ in table.rows), *(None for _ in notes)]
        self.set_lines([table.heading, *(line for _, line in table.rows), *notes])
        if all(gpu.index != self.selected for gpu in sample.gpus):
            self.selected = next((gpu.index for gpu in sample.gpus), None)
        self._place_cursor()

    def select(self, index: int) -> None:
        """Select a GPU by its index."""
        self.selected = index
        self._place_cursor()
        self.call_after_refresh(self.reveal)

    def _place_cursor(self) -> None:
        found = self.selected is not None and self.selected in self._indexes
        self.cursor = self._indexes.index(self.selected) if found else None

    def selectable(self, y: int) -> bool:
        """The first line of each GPU."""
        index = self._indexes[y]
        return index is not None and self._indexes.index(index) == y

    def chosen(self, y: int) -> None:
        index = self._indexes[y]
        if index is not None and index != self.selected:
            self.selected = index
            self.post_message(self.Selected(index))
