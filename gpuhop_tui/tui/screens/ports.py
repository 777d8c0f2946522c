"""The ports of a node: what listens there by itself, and what is forwarded to this machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from gpuhop_tui.fleet.ports.model import Wanted
from gpuhop_tui.fleet.ports.node import Forward, wanted_for
from gpuhop_tui.ssh.port_forward import LOCAL_HOST, usual_local_port
from gpuhop_tui.tui.browser import open_in_browser
from gpuhop_tui.tui.clipboard import copy_by_system
from gpuhop_tui.tui.keymap import bindings, shown_key
from gpuhop_tui.tui.render.line import clean
from gpuhop_tui.tui.render.ports import (
    PortRow,
    connections,
    detail_lines,
    masked,
    merged,
    port_rows,
    title_line,
    told,
)
from gpuhop_tui.tui.widgets.key_bar import KeyBar
from gpuhop_tui.tui.widgets.lines import Lines
from gpuhop_tui.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from gpuhop_tui.fleet.ports.node import NodePorts
    from gpuhop_tui.tui.app import GpuhopApp
    from gpuhop_tui.tui.screens.forward_form import Asked

SECONDS_BETWEEN_LOOKS = 5.0
SECONDS_BETWEEN_PAINTS = 0.5
_NEEDS_A_ROW = ("open", "forward", "end", "save", "copy")


class PortsScreen(Screen[None]):
    """Looks again every few seconds, for as long as it is open."""

    CSS_PATH = "ports.tcss"
    HELP_FIRST = "Ports of a node"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("ports-open", "ports-forward", "ports-new", "ports-end", "ports-save"),
        *bindings("ports-copy", "ports-all", "ports-look", "ports-leave"),
        Binding("p,q", "leave", show=False),
    ]
    AUTO_FOCUS = "#ports"

    def __init__(self, app: GpuhopApp, ports: NodePorts, container: str = "") -> None:
        """`container`: at first, what is in this one alone."""
        super().__init__()
        self._gpuhop, self._ports, self._container = app, ports, container
        self._everything = False
        self._looked = False
        self._look_now = asyncio.Event()
        self._rows: list[PortRow] = []
        self._able: tuple[bool, ...] = ()

    def compose(self) -> ComposeResult:
        yield Lines(id="title")
        yield Rows(id="ports")
        yield Lines(id="details")
        yield KeyBar()

    def on_mount(self) -> None:
        self.lay_out()
        self.set_interval(SECONDS_BETWEEN_PAINTS, self.lay_out)
        self.run_worker(self._watch(), name="ports", exit_on_error=False)

    def on_unmount(self) -> None:
        self._gpuhop.run_worker(self._ports.rest(), name="ports", exit_on_error=False)

    async def _watch(self) -> None:
        while True:
            self._look_now.clear()
            await self._ports.look()
            self._looked = True
            self.lay_out()
            try:
                async with asyncio.timeout(SECONDS_BETWEEN_LOOKS):
                    await self._look_now.wait()
            except TimeoutError:
                continue

    # What is shown

    @on(Rows.Selected)
    @on(Lines.Resized)
    def lay_out(self) -> None:
        """Lay it out as it is now."""
        title, table = self.query_one("#title", Lines), self.query_one("#ports", Rows)
        details = self.query_one("#details", Lines)
        ports, node = self._ports, self._ports.node
        self._rows, hidden = merged(ports, container=self._container, everything=self._everything)
        key = shown_key(self.app, "ports-all")
        scope = "" if self._everything else self._container
        count = len(ports.forwards)
        title.set_lines([title_line(node, scope, count, hidden, key, title.room)])
        new = shown_key(self.app, "ports-new")
        table.show_rows(port_rows(self._rows, self._looked, new, table.room))
        details.set_lines(detail_lines(self.row, ports, details.room))
        forward = self.row.forward if self.row else None
        able = (self.row is not None, forward is not None)
        if able != self._able:
            self._able = able
            self.refresh_bindings()

    @property
    def row(self) -> PortRow | None:
        """The selected one."""
        selected = self.query_one("#ports", Rows).selected
        return next((each for each in self._rows if each.key == selected), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("end", "save", "copy"):
            return self.row is not None and self.row.forward is not None
        return self.row is not None if action in _NEEDS_A_ROW else True

    # Forwarding

    def action_open(self) -> None:
        """Forward the selected one, and open it in the browser."""
        row = self.row
        forward = self._forwarded(row) if row is not None else None
        if row is not None and forward is not None:
            self.run_worker(self._open(row, forward), name="open", exit_on_error=False)

    async def _open(self, row: PortRow, forward: Forward) -> None:
        from gpuhop_tui.tui.screens.link_dialog import LinkDialog

        listener = row.listener
        if listener is not None and not listener.browser:
            words = told(row, forward.local_port)
            self._say(f"{words}; it is not for a browser")
            return
        problem = await forward.port.check()
        self.lay_out()
        if problem is not None:
            self._say(f"{problem.message}. {problem.advice}", "error")
            return
        url = forward.url(self._ports.listener_of(forward))
        if await open_in_browser(url):
            self._say(f"Opened in the browser: {masked(url)}")
        else:
            lines = ["There is no browser of a desktop here. Open it on this machine:"]
            if masked(url) != url:
                lines.append("It holds a token: whoever has it may run programs on the node.")
            self.app.push_screen(LinkDialog(row.what, lines, url))

    def action_forward(self) -> None:
        """Forward the selected one, no more."""
        row = self.row
        if row is None:
            return
        if row.forward is not None:
            self._say(told(row, row.forward.local_port))
            return
        forward = self._forwarded(row)
        if forward is not None:
            self._say(told(row, forward.local_port))

    def _forwarded(self, row: PortRow) -> Forward | None:
        """Its forward, begun where there is none."""
        if row.forward is not None or row.listener is None:
            return row.forward
        wanted = usual_local_port(row.listener.inside_port or row.listener.port)
        return self._begin(wanted_for(row.listener, wanted))

    def _begin(self, wanted: Wanted) -> Forward | None:
        try:
            forward = self._ports.begin(wanted)
        except OSError as error:
            self._say(f"No port of this machine is to be had: {error.strerror}", "error")
            return None
        if forward.taken is not None:
            words = f"Port {forward.taken} of this machine is taken"
            self._say(f"{words}: it is {forward.local_port} instead", "warning")
        self.lay_out()
        return forward

    def action_new(self) -> None:
        """Ask for a port to be forwarded; at first it is the selected one."""
        from gpuhop_tui.tui.screens.forward_form import ForwardDialog, read_place

        row = self.row
        listener = row.listener if row is not None and row.forward is None else None
        place = ""
        if listener is not None:
            place = str(listener.port) if listener.host == LOCAL_HOST else _place(*listener.key)

        def asked(asked: Asked | None) -> None:
            if asked is None:
                return
            same = listener is not None and read_place(place) == (asked.host, asked.port)
            if same and listener is not None:
                wanted = wanted_for(listener, asked.local_port)
            else:
                wanted = Wanted(asked.host, asked.port, asked.local_port)
            forward = self._begin(wanted)
            if forward is not None:
                key = (wanted.container or wanted.host, wanted.port)
                self.query_one("#ports", Rows).select(key)
                self.lay_out()

        self.app.push_screen(ForwardDialog(self._ports.node, place), asked)

    def action_end(self) -> None:
        """End the selected forward; asks where somebody is connected through it."""
        from gpuhop_tui.tui.screens.confirm import ConfirmDialog

        row = self.row
        forward = row.forward if row is not None else None
        if row is None or forward is None:
            return

        def confirmed(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._end(forward), name="end", exit_on_error=False)

        if not forward.port.connections:
            confirmed(True)
            return
        title = f"End the forward to {row.what} of {self._ports.node}?"
        words = [f"{connections(forward.port.connections)} through it would break off."]
        self.app.push_screen(ConfirmDialog(title, words, "end it"), confirmed)

    async def _end(self, forward: Forward) -> None:
        await self._ports.end(forward)
        self.lay_out()

    def action_save(self) -> None:
        """Have the selected forward come back at the next start, or not."""
        forward = self.row.forward if self.row else None
        if forward is None:
            return
        if not self._ports.can_save:
            self._say("The demo keeps nothing for the next start", "warning")
            return
        self.run_worker(self._save(forward), name="save", exit_on_error=False)

    async def _save(self, forward: Forward) -> None:
        await self._ports.keep(forward, not forward.saved)
        words = "It comes back at the next start" if forward.saved else "It ends with this session"
        self._say(words)
        self.lay_out()

    async def action_copy(self) -> None:
        """Copy what opens the selected forward: its URL, the token included, or an ssh line."""
        row = self.row
        forward = row.forward if row is not None else None
        if row is None or forward is None:
            return
        text = forward.url(row.listener)
        if row.listener is not None and row.listener.service == "sshd":
            user = f"{row.listener.login}@" if row.listener.login else ""
            text = f"ssh -p {forward.local_port} {user}{LOCAL_HOST}"
        self.app.copy_to_clipboard(text)
        by_system = await copy_by_system(text)
        where = "the clipboard" if by_system else "the terminal's clipboard"
        self._say(f"Copied to {where}: {masked(text)}")

    # The rest

    def action_all(self) -> None:
        """Show what others have listening too, or only what matters."""
        self._everything = not self._everything
        self.lay_out()

    def action_look(self) -> None:
        """Look again now."""
        self._look_now.set()

    def action_leave(self) -> None:
        self.dismiss()

    def _say(self, words: str, severity: str = "information") -> None:
        words = clean(words)
        self.notify(
            words[:1].upper() + words[1:],
            severity=severity,  # type: ignore[arg-type]
            timeout=10 if severity == "error" else 5,
            markup=False,
        )


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
