"""The command palette: every node by name, and what the keys do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.app import App
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from gpuhop_tui.fleet.summary import node_totals
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.sessions import all_sessions, describe
from gpuhop_tui.tui.render.tree import Sort
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.screens.dashboard import DashboardScreen

Command = tuple[str, str, Callable[[], object]]  # name, help, what it does


def _screenshot(app: App[object]) -> Callable[[], object]:
    """Takes the picture once the palette is gone."""
    return lambda: app.set_timer(0.2, app.deliver_screenshot)


class FleetCommands(Provider):
    """Commands that are about the fleet on screen."""

    async def startup(self) -> None:
        """Sessions of every node are listed while the palette is open."""
        if isinstance(self.screen, DashboardScreen):
            self.screen.watch_fleet(True)

    async def shutdown(self) -> None:
        if isinstance(self.screen, DashboardScreen):
            self.screen.watch_fleet(False)

    async def discover(self) -> Hits:
        for name, words, run in self._commands():
            yield DiscoveryHit(Content(name), run, text=name, help=words)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, words, run in self._commands():
            score = matcher.match(name)
            if score > 0:
                # highlight() reads markup: a name with a bracket is shown as it is
                shown = Content(name) if "[" in name else matcher.highlight(name)
                yield Hit(score, shown, run, text=name, help=words)

    def _commands(self) -> Iterator[Command]:
        dashboard = self.screen
        if not isinstance(dashboard, DashboardScreen):
            return
        app = dashboard.app
        yield "Freest GPU", "Jump to the freest GPU of the fleet", dashboard.action_freest
        yield "Retry all", "Try every link again now", dashboard.action_retry_all
        yield "Details", "Every figure of the selected GPU", dashboard.action_details
        for sort in Sort:
            run = partial(dashboard.fleet_tree.order, sort=sort)
            yield f"Sort by {sort.value}", "Order of the nodes behind a bastion", run
        for node in dashboard.state.nodes if dashboard.state else ():
            words = f"{node.link.state.value}, {plural(node_totals(node).free, 'GPU')} free"
            yield f"Go to {clean(node.name)}", words, partial(dashboard.go_to_node, node.name)
        for session in all_sessions(dashboard.state.nodes if dashboard.state else ()):
            name = f"session: {clean(session.name)} on {clean(session.node)}"
            yield name, describe(session), partial(dashboard.go_to_session, session)
        yield "Theme", "Change the colours", app.action_change_theme
        yield "Help", "Keys and glyphs", partial(app.run_action, "help")
        yield "Save a screenshot", "Write an SVG picture of the screen", _screenshot(app)
        yield "Quit", "Leave", partial(app.run_action, "quit_fleet")
