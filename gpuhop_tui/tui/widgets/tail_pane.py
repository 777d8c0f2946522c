"""One tail on the screen."""

from __future__ import annotations

from collections.abc import Callable

from gpuhop_tui.sessions.tail import Tail
from gpuhop_tui.sessions.tail_view import TailState, TailView
from gpuhop_tui.tui.render.tail_pager import Pager
from gpuhop_tui.tui.widgets.line_pane import LinePane


class TailPane(LinePane):
    """Follows a tail and draws its page. It is read only: no key reaches the node."""

    def __init__(self, tail: Tail, clock: Callable[[], float]) -> None:
        super().__init__()
        self.tail = tail
        self.view = tail.view
        self.pager = Pager(tail, wrap=not tail.pane.alternate)
        self.stale_since: float | None = None
        self._clock = clock

    def on_mount(self) -> None:
        self.tail.start()
        self.run_worker(self._follow(), name="tail", exit_on_error=False)

    async def on_unmount(self) -> None:
        await self.tail.close()

    async def _follow(self) -> None:
        try:
            async for view in self.tail.changes():
                self.take(view)
        except Exception as error:
            self.log.error(error)
            self.notify(f"The tail stopped: {error}", severity="error", markup=False)

    def take(self, view: TailView) -> None:
        """Show a newer view."""
        self.view = view
        is_stale = view.state is TailState.STALE
        if is_stale and self.stale_since is None:
            self.stale_since = self._clock()
        elif not is_stale:
            self.stale_since = None
        self.draw()

    @property
    def is_faded(self) -> bool:
        return self.view.state in (TailState.STALE, TailState.ENDED)
