"""The line widget that all lists and panels are made of: only what changed and is seen is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from gpuhop_tui.tui.palette import tone_style
from gpuhop_tui.tui.render.line import Line, Tone


class Lines(ScrollView, can_focus=False):
    """Shows lines of toned text, by the line API.

    Subclasses give `line_count` and `line_at`; or `set_lines` is called with all of them.
    """

    DEFAULT_CSS = """
    Lines {
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
        overflow-y: auto;
    }
    """

    class Resized(Message):
        """The lines have another size: what was laid out for the old one is to be laid anew."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, Lines.Resized)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []
        self._tones: dict[Tone, Style] = {}

    def on_mount(self) -> None:
        self.watch(self, "show_vertical_scrollbar", self.room_changed, init=False)

    @property
    def room(self) -> int:
        """Cells that a line has: the width without the scroll bar."""
        return max(0, self.size.width - self.scrollbar_size_vertical)

    def on_resize(self, event: events.Resize) -> None:
        self.room_changed()

    def room_changed(self) -> None:
        """A line has more or fewer cells than before."""
        self.post_message(self.Resized())

    # What is shown

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def line_at(self, y: int) -> Line:
        return self._lines[y]

    def line_background(self, y: int) -> Style | None:
        """The style under a line, such as that of the cursor."""
        return None

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show these; lines that are the same as before are not drawn again."""
        before, self._lines = self._lines, list(lines)
        if len(before) != len(self._lines):
            self.count_changed()
        self.redraw(
            y for y, line in enumerate(self._lines) if y >= len(before) or before[y] != line
        )

    def count_changed(self) -> None:
        """The number of lines is another: scroll bars and layout follow, all is drawn."""
        self.virtual_size = Size(self.room, self.line_count)
        self.refresh(layout=self.styles.is_auto_height)

    def redraw(self, ys: Iterable[int]) -> None:
        """Draw these lines again, where they are in view."""
        top, bottom = self.scroll_offset.y, self.scroll_offset.y + self.size.height
        width = self.room
        regions = [Region(0, y - top, width, 1) for y in ys if top <= y < bottom]
        if regions:
            self.refresh(*regions)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.line_count

    # Drawing

    def render_line(self, y: int) -> Strip:
        width = self.room
        base = self.rich_style
        y += self.scroll_offset.y
        if y >= self.line_count:
            return Strip.blank(width, base)
        under = self.line_background(y)
        if under is not None:
            base += under
        segments = [Segment(text, base + self._tone(tone)) for text, tone in self.line_at(y)]
        return Strip(segments).adjust_cell_length(width, base)

    def _tone(self, tone: Tone) -> Style:
        style = self._tones.get(tone)
        if style is None:
            background = self.background_colors[1]
            style = self._tones[tone] = tone_style(tone, self.app.theme_variables, background)
        return style

    def notify_style_update(self) -> None:
        self._tones.clear()
        super().notify_style_update()


class Choice(Lines, can_focus=True):
    """Lines with a cursor on one of them. Subclasses say which lines it may rest on."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"choice--cursor"}
    DEFAULT_CSS = """
    Choice {
        & > .choice--cursor { background: $foreground 8%; }
        &:focus > .choice--cursor { background: $primary 35%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup", "page(-1)", "page up", show=False),
        Binding("pagedown", "page(1)", "page down", show=False),
        Binding("home", "end(-1)", "first", show=False),
        Binding("end", "end(1)", "last", show=False),
    ]

    cursor: reactive[int | None] = reactive(None, repaint=False)

    def selectable(self, y: int) -> bool:
        return True

    def chosen(self, y: int) -> None:
        """The user moved the cursor to a line."""

    def line_background(self, y: int) -> Style | None:
        if y != self.cursor:
            return None
        return self.get_component_rich_style("choice--cursor")

    def watch_cursor(self, before: int | None, now: int | None) -> None:
        self.redraw(y for y in (before, now) if y is not None)

    def reveal(self) -> None:
        """Scroll so that the cursor is in view."""
        if self.cursor is None:
            return
        top, height = self.scroll_offset.y, self.size.height
        if self.cursor < top or (self.cursor == 1 and top == 1):
            self.scroll_to(y=self.cursor, animate=False)
        elif height and self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False)

    def _choose(self, y: int) -> None:
        self.cursor = y
        self.reveal()
        self.chosen(y)

    def _seek(self, start: int, step: int) -> int | None:
        """The first selectable line from `start` on, in the direction of `step`."""
        y = start
        while 0 <= y < self.line_count:
            if self.selectable(y):
                return y
            y += step
        return None

    def action_move(self, step: int) -> None:
        start = (self.cursor + step) if self.cursor is not None else 0
        found = self._seek(start, step)
        if found is not None:
            self._choose(found)

    def action_page(self, direction: int) -> None:
        distance = max(1, self.size.height - 1) * direction
        start = min(max((self.cursor or 0) + distance, 0), self.line_count - 1)
        found = self._seek(start, -direction)
        if found is not None:
            self._choose(found)

    def action_end(self, direction: int) -> None:
        found = self._seek(0, 1) if direction < 0 else self._seek(self.line_count - 1, -1)
        if found is not None:
            self._choose(found)

    def landing(self, y: int) -> int | None:
        """Where the cursor comes to rest when line `y` is clicked."""
        return y if self.selectable(y) else None

    def on_click(self, event: events.Click) -> None:
        y = event.y + self.scroll_offset.y
        place = self.landing(y) if 0 <= y < self.line_count else None
        if place is not None:
            self._choose(place)
            self.clicked(y, event.x)

    def clicked(self, y: int, x: int) -> None:
        """The user clicked a line at cell `x`."""
