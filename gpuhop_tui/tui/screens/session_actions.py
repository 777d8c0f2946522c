"""What the dashboard does about shells and tmux sessions: hop, attach, tail, start, end."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import SuspendNotSupported
from textual.screen import ModalScreen, Screen

from gpuhop_tui.fleet.state import BastionState, FleetSource, FleetState, NodeState
from gpuhop_tui.problem import ProblemError
from gpuhop_tui.sessions.hop_memory import OpenHop, forget
from gpuhop_tui.sessions.hop_target import HopEnd, HopResult, HopTarget
from gpuhop_tui.sessions.model import TmuxPane, TmuxSession
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.keymap import shown_key
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.sessions import describe, pane_line, socket_name
from gpuhop_tui.tui.render.states import link_words
from gpuhop_tui.tui.render.units import plural
from gpuhop_tui.tui.widgets.offer_bar import OfferBar

if TYPE_CHECKING:
    from gpuhop_tui.fleet.sessions import NodeSessions
    from gpuhop_tui.sessions.tmux_actions import Created, NewSession
    from gpuhop_tui.tui.hopping import Hopper
    from gpuhop_tui.tui.widgets.target_view import TargetView

Place = BastionState | NodeState  # where one can hop

_READY = (LinkState.UP, LinkState.CONNECTING)  # a hop waits for a login that is under way


class SessionActions(Screen[None]):
    """The part of the dashboard that acts on sessions."""

    view: TargetView
    state: FleetState | None
    source: FleetSource | None
    clock: Callable[[], float]

    def __init__(self) -> None:
        super().__init__()
        self.offer = OfferBar()
        self._offers: list[OpenHop] = []
        self._watched: str | None = None  # the node whose sessions are listed

    @property
    def hopper(self) -> Hopper:
        from gpuhop_tui.tui.app import GpuhopApp

        assert isinstance(self.app, GpuhopApp)
        return self.app.hopper

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there where they do something."""
        if action == "hop":
            return self.view.target is not None
        if action == "new_session":
            return self.view.node is not None
        if action in ("attach", "tail", "stop"):
            return self.view.selected_session is not None
        if action == "back":
            return self._offered is not None
        return True

    # Listing, for as long as somebody looks

    @property
    def sessions_in_view(self) -> NodeState | None:
        """The node whose sessions are looked at."""
        return self.view.node if self.view.shows_sessions else None

    def watch_sessions(self) -> None:
        """List the sessions of the node whose tab is in view, and of no other."""
        top = self.app.screen
        covered = top is not self and not isinstance(top, ModalScreen)
        node = self.sessions_in_view
        wanted = None if node is None or covered or self.hopper.is_away else node.name
        if wanted == self._watched or self.source is None:
            return
        for name, on in ((self._watched, False), (wanted, True)):
            sessions = self.source.sessions(name) if name is not None else None
            if sessions is not None:
                sessions.watch(on)
        self._watched = wanted

    def watch_fleet(self, wanted: bool) -> None:
        """List the sessions of every node, or again only those in view."""
        if self.source is not None:
            self.source.watch_sessions(wanted)
            self._watched = None
            if not wanted:
                self.watch_sessions()

    def go_to_session(self, session: TmuxSession) -> None:
        """Select a session on its node."""
        self.go_to_node(session.node)
        self.view.tabs.active = "sessions"
        self.view.sessions.await_session(session.node, session.server, session.id)
        self.view.lay_out()
        self.set_focus(self.view.sessions)

    def go_to_node(self, name: str) -> None:
        raise NotImplementedError

    # Hopping

    def action_hop(self) -> None:
        """Hop into the shell of the node, or of the bastion."""
        if self.view.target is not None:
            self.hop(self.view.target, HopTarget.shell())

    def action_attach(self) -> None:
        """Attach to the selected session."""
        node, session = self.view.node, self.view.selected_session
        if node is not None and session is not None:
            self.hop(node, HopTarget.attached(session.name, session.socket, session.place))

    def hop(self, node: Place, target: HopTarget) -> None:
        """Hand the terminal over to a session, or say at once why that cannot be."""
        if self.hopper.is_away or self.source is None:
            return
        if node.link.state not in _READY:
            self._refuse(node)
            return
        self._work(self._hop(self.source, node, target), "hop")

    def _refuse(self, node: Place) -> None:
        problem = node.link.problem
        words = [link_words(node.link, self.clock()).text]
        if problem is not None:
            words = [f"{problem.message}", problem.advice]
        self._say(f"No way to {node.name}", " ".join(words), "error")

    async def _hop(self, source: FleetSource, node: Place, target: HopTarget) -> None:
        try:
            result = await self.hopper.hop(source, node, target)
        except SuspendNotSupported:
            self._say(node.name, "This terminal cannot be handed over to a shell.", "error")
            return
        self.watch_sessions()
        if result.end is HopEnd.SIGNALLED:
            self.app.exit(return_code=result.exit_status)
            return
        self._drop_offers(lambda hop: (hop.node, hop.target) == (node.name, target))
        self._tell(node, result)

    def _tell(self, node: Place, result: HopResult) -> None:
        words = result.message
        if result.problem is not None:
            words += f". {result.problem.advice}"
        if result.end is HopEnd.FAILED:
            self._say(node.name, words, "error")
        else:
            self._say(node.name, words, "warning" if result.exit_status else "information")

    # Hops that were open when the program was killed

    def offer_hops(self, hops: Sequence[OpenHop]) -> None:
        """Offer the way back into these, one after the other."""
        self._offers = list(hops)
        self.show_offer()

    @property
    def _offered(self) -> OpenHop | None:
        """The first that leads to a node or bastion of this fleet."""
        return next((hop for hop in self._offers if self._place(hop.node) is not None), None)

    def _place(self, name: str) -> Place | None:
        state = self.state
        if state is None:
            return None
        bastion = next((each for each in state.bastions if each.name == name), None)
        return bastion or state.node(name)

    def show_offer(self) -> None:
        """Show what is offered now, and the keys that go with it."""
        self.offer.show(self._offered, shown_key(self.app, "back"), self.clock())
        self.refresh_bindings()

    def action_back(self) -> None:
        """Go back into the shell that is offered."""
        hop = self._offered
        node = self._place(hop.node) if hop is not None else None
        if hop is not None and node is not None:
            self.hop(node, hop.target)

    def refuse_offer(self) -> bool:
        """Forget what is offered; whether there was anything."""
        offered = self._offered
        self._drop_offers(lambda hop: hop is offered)
        return offered is not None

    def _drop_offers(self, done: Callable[[OpenHop], bool]) -> None:
        for hop in [hop for hop in self._offers if done(hop)]:
            self._offers.remove(hop)
            forget(hop)
        self.show_offer()

    # Tails

    def action_tail(self) -> None:
        """Watch the selected session; choose a pane where there are several."""
        session = self.view.selected_session
        if session is not None:
            choose_pane(self, session, partial(self._tail, session))

    def _tail(self, session: TmuxSession, pane: TmuxPane) -> None:
        from gpuhop_tui.tui.screens.tails import TailsScreen

        if self.source is not None:
            self.app.push_screen(TailsScreen(self, session, pane))

    # Starting and ending sessions

    def action_new_session(self) -> None:
        """Fill in the form for a new session, in the container where one is selected."""
        from gpuhop_tui.tui.screens.new_session import NewSessionDialog

        node, container = self.view.node, self.view.selected_container
        sessions = self._sessions_of(node)
        if node is None or sessions is None:
            return
        if container is not None and container.state != "running":
            self._say(node.name, f"{container.name} does not run: start it first", "warning")
            return
        where = node.name if container is None else f"{container.name} on {node.name}"
        beside = None if container is None else container.id
        taken = frozenset(
            each.name
            for each in node.sessions or ()
            if not socket_name(each) and (each.place.id if each.place else None) == beside
        )
        engines = self.source.containers(node.name) if self.source else None

        async def make(wanted: NewSession) -> Created:
            if container is None or engines is None:
                return await sessions.new(wanted)
            from gpuhop_tui.fleet.container_hops import place_in

            return await sessions.new(wanted, await place_in(engines.engine, container))

        def made(created: Created | None) -> None:
            if created is not None:
                self.go_to_node(node.name)
                self.view.tabs.active = "sessions"
                self.view.sessions.await_session(node.name, created.server, created.session_id)
                self.view.lay_out()
                self.set_focus(self.view.sessions)

        self.app.push_screen(NewSessionDialog(where, make, taken), made)

    def action_stop(self) -> None:
        """End the selected session once that is confirmed; dismiss what has ended unasked."""
        from gpuhop_tui.tui.screens.confirm import ConfirmDialog

        node, session = self.view.node, self.view.selected_session
        sessions = self._sessions_of(node)
        if node is None or session is None or sessions is None:
            return
        dead = [pane for pane in session.panes if pane.dead]
        if dead:
            self._work(self._dismiss(sessions, session, dead), "dismiss")
            return

        def confirmed(yes: bool | None) -> None:
            if yes:
                self._work(self._kill(sessions, session), "kill")

        inside = f" in {session.container}" if session.container else ""
        title = f"Kill session {session.name}{inside} on {node.name}?"
        words = [f"It runs {describe(session)}.", "What runs in it ends, for everybody."]
        self.app.push_screen(ConfirmDialog(title, words, "kill it"), confirmed)

    def _sessions_of(self, node: NodeState | None) -> NodeSessions | None:
        """What acts on a node's sessions; None, after it was said why, where nothing can."""
        if node is None or self.source is None:
            return None
        if node.link.state is not LinkState.UP:
            self._refuse(node)
            return None
        return self.source.sessions(node.name)

    async def _kill(self, sessions: NodeSessions, session: TmuxSession) -> None:
        await sessions.kill(session)
        self._say(session.node, f"session {session.name} was killed", "information")

    async def _dismiss(
        self, sessions: NodeSessions, session: TmuxSession, panes: Sequence[TmuxPane]
    ) -> None:
        for pane in panes:
            await sessions.dismiss(session, pane)
        what = session.name if len(panes) == len(session.panes) else plural(len(panes), "pane")
        self._say(session.node, f"{what} dismissed", "information")

    # Work in the background

    def _work(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.run_worker(self._guarded(work, name), name=name, group=name, exit_on_error=False)

    async def _guarded(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Says what goes wrong."""
        from gpuhop_tui.sessions.tmux_actions import SessionError

        try:
            await work
        except SessionError as error:
            self._say(f"{name} failed", f"{error.message}. {error.advice}", "error")
        except ProblemError as error:
            problem = error.problem
            self._say(problem.hop, f"{problem.message}. {problem.advice}", "error")
        except Exception as error:
            self.log.error(error)
            self._say(f"{name} failed", f"{type(error).__name__}: {error}", "error")

    def _say(self, title: str, words: str, severity: Any) -> None:
        words = clean(words)
        self.notify(
            words[:1].upper() + words[1:],
            title=clean(title).replace("[", r"\["),
            severity=severity,
            timeout=12 if severity == "error" else 6,
            markup=False,
        )


def choose_pane(
    screen: Screen[Any], session: TmuxSession, then: Callable[[TmuxPane], None]
) -> None:
    """Call `then` with a session's pane: the one there is, or that the user chooses."""
    from gpuhop_tui.tui.screens.choose import ChooseDialog

    panes = session.panes
    if len(panes) == 1:
        then(panes[0])
        return

    def chosen(number: int | None) -> None:
        if number is not None:
            then(panes[number])

    active = session.active_pane
    first = panes.index(active) if active in panes else 0
    makers = [partial(pane_line, session, pane) for pane in panes]
    title = f"Which pane of {session.name} on {session.node}?"
    screen.app.push_screen(ChooseDialog(title, makers, first), chosen)
