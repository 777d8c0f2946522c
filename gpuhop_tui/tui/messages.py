"""What the app's workers tell the screen. Workers post these and touch nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from gpuhop_tui.fleet.state import FleetState
    from gpuhop_tui.tui.opening import FirstRun, Opened
    from gpuhop_tui.tui.screens.dialog import Dialog


class FleetOpened(Message):
    """The config is read and the fleet is ready to start."""

    def __init__(self, opened: Opened) -> None:
        super().__init__()
        self.opened = opened


class FleetFirstRun(Message):
    """There is no config file."""

    def __init__(self, first_run: FirstRun) -> None:
        super().__init__()
        self.first_run = first_run


class FleetFailed(Message):
    """The fleet could not be opened."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class FleetChanged(Message):
    """A newer state. One that is still in the queue is replaced: only the newest counts."""

    def __init__(self, state: FleetState) -> None:
        super().__init__()
        self.state = state

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, FleetChanged)


class Asked(Message):
    """A login wants an answer from the user: show the dialog and put its result into `answer`."""

    def __init__(self, dialog: Dialog[Any], answer: asyncio.Future[object]) -> None:
        super().__init__()
        self.dialog = dialog
        self.answer = answer


class Withdrawn(Message):
    """The login no longer wants the answer (the link was cut): take the dialog away."""

    def __init__(self, dialog: Dialog[Any]) -> None:
        super().__init__()
        self.dialog = dialog
