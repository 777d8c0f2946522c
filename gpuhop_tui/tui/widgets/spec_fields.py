"""The fields of a container, with the GPUs to pick from among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static, TextArea

from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.starting.draft import FIELDS, YES, Field, Values
from gpuhop_tui.tui.widgets.gpu_picker import GpuPicker
from gpuhop_tui.tui.widgets.tick import Tick

_PAUSE_SECONDS = 0.05  # between a key and what is said to it
_MOST_LINES = 6  # of a field


class SpecFields(VerticalScroll, can_focus=False):
    """Keeps the text of every field, and says below each what is to be said of it."""

    class Edited(Message):
        """Something was typed."""

    def __init__(self, values: Mapping[str, str], images: Sequence[str]) -> None:
        """`images` are offered while one is typed."""
        super().__init__(id="fields")
        self._first, self._images = values, images
        self._said: dict[str, tuple[str, bool]] = {}  # below each field, and whether it is wrong
        self._marked: str | None = None  # the field that is typed into
        self._is_behind = False  # something was typed that was not told yet
        self.picker = GpuPicker(id="picker")

    def compose(self) -> ComposeResult:
        for field in FIELDS:
            label = Static(
                f"  {field.label}", id=f"{field.id}-label", classes="label", markup=False
            )
            with Horizontal(classes="field"):
                yield label
                yield self._entry(field, self._first[field.id])
            yield Static(id=f"{field.id}-note", classes="note", markup=False)
            if field.id == "gpus":
                yield self.picker

    def _entry(self, field: Field, text: str) -> Input | TextArea | Tick:
        if field.tick:
            return Tick(field.hint, text == YES, id=field.id, compact=True)
        if field.lines:
            area = TextArea(text, id=field.id, compact=True, tab_behavior="focus", soft_wrap=False)
            area.placeholder = field.hint
            area.styles.height = _height(text)
            area.move_cursor(area.document.end)  # enter, and the next one is typed
            return area
        offered = self._images if field.id == "image" else field.choices
        return Input(
            text,
            placeholder=field.hint,
            id=field.id,
            compact=True,
            select_on_focus=False,
            suggester=SuggestFromList(offered) if offered else None,
        )

    # What is typed

    @property
    def values(self) -> Values:
        """The text of every field as it is now."""
        return {field.id: self._text(field.id) for field in FIELDS}

    def _text(self, id: str) -> str:
        entry = self.query_one(f"#{id}")
        if isinstance(entry, TextArea):
            return entry.text
        if isinstance(entry, Tick):
            return YES if entry.value else ""
        assert isinstance(entry, Input)
        return entry.value

    def set_gpus(self, text: str) -> None:
        """Put other GPUs into their field."""
        self.query_one("#gpus", Input).value = text

    def go_to(self, id: str) -> None:
        """Put the cursor into a field."""
        self.query_one(f"#{id}").focus()

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(Tick.Changed)
    def _edited(self, event: Input.Changed | TextArea.Changed | Tick.Changed) -> None:
        if isinstance(event, TextArea.Changed):
            event.text_area.styles.height = _height(event.text_area.text)
        if not self._is_behind:  # keys go first, however fast they come
            self._is_behind = True
            self.set_timer(_PAUSE_SECONDS, self._tell)

    def _tell(self) -> None:
        self._is_behind = False
        self.post_message(self.Edited())

    @on(Input.Submitted)
    @on(Tick.Submitted)
    def _next(self) -> None:
        self.screen.focus_next()

    # What is said

    def say(self, id: str, words: str, *, is_wrong: bool = False) -> None:
        """Say something below a field."""
        if self._said.get(id) == (words, is_wrong):
            return
        self._said[id] = (words, is_wrong)
        note = self.query_one(f"#{id}-note", Static)
        note.update(clean(words))
        note.set_class(bool(words), "-said")
        note.set_class(is_wrong, "-wrong")

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _mark(self) -> None:
        """Mark the field that is typed into, not by a colour alone."""
        focused = self.screen.focused
        before, self._marked = self._marked, focused.id if focused is not None else None
        for field in FIELDS:
            if before != self._marked and field.id in (before, self._marked):
                glyph = "›" if field.id == self._marked else " "
                self.query_one(f"#{field.id}-label", Static).update(f"{glyph} {field.label}")


def _height(text: str) -> int:
    return min(_MOST_LINES, text.count("\n") + 1)
