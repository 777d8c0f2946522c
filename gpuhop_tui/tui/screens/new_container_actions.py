"""What the dashboard does about new containers, images, and work in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual.screen import Screen

from gpuhop_tui.fleet.state import FleetSource, FleetState
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit_line
from gpuhop_tui.tui.render.states import link_words

if TYPE_CHECKING:
    from gpuhop_tui.config.schema import TemplateConfig
    from gpuhop_tui.containers.start import Started
    from gpuhop_tui.fleet.containers import NodeContainers
    from gpuhop_tui.tui.app import GpuhopApp
    from gpuhop_tui.tui.starting.draft import Origin, Values
    from gpuhop_tui.tui.widgets.header import FleetHeader
    from gpuhop_tui.tui.widgets.target_view import TargetView


class NewContainerActions(Screen[None]):
    """The part of the dashboard that begins work in the background and shows it."""

    header: FleetHeader
    view: TargetView
    state: FleetState | None
    source: FleetSource | None
    clock: Callable[[], float]
    _had_work = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they do something."""
        if action == "new_container":
            return self.view.node is not None
        if action == "work":
            return bool(self.gpuhop.work.jobs)
        return super().check_action(action, parameters)

    @property
    def gpuhop(self) -> GpuhopApp:
        from gpuhop_tui.tui.app import GpuhopApp

        assert isinstance(self.app, GpuhopApp)
        return self.app

    def go_to_node(self, name: str) -> None:
        raise NotImplementedError

    # A new container

    def action_new_container(self) -> None:
        """Open the form, from the template that is chosen where there are several."""
        templates = self.gpuhop.templates
        if self._engine() is None:
            return
        if len(templates) <= 1:
            self.new_container(templates[0] if templates else None)
            return
        from gpuhop_tui.tui.screens.choose import ChooseDialog

        choices: Sequence[TemplateConfig | None] = (*templates, None)

        def chosen(number: int | None) -> None:
            if number is not None:
                self.new_container(choices[number])

        makers = [partial(template_line, template) for template in choices]
        title = f"New container on {self._node_name}: from which template?"
        self.app.push_screen(ChooseDialog(title, makers), chosen)

    def new_container(self, template: TemplateConfig | None) -> None:
        """Open the form for the selected node. None: an empty one."""
        from gpuhop_tui.tui.starting.draft import origin_of, values_of

        if self._engine() is not None:
            self.open_form(self._node_name, values_of(template), origin_of(template))

    def open_form(
        self, node: str, values: Values, origin: Origin, failure: tuple[str, str] = ("", "")
    ) -> None:
        """Open the form with these values; after a failed start, with its reason."""
        from gpuhop_tui.tui.screens.new_container import NewContainerScreen

        containers = self.source.containers(node) if self.source else None
        if containers is None:
            self._refuse_form(node, "The way to it is not known.")
            return

        def ended(started: Started | None) -> None:
            if started is not None:
                self._show_container(started)

        form = NewContainerScreen(self, node, containers, values, origin, failure)
        self.app.push_screen(form, ended)

    def await_container(self, started: Started) -> None:
        """Have it selected when the user looks there next; a list that is being looked at stays as
        it is: the next key may be meant for what is selected now."""
        container = started.container
        looked_at = self.view.shows_containers and self._node_name == container.node
        if not looked_at or self.app.screen is not self:
            self.view.containers.await_container(container.node, container.id)

    def _show_container(self, started: Started) -> None:
        from gpuhop_tui.fleet.containers import node_gpus
        from gpuhop_tui.tui.starting.run import success

        container = started.container
        node = self.state.node(container.node) if self.state else None
        words = success(started, node_gpus(node.live_sample if node else None))
        self.go_to_node(container.node)
        self.view.tabs.active = "containers"
        self.view.containers.await_container(container.node, container.id)
        self.view.lay_out()
        self.set_focus(self.view.containers)
        self.notify(clean(words), title=clean(container.node), timeout=6, markup=False)

    # Images

    def pull_image(self) -> None:
        """Ask which image, and pull it in the background."""
        from gpuhop_tui.tui.screens.new_image import PullDialog

        containers = self._engine()
        if containers is not None:
            self.app.push_screen(PullDialog(self.gpuhop, self._node_name, containers))

    def build_image(self, preset: str = "") -> None:
        """Ask from what, and build it in the background."""
        from gpuhop_tui.tui.screens.new_image import BuildDialog

        containers = self._engine()
        if containers is not None:
            self.app.push_screen(
                BuildDialog(self.gpuhop, self._node_name, containers, preset=preset)
            )

    # Work in the background

    def action_work(self) -> None:
        """Show what goes on in the background."""
        from gpuhop_tui.tui.screens.work import WorkScreen

        self.app.push_screen(WorkScreen(self.gpuhop))

    def show_work(self) -> None:
        """A job began, is further, or ended."""
        jobs = self.gpuhop.work.jobs
        self.header.show_work(jobs)
        if bool(jobs) != self._had_work:
            self._had_work = bool(jobs)
            self.refresh_bindings()

    # The selected node

    @property
    def _node_name(self) -> str:
        return self.view.node.name if self.view.node is not None else ""

    def _engine(self) -> NodeContainers | None:
        """The selected node's engine; None, after it was said why, where there is no way to it."""
        node = self.view.node
        if node is None or self.source is None:
            self.notify("Select a node first", timeout=3)
            return None
        if node.link.state is not LinkState.UP:
            problem = node.link.problem
            words = link_words(node.link, self.clock()).text
            self._refuse_form(
                node.name, f"{problem.message} {problem.advice}" if problem else words
            )
            return None
        return self.source.containers(node.name)

    def _refuse_form(self, node: str, words: str) -> None:
        title = f"No way to {clean(node)}".replace("[", r"\[")
        self.notify(clean(words), title=title, severity="error", timeout=12, markup=False)


def template_line(template: TemplateConfig | None, width: int) -> Line:
    """`pytorch-ssh   pytorch-ssh:2.8  gpus all  built where it is absent`."""
    if template is None:
        return fit_line((Span("an empty form", Tone.DIM),), width)
    gpus = template.gpus
    wanted = ",".join(map(str, gpus)) if isinstance(gpus, tuple) else str(gpus)
    spans = [
        Span(clean(template.name), Tone.STRONG),
        Span(f"  {clean(template.image)}"),
        Span(f"  gpus {clean(wanted)}", Tone.DIM),
    ]
    if template.build is not None:
        spans.append(Span("  built where it is absent", Tone.DIM))
    return fit_line(spans, width)
