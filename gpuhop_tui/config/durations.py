"""Durations as OpenSSH writes them: sshd_config(5), TIME FORMATS."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?=[0-9])([0-9]{1,12}[smhdw])*([0-9]{1,12})?", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration_seconds(text: str) -> int | None:
    """Seconds of "8h", "30m", "1h30m", "2d" or of a bare number; None where it is none of these."""
    if not _DURATION.fullmatch(text):
        return None
    parts = re.findall(r"([0-9]+)([smhdw]?)", text.lower())
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)
