"""A condition is believed once it has lasted, and may come again once it has been gone as long."""

from __future__ import annotations

from enum import Enum

LEAST_RELEASE_SECONDS = 10.0
UNSEEN_SECONDS = 15.0  # not looked at for longer (the machine slept): what was between is not known


class Turn(Enum):
    """What a look has shown."""

    NONE = 0
    ON = 1  # it has lasted: believed from here on
    OFF = 2  # it has been gone for long enough


class Hold:
    """Two turns to ON are apart by the hold and the release at least, whatever is seen between."""

    __slots__ = ("_release", "_seconds", "_seen_at", "_since", "is_on")

    def __init__(self, seconds: float, *, is_on: bool = False) -> None:
        self.is_on = is_on
        self._seconds = seconds
        self._release = max(seconds, LEAST_RELEASE_SECONDS)
        self._since: float | None = None  # since when it is the other way than `is_on`
        self._seen_at = 0.0

    @property
    def is_idle(self) -> bool:
        """Whether it knows nothing that one made anew would not."""
        return not self.is_on and self._since is None

    def see(self, now: float, holds: bool | None) -> Turn:
        """A look at `now` (seconds); None: it is not known, which is neither."""
        if not 0 <= now - self._seen_at <= UNSEEN_SECONDS:
            self._since = None
        self._seen_at = now
        if holds is None or holds == self.is_on:
            self._since = None
            return Turn.NONE
        if self._since is None:
            self._since = now
        if now - self._since < (self._release if self.is_on else self._seconds):
            return Turn.NONE
        self.is_on, self._since = holds, None
        return Turn.ON if holds else Turn.OFF
