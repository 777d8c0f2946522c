"""What the dashboard does about shells in containers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gpuhop_tui.containers.model import Container
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.tui.screens.container_actions import ContainerActions

if TYPE_CHECKING:
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.tui.screens.hop_as import HopAs


class ContainerHops(ContainerActions):
    """The part of the dashboard that hops into containers."""

    def __init__(self) -> None:
        super().__init__()
        self._hopped_as: dict[tuple[str, str], HopAs] = {}  # the last choice, by container's key

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they do something."""
        if action in ("hop_container", "hop_as"):
            return self.view.selected_container is not None
        return super().check_action(action, parameters)

    def action_hop_container(self) -> None:
        """Hop into the selected container; offer to start one that does not run."""
        from gpuhop_tui.tui.screens.hop_as import HopAs

        container = self.view.selected_container
        if container is not None:
            self._hop_into(container, HopAs())

    def action_hop_as(self) -> None:
        """Choose the user, the directory and the way, then hop into the selected container."""
        from gpuhop_tui.fleet.doors import login_user, published_sshd
        from gpuhop_tui.tui.screens.hop_as import HopAs, HopAsDialog

        container = self.view.selected_container
        if container is None:
            return
        key, door = container.key, published_sshd(container)

        def chosen(choice: HopAs | None) -> None:
            if choice is not None:
                self._hopped_as[key] = choice
                self._hop_into(container, choice)

        dialog = HopAsDialog(
            container.name,
            container.node,
            self._hopped_as.get(key, HopAs()),
            usual_user=container.user or "root",
            ssh_port=door[0] if door else None,
            ssh_user=login_user(container),
        )
        self.app.push_screen(dialog, chosen)

    def _hop_into(self, container: Container, choice: HopAs) -> None:
        node = self.state.node(container.node) if self.state else None
        containers = self._engine_of(container.node)
        if node is None or containers is None or self.hopper.is_away:
            return
        if container.state == "running":
            self._work(self._enter(node, containers, container, choice), "hop")
        elif container.state in ("created", "exited"):
            self._offer_start(node, containers, container, choice)
        else:
            advice = {
                "paused": f"Unpause it first: `docker unpause {container.name}` on the node.",
                "dead": "Remove it: it cannot be started any more.",
            }.get(container.state, "Wait until it runs, then try again.")
            self._say(node.name, f"{container.name} is {container.state}. {advice}", "warning")

    def _offer_start(
        self, node: NodeState, containers: NodeContainers, container: Container, choice: HopAs
    ) -> None:
        from gpuhop_tui.tui.screens.confirm import ConfirmDialog

        def confirmed(yes: bool | None) -> None:
            if yes:
                self._work(self._start(node, containers, container, choice), "start")

        how = "was never started"
        if container.exit_code is not None:
            how = f"has stopped (exit status {container.exit_code})"
        words = [f"It {how}: there is no shell to hop into until it runs."]
        title = f"Start container {container.name} on {node.name}?"
        self.app.push_screen(ConfirmDialog(title, words, "start it and hop"), confirmed)

    async def _start(
        self, node: NodeState, containers: NodeContainers, container: Container, choice: HopAs
    ) -> None:
        from gpuhop_tui.containers.actions import start

        deed = partial(start, containers.engine, container)
        failures = await self.doings.do("starting", {container.key: deed})
        self._tell_failures(node.name, failures.values(), 1)
        if not failures:
            await self._enter(node, containers, container, choice)

    async def _enter(
        self, node: NodeState, containers: NodeContainers, container: Container, choice: HopAs
    ) -> None:
        from gpuhop_tui.containers.errors import ContainerError
        from gpuhop_tui.fleet.container_hops import door_of, place_in

        engine = containers.engine
        try:
            if choice.by_ssh:
                door = await door_of(engine, container, user=choice.user)
                target = HopTarget(door=door)
            else:
                place = await place_in(
                    engine, container, user=choice.user, directory=choice.directory
                )
                target = HopTarget.in_container(place)
        except ContainerError as error:
            self._say(node.name, f"{error.message}. {error.advice}", "error")
            return
        self.hop(node, target)
