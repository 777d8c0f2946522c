"""Handing the terminal over to a hop, and taking it back whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from textual.app import App

from gpuhop_tui.ssh.prompts import Prompter

if TYPE_CHECKING:
    from gpuhop_tui.fleet.state import BastionState, FleetSource, NodeState
    from gpuhop_tui.sessions.hop import Tell
    from gpuhop_tui.sessions.hop_target import HopResult, HopTarget
    from gpuhop_tui.ssh.terminal import Terminal
    from gpuhop_tui.tui.prompter import TuiPrompter

T = TypeVar("T")


class HopPrompter(Prompter, Protocol):
    """Asks a login's questions on the terminal itself, while a hop has it."""

    @property
    def asking(self) -> bool:
        """Whether a question is on the terminal now."""
        ...

    def use(self, terminal: Terminal | None) -> None:
        """The terminal that the hop holds in raw mode; None: not any more."""
        ...


class Hopper:
    """Hops for an app: one at a time, its questions asked where the user then is."""

    def __init__(
        self, app: App[Any], prompter: TuiPrompter, aside: Callable[[], HopPrompter] | None
    ) -> None:
        """`aside` makes the prompter for the time that a hop has the terminal; without it
        questions wait for the app."""
        self._app, self._prompter, self._aside = app, prompter, aside
        self.is_away = False
        self.tell: Tell | None = None  # on the line of the hop that has the terminal

    def _use_line(self, tell: Tell | None) -> None:
        self.tell = tell

    async def hop(
        self, source: FleetSource, node: BastionState | NodeState, target: HopTarget
    ) -> HopResult:
        """Raises what `handed_over` raises."""
        aside = self._aside() if self._aside else None

        def work() -> Awaitable[HopResult]:
            return source.hop(
                node.name,
                target,
                is_asking=lambda: aside is not None and aside.asking,
                on_terminal=aside.use if aside else lambda _terminal: None,
                on_line=self._use_line,
            )

        self.is_away = True
        hops = {node.name, *node.via}
        if target.door is not None:
            hops.add(f"{node.name}/{target.door.name}")
        # Another node's question would take what is typed into this shell for its answer.
        self._prompter.ask_aside(aside, frozenset(hops))
        try:
            return await handed_over(self._app, work)
        finally:
            self._prompter.ask_aside(None)
            self.is_away = False


async def handed_over(app: App[Any], work: Callable[[], Awaitable[T]]) -> T:
    """Does `work` while the terminal is not the app's; the app's other tasks go on.

    Raises SuspendNotSupported where the app cannot give the terminal away, else what `work` raises,
    after the app has its terminal back.
    """
    failure: BaseException | None = None
    with app.suspend(), app.batch_update():  # a paint would wait for a terminal that is not ours
        try:
            result = await work()
        except BaseException as error:  # App.suspend does not resume when its block raises
            failure = error
    if failure is not None:
        raise failure
    return result
