"""Values as ssh_config(5) wants them written: quoted, with nothing in them expanded."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[\w@%+=:,./^-]+", re.ASCII)
_BAD_IN_NAMES = re.compile(r"[^\w.+-]+", re.ASCII)  # what ssh, a pattern or ProxyJump misreads


class InexpressibleError(ValueError):
    """No line of ssh_config says this; the text is the reason."""


def word(text: str) -> str:
    """`text` as one word of a line. Raises InexpressibleError."""
    if _CONTROL.search(text):
        raise InexpressibleError("ssh_config cannot hold control characters")
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def literal(text: str) -> str:
    """`text` as one word whose tokens are not expanded (ssh_config(5), TOKENS): a `%` is doubled;
    there is no way to write `${`. Raises InexpressibleError."""
    if "${" in text:
        raise InexpressibleError(f"ssh would take a part of {text} for a variable")
    return word(text.replace("%", "%%"))


def command(text: str) -> str:
    """`text` as the rest of a line that a shell runs, such as ProxyCommand's: only `%` is special.
    Raises InexpressibleError."""
    if _CONTROL.search(text):
        raise InexpressibleError("ssh_config cannot hold a command of several lines")
    return text.replace("%", "%%")


def host_name(name: str) -> str:
    """`name` as one that ssh takes as a host and that no pattern or ProxyJump misreads: what is
    not a letter of ASCII, a digit, or one of `._+-` becomes `-`."""
    cleaned = _BAD_IN_NAMES.sub("-", name).strip("-")
    return cleaned or "host"
