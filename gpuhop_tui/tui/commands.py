"""The command palette: every node by name, and what the keys do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.app import App
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from gpuhop_tui.containers.context import PRESETS
from gpuhop_tui.fleet.summary import node_totals
from gpuhop_tui.tui.render.containers import all_containers, state_words
from gpuhop_tui.tui.render.engine import short_image
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.sessions import all_sessions, describe
from gpuhop_tui.tui.render.tree import Sort
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.screens.dashboard import DashboardScreen

Command = tuple[str, str, Callable[[], object]]  # name, help, what it does


def _screenshot(app: App[object]) -> Callable[[], object]:
    """Takes the picture once the palette is gone."""
    return lambda: app.set_timer(0.2, app.deliver_screenshot)


def _container_commands(dashboard: DashboardScreen) -> Iterator[Command]:
    """New containers, images, and the work in the background."""
    node = dashboard.view.node
    if node is not None:
        where = f"on {clean(node.name)}"
        new = partial(dashboard.new_container, None)
        yield f"New container {where}", "An empty form", new
        for template in dashboard.gpuhop.templates:
            name = f"New container {where} from {clean(template.name)}"
            run = partial(dashboard.new_container, template)
            yield name, f"The form, from the template; image {clean(template.image)}", run
        yield f"Pull image {where}…", "In the background, without a start", dashboard.pull_image
        yield f"Build from Dockerfile {where}…", "In the background", dashboard.build_image
        for preset in PRESETS:
            run = partial(dashboard.build_image, preset)
            yield f"Build preset {preset} {where}…", "A Dockerfile that gpuhop brings", run
    yield "Work in the background", "Pulls, builds, copies, starts", dashboard.action_work


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
        yield "Doctor", "Check everything from the config to the GPUs", dashboard.action_doctor
        yield "Keys", "What the SSH agent holds, and your key files", dashboard.action_keys
        yield "Details", "Every figure of the selected GPU", dashboard.action_details
        words = "The past of the selected GPU as graphs: zoom, read, export"
        yield "History", words, dashboard.action_history
        yield from _container_commands(dashboard)
        yield from dashboard.alert_commands()
        yield "Reserve GPU", "Ask for the selected GPU by a note", dashboard.action_reserve
        for sort in Sort:
            run = partial(dashboard.fleet_tree.order, sort=sort)
            yield f"Sort by {sort.value}", "Order of the nodes behind a bastion", run
        for node in dashboard.state.nodes if dashboard.state else ():
            words = f"{node.link.state.value}, {plural(node_totals(node).free, 'GPU')} free"
            yield f"Go to {clean(node.name)}", words, partial(dashboard.go_to_node, node.name)
        for session in all_sessions(dashboard.state.nodes if dashboard.state else ()):
            name = f"session: {clean(session.name)} on {clean(session.node)}"
            yield name, describe(session), partial(dashboard.go_to_session, session)
        for name, do in dashboard.container_commands():
            yield name, "Containers", do
        for container in all_containers(dashboard.state.nodes if dashboard.state else ()):
            name = f"container: {clean(container.name)} on {clean(container.node)}"
            words = f"{state_words(container).text}, {short_image(container.image, 50)}"
            yield name, words, partial(dashboard.go_to_container, container)
        if dashboard.view.node is not None:
            on_node = clean(dashboard.view.node.name)
            yield f"Ports of {on_node}", "What listens there; forward it", dashboard.action_ports
            yield f"VS Code on {on_node}", "By Remote-SSH, at a folder", dashboard.action_vscode
        yield "Agent guard", "Who the agent is lent to, and what was signed", dashboard.action_guard
        yield "Theme", "Change the colours", app.action_change_theme
        yield "Help", "Keys and glyphs", partial(app.run_action, "help")
        yield "Save a screenshot", "Write an SVG picture of the screen", _screenshot(app)
        yield "Quit", "Leave", partial(app.run_action, "quit_fleet")
