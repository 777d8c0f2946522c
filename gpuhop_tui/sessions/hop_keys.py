"""What is typed in a hop: the menu key found in it, and keys held while the link is away."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpuhop_tui.sessions.screen_cells import clipped

MENU_KEY = b"\x1d"  # ctrl+]
HELD_LIMIT = 4096  # bytes

# ctrl+] as it is, and in the encodings that programs may have asked the terminal for
# (kitty keyboard protocol; XTerm's modifyOtherKeys).
_MARKS = re.compile(rb"\x1d|\x1b\[93;5u|\x1b\[27;5;93~|\x1b\[20[01]~")
_PASTE_BEGINS, _PASTE_ENDS = b"\x1b[200~", b"\x1b[201~"
_KEY = re.compile(
    rb"\x1b\[[0-9;?<=>:]*[\x20-\x2f]*[\x40-\x7e]|\x1bO.|\x1b?[\xc0-\xff][\x80-\xbf]*|\x1b?.",
    re.DOTALL,
)
# What the terminal itself says: answers to queries (attributes, modes, colours, cursor, version),
# mouse and focus reports. XTerm Control Sequences.
_REPORT = re.compile(
    rb"\x1b\[[?>=][0-9;:]*(?:\$y|[cnuR])|\x1b\[\d+;\d+R|\x1b\[<[0-9;]+[Mm]|\x1b\[M...|\x1b\[[IO]"
    rb"|\x1b\[0n|\x1b\[[4689];\d+;\d+t|\x1b[P\]_^][^\x07\x1b]*(?:\x07|\x1b\\)",
    re.DOTALL,
)
_SHOWN = {
    "\r": "⏎", "\n": "⏎", "\t": "⇥", "\x7f": "⌫", "\x08": "⌫", "\x1b": "⎋",
    "\x1b[A": "↑", "\x1b[B": "↓", "\x1b[C": "→", "\x1b[D": "←",
    "\x1bOA": "↑", "\x1bOB": "↓", "\x1bOC": "→", "\x1bOD": "←",
}  # fmt: skip


class MenuKeyFinder:
    """Parts what is typed at each ctrl+]. Inside a bracketed paste it is text."""

    def __init__(self) -> None:
        self._in_paste = False
        self._before = b""  # the end of what came before: a mark may be split

    def feed(self, data: bytes) -> list[bytes | None]:
        """The pieces in order; None stands for the menu key."""
        pieces: list[bytes | None] = []
        if self._in_paste:
            joined = self._before + data
            end = joined.find(_PASTE_ENDS)
            if end < 0:
                self._before = joined[-len(_PASTE_ENDS) + 1 :]
                return [data]
            cut = end + len(_PASTE_ENDS) - len(self._before)
            pieces.append(data[:cut])
            data = data[cut:]
            self._in_paste, self._before = False, b""
        position = 0
        for mark in _MARKS.finditer(data):
            if mark[0] == _PASTE_BEGINS:
                self._in_paste = True
                rest = self.feed(data[mark.end() :])
                pieces.append(data[position : mark.end()])
                return [piece for piece in (*pieces, *rest) if piece != b""]
            if mark[0] != _PASTE_ENDS:
                pieces += [data[position : mark.start()], None]
                position = mark.end()
        pieces.append(data[position:])
        return [piece for piece in pieces if piece != b""]


def parted(data: bytes) -> list[tuple[bool, bytes]]:
    """What came from the terminal in order: (True, a report of its own) or (False, keys)."""
    if b"\x1b" not in data:
        return [(False, data)]
    parts, position = [], 0
    for report in _REPORT.finditer(data):
        parts += [(False, data[position : report.start()]), (True, report[0])]
        position = report.end()
    parts.append((False, data[position:]))
    return [part for part in parts if part[1]]


def first_key(data: bytes) -> bytes:
    """The first key of what was typed: a character, or the whole sequence of a special key."""
    found = _KEY.match(data)
    return found[0] if found else data


def shown(data: bytes) -> str:
    """What was typed, for a person to read: `ls⏎`, `^C`, `↑`."""
    text = ""
    for key in _KEY.findall(data):
        if key in (_PASTE_BEGINS, _PASTE_ENDS):
            continue
        word = key.decode("utf-8", "replace")
        if word in _SHOWN:
            text += _SHOWN[word]
        elif len(word) == 1 and word < " ":
            text += f"^{chr(ord(word) + 64)}"
        elif word.startswith("\x1b"):
            text += "⎋" if len(word) > 2 else f"⎋{word[1:]}"
        else:
            text += word if word.isprintable() else "?"
    return text


@dataclass(slots=True)
class HeldKeys:
    """Keys that did not reach the node, or perhaps did not. Never more than HELD_LIMIT bytes."""

    data: bytes = b""
    doubtful: int = 0  # bytes at the beginning that were sent, but never confirmed
    refused: bool = False  # there was no more room

    def __bool__(self) -> bool:
        return bool(self.data)

    def add(self, data: bytes) -> bool:
        """Holds keys back. Returns whether there was room for all of them."""
        room = HELD_LIMIT - len(self.data)
        self.refused = len(data) > room
        if not self.refused:
            self.data += data
        return not self.refused

    def put_back(self, sent: bytes) -> None:
        """Keys that were sent, and nobody knows whether they arrived."""
        sent = sent[-HELD_LIMIT:]
        self.data = (sent + self.data)[:HELD_LIMIT]
        self.doubtful = len(sent)

    def take(self) -> bytes:
        data, self.data, self.doubtful, self.refused = self.data, b"", 0, False
        return data

    def preview(self, columns: int) -> str:
        """Such as `3 keys held: ls⏎ (2 may have arrived)`: those that were typed first."""
        count = len(_KEY.findall(self.data))
        text = f"{count} key{'' if count == 1 else 's'} held: "
        note = ""
        if self.doubtful:
            sure = len(_KEY.findall(self.data[: self.doubtful]))
            note = " (may have arrived)" if sure == count else f" ({sure} may have arrived)"
        if self.refused:
            note += " (no room for more)"
        return text + clipped(shown(self.data), max(8, columns - len(text) - len(note))) + note


class SentKeys:
    """What was sent and is not confirmed yet. A round trip that began after it confirms it, since
    the far end handles one connection's messages in order (RFC 4254)."""

    def __init__(self) -> None:
        self._data = b""
        self._confirmed = 0  # bytes since the beginning

    def __bool__(self) -> bool:
        return bool(self._data)

    @property
    def mark(self) -> int:
        """The position after everything sent so far, for `confirm`."""
        return self._confirmed + len(self._data)

    def add(self, data: bytes) -> None:
        self._data += data
        if (surplus := len(self._data) - HELD_LIMIT) > 0:  # a paste beyond what can be held
            self._data = self._data[surplus:]
            self._confirmed += surplus

    def confirm(self, mark: int) -> None:
        self._data = self._data[max(0, mark - self._confirmed) :]
        self._confirmed = max(self._confirmed, mark)

    def take(self) -> bytes:
        data = self._data
        self.confirm(self.mark)
        return data
