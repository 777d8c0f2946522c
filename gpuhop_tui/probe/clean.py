"""Text from a node, made safe to show: a node must not be able to drive the user's terminal."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC, with its text
    r"|\x1b[P_^X][^\x1b\x9c]*(?:\x1b\\|\x9c)?"  # DCS, APC, PM, SOS, with their text
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    r"|\x1b[ -/]*[0-~]?"  # the other escape sequences (ECMA-48)
)
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # Unicode general categories


def clean(text: Any, limit: int = 1024) -> str | None:
    """`text` without escape sequences and invisible characters, at most `limit` characters.

    None where it is not text or nothing of it is left. Brackets stay: whoever shows it must not
    read markup out of it.
    """
    if not isinstance(text, str):
        return None
    text = text[: limit * 4]
    if not (text.isascii() and text.isprintable()):
        text = _ESCAPES.sub("", text)
        text = "".join(map(_shown, text))
    return text[:limit].strip() or None


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Zs" or character in "\t\r\n":
        return " "
    return "" if category in _INVISIBLE else character
