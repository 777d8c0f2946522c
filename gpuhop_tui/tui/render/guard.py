"""The guard of the lent agent: who has it, what is allowed to whom, what was signed."""

from __future__ import annotations

from collections.abc import Iterator

from gpuhop_tui.fleet.state import FleetState
from gpuhop_tui.ssh.guard.model import Grant, Lending, Purpose, SignatureEvent
from gpuhop_tui.ssh.prompts import SignatureQuestion
from gpuhop_tui.tui.render.columns import Column, choose, heading, row
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit_line, wrap
from gpuhop_tui.tui.render.units import duration, moment, plural

LentKey = tuple[str, int]  # ("lending" or "grant", its id)
LentRow = tuple[LentKey | None, Line]

_NAMES = 4  # of one host key, that are shown

EVENT_COLUMNS: tuple[Column, ...] = (
    Column("at", "TIME", 8, most=12),
    Column("decision", "", 7),
    Column("node", "FOR", 8, grow=1, most=20),
    Column("what", "WHAT", 24, grow=4, most=46),
    Column("key", "KEY", 10, rank=3, grow=1, most=20),
    Column("reason", "WHY", 14, rank=2, grow=4, most=80),
)


def question_words(question: SignatureQuestion) -> Iterator[tuple[str, bool]]:
    """The paragraphs of a question, and whether they matter less."""
    facts = question.facts
    yield f"{facts.node} asks to {facts.what}.", False
    if facts.purpose is Purpose.UNBOUND:
        yield (
            "Nothing proves which server the signature is for: whoever is root on "
            f"{facts.node} could use it anywhere. Its ssh may be older than OpenSSH 8.9.",
            False,
        )
    elif facts.purpose is Purpose.UNKNOWN:
        yield "It is neither a login nor a signature of a file: allow only what you know.", False
    if facts.through:
        yield f"The agent was passed on through {', '.join(facts.through)}.", False
    if len(facts.destination) > 1:
        others = facts.destination[1:]
        more = f" and {len(others) - _NAMES} more" if len(others) > _NAMES else ""
        yield f"also known as {', '.join(others[:_NAMES])}{more}", True
    if facts.host_key:
        yield f"its host key  {facts.host_key}", True
    yield f"your key  {facts.key} {facts.key_comment}", True
    way = " → ".join(("laptop", *facts.via, facts.node))
    yield f"lent over  {way}", True


def title_line(state: FleetState | None, width: int) -> Line:
    """`Agent guard   2 keys   lent to 1 node   locked`."""
    spans = [Span(" Agent guard", Tone.STRONG)]
    if state is not None:
        spans.append(Span(f"   agent: {clean(state.agent)}", Tone.DIM))
        count = len(state.lendings)
        lent = f"lent to {plural(count, 'host')}" if count else "lent to nobody"
        spans.append(Span(f"   {lent}", Tone.WARN if count else Tone.DIM))
        if state.agent_locked:
            spans.append(Span("   LOCKED: everything is refused", Tone.BAD))
    return fit_line(spans, width)


def lent_rows(state: FleetState | None, width: int, now: float) -> list[LentRow]:
    """Who the agent is lent to, and under each what it may do unasked."""
    if state is None or not state.lendings:
        words = (
            "The agent is lent to nobody. A hop into a node with `forward_agent = true` lends it, "
            "for as long as the hop is open."
        )
        return [(None, line) for line in wrap(words, width, Tone.DIM)]
    rows: list[LentRow] = []
    for lending in state.lendings:
        rows.append((("lending", lending.id), _lending(lending, width, now)))
        rows += [(("grant", grant.id), _grant(grant, width, now)) for grant in lending.grants]
    return rows


def _lending(lending: Lending, width: int, now: float) -> Line:
    way = f"  via {', '.join(map(clean, lending.via))}" if lending.via else ""
    return fit_line(
        (
            Span(clean(lending.node), Tone.STRONG),
            Span(way, Tone.DIM),
            Span(f"  for {duration(now - lending.since)}"),
            Span(f"  {lending.signed} signed", Tone.GOOD if lending.signed else Tone.DIM),
            Span(f"  {lending.denied} denied", Tone.BAD if lending.denied else Tone.DIM),
            Span(f"  {plural(lending.clients, 'connection')}", Tone.DIM),
        ),
        width,
    )


def _grant(grant: Grant, width: int, now: float) -> Line:
    end = "while it is lent"
    if grant.until is not None:
        end = f"for {duration(grant.until - now)} more"
    return fit_line(
        (
            Span("  may ", Tone.DIM),
            Span(clean(grant.what)),
            Span(f"  {end}", Tone.WARN),
            Span(f"  with {clean(grant.key_comment) or grant.key}", Tone.DIM),
        ),
        width,
    )


def event_lines(state: FleetState | None, width: int, now: float) -> list[Line]:
    """The last decisions, the newest first."""
    events = state.signatures if state is not None else ()
    if not events:
        words = "Nothing was asked of the lent agent yet. `gpuhop-tui audit` shows earlier days."
        return wrap(words, width, Tone.DIM)
    columns = choose(EVENT_COLUMNS, width)
    return [heading(columns), *(row(columns, _cells(event, now)) for event in reversed(events))]


def _cells(event: SignatureEvent, now: float) -> dict[str, Line]:
    facts = event.facts
    key = (clean(facts.key_comment) or facts.key) if facts is not None else ""
    more = f"after {event.unlogged} more: " if event.unlogged else ""
    decision = Span("allowed", Tone.GOOD) if event.allowed else Span("denied", Tone.BAD)
    return {
        "at": (Span(moment(event.at, now), Tone.DIM),),
        "decision": (decision,),
        "node": (Span(clean(event.node)),),
        "what": (Span(clean(event.what)),),
        "key": (Span(key, Tone.DIM),),
        "reason": (Span(more + cut(clean(event.reason), 200), Tone.DIM),),
    }
