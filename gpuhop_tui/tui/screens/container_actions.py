"""What the dashboard does to containers and images: start, stop, remove, rename, commit, mark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.screen import ModalScreen

from gpuhop_tui.containers.model import Container, Image
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.container_deeds import WORDS, Deed, deed, remove_image
from gpuhop_tui.tui.container_doings import Doings, Failure
from gpuhop_tui.tui.keymap import KEYS, shown_key
from gpuhop_tui.tui.render.engine import Key, image_title, users_of
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.screens.session_actions import SessionActions

if TYPE_CHECKING:
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.fleet.state import NodeState
    from gpuhop_tui.tui.screens.container_menu import MenuItem

_ELSEWHERE = ("hop-as", "logs", "stats", "copy-in", "copy-out")  # keys that the menu has, too


class ContainerActions(SessionActions):
    """The part of the dashboard that acts on containers."""

    def __init__(self) -> None:
        super().__init__()
        self.doings = Doings(self._show_doings)
        self._watched_engine: str | None = None  # the node whose containers are listed
        self._image_names: dict[Key, str] = {}  # what the user called an image that he made

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they do something."""
        view = self.view
        if action == "images":
            return view.shows_containers
        if action in ("container_menu", "mark"):
            return view.selected_container is not None
        if action == "stop" and view.shows_containers:
            return view.selected_container is not None or view.selected_image is not None
        return super().check_action(action, parameters)

    # Listing, for as long as somebody looks

    @property
    def containers_in_view(self) -> NodeState | None:
        """The node whose containers are looked at."""
        return self.view.node if self.view.shows_containers else None

    def watch_containers(self) -> None:
        """List the containers of the node whose tab is in view, and of no other."""
        top = self.app.screen
        covered = top is not self and not isinstance(top, ModalScreen)
        node = self.containers_in_view
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

    def show_selected(self) -> None:
        raise NotImplementedError

    # Marks and images

    @property
    def chosen_containers(self) -> tuple[Container, ...]:
        """The marked containers in view; where none is marked, the selected one."""
        if not self.view.shows_containers or self.view.containers.shows_images:
            return ()
        selected = self.view.selected_container
        return self.view.containers.marked or ((selected,) if selected else ())

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

    # Choosing what to do

    def action_container_menu(self) -> None:
        """Choose from all that can be done to the chosen containers."""
        from gpuhop_tui.tui.render.container_facts import container_facts
        from gpuhop_tui.tui.screens.container_menu import ContainerMenu

        chosen = self.chosen_containers
        if not chosen:
            return
        first = chosen[0]
        title = f"{_called(chosen)} on {first.node}"

        def facts(width: int) -> list[Any]:
            if len(chosen) > 1:
                return []
            sample = self.view.node.sample if self.view.node else None
            return [*container_facts(first, sample, width, self.clock()), ()]

        def done(deed: str | None) -> None:
            if deed is not None:
                self.do_to(chosen, deed)

        self.app.push_screen(ContainerMenu(title, self._menu(chosen), facts), done)

    def _menu(self, chosen: Sequence[Container]) -> list[MenuItem]:
        from gpuhop_tui.tui.screens.container_menu import MenuItem

        states = {each.state for each in chosen}
        running = any(each.running for each in chosen)
        alone = "" if len(chosen) == 1 else "one at a time"
        items = [MenuItem("x", "x", "stop, kill or remove…", "end")]
        if running:
            items.append(MenuItem("r", "r", "restart…", "restart"))
        if "paused" in states:
            items.insert(0, MenuItem("u", "u", "resume", "resume"))
        if not all(each.running for each in chosen):
            items.insert(0, MenuItem("s", "s", "start", "start"))
        items.append(MenuItem("n", "n", "rename…", "rename", alone))
        items.append(MenuItem("c", "c", "make an image of…", "commit", alone))
        if len(chosen) > 1:
            return items
        if running and chosen[0].gpus is not None:
            items.append(MenuItem("g", "g", "look whether it sees its GPUs", "look"))
        if self._can("hop_container"):
            items.insert(0, self._item("hop", "hop into", "hop_container"))
        for key in (each for each in KEYS if each.id in _ELSEWHERE):
            if self._can(key.action):
                items.append(self._item(key.id, key.label, key.action))
        return items

    def _item(self, id: str, words: str, deed: str) -> MenuItem:
        """One that has a key of its own, outside the menu too."""
        from gpuhop_tui.tui.screens.container_menu import MenuItem

        key = next(each for each in KEYS if each.id == id)
        bound = self.app._keymap.get(id, key.keys).partition(",")[0].strip()
        return MenuItem(bound, shown_key(self.app, id), words, deed)

    def _can(self, action: str) -> bool:
        return hasattr(self, f"action_{action}") and bool(self.check_action(action, ()))

    def container_commands(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What can be done now to what is chosen, for the command palette."""
        chosen, image, node = self.chosen_containers, self.view.selected_image, self.view.node
        for item in self._menu(chosen) if chosen else ():
            if not item.why_not:
                name = f"{item.title}: {_called(chosen)} on {clean(chosen[0].node)}"
                yield name, partial(self.do_to, chosen, item.deed)
        if image is not None and node is not None:
            name = f"Remove image {image_title(image)} on {clean(node.name)}"
            yield name, partial(self._ask_to_remove_image, image)
        if self.view.shows_containers:
            shown = "Containers" if self.view.containers.shows_images else "Images and disk use"
            yield f"{shown} of {clean(node.name if node else '')}", self.action_images

    def do_to(self, chosen: Sequence[Container], what: str) -> None:
        """Do something to containers of one node, after the question that it needs."""
        if what == "start":
            self._do("start", [each for each in chosen if not each.running])
        elif what == "resume":
            self._do("resume", [each for each in chosen if each.state == "paused"])
        elif what == "end":
            running = any(each.running for each in chosen)
            self._ask_to_end(chosen, ("stop", "kill", "remove") if running else ("remove",))
        elif what in ("restart", "remove"):
            self._ask_to_end(chosen, (what,))
        elif what == "rename":
            self._ask_for_name(chosen[0])
        elif what == "commit":
            self._ask_for_image(chosen[0])
        elif what == "look":
            self._look_for_gpus(chosen[0])
        else:
            self.call_later(self.run_action, what)

    def action_stop(self) -> None:
        """Stop, kill or remove the chosen containers; remove an image; or end a session."""
        if self.view.selected_image is not None:
            self._ask_to_remove_image(self.view.selected_image)
        elif self.chosen_containers:
            self.do_to(self.chosen_containers, "end")
        elif not self.view.shows_containers:
            super().action_stop()

    # Asking

    def _ask_to_end(self, chosen: Sequence[Container], ways: Sequence[str]) -> None:
        from gpuhop_tui.containers.actions import losses
        from gpuhop_tui.fleet.containers import gpu_processes
        from gpuhop_tui.tui.screens.end_containers import EndContainersDialog

        containers = self._engine_of(chosen[0].node)
        if containers is None:
            return
        state = self.state.node(chosen[0].node) if self.state else None
        sample = state.live_sample if state else None

        def answered(way: str | None) -> None:
            if way in ("stop", "kill", "restart"):
                self._do(way, [each for each in chosen if each.running])
            elif way is not None:
                self._do(way, chosen)

        dialog = EndContainersDialog(
            chosen,
            ways,
            partial(losses, containers.engine),
            partial(gpu_processes, sample=sample),
            self.clock,
        )
        self.app.push_screen(dialog, answered)

    def _ask_for_name(self, container: Container) -> None:
        from gpuhop_tui.containers.actions import rename
        from gpuhop_tui.containers.names import check_container_name
        from gpuhop_tui.tui.screens.name_dialog import NameDialog

        containers = self._engine_of(container.node)
        if containers is None:
            return

        async def use(name: str) -> None:
            if name != container.name:
                await rename(containers.engine, container, name)

        title = f"Rename {container.name} on {container.node}"
        words = "Its new name:"
        dialog = NameDialog(title, words, container.name, check_container_name, "Rename", use)
        self.app.push_screen(dialog)

    def _ask_for_image(self, container: Container) -> None:
        from gpuhop_tui.containers.actions import commit
        from gpuhop_tui.containers.names import check_image_name
        from gpuhop_tui.tui.screens.name_dialog import NameDialog

        containers = self._engine_of(container.node)
        if containers is None:
            return

        def named(name: str | None) -> None:
            if name is not None:
                self._image_names[container.key] = name
                deed = partial(commit, containers.engine, container, name)
                told = f"{container.name} is now an image, too: {name}"
                self._begin("making an image", {container.key: deed}, container.node, told)

        title = f"Make an image of {container.name} on {container.node}"
        words = "The image's name. What is mounted is left out; it stands still meanwhile."
        before = self._image_names.get(container.key, f"{container.name.lower()}:latest")
        self.app.push_screen(NameDialog(title, words, before, check_image_name, "Make"), named)

    def _ask_to_remove_image(self, image: Image) -> None:
        from gpuhop_tui.tui.screens.confirm import ConfirmDialog

        node = self.view.node
        containers = self._engine_of(node.name) if node else None
        if node is None or containers is None:
            return
        title = image_title(image)
        users = users_of(image, node.containers) if node.containers else []
        if users:
            what = f"{title} is the image of {', '.join(users)}. Remove what is made of it first."
            self._say(node.name, what, "warning")
            return

        def confirmed(yes: bool | None) -> None:
            if yes:
                deed = partial(remove_image, containers.engine, image)
                words = f"{title} was removed"
                self._begin("removing", {(node.name, image.id): deed}, node.name, words)

        words = ["It has to be pulled or built again to be used again."]
        if len(image.tags) > 1:
            words.insert(0, f"All its names go: {', '.join(image.tags)}.")
        question = f"Remove image {title} on {node.name}?"
        self.app.push_screen(ConfirmDialog(question, words, "remove it"), confirmed)

    def _engine_of(self, node: str) -> NodeContainers | None:
        """A node's engine; None, after it was said why, where it is not to be had."""
        state = self.state.node(node) if self.state else None
        if state is None or self.source is None:
            return None
        if state.link.state is not LinkState.UP:
            self._refuse(state)
            return None
        return self.source.containers(node)

    # Doing

    def _do(self, name: str, chosen: Sequence[Container]) -> None:
        containers = self._engine_of(chosen[0].node) if chosen else None
        if containers is None:
            return
        deeds = {each.key: deed(name, containers.engine, each) for each in chosen}
        doing, done = WORDS[name]
        words = f"{_called(chosen)} {'was' if len(chosen) == 1 else 'were'} {done}"
        self._begin(doing, deeds, chosen[0].node, words)

    def _begin(self, doing: str, deeds: Mapping[Key, Deed], node: str, done: str) -> None:
        """Do it all in the background; say `done` where nothing fails."""

        async def work() -> None:
            failures = await self.doings.do(doing, deeds)
            self._tell_failures(node, failures.values(), len(deeds))
            if not failures:
                self._say(node, done, "information")

        self.run_worker(work(), name=doing, exit_on_error=False)

    def _look_for_gpus(self, container: Container) -> None:
        containers = self._engine_of(container.node)
        if containers is None:
            return

        async def work() -> None:
            async def look() -> None:
                lost = await containers.check_gpus(container)
                what = (
                    f"{container.name}: {lost}"
                    if lost
                    else (f"no GPU of {container.name} is seen to be lost")
                )
                self._say(container.node, what, "warning" if lost else "information")

            failures = await self.doings.do("looking", {container.key: look})
            self._tell_failures(container.node, failures.values(), 1)

        self.run_worker(work(), name="look", exit_on_error=False)

    def _tell_failures(self, node: str, failures: Iterable[Failure], number: int) -> None:
        """Each is said in full where it happened, in the list; here, too, where it is one."""
        said = list(failures)
        if len(said) == 1:
            self._say(node, str(said[0]), "error")
        elif said:
            words = f"{len(said)} of {number} failed; the list says why at each. {said[0].message}"
            self._say(node, words, "error")

    def _show_doings(self) -> None:
        if not self.is_attached:
            return
        self.view.containers.busy = self.doings.busy
        self.view.containers.failures = self.doings.failures
        self.view.lay_out()


def _called(chosen: Sequence[Container]) -> str:
    return clean(chosen[0].name) if len(chosen) == 1 else plural(len(chosen), "container")
