"""What the dashboard does to containers and images: start, stop, remove, rename, commit, mark."""

from __future__ import annotations

from textual.screen import ModalScreen

from gpuhop_tui.containers.model import Container
from gpuhop_tui.tui.container_doings import Doings
from gpuhop_tui.tui.screens.session_actions import SessionActions


class ContainerActions(SessionActions):
    """The part of the dashboard that acts on containers."""

    def __init__(self) -> None:
        super().__init__()
        self.doings = Doings(self._show_doings)
        self._watched_engine: str | None = None  # the node whose containers are listed

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they do something."""
        if action == "images":
            return self.view.shows_containers
        if action in ("container_menu", "mark"):
            return self.view.selected_container is not None
        return super().check_action(action, parameters)

    # Listing, for as long as somebody looks

    def watch_containers(self) -> None:
        """List the containers of the node whose tab is in view, and of no other."""
        top = self.app.screen
        covered = top is not self and not isinstance(top, ModalScreen)
        node = self.view.node if self.view.shows_containers else None
        wanted = None if node is None or covered or self.hopper.is_away else node.name
        if wanted == self._watched_engine or self.source is None:
            return
        for name, on in ((self._watched_engine, False), (wanted, True)):
            containers = self.source.containers(name) if name is not None else None
            if containers is not None:
                containers.watch(on)
        self._watched_engine = wanted

    def go_to_container(self, container: Container) -> None:
        """Select a container on its node."""
        self.go_to_node(container.node)
        self.view.tabs.active = "containers"
        self.view.containers.await_container(container.node, container.id)
        self.view.lay_out()
        self.set_focus(self.view.containers)

    # Looking

    def action_images(self) -> None:
        """Show the engine's images, or again its containers."""
        self.view.containers.turn()
        self.show_selected()

    def action_mark(self) -> None:
        """Mark the selected container, or take its mark away."""
        container = self.view.selected_container
        if container is not None:
            self.view.containers.mark(container)
            self.show_selected()

    def clear_containers(self) -> bool:
        """Take back what is marked or failed, else leave the images; whether there was any."""
        if not self.view.shows_containers:
            return False
        rows = self.view.containers
        cleared = rows.clear_marks() or self.doings.forget_failures()
        if not cleared and rows.shows_images:
            rows.turn()
            cleared = True
        if cleared:
            self.show_selected()
        return cleared

    def _show_doings(self) -> None:
        self.view.containers.busy = self.doings.busy
        self.view.containers.failures = self.doings.failures
        self.view.lay_out()

    def show_selected(self) -> None:
        raise NotImplementedError
