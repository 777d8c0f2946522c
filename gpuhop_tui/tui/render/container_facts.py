"""All that is known of one container, or why it is not known."""

from __future__ import annotations

from collections.abc import Iterator

from gpuhop_tui.containers.model import Container, Mount
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.tui.render.containers import FIGURES, gpu_names, gpus_given, state_words
from gpuhop_tui.tui.render.engine import short_id
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, fit, plain, wrap
from gpuhop_tui.tui.render.units import MISSING, duration, figure, moment, plural, size

_LABEL = 12
_MOST_MOUNTS = 6


def container_facts(
    container: Container, sample: Sample | None, width: int, now: float
) -> list[Line]:
    """One line or more a fact. `sample` is the node's, for the names of its GPUs."""
    lines: list[Line] = []
    for name, text, tone in _facts(container, sample, now):
        for number, line in enumerate(wrap(text, width - _LABEL, tone)):
            label = Span(fit("" if number else name, _LABEL), Tone.DIM)
            lines.append((label, *line))
    return lines


def _facts(
    container: Container, sample: Sample | None, now: float
) -> Iterator[tuple[str, str, Tone]]:
    state = state_words(container)
    yield "state", f"{state.text} {_since(container, now)}".rstrip(), state.tone
    yield "image", container.image or short_id(container.image_id), Tone.PLAIN
    yield "command", container.command or "none", Tone.PLAIN
    if container.user:
        yield "user", container.user, Tone.PLAIN
    yield "restarts", _restarts(container), Tone.PLAIN
    given = plain(gpus_given(container, gpu_names(sample)))
    yield "GPUs", given or "none given", Tone.BAD if container.lost_gpus else Tone.PLAIN
    yield "uses", _use(container), Tone.PLAIN
    yield "ports", ", ".join(map(str, container.ports)) or "none", Tone.PLAIN
    for number, mount in enumerate(container.mounts[:_MOST_MOUNTS]):
        yield ("" if number else "mounts"), _mount(mount), Tone.PLAIN
    if len(container.mounts) > _MOST_MOUNTS:
        yield "", f"and {len(container.mounts) - _MOST_MOUNTS} more", Tone.DIM


def _since(container: Container, now: float) -> str:
    words = ""
    if container.running and container.started_at is not None:
        words = f"for {duration(now - container.started_at)}"
    elif container.finished_at is not None:
        words = f"{duration(now - container.finished_at)} ago"
    if container.created_at is not None:
        words += f"{', ' if words else ''}made {moment(container.created_at, now)}"
    return f"{words}, id {short_id(container.id)}"


def _restarts(container: Container) -> str:
    policy = clean(container.restart_policy)
    times = plural(container.restart_count, "time") if container.restart_count else "never"
    return f"{times}; {'not by itself' if policy == 'no' else f'by itself: {policy}'}"


def _use(container: Container) -> str:
    """Each figure, or why it is missing; each reason once."""
    memory = size(container.memory_bytes)
    if container.memory_limit_bytes is not None:
        memory += f" of {size(container.memory_limit_bytes)}"
    texts = {
        "gpu_memory_bytes": size(container.gpu_memory_bytes),
        "cpu_percent": figure(container.cpu_percent, " %"),
        "memory_bytes": memory,
    }
    parts: dict[str, list[str]] = {}  # figures or a reason: what they are of
    for name, text in texts.items():
        known = getattr(container, name) is not None
        why = clean(container.missing.get(name, "not known"))
        parts.setdefault(text if known else f"{MISSING} {why}", []).append(FIGURES[name])
    return ", ".join(f"{' and '.join(names)} {text}" for text, names in parts.items())


def _mount(mount: Mount) -> str:
    if mount.kind == "tmpfs":
        return f"{mount.target}, in memory"
    source = "a volume without a name" if mount.anonymous else mount.source
    return f"{source} at {mount.target}{', read-only' if mount.read_only else ''}"
