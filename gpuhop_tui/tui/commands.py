"""The command palette: every node by name, and what the keys do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from gpuhop_tui.fleet.summary import node_totals
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.tree import Sort
from gpuhop_tui.tui.screens.dashboard import DashboardScreen

Command = tuple[str, str, Callable[[], object]]  # name, help, what it does


class FleetCommands(Provider):
    """Commands that are about the fleet on screen."""

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
        yield "Freest GPU", "Jump to the freest GPU of the fleet", dashboard.action_freest
        yield "Retry all", "Try every link again now", dashboard.action_retry_all
        for sort in Sort:
            run = partial(dashboard.fleet_tree.order, sort=sort)
            yield f"Sort by {sort.value}", "Order of the nodes behind a bastion", run
        for node in dashboard.state.nodes if dashboard.state else ():
            words = f"{node.link.state.value}, {node_totals(node).free} GPUs free"
            yield f"Go to {clean(node.name)}", words, partial(dashboard.go_to_node, node.name)
