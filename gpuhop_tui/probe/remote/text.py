"""Text from the node made fit for one line of JSON: bounded, and with nothing invisible in it."""

import unicodedata
from typing import Optional

COMMAND_BYTES = 1024

_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # Unicode general categories


def visible(text: str, limit: int = COMMAND_BYTES) -> str:
    """`text` with control characters written out (`\\n`, `\\x1b`), cut to `limit` UTF-8 bytes."""
    shown = "".join(_shown(character) for character in text[:limit])
    encoded = shown.encode("utf-8", "backslashreplace")
    if len(text) <= limit and len(encoded) <= limit:
        return shown
    return encoded[: limit - 3].decode("utf-8", "ignore") + "…"


def decoded(raw: bytes) -> str:
    """Bytes of unknown encoding as text; what is not UTF-8 is written out."""
    return raw.decode("utf-8", "backslashreplace")


def first_line(text: Optional[str], limit: int = 200) -> str:
    """The first line of a message that has something in it."""
    for line in (text or "").splitlines():
        if line.strip():
            return visible(line.strip(), limit)
    return ""


def _shown(character: str) -> str:
    if " " <= character <= "~" or unicodedata.category(character) not in _INVISIBLE:
        return character
    return character.encode("unicode_escape").decode("ascii")
