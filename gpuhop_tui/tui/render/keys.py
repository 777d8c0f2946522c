"""The agent's keys and the key files, with what is not well with each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gpuhop_tui.ssh.key_care import HeldKey, KeyFileFacts, KeyFinding, KeysView, key_findings
from gpuhop_tui.ssh.key_facts import CertificateFacts, KeyFacts
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit_line, join, spread, wrap
from gpuhop_tui.tui.render.units import MISSING, duration, plural

KeyName = tuple[str, str]  # ("held", fingerprint and whether it is a certificate), ("file", path)
KeyRow = tuple[KeyName | None, Line]

_INDENT = "  "
_GAP = Span("  ")


def key_rows(view: KeysView, width: int, now: float, home: Path) -> list[KeyRow]:
    """Lines, each with the key that it belongs to (None: a heading or a note)."""
    findings = key_findings(view, now, home=home)
    rows: list[KeyRow] = [(None, line) for line in _agent(view, width)]
    for held in view.held:
        name = held_name(held)
        lines = [*_held(held, width, now), *_findings(findings, held, width)]
        rows += [(name, line) for line in lines]
    rows += [(None, ()), (None, (Span("KEY FILES", Tone.DIM),))]
    for file in view.files:
        lines = [*_file(view, file, width, home), *_findings(findings, file, width)]
        rows += [(("file", str(file.path)), line) for line in lines]
    if not view.files:
        words = "No private key is in ~/.ssh. This makes one: ssh-keygen -t ed25519"
        rows += [(None, line) for line in wrap(words, width, Tone.DIM)]
    return rows


def held_name(held: HeldKey) -> KeyName:
    certified = " certificate" if held.facts.certificate else ""
    return ("held", held.facts.fingerprint + certified)


def keys_offer(agent: str, key: str) -> str | None:
    """What is offered where the fleet's line about the agent says that it is of no help."""
    if agent == "0 keys":
        return f"The agent holds no keys: {key} adds one"
    if agent.startswith(("no agent", "agent does not answer")):
        return f"{agent[0].upper()}{agent[1:]}: {key} starts one, and adds your key"
    return None


def _agent(view: KeysView, width: int) -> Iterator[Line]:
    socket = Span(clean(view.socket) if view.socket else "none", Tone.STRONG)
    count = (Span(plural(len(view.held), "key"), Tone.DIM),) if not view.agent_problem else ()
    yield spread((Span("AGENT  ", Tone.DIM), socket), count, width)
    if view.own_agent:
        yield (Span(cut(view.own_agent, width), Tone.DIM),)
    if view.agent_problem:
        problem = clean(view.agent_problem)
        yield (Span(f"{problem[:1].upper()}{problem[1:]}", Tone.WARN),)
        yield from wrap(
            "Without one, each program asks for your passphrase itself, and no node can be lent "
            "your keys.",
            width,
        )
        yield (Span("→ s starts one", Tone.INFO),)
    elif not view.held:
        yield from wrap("It holds no keys.", width, Tone.WARN)
        if view.files:
            yield (Span("→ choose a file below, and a adds it", Tone.INFO),)


def _held(held: HeldKey, width: int, now: float) -> Iterator[Line]:
    facts = held.facts
    comment = Span(clean(facts.comment) or MISSING, Tone.STRONG)
    yield spread((comment,), _kind(facts), width)
    told = [_terms(held, now)]
    if facts.certificate is not None:
        told.append(_certificate(facts.certificate, now))
    if facts.is_security_key:
        told.append((Span("security key: wants to be touched", Tone.DIM),))
    yield _indented((Span(facts.fingerprint, Tone.DIM),), width)
    for line in told:
        if line:
            yield _indented(line, width)


def _terms(held: HeldKey, now: float) -> Line:
    terms = held.terms
    if terms is None:
        return ()
    left = "until the agent ends"
    if terms.until is not None:
        left = f"for another {duration(max(0.0, terms.until - now))}"
    confirmed = (Span("asks before each use", Tone.DIM),) if terms.confirm else ()
    return join([(Span(left, Tone.DIM),), confirmed], Span(", ", Tone.DIM))


def _certificate(certificate: CertificateFacts, now: float) -> Line:
    whom = ", ".join(map(clean, certificate.principals)) or "everyone"
    words = Span(f"certificate {clean(certificate.key_id)} for {whom}, ", Tone.DIM)
    if certificate.valid_before is None:
        return (words, Span("for ever", Tone.DIM))
    left = certificate.valid_before - now
    if left <= 0:
        return (words, Span(f"expired {duration(-left)} ago", Tone.BAD))
    if now < certificate.valid_after:
        return (words, Span(f"valid in {duration(certificate.valid_after - now)}", Tone.WARN))
    return (words, Span(f"for another {duration(left)}", Tone.DIM))


def _file(view: KeysView, file: KeyFileFacts, width: int, home: Path) -> Iterator[Line]:
    path = file.path
    name = f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
    kind = _kind(file.facts) if file.facts else (Span("locked whole", Tone.DIM),)
    yield spread((Span(clean(name), Tone.STRONG),), kind, width)
    state = [Span("in the agent", Tone.GOOD) if view.is_held(file) else Span("not in the agent")]
    if file.locked:
        state.append(Span("with a passphrase", Tone.DIM))
    yield _indented(join([(each,) for each in state], Span(", ", Tone.DIM)), width)


def _kind(facts: KeyFacts) -> Line:
    certified = "-CERT" if facts.certificate else ""
    bits = f" {facts.bits}" if facts.bits else ""
    kind = f"{clean(facts.kind).upper()}{certified}{bits}"
    return (Span(kind, Tone.WARN if facts.is_weak else Tone.PLAIN),)


def _findings(
    findings: Sequence[KeyFinding], about: HeldKey | KeyFileFacts, width: int
) -> Iterator[Line]:
    for finding in findings:
        if finding.about is about:
            room = width - len(_INDENT)
            for line in wrap(f"! {finding.message}", room, Tone.WARN):
                yield _indented(line, width)
            yield _indented((Span(f"→ {clean(finding.command)}", Tone.INFO),), width)


def _indented(line: Line, width: int) -> Line:
    return fit_line((Span(_INDENT), *line), width)
