"""Many lines on the screen, a page of them at a time, drawn row by row where they changed."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from gpuhop_tui.sessions.tail_screen import Line
from gpuhop_tui.tui.render.pager import LinePager
from gpuhop_tui.tui.render.tail import SELECTED, faded, painted, plain, rich_style

WHEEL_ROWS = 3


class LinePane(Widget, can_focus=True):
    """Draws the page of a pager, and moves it. Subclasses make the pager and call `draw`."""

    DEFAULT_CSS = "LinePane { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_rows(-1)", "up", show=False),
        Binding("down,j", "scroll_rows(1)", "down", show=False),
        Binding("pageup", "scroll_pages(-1)", "page up", show=False),
        Binding("pagedown", "scroll_pages(1)", "page down", show=False),
        Binding("home,g", "scroll_far(-1)", "oldest", show=False),
        Binding("end,G", "scroll_far(1)", "newest", show=False),
        Binding("left", "slide(-8)", "left", show=False),
        Binding("right", "slide(8)", "right", show=False),
    ]

    class Moved(Message):
        """What is in view, or how it goes, is another."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LinePane.Moved) and message._sender is self._sender

    pager: LinePager[Any]
    indent = 0  # cells before each row that are no part of the text

    def __init__(self) -> None:
        super().__init__()
        self._page: list[Line] = []
        self._is_faded = False

    @property
    def is_faded(self) -> bool:
        """Whether what is in view is no longer live."""
        return False

    # Drawing

    def draw(self) -> None:
        """Draw the rows that are others than those on the screen."""
        before, self._page = self._page, self.pager.page()
        is_faded = self.is_faded
        if is_faded != self._is_faded:
            self._is_faded = is_faded
            self.refresh()
        else:
            width = self.size.width
            count = max(len(before), len(self._page))
            changed = [y for y in range(count) if before[y : y + 1] != self._page[y : y + 1]]
            if changed:
                self.refresh(*(Region(0, y, width, 1) for y in changed))
        self.post_message(self.Moved())

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if y >= len(self._page):
            return Strip.blank(width, base).apply_offsets(0, y)
        line = self._page[y]
        if self._is_faded:
            line = faded(line)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(y)) is not None:
            start, end = max(span[0], self.indent), span[1]
            line = painted(line, [(start, len(plain(line)) if end < 0 else end)], SELECTED)
        segments = [Segment(run.text, base + rich_style(run.style)) for run in line]
        return Strip(segments).adjust_cell_length(width, base).apply_offsets(0, y)

    def on_resize(self, event: events.Resize) -> None:
        self.pager.resize(event.size.width, event.size.height)
        self.draw()

    # Selecting and copying

    def selection_updated(self, selection: Selection | None) -> None:
        if selection is not None:
            self.pager.hold()  # what is being selected must not move
            self.draw()
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        texts = []
        for y, line in enumerate(self._page):
            if (span := selection.get_span(y)) is not None:
                start, end = max(span[0], self.indent), span[1]
                texts.append(plain(line)[start : None if end < 0 else end].rstrip())
        return "\n".join(texts), "\n"

    @property
    def page_text(self) -> str:
        """What is in view, as text."""
        return "\n".join(plain(line)[self.indent :].rstrip() for line in self._page)

    # Moving

    def action_scroll_rows(self, rows: int) -> None:
        self.screen.clear_selection()
        self.pager.scroll(rows)
        self.draw()

    def action_scroll_pages(self, pages: int) -> None:
        self.action_scroll_rows(pages * max(1, self.size.height - 1))

    def action_scroll_far(self, end: int) -> None:
        self.screen.clear_selection()
        self.pager.scroll_to(end)
        self.draw()

    def action_slide(self, cells: int) -> None:
        self.pager.slide(cells)
        self.draw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_scroll_rows(-WHEEL_ROWS)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_scroll_rows(WHEEL_ROWS)

    def toggle_pause(self) -> None:
        """Hold the view, or follow the newest again."""
        if self.pager.following:
            self.pager.hold()
            self.pager.paused = True
        else:
            self.screen.clear_selection()
            self.pager.follow()
        self.draw()

    def toggle_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.pager.wrap = not self.pager.wrap
        self.pager.column = 0
        self.pager.settle()
        self.draw()
