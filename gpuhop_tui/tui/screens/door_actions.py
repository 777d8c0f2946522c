"""What the dashboard does about other ways into a node: its ports, and VS Code."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gpuhop_tui.containers.model import Container
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.screens.container_hops import ContainerHops

if TYPE_CHECKING:
    from gpuhop_tui.fleet.editor import WayIn
    from gpuhop_tui.fleet.state_file import StateFile
    from gpuhop_tui.tui.app import GpuhopApp


class DoorActions(ContainerHops):
    """The part of the dashboard that opens doors for other programs."""

    @property
    def gpuhop(self) -> GpuhopApp:
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they do something."""
        if action in ("ports", "vscode"):
            return self.view.node is not None
        return super().check_action(action, parameters)

    # Ports

    def action_ports(self) -> None:
        """Show what listens on the node, or in the selected container, and what is forwarded."""
        from gpuhop_tui.tui.screens.ports import PortsScreen

        node, container = self.view.node, self.view.selected_container
        ports = self.source.ports(node.name) if node is not None and self.source else None
        if node is None:
            return
        if ports is None:
            problem = node.link.problem
            words = f"{problem.message}. {problem.advice}" if problem else "The way is not known."
            self._say(f"No way to {node.name}", words, "error")
            return
        name = container.name if container is not None else ""
        self.app.push_screen(PortsScreen(self.gpuhop, ports, name))

    # VS Code

    def action_vscode(self) -> None:
        """Open VS Code on the node, or in the selected container by its SSH server."""
        node, container = self.view.node, self.view.selected_container
        if node is None:
            return
        if why := self._why_no_editor(container):
            self._say(container.name if container else node.name, why, "warning")
            return
        self._work(self._ask_where(node, container), "VS Code")

    def _why_no_editor(self, container: Container | None) -> str:
        from gpuhop_tui.fleet.doors import published_sshd

        if self.gpuhop.config_path is None:
            return "The demo's servers end with the demo: VS Code is for your own fleet."
        if container is None:
            return ""
        if not container.running:
            return "It does not run: start it first."
        if published_sshd(container) is None:
            return (
                "It publishes no SSH server, and VS Code goes by SSH. Start it from a template "
                "with `ssh_port`, or with port 22 published; or open VS Code on the node and "
                "attach to the container from there."
            )
        return ""

    async def _ask_where(self, node: NodeState, container: Container | None) -> None:
        from gpuhop_tui.fleet.editor import FILE_NAME, last_path
        from gpuhop_tui.fleet.state_file import StateFile
        from gpuhop_tui.tui.screens.name_dialog import NameDialog

        name = f"{node.name}/{container.name}" if container is not None else node.name
        file = StateFile(FILE_NAME)
        session = self.view.selected_session if container is None else None
        pane = session.active_pane if session is not None and session.place is None else None
        path = pane.cwd if pane is not None else await asyncio.to_thread(last_path, name, file)

        def typed(path: str | None) -> None:
            if path is not None:
                self._work(self._open_editor(node, container, name, path, file), "VS Code")

        empty = "Empty: its own directory." if container else "Empty: your home. ~ is your home."
        words = f"Which folder? {empty}"
        title = f"VS Code on {name}"
        self.app.push_screen(NameDialog(title, words, path, check_path, "Open"), typed)

    async def _open_editor(
        self, node: NodeState, container: Container | None, name: str, path: str, file: StateFile
    ) -> None:
        from gpuhop_tui.fleet.doors import container_doors
        from gpuhop_tui.fleet.editor import EditorError, remember_path, way_in
        from gpuhop_tui.tui.screens.confirm import ConfirmDialog

        config = self.gpuhop.config_path
        if config is None:
            return
        doors = [
            door
            for each in (self.state.nodes if self.state else ())
            for door in container_doors(each)
        ]
        try:
            whole = await self._whole_path(node, container, path)
            way = await way_in(config, name, doors)
        except EditorError as error:
            self._say("VS Code", f"{error.message}. {error.advice}", "error")
            return
        await asyncio.to_thread(remember_path, name, path, file)
        if way.known:
            await self._launch(way, whole)
            return

        def confirmed(yes: bool | None) -> None:
            if yes:
                self._work(self._install_and_launch(way, whole), "VS Code")

        title = f"Make {way.host} known to ssh?"
        self.app.push_screen(ConfirmDialog(title, install_words(way), "write it"), confirmed)

    async def _whole_path(self, node: NodeState, container: Container | None, path: str) -> str:
        """The path, where what was typed leaves something to the node; empty: it cannot tell."""
        if path.startswith("/"):
            return path
        if container is not None:
            return await self._directory_of(container)
        ports = self.source.ports(node.name) if self.source is not None else None
        if ports is None or node.link.state is not LinkState.UP:
            return ""
        try:
            home = await ports.home()
        except ProblemError:
            return ""
        return home + path.removeprefix("~") if home else ""

    async def _directory_of(self, container: Container) -> str:
        from gpuhop_tui.containers.errors import ContainerError

        containers = self.source.containers(container.node) if self.source is not None else None
        if containers is None:
            return ""
        try:
            facts = await containers.engine.call(
                f"looking at {container.name}",
                lambda client: client.inspect_container(container.id),
                timeout=5.0,
            )
        except (ContainerError, ProblemError):
            return ""
        return str((facts.get("Config") or {}).get("WorkingDir") or "/")

    async def _install_and_launch(self, way: WayIn, path: str) -> None:
        from gpuhop_tui.fleet.editor import EditorError, write

        try:
            done = await asyncio.to_thread(write, way)
        except EditorError as error:
            self._say("VS Code", f"{error.message}. {error.advice}", "error")
            return
        self._say("ssh", f"{'; '.join(done.changes) or 'nothing was to be done'}", "information")
        await self._launch(way, path)

    async def _launch(self, way: WayIn, path: str) -> None:
        from gpuhop_tui.fleet.editor import EditorError, find_editor, link, open_editor
        from gpuhop_tui.tui.screens.link_dialog import LinkDialog

        editor = await asyncio.to_thread(find_editor)
        title = f"VS Code on {way.host}"
        if editor is None:
            words = ["There is no `code` on your PATH. This link opens it, in a browser too:"]
            self.app.push_screen(LinkDialog(title, words, link(way.host, path)))
            return
        try:
            await open_editor(editor, way.host, path)
        except EditorError as error:
            words = [f"{error.message}.", error.advice]
            self.app.push_screen(LinkDialog(title, words, link(way.host, path)))
            return
        where = f"{path} on {way.host}" if path else way.host
        self._say("VS Code", f"It opens {where}", "information")


def check_path(path: str) -> str | None:
    """What is wrong with a path that was typed."""
    if path and not path.startswith(("/", "~/")) and path != "~":
        return "a path begins with / or ~/"
    return None


def install_words(way: WayIn) -> list[str]:
    """What is written so that ssh knows a host."""
    file = way.directory / "gpuhop-tui.conf"
    words = [
        f"VS Code goes by your ssh_config, which does not lead to {way.host} as gpuhop does.",
        f"Written is {file}, with entries for {', '.join(way.hosts)}; and one Include line at the "
        f"top of {way.directory / 'config'}, if it is not there yet. That file is kept as it was "
        "beside it, and nothing else of it is changed.",
    ]
    if way.leaving:
        words.append(f"These entries of ours go with the old file: {', '.join(way.leaving)}.")
    return words
