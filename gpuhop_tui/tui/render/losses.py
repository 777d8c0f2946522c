"""What is lost when a container is stopped or removed, for the question before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gpuhop_tui.containers.actions import Client, Losses
from gpuhop_tui.containers.model import Container
from gpuhop_tui.probe.sample import Process
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, wrap
from gpuhop_tui.tui.render.units import duration, plural, size

_MOST = 4  # processes or clients that are named
_COMMAND = 60  # cells

Found = Losses | str | None
"""What the engine says; or why it does not; or None while it is asked."""


def losses_lines(
    container: Container,
    found: Found,
    processes: Sequence[Process],
    width: int,
    now: float,
    *,
    removal: bool,
) -> list[Line]:
    """The container, what runs in it, and, where it may be removed, what goes with it.

    `processes` are those that it has on GPUs.
    """
    lines: list[Line] = wrap(_title(container, now), width, Tone.STRONG)
    for words, tone in _lost(found, processes, removal):
        lines += [(Span("  "), *line) for line in wrap(words, width - 2, tone)]
    return lines


def _title(container: Container, now: float) -> str:
    name = clean(container.name)
    if not container.running:
        return f"{name} does not run."
    command = cut(clean(container.command), _COMMAND)
    if container.started_at is None:
        return f"{name} runs {command}."
    return f"{name} has run {command} for {duration(now - container.started_at)}."


def _lost(found: Found, processes: Sequence[Process], removal: bool) -> Iterator[tuple[str, Tone]]:
    if processes:
        known = [each.memory_bytes for each in processes if each.memory_bytes is not None]
        held = f", {size(sum(known))}" if known else ""
        named = ", ".join(map(_process, processes[:_MOST]))
        count = _count(len(processes), "process", "processes")
        yield f"Ends: {count} on GPUs{held}: {named}{_more(processes)}", Tone.BAD
    if found is None:
        yield "Looking what else would be lost…", Tone.DIM
    elif isinstance(found, str):
        yield f"What else would be lost is not known: {found}", Tone.WARN
    else:
        yield from _told(found, removal)


def _told(found: Losses, removal: bool) -> Iterator[tuple[str, Tone]]:
    if found.clients:
        named = ", ".join(map(_client, found.clients[:_MOST]))
        count = plural(len(found.clients), "program")
        yield f"Ends: {count} run in it by docker exec: {named}{_more(found.clients)}", Tone.BAD
    if not removal:
        return
    if found.changed_paths != 0:
        files = "files" if found.changed_paths is None else plural(found.changed_paths, "path")
        room = "" if found.layer_bytes is None else f", {_size(found.layer_bytes)}"
        yield f"Gone with a removal: {files} changed in it{room}, mounts not counted", Tone.WARN
    if found.anonymous_volumes:
        places = ", ".join(map(clean, found.anonymous_volumes))
        yield f"Gone with a removal: what its unnamed volumes hold, at {places}", Tone.WARN


def _size(number: int) -> str:
    return size(number) if number >= 1 << 20 or not number else "less than 1 M"


def _process(process: Process) -> str:
    command = cut(clean(process.command or ""), 32)
    return f"{command or process.pid} ({clean(process.user or 'user not known')})"


def _client(client: Client) -> str:
    command = cut(clean(client.command), 32)
    return f"{command} (at a terminal)" if client.terminal else command


def _more(named: Sequence[object]) -> str:
    return f" and {len(named) - _MOST} more" if len(named) > _MOST else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
