"""A terminal's screen as it is after the bytes that were written to it, to be drawn again.

It keeps what a redraw needs: cells, cursor, pen, margins, modes, the alternate screen. It answers
no reports and has no scrollback: both are the real terminal's.
Sources: ECMA-48; XTerm Control Sequences; DEC STD 070.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuhop_tui.sessions.screen_cells import PLAIN, Pen, Row, char_width, with_sgr
from gpuhop_tui.sessions.screen_tokens import Tokens

_ALTERNATE = (47, 1047, 1049)
_ON_AT_FIRST = frozenset({7, 25})  # autowrap, cursor shown
_LINE_DRAWING = str.maketrans("`afgjklmnopqrstuvwxyz{|}~", "◆▒°±┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")


@dataclass(slots=True)
class _Saved:
    x: int = 0
    y: int = 0
    pen: Pen = PLAIN
    origin: bool = False


class Screen:
    """`feed` it what the terminal is fed; then `rows`, the cursor and `redraw` tell the rest."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.height = max(1, columns), max(1, rows)
        self.tokens = Tokens()
        self.reset()

    def reset(self) -> None:
        """As after `ESC c`."""
        self.rows = self._blank_rows()
        self._main: list[Row] | None = None  # the main screen's rows while the other is shown
        self.x = self.y = 0
        self.wrapping = False  # the last column is filled: the next character wraps
        self.pen = PLAIN
        self.top, self.bottom = 0, self.height - 1
        self.modes: dict[int, bool] = {}  # DEC private modes that were set or reset
        self.insert_mode = False
        self.keypad = False
        self.title_set = False
        self._charsets = ["B", "B"]
        self._shift = 0
        self._tabs = set(range(0, self.columns, 8))
        self._saved = _Saved()
        self._last = ""  # what REP repeats

    def _blank_rows(self, pen: Pen = PLAIN) -> list[Row]:
        return [Row(self.columns, pen) for _ in range(self.height)]

    @property
    def text(self) -> list[str]:
        """The rows as plain text."""
        return [row.text for row in self.rows]

    @property
    def is_alternate(self) -> bool:
        return self._main is not None

    def mode(self, number: int) -> bool:
        """Whether a DEC private mode is on."""
        return self.modes.get(number, number in _ON_AT_FIRST)

    def resize(self, columns: int, rows: int) -> None:
        """What is cut off is lost; what runs there repaints."""
        columns, rows = max(1, columns), max(1, rows)
        for lines in (self.rows, self._main):
            if lines is None:
                continue
            for row in lines:
                row.resize(columns)
            if len(lines) > rows:
                surplus = max(0, self.y - rows + 1) if lines is self.rows else 0
                del lines[:surplus]
                del lines[rows:]
                if lines is self.rows:
                    self.y -= surplus
            while len(lines) < rows:
                lines.append(Row(columns))
        self.columns, self.height = columns, rows
        self.top, self.bottom = 0, rows - 1
        self.x, self.y = min(self.x, columns - 1), min(self.y, rows - 1)
        self.wrapping = False
        self._tabs = set(range(0, columns, 8))

    # What is written

    def feed(self, data: bytes) -> None:
        for kind, first, second in self.tokens.feed(data):
            if kind == "text":
                self._draw(first.decode("utf-8", "replace"))
            elif kind == "csi":
                self._csi(first.decode("ascii"), second.decode("ascii"))
            elif kind == "control":
                self._control(first[0])
            elif kind == "escape":
                self._escape(first.decode("ascii"))

    def _draw(self, text: str) -> None:
        if self._charsets[self._shift] == "0":
            text = text.translate(_LINE_DRAWING)
        if not text.isascii():
            self._draw_wide(text)
            return
        self._last = text[-1:]
        while text:
            if self.wrapping and self.mode(7):
                self._wrap()
            row, x = self.rows[self.y], self.x
            piece = text[: self.columns - x]
            count = len(piece)
            text = text[count:]
            if self.insert_mode:
                row.insert(x, count, self.pen)
            row.unpair(x)
            row.unpair(x + count)
            row.chars[x : x + count] = piece
            row.pens[x : x + count] = [self.pen] * count
            self._advance(count)
            if text and not self.mode(7):
                row.chars[-1] = text[-1]
                return

    def _draw_wide(self, text: str) -> None:
        for char in text:
            width = char_width(char)
            if width == 0:
                self._combine(char)
                continue
            if (self.wrapping or self.x + width > self.columns) and self.mode(7):
                self._wrap()
            x = min(self.x, self.columns - width)
            if x < 0:
                continue  # a terminal of one column
            row = self.rows[self.y]
            if self.insert_mode:
                row.insert(x, width, self.pen)
            row.unpair(x)
            row.unpair(x + width)
            row.chars[x : x + width] = [char] if width == 1 else [char, ""]
            row.pens[x : x + width] = [self.pen] * width
            self.x = x
            self._advance(width)
            self._last = char

    def _combine(self, char: str) -> None:
        row = self.rows[self.y]
        x = self.x if self.wrapping else self.x - 1
        if x > 0 and row.chars[x] == "":
            x -= 1
        if x >= 0 and row.chars[x]:
            row.chars[x] += char

    def _advance(self, count: int) -> None:
        self.x += count
        self.wrapping = self.x >= self.columns
        if self.wrapping:
            self.x = self.columns - 1

    def _wrap(self) -> None:
        self.x = 0
        self.wrapping = False
        self._line_feed()

    def _control(self, code: int) -> None:
        if code == 0x0D:
            self._move(x=0)
        elif code in (0x0A, 0x0B, 0x0C):
            self._line_feed()
        elif code == 0x08:
            self._move(x=self.x - 1)
        elif code == 0x09:
            self._move(x=min((t for t in self._tabs if t > self.x), default=self.columns - 1))
        elif code in (0x0E, 0x0F):
            self._shift = 1 if code == 0x0E else 0

    def _escape(self, code: str) -> None:
        if code == "7":
            self._saved = _Saved(self.x, self.y, self.pen, self.mode(6))
        elif code == "8":
            self._restore_cursor()
        elif code == "D":
            self._line_feed()
        elif code == "E":
            self._move(x=0)
            self._line_feed()
        elif code == "M":
            if self.y == self.top:
                self._scroll_down(self.top, 1)
            else:
                self._move(y=self.y - 1)
        elif code == "H":
            self._tabs.add(self.x)
        elif code == "c":
            self.reset()
        elif code in ("=", ">"):
            self.keypad = code == "="
        elif code == "#8":
            for row in self.rows:
                row.chars[:] = "E" * self.columns
        elif len(code) == 2 and code[0] in "()":
            self._charsets["()".index(code[0])] = code[1]

    def _restore_cursor(self) -> None:
        saved = self._saved
        self.modes[6] = saved.origin
        self.pen = saved.pen
        self._move(x=saved.x, y=saved.y)

    # Control sequences

    def _csi(self, parameters: str, final: str) -> None:
        if final == "m":
            if not parameters or parameters[0] not in "<=>?":
                self.pen = with_sgr(self.pen, parameters)
            return
        if final in ("h", "l"):
            self._set_modes(parameters, final == "h")
            return
        if parameters and parameters[0] in "<=>?":
            if parameters[0] == "?" and final in ("J", "K"):
                parameters = parameters[1:]
            else:
                return
        numbers = [int(word) if word.isdigit() else 0 for word in parameters.split(";")]
        first = numbers[0]
        count = min(max(1, first), 9999)
        if final in ("H", "f"):
            self._position(count, numbers[1] if len(numbers) > 1 else 1)
        elif final in _MOVES:
            dx, dy, to_start = _MOVES[final]
            self._step(dx * count, dy * count, to_start=to_start)
        elif final in ("G", "`"):
            self._move(x=count - 1)
        elif final == "d":
            self._position(count, self.x + 1)
        elif final == "J":
            self._erase_display(first)
        elif final == "K":
            self._erase_line(first)
        elif final == "X":
            end = min(self.columns, self.x + count)
            self.rows[self.y].blank(self.x, end, self.pen.erasing)
        elif final == "@":
            self.rows[self.y].insert(self.x, count, self.pen.erasing)
        elif final == "P":
            self.rows[self.y].delete(self.x, count, self.pen.erasing)
        elif final in ("L", "M"):
            if self.top <= self.y <= self.bottom:
                (self._scroll_down if final == "L" else self._scroll_up)(self.y, count)
                self._move(x=0)
        elif final == "S":
            self._scroll_up(self.top, count)
        elif final == "T" and len(numbers) == 1:
            self._scroll_down(self.top, count)
        elif final == "r":
            self._set_margins(numbers)
        elif final == "b":
            self._draw(self._last * min(count, self.columns * self.height))
        elif final == "g":
            self._tabs = set() if first == 3 else self._tabs - {self.x}
        elif final == "I":
            for _ in range(min(count, self.columns)):
                self._control(0x09)
        elif final == "Z":
            before = sorted(t for t in self._tabs if t < self.x)
            self._move(x=before[-min(count, len(before))] if before else 0)
        elif final == "s":
            self._escape("7")
        elif final == "u":
            self._restore_cursor()
        elif final == "!p":
            self._soft_reset()

    def _set_modes(self, parameters: str, on: bool) -> None:
        if not parameters.startswith("?"):
            if "4" in parameters.split(";"):
                self.insert_mode = on
            return
        for word in parameters[1:].split(";"):
            if not word.isdigit():
                continue
            number = int(word)
            if number in _ALTERNATE:
                self._switch(number, on)
            elif number == 1048:
                self._escape("7" if on else "8")
            else:
                self.modes[number] = on
                if number == 6:
                    self._position(1, 1)

    def _switch(self, number: int, alternate: bool) -> None:
        if number == 1049 and alternate:
            self._escape("7")
        if alternate:
            if self._main is None:
                self._main = self.rows
                self.rows = self._blank_rows()
            elif number == 1049:
                self.rows = self._blank_rows()
        elif self._main is not None:
            self.rows, self._main = self._main, None
        if number == 1049 and not alternate:
            self._restore_cursor()

    def _soft_reset(self) -> None:
        self.pen, self.insert_mode, self.keypad = PLAIN, False, False
        self.top, self.bottom = 0, self.height - 1
        self.modes.update({6: False, 7: True, 25: True})
        self._charsets, self._shift, self._saved = ["B", "B"], 0, _Saved()

    def _set_margins(self, numbers: list[int]) -> None:
        top = max(1, numbers[0])
        bottom = numbers[1] if len(numbers) > 1 and numbers[1] else self.height
        bottom = min(bottom, self.height)
        if top < bottom:
            self.top, self.bottom = top - 1, bottom - 1
            self._position(1, 1)

    # Moving and scrolling

    def _move(self, x: int | None = None, y: int | None = None) -> None:
        if x is not None:
            self.x = min(max(0, x), self.columns - 1)
        if y is not None:
            self.y = min(max(0, y), self.height - 1)
        self.wrapping = False

    def _position(self, line: int, column: int) -> None:
        y = max(1, line) - 1
        if self.mode(6):
            y = min(self.top + y, self.bottom)
        self._move(max(1, column) - 1, y)

    def _step(self, dx: int, dy: int, *, to_start: bool) -> None:
        y = self.y + dy
        if dy < 0 and self.y >= self.top:
            y = max(y, self.top)
        elif dy > 0 and self.y <= self.bottom:
            y = min(y, self.bottom)
        self._move(0 if to_start else self.x + dx, y)

    def _line_feed(self) -> None:
        self.wrapping = False
        if self.y == self.bottom:
            self._scroll_up(self.top, 1)
        elif self.y < self.height - 1:
            self.y += 1

    def _scroll_up(self, top: int, count: int) -> None:
        count = min(count, self.bottom - top + 1)
        pen = self.pen.erasing
        del self.rows[top : top + count]
        at = self.bottom - count + 1
        self.rows[at:at] = [Row(self.columns, pen) for _ in range(count)]

    def _scroll_down(self, top: int, count: int) -> None:
        count = min(count, self.bottom - top + 1)
        pen = self.pen.erasing
        del self.rows[self.bottom - count + 1 : self.bottom + 1]
        self.rows[top:top] = [Row(self.columns, pen) for _ in range(count)]

    def _erase_display(self, how: int) -> None:
        pen = self.pen.erasing
        if how == 0:
            self._erase_line(0)
            self.rows[self.y + 1 :] = [
                Row(self.columns, pen) for _ in range(self.height - self.y - 1)
            ]
        elif how == 1:
            self._erase_line(1)
            self.rows[: self.y] = [Row(self.columns, pen) for _ in range(self.y)]
        elif how == 2:
            self.rows = self._blank_rows(pen)

    def _erase_line(self, how: int) -> None:
        start = 0 if how else self.x
        end = self.x + 1 if how == 1 else self.columns
        self.rows[self.y].blank(start, end, self.pen.erasing)
        self.wrapping = False

    # Drawing it again

    def redraw(self, *, dim: bool = False) -> bytes:
        """All rows again and the state after them, for a terminal in any state."""
        parts = [_NEUTRAL]
        for number, row in enumerate(self.rows, start=1):
            parts.append(f"\x1b[{number};1H{row.rendered(dim=dim)}")
        return "".join(parts).encode() + self.restored()

    def restored_row(self, y: int) -> bytes:
        """One row again; `restored` has to follow."""
        return f"{_NEUTRAL}\x1b[{y + 1};1H{self.rows[y].rendered()}".encode()

    def restored(self) -> bytes:
        """Margins, modes, cursor and pen as they are, after something else was drawn."""
        parts = [f"\x1b[{self.top + 1};{self.bottom + 1}r"]
        if self.mode(6):
            parts.append("\x1b[?6h")
        y = self.y - self.top if self.mode(6) else self.y
        if self.wrapping:  # only a character in the last column brings this state about
            row = self.rows[self.y]
            x = self.columns - (2 if row.chars[-1] == "" else 1)
            parts.append(f"\x1b[{y + 1};{x + 1}H{row.pens[x].sgr()}{row.chars[x]}")
        else:
            parts.append(f"\x1b[{y + 1};{self.x + 1}H")
        if not self.mode(7):
            parts.append("\x1b[?7l")
        if self.insert_mode:
            parts.append("\x1b[4h")
        parts += [f"\x1b({self._charsets[0]}\x1b){self._charsets[1]}"]
        parts.append("\x0e" if self._shift else "\x0f")
        parts.append(self.pen.sgr())
        parts.append("\x1b[?25h" if self.mode(25) else "\x1b[?25l")
        return "".join(parts).encode()

    def modes_restored(self) -> bytes:
        """Every mode of the terminal again, for one that lost them: mouse, paste, keypad, …; the
        choice of the screen is not among them."""
        parts = [f"\x1b[?{n}{'h' if on else 'l'}" for n, on in self.modes.items() if n != 6]
        parts.append("\x1b=" if self.keypad else "\x1b>")
        return "".join(parts).encode()

    def modes_undone(self) -> bytes:
        """The terminal as programs expect it: every mode that was changed changed back."""
        changed = [n for n, on in self.modes.items() if on != (n in _ON_AT_FIRST)]
        parts = [f"\x1b[?{n}{'h' if n in _ON_AT_FIRST else 'l'}" for n in changed if n != 6]
        # Taking margins away moves the cursor. Leaving the alternate screen puts it where it was
        # on the main one; there, it is to stay where it is.
        if self.is_alternate:
            parts += [_NEUTRAL, "\x1b[?1049l"]
        else:
            parts += ["\x1b7", _NEUTRAL, "\x1b8"]
        if self.mode(6) or self._saved.origin:  # came back with the cursor
            parts.append("\x1b[?6l")
        parts.append("\x1b>\x1b[0m\x1b[?25h")
        return "".join(parts).encode()


# Cursor forms of CSI: columns, lines, and whether the cursor goes to the line's start.
_MOVES = {
    "A": (0, -1, False), "B": (0, 1, False), "C": (1, 0, False), "D": (-1, 0, False),
    "E": (0, 1, True), "F": (0, -1, True), "a": (1, 0, False), "e": (0, 1, False),
}  # fmt: skip

# No margins, no origin mode, no insert mode, autowrap, plain characters: a base to draw from.
_NEUTRAL = "\x1b[?25l\x1b[r\x1b[?6l\x1b[4l\x1b[?7h\x0f\x1b(B\x1b[0m"
