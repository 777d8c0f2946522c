"""The ports of a node: what listens, what is forwarded, and how that is doing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuhop_tui.fleet.ports.found import is_minor
from gpuhop_tui.fleet.ports.model import LOOPBACK, Listener
from gpuhop_tui.ssh.port_forward import ForwardState
from gpuhop_tui.tui.render.columns import Column, choose, heading, row
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit_line, wrap
from gpuhop_tui.tui.render.units import fine_size, plural

if TYPE_CHECKING:
    from gpuhop_tui.fleet.ports.node import Forward, NodePorts

COLUMNS: tuple[Column, ...] = (
    Column("port", "PORT", 5, align="right"),
    Column("what", "WHAT", 14, grow=1, most=30),
    Column("where", "WHERE", 12, rank=1, grow=4, most=34),
    Column("address", "ADDRESS", 9, rank=2, grow=1, most=24),
    Column("here", "HERE", 7),
    Column("state", "", 15, grow=1, most=26),
    Column("traffic", "TRAFFIC", 15, rank=3, grow=1, most=22),
)

PortKey = tuple[str, int]
_HEADS = {
    "forward": "FORWARDED, AND NOT SEEN TO LISTEN NOW",
    "own": "YOURS",
    "container": "IN CONTAINERS",
    "other": "OTHERS",
}
_TOKEN = re.compile(r"(token=)[^&]+")


@dataclass(frozen=True, slots=True)
class PortRow:
    """A server, a forward, or both."""

    key: PortKey
    listener: Listener | None
    forward: Forward | None

    @property
    def group(self) -> str:
        return self.listener.whose if self.listener is not None else "forward"

    @property
    def what(self) -> str:
        """Program and port, for a message."""
        port = self.listener.port if self.listener else self.key[1]
        program = self.listener.program if self.listener else ""
        program = program or (self.forward.wanted.program if self.forward else "")
        return f"{program} at port {port}" if program else f"port {port}"


def merged(ports: NodePorts, *, container: str, everything: bool) -> tuple[list[PortRow], int]:
    """The rows, and how many servers are left out. `container`: of this one alone."""
    rows: list[PortRow] = []
    hidden = 0
    led_to = set()
    for listener in ports.listeners or ():
        forward = ports.forward_to(listener)
        elsewhere = bool(container) and listener.container != container
        if forward is None and not everything and (elsewhere or is_minor(listener)):
            hidden += 1
            continue
        led_to.add(forward)
        place = listener.container if listener.direct else listener.host
        rows.append(PortRow((place, listener.port), listener, forward))
    for forward in ports.forwards:
        if forward not in led_to:
            wanted = forward.wanted
            rows.append(PortRow((wanted.container or wanted.host, wanted.port), None, forward))
    order = list(_HEADS)
    return sorted(rows, key=lambda each: order.index(each.group)), hidden


def title_line(node: str, container: str, count: int, hidden: int, key: str, width: int) -> Line:
    """`Ports of gpu-01   2 forwarded   12 more: a`."""
    of = f"{clean(container)} on {clean(node)}" if container else clean(node)
    spans = [Span(f" Ports of {of}", Tone.STRONG)]
    spans.append(Span(f"   {count} forwarded", Tone.GOOD if count else Tone.DIM))
    if hidden:
        spans.append(Span(f"   {hidden} more: {key}", Tone.DIM))
    return fit_line(spans, width)


def port_rows(
    rows: Sequence[PortRow], looked: bool, new_key: str, width: int
) -> list[tuple[PortKey | None, Line]]:
    """The table, each line with the key of its row."""
    if not rows:
        words = "Looking at what listens there…"
        if looked:
            words = f"Nothing of yours is seen to listen there. {new_key} forwards a port you know."
        return [(None, line) for line in wrap(words, width, Tone.DIM)]
    columns = choose(COLUMNS, width)
    lines: list[tuple[PortKey | None, Line]] = [(None, heading(columns))]
    group = ""
    for each in rows:
        if each.group != group:
            group = each.group
            lines.append((None, (Span(_HEADS[group], Tone.DIM),)))
        lines.append((each.key, row(columns, _cells(each))))
    return lines


def _cells(each: PortRow) -> dict[str, Line]:
    listener, forward = each.listener, each.forward
    cells: dict[str, Line] = {"port": (Span(str(each.key[1])),)}
    if listener is not None:
        tone = Tone.STRONG if listener.service else Tone.PLAIN
        cells["what"] = (Span(clean(listener.program) or "?", tone),)
        cells["where"] = (Span(clean(_where(listener)), Tone.DIM),)
        cells["address"] = (Span(listener.host if listener.direct else listener.address, Tone.DIM),)
    elif forward is not None:
        cells["what"] = (Span(clean(forward.wanted.program) or "?", Tone.OLD),)
        cells["where"] = (Span(clean(forward.wanted.container), Tone.OLD),)
        cells["address"] = (Span(clean(forward.wanted.host), Tone.OLD),)
    if forward is not None:
        cells["here"] = (Span(f"→ {forward.local_port}", Tone.INFO),)
        cells["state"] = _state(forward)
        sent, got = forward.port.sent_bytes, forward.port.received_bytes
        if forward.port.served:
            cells["traffic"] = (Span(f"↑{fine_size(sent)} ↓{fine_size(got)}", Tone.DIM),)
    return cells


def _where(listener: Listener) -> str:
    """Whose it is, or the container that it is in."""
    if not listener.container:
        return listener.user
    inside = listener.inside_port
    return f"{listener.container}:{inside}" if inside is not None else listener.container


def _state(forward: Forward) -> Line:
    count = forward.port.connections
    kept = Span(", saved", Tone.DIM) if forward.saved else Span("")
    if forward.state is ForwardState.WAITING:
        return (Span("◌ waits", Tone.WARN), kept)
    if forward.state is ForwardState.REFUSED:
        return (Span("✗ refused", Tone.BAD), kept)
    words = f"● {count} open" if count else "● ready"
    return (Span(words, Tone.GOOD), kept)


def detail_lines(each: PortRow | None, ports: NodePorts, width: int) -> list[Line]:
    """What there is to say of the selected one, and what stands in the way of a look."""
    lines: list[Line] = []
    if each is not None:
        for words, tone in _details(each):
            lines += wrap(words, width, tone)
    if ports.problem is not None:
        problem = ports.problem
        lines += wrap(f"What listens cannot be told: {problem.message}.", width, Tone.WARN)
        lines += wrap(problem.advice, width, Tone.INFO)
    elif ports.containers_problem:
        words = f"Containers have no names here: {ports.containers_problem}."
        lines += wrap(words, width, Tone.DIM)
    return lines


def _details(each: PortRow) -> Iterator[tuple[str, Tone]]:
    listener, forward = each.listener, each.forward
    if forward is not None:
        yield masked(forward.url(listener)), Tone.STRONG
        if forward.taken is not None:
            words = f"Port {forward.taken} of this machine was taken: it is {forward.local_port}."
            yield words, Tone.WARN
        if forward.problem is not None:
            words = f"The last connection was refused: {forward.problem.message}."
            yield words, Tone.BAD
            yield forward.problem.advice, Tone.INFO
    if listener is not None:
        if listener.token_missing:
            yield f"{listener.token_missing[:1].upper()}{listener.token_missing[1:]}.", Tone.WARN
        if listener.command:
            yield listener.command, Tone.DIM
        elif listener.whose == "other":
            yield "Whose program it is can be told by root alone.", Tone.DIM
        if listener.direct:
            yield f"Reached at the container's own address, {listener.host}.", Tone.DIM


def masked(url: str) -> str:
    """A URL for the screen: its token is for the clipboard and the browser."""
    return _TOKEN.sub(r"\1…", url)


def told(each: PortRow, local_port: int) -> str:
    """That it is forwarded."""
    return f"{each.what} is at {LOOPBACK}:{local_port} of this machine now"


def connections(count: int) -> str:
    return plural(count, "connection")
