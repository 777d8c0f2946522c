"""What a node's engine holds beside its containers: images, disk, and what stands in the way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from gpuhop_tui.containers.model import DiskUse, Image, Listing
from gpuhop_tui.fleet.state import NodeState
from gpuhop_tui.ssh.status import LinkState
from gpuhop_tui.tui.render.columns import Column, choose, heading, row
from gpuhop_tui.tui.render.gpus import dimmed
from gpuhop_tui.tui.render.line import Line, Span, Tone, clean, cut, fit_line, join, width_of, wrap
from gpuhop_tui.tui.render.states import label, link_words, problem_label
from gpuhop_tui.tui.render.units import MISSING, brief, duration, plural, size

Key = tuple[str, str]  # node, id of a container or an image
ImageRow = tuple[str | None, Line]  # Image.id

IMAGES: tuple[Column, ...] = (
    Column("image", "IMAGE", 18, grow=4, most=70),
    Column("size", "SIZE", 6, align="right"),
    Column("age", "MADE", 6, rank=2, align="right"),
    Column("used", "USED BY", 8, rank=1, grow=2, most=40),
)
_DOT = Span(" · ", Tone.DIM)


@dataclass(frozen=True, slots=True)
class Extras:
    """What a screen knows of containers and images beside their listing, by node and id."""

    marked: Collection[Key] = ()
    busy: Mapping[Key, str] = field(default_factory=dict)  # such as "stopping"
    failures: Mapping[Key, str] = field(default_factory=dict)
    seen_at: float | None = None  # when an old listing was last a live one; None: not known


def engine_notes(
    node: NodeState, width: int, now: float, seen_at: float | None
) -> tuple[list[Line], bool]:
    """What stands between the user and the engine, and whether a listing is one of now.

    `seen_at`: when an old listing was last a live one; None: that is not known.
    """
    problem = node.containers_problem
    if node.link.state is not LinkState.UP:
        words = f"No link to {clean(node.name)}: {link_words(node.link, now).text}"
        lines: list[Line] = [(Span(cut(words, width), Tone.WARN),)]
    elif problem is not None:
        words = f"{label(problem.kind).capitalize()}: {problem.message}"
        lines = wrap(words, width, problem_label(problem).tone)
        lines += wrap(f"→ {problem.advice}", width, Tone.INFO)
    else:
        return [], True
    if seen_at is None and node.link.state is not LinkState.UP and node.sample is not None:
        seen_at = node.sample.sampled_at  # looked at no later than that
    if node.containers is not None:
        old = "before that" if seen_at is None else f"{duration(now - seen_at)} ago"
        lines.append((Span(cut(f"What was there {old}:", width), Tone.DIM),))
    return lines, False


def engine_line(listing: Listing, width: int, images_key: str, marked: int) -> Line:
    """`8 of 11 run · i 4 images, 81 G · docker 27.3.1`, as much as fits."""
    total, running = len(listing.containers), sum(each.running for each in listing.containers)
    images = plural(len(listing.images), "image")
    if listing.disk is not None:
        images += f", {size(listing.disk.images_bytes)}"
    parts: list[Line] = [(Span(f"{marked} marked", Tone.INFO),)] if marked else []
    parts.append((Span(f"{running} of {total} run" if total else "no containers", Tone.DIM),))
    parts.append((Span(f"{images_key} ", Tone.INFO), Span(images, Tone.DIM)))
    if listing.engine:
        parts.append((Span(clean(listing.engine), Tone.DIM),))
    if listing.disk is not None:
        parts.append((Span(f"{size(listing.disk.reclaimable_bytes)} can be freed", Tone.DIM),))
    while len(parts) > 1 and width_of(join(parts, _DOT)) > width:
        parts.pop()
    return fit_line(join(parts, _DOT), width)


def image_rows(
    node: NodeState, width: int, now: float, extras: Extras | None = None
) -> list[ImageRow]:
    """The disk use and one line an image, with its id (None: a heading or a note)."""
    extras = extras or Extras()
    listing = node.containers
    notes, live = engine_notes(node, width, now, extras.seen_at)
    if listing is None:
        notes = notes or [(Span(f"Looking for images on {clean(node.name)}…", Tone.DIM),)]
        return [(None, line) for line in notes]
    notes += disk_lines(listing, width)
    if not listing.images:
        notes.append((Span(f"There is no image on {clean(node.name)}.", Tone.DIM),))
        return [(None, line) for line in notes]
    columns = choose(IMAGES, width)
    rows: list[ImageRow] = [(None, line) for line in (*notes, heading(columns))]
    for image in listing.images:
        made = image.created_at
        cells: dict[str, Line] = {
            "image": _image_name(image, next(c.width for c in columns if c.key == "image")),
            "size": (Span(size(image.size_bytes)),),
            "age": (Span(MISSING if made is None else brief(now - made), Tone.DIM),),
            "used": _used(users_of(image, listing)),
        }
        key = (node.name, image.id)
        if key in extras.busy:
            cells["used"] = (Span(f"{extras.busy[key]}…", Tone.INFO),)
        lines = [row(columns, cells)]
        if key in extras.failures:
            wrong = wrap(extras.failures[key], width - 2, Tone.BAD)
            lines += [(Span("  "), *line) for line in wrong]
        rows += [(image.id, line if live else dimmed(line)) for line in lines]
    return rows


def disk_lines(listing: Listing, width: int) -> list[Line]:
    """What the engine keeps on disk, or why that is not known."""
    disk, problem = listing.disk, listing.disk_problem
    lines = wrap(_disk(disk), width, Tone.DIM) if disk else []
    if problem is not None:
        lines += wrap(f"Its disk use is not known: {problem.message}", width, Tone.WARN)
        lines += wrap(f"→ {problem.advice}", width, Tone.INFO)
    return lines or [(Span("Its disk use is being measured…", Tone.DIM),)]


def _disk(disk: DiskUse) -> str:
    return (
        f"On disk: images {size(disk.images_bytes)}, containers {size(disk.containers_bytes)}, "
        f"volumes {size(disk.volumes_bytes)}, build cache {size(disk.build_cache_bytes)}; "
        f"{size(disk.reclaimable_bytes)} can be freed."
    )


def users_of(image: Image, listing: Listing) -> list[str]:
    """The containers that were made of it."""
    return [clean(each.name) for each in listing.containers if each.image_id == image.id]


def image_title(image: Image) -> str:
    """Its first tag; its id where it has none."""
    return clean(image.tags[0]) if image.tags else short_id(image.id)


def short_id(id: str) -> str:
    """`sha256:0123456789ab…` as docker shows it: `0123456789ab`."""
    return clean(id.removeprefix("sha256:")[:12])


def short_image(name: str, width: int) -> str:
    """An image's name in `width` cells: its registry and folders go first."""
    name = clean(name)
    if name.startswith("sha256:"):
        return cut(short_id(name), width)
    short = cut(name, width)
    last = name.rpartition("/")[2]
    return short if short == name or last == name else cut(f"…/{last}", width)


def _image_name(image: Image, width: int) -> Line:
    if not image.tags:
        return (Span(short_id(image.id)), Span("  without a tag", Tone.DIM))
    more = f" +{len(image.tags) - 1}" if len(image.tags) > 1 else ""
    name = short_image(image.tags[0], width - len(more))
    return (Span(name, Tone.STRONG), Span(more, Tone.DIM))


def _used(names: Collection[str]) -> Line:
    return (Span(", ".join(names)),) if names else (Span("nothing", Tone.DIM),)
