"""The selected node's containers, or the images of its engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType

from gpuhop_tui.containers.model import Container, Image, Listing
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.render.containers import KeyNames, container_rows
from gpuhop_tui.tui.render.engine import Extras, Key, image_rows
from gpuhop_tui.tui.widgets.rows import Rows


class ContainerList(Rows):
    """The selection and the marks are remembered for each node.

    `busy` and `failures` are what is under way and what became of it, by the node and the id
    of a container or an image; whoever acts sets them, and has it laid out anew.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "screen.hop_container", "hop", id="hop"),
    ]

    def __init__(self) -> None:
        super().__init__(id="containers", classes="-absent")
        self.shows_images = False
        self.busy: Mapping[Key, str] = {}
        self.failures: Mapping[Key, str] = {}
        self._node = ""
        self._listing = Listing()
        self._selected_on: dict[tuple[str, bool], object] = {}  # node, whether images
        self._marked: dict[str, set[Key]] = {}  # by node
        self._live_at: dict[str, float] = {}  # by node, when its listing was last one of now
        self._awaited: Key | None = None
        self._laid: tuple[object, ...] = ()  # what the lines were laid out for

    def show(self, node: NodeState, now: float, keys: KeyNames) -> None:
        """Show the containers or images of a node."""
        if node.name != self._node:
            self._turn_to(node.name, self.shows_images)
        self._listing = node.containers or Listing()
        if node.link.state is LinkState.UP and node.containers_problem is None:
            self._live_at[node.name] = now
        listed = {each.key for each in self._listing.containers}
        marked = self._marked.get(node.name, set())
        marked &= listed
        self._lay_out(node, now, keys)
        if self._awaited in listed:
            self.select(self._awaited)
            self._awaited = None

    def _lay_out(self, node: NodeState, now: float, keys: KeyNames) -> None:
        """Lay the lines out, where they would be others than before."""
        marked = frozenset(self._marked.get(node.name, ()))
        extras = Extras(marked, dict(self.busy), dict(self.failures), self._live_at.get(node.name))
        state = (node.name, node.link, node.containers, node.containers_problem, node.sample)
        wanted = (*state, self.shows_images, self.room, int(now), keys, extras)
        if wanted == self._laid:
            return
        self._laid = wanted
        if self.shows_images:
            self.show_rows(image_rows(node, self.room, now, extras))
        else:
            self.show_rows(container_rows(node, self.room, now, keys, extras))

    def _turn_to(self, node: str, images: bool) -> None:
        if self.selected is not None:
            self._selected_on[self._node, self.shows_images] = self.selected
        self._node, self.shows_images = node, images
        self.selected = self._selected_on.get((node, images))
        self.cursor = None
        self.scroll_home(animate=False)

    # Containers and images

    def turn(self) -> None:
        """Show the images, or again the containers. To be laid out anew."""
        self._turn_to(self._node, not self.shows_images)

    @property
    def container(self) -> Container | None:
        """The selected container as it is now."""
        if self.shows_images:
            return None
        return next((c for c in self._listing.containers if c.key == self.selected), None)

    @property
    def image(self) -> Image | None:
        """The selected image as it is now."""
        if not self.shows_images:
            return None
        return next((each for each in self._listing.images if each.id == self.selected), None)

    def await_container(self, node: str, id: str) -> None:
        """Select a container as soon as it is listed."""
        self._awaited = (node, id)
        if self.shows_images:
            self.turn()

    # Marks

    @property
    def marked(self) -> tuple[Container, ...]:
        """The marked containers of the node, in their order."""
        keys = self._marked.get(self._node, set())
        return tuple(each for each in self._listing.containers if each.key in keys)

    def mark(self, container: Container) -> None:
        """Mark a container of the node, or take its mark away; go on to the next."""
        self._marked.setdefault(self._node, set()).symmetric_difference_update({container.key})
        self.action_move(1)

    def clear_marks(self) -> bool:
        """Take all marks on the node away; whether there were any."""
        return bool(self._marked.pop(self._node, None))
