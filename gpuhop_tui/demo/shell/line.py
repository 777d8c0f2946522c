"""A line editor: keys in, what they do to the terminal out."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator

_KEYS = re.compile(
    r"\x1b\[[0-9;?<]*[A-Za-z~]|\x1bO[A-Za-z]|\x1b[^\[O]|[\x00-\x1f\x7f]|[^\x00-\x1f\x7f]+",
    re.DOTALL,
)
_NAMES = {
    "\x01": "home", "\x1b[H": "home", "\x1b[1~": "home", "\x1bOH": "home",
    "\x05": "end", "\x1b[F": "end", "\x1b[4~": "end", "\x1bOF": "end",
    "\x02": "left", "\x1b[D": "left", "\x1bOD": "left",
    "\x06": "right", "\x1b[C": "right", "\x1bOC": "right",
    "\x10": "up", "\x1b[A": "up", "\x1bOA": "up",
    "\x0e": "down", "\x1b[B": "down", "\x1bOB": "down",
    "\x7f": "rub", "\x08": "rub", "\x1b[3~": "delete",
    "\x15": "to-start", "\x0b": "to-end", "\x17": "word", "\x0c": "clear",
    "\x03": "interrupt", "\x04": "eof", "\r": "enter", "\n": "enter",
}  # fmt: skip


class LineEditor:
    """One line at a time. `write` shows, `prompt` is asked for anew each time."""

    def __init__(self, write: Callable[[str], None], prompt: Callable[[], str]) -> None:
        self._write, self._prompt = write, prompt
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.history: list[str] = []
        self._at = 0  # in the history
        self._text, self._x = "", 0

    def begin(self) -> None:
        """Shows a prompt for the next line."""
        self._text, self._x, self._at = "", 0, len(self.history)
        self._write(self._prompt())

    def feed(self, data: bytes) -> Iterator[str | None]:
        """Each line that was entered; None for the end of input on an empty one. After each, who
        takes it says `begin`."""
        for found in _KEYS.findall(self._decoder.decode(data)):
            key = _NAMES.get(found, "")
            if key == "enter":
                self._write("\r\n")
                if self._text.strip() and self.history[-1:] != [self._text]:
                    self.history.append(self._text)
                yield self._text
            elif key == "eof":
                if not self._text:
                    self._write("\r\n")
                    yield None
            elif key:
                self._edit(key)
            elif found >= " ":
                self._insert(found)

    def _insert(self, text: str) -> None:
        at_end = self._x == len(self._text)
        self._text = self._text[: self._x] + text + self._text[self._x :]
        self._x += len(text)
        if at_end:
            self._write(text)
        else:
            self._show()

    def _edit(self, key: str) -> None:
        text, x = self._text, self._x
        if key == "interrupt":
            self._write("^C\r\n")
            self.begin()
            return
        if key == "clear":
            self._write("\x1b[H\x1b[2J")
        elif key in ("up", "down"):
            self._at = max(0, min(len(self.history), self._at + (-1 if key == "up" else 1)))
            text = self.history[self._at] if self._at < len(self.history) else ""
            x = len(text)
        elif key == "home":
            x = 0
        elif key == "end":
            x = len(text)
        elif key == "left":
            x = max(0, x - 1)
        elif key == "right":
            x = min(len(text), x + 1)
        elif key == "rub" and x:
            text, x = text[: x - 1] + text[x:], x - 1
        elif key == "delete":
            text = text[:x] + text[x + 1 :]
        elif key == "to-start":
            text, x = text[x:], 0
        elif key == "to-end":
            text = text[:x]
        elif key == "word":
            kept = re.sub(r"\S*\s*\Z", "", text[:x])
            text, x = kept + text[x:], len(kept)
        self._text, self._x = text, x
        self._show()

    def _show(self) -> None:
        back = len(self._text) - self._x
        self._write(f"\r{self._prompt()}{self._text}\x1b[K" + (f"\x1b[{back}D" if back else ""))
