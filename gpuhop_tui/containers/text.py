"""Text from an engine or a container, made safe to show."""

from __future__ import annotations

import re

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]")


def plain(text: object) -> str:
    """`text` without terminal sequences, what else cannot be printed shown as `?`; not text: ""."""
    if not isinstance(text, str):
        return ""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in _ESCAPES.sub("", text))
