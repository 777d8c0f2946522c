"""Parts the bytes that are meant for a terminal: text, control characters, sequences.

Bytes, not characters, so that what is incomplete is known to the byte and can be held back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Token = tuple[str, bytes, bytes]
"""("text", text, b"") · ("control", byte, b"") · ("csi", parameters, intermediates + final) ·
("escape", intermediates + final, b"") · ("string", b"", b"")."""

STRING_KEPT = 4096  # a longer OSC or DCS is passed over as it comes

_TOKEN = re.compile(
    rb"(?P<text>[\x20-\x7e\x80-\xff]+)"
    rb"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    rb"|\x1b\[(?P<params>[\x30-\x3f]*)(?P<csi>[\x20-\x2f]*[\x40-\x7e])"
    rb"|\x1b(?P<string>[\]PX^_k])[^\x07\x1b\x18\x1a]*(?:\x07|\x1b\\|[\x18\x1a])"
    rb"|\x1b(?P<escape>[\x20-\x2f]*[\x30-\x4f\x51-\x57\x59\x5a\x5c\x60-\x6a\x6c-\x7e])"
)
_INCOMPLETE = re.compile(
    rb"\x1b(?:\[[\x30-\x3f]*[\x20-\x2f]*|[\]PX^_k][^\x07\x1b\x18\x1a]*\x1b?|[\x20-\x2f]*)?\Z"
)
# What CAN, SUB or another ESC breaks off is not shown.
_BROKEN_OFF = re.compile(rb"\x1b(?:[\]PX^_][^\x07\x1b\x18\x1a]*|(?:\[[\x30-\x3f]*)?[\x20-\x2f]*)")
_STRING_END = re.compile(rb"\x07|\x1b\\|[\x18\x1a]")


class Tokens:
    """Takes bytes in any portions. `tail` is what is not complete yet."""

    def __init__(self) -> None:
        self.tail = b""
        self._passing_over = False

    @property
    def at_rest(self) -> bool:
        """Whether the terminal is in the middle of nothing: a sequence may begin."""
        return not self.tail and not self._passing_over

    def feed(self, data: bytes) -> Iterator[Token]:
        data = self.tail + data
        self.tail = b""
        position = 0
        if self._passing_over:
            end = _STRING_END.search(data)
            if end is None:
                self.tail = b"\x1b" if data.endswith(b"\x1b") else b""
                return
            self._passing_over = False
            position = end.end()
        match = _TOKEN.match
        length = len(data)
        while position < length:
            found = match(data, position)
            if found is None:
                if _INCOMPLETE.match(data, position):
                    self._keep(data[position:])
                    return
                broken = _BROKEN_OFF.match(data, position)
                position = broken.end() if broken else position + 1
                continue
            position = found.end()
            kind = found.lastgroup
            if kind == "text":
                text = found[0]
                if position == length and (cut := _incomplete_utf8(text)):
                    self.tail = text[-cut:]
                    text = text[:-cut]
                if text:
                    yield "text", text, b""
            elif kind == "control":
                yield "control", found[0], b""
            elif kind == "csi":
                yield "csi", found["params"], found["csi"]
            elif kind == "escape":
                yield "escape", found["escape"], b""
            else:
                yield "string", b"", b""

    def _keep(self, rest: bytes) -> None:
        if len(rest) > STRING_KEPT:
            self._passing_over = True
            rest = b"\x1b" if rest.endswith(b"\x1b") else b""
        self.tail = rest


def _incomplete_utf8(text: bytes) -> int:
    """How many bytes at the end begin a character that is not complete (RFC 3629)."""
    for back in range(1, min(4, len(text) + 1)):
        byte = text[-back]
        if byte < 0x80:
            return 0
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < needed else 0
    return 0
