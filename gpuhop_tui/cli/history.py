"""`gpuhop-tui history`: what the dashboard has kept of the GPUs, as a table, CSV or JSON."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gpuhop_tui.cli.audit import parse_since
from gpuhop_tui.cli.failure import EXIT_SOME_FAILED, CommandError
from gpuhop_tui.cli.text import clean, fit, paint, wants_colour
from gpuhop_tui.fleet.store.bins import tier_for
from gpuhop_tui.fleet.store.columns import Column, columns
from gpuhop_tui.fleet.store.database import KEPT_SECONDS, Database, NewerStoreError, default_path
from gpuhop_tui.fleet.store.export import Past, to_csv, to_json
from gpuhop_tui.fleet.store.points import StoredPoint, points_of

MOST_POINTS = 200_000  # of a GPU: all that is kept, in the finest bins there are
_FIGURES = (
    ("utilization_percent", "util", "%", 6),
    ("memory_percent", "mem", "%", 6),
    ("power_watts", "power", "W", 7),
    ("temperature_celsius", "temp", "°C", 7),
)
_KNOWN, _GRAPH = 7, 14  # columns
_BLOCKS = "▁▂▃▄▅▆▇█"


def run_history(options: argparse.Namespace) -> int:
    """Print the past of the nodes named, or of all there is. Connects to nothing. Returns the exit
    status: 0; 1 where nothing was kept.

    Raises `CommandError` for what is no time or no node, and where the file cannot be read.
    """
    now = time.time()
    since = parse_since(options.since, now)
    until = parse_since(options.until, now, "--until") if options.until else now
    if since >= until:
        raise CommandError("--since is not before --until")
    with _opened(default_path()) as database:
        nodes = _chosen(options.nodes, sorted(database.nodes()))
        past = {
            (node, index): points
            for node in nodes
            for index, points in _past(database, node, since, until, now)
            if options.gpu is None or index in options.gpu
        }
    if options.csv or options.json:
        print((to_csv if options.csv else to_json)(past), end="")
    elif past:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
        for line in table(past, since, until, width, colour=wants_colour(sys.stdout)):
            print(line)
    if not past:
        print("gpuhop-tui: nothing was kept of that time", file=sys.stderr)
        return EXIT_SOME_FAILED
    return 0


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Database]:
    if not path.exists():
        raise CommandError(
            f"there is no history yet: the dashboard keeps it in {path} while it runs",
            EXIT_SOME_FAILED,
        )
    try:
        with contextlib.closing(Database(path, read_only=True)) as database:
            yield database
    except NewerStoreError:
        words = f"{path} was written by a newer gpuhop-tui"
        raise CommandError(words, EXIT_SOME_FAILED) from None
    except (sqlite3.Error, OSError) as error:
        raise CommandError(f"{path} cannot be read: {error}", EXIT_SOME_FAILED) from None


def _chosen(named: Sequence[str], known: list[str]) -> list[str]:
    unknown = [name for name in named if name not in known]
    if not unknown:
        return list(dict.fromkeys(named)) or known
    lines = []
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        there = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
        lines.append(clean(f"nothing was kept of a node named {name!r}; {there}"))
    raise CommandError(lines)


def _past(
    database: Database, node: str, since: float, until: float, now: float
) -> Iterator[tuple[int, list[StoredPoint]]]:
    """The GPUs of a node, by index."""
    tier = tier_for(max(since, now - KEPT_SECONDS), until, now, MOST_POINTS)
    rows = database.rows(node, tier, since, until)
    for index in sorted({index for _, row in rows for index in row}):
        yield index, points_of(tier, rows, index)


def table(
    past: Past, since: float, until: float, width: int = 80, *, colour: bool = False
) -> Iterator[str]:
    """A block a node, a line a GPU: of each figure the mean and the peak, of how much of the time
    there are figures, and utilization as a graph."""
    for number, node in enumerate(dict.fromkeys(node for node, _ in past)):
        if number:
            yield ""
        times = [time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) for at in (since, until)]
        yield f"{paint(clean(node), 'bold', wanted=colour)}  {times[0]} to {times[1]}"
        heads = [title.rjust(room) + "peak".rjust(room) for _, title, _, room in _FIGURES]
        yield fit("   #" + "".join(heads) + "known".rjust(_KNOWN) + "  utilization", width).rstrip()
        for (name, index), points in past.items():
            if name == node:
                yield fit(_line(index, points, since, until), width).rstrip()


def _line(index: int, points: Sequence[StoredPoint], since: float, until: float) -> str:
    cells = [f"{index:>4}"]
    for name, _, unit, room in _FIGURES:
        (whole,) = columns(points, name, since, until - since, 1)
        for value in (None, None) if whole is None else whole:
            cells.append(("-" if value is None else f"{value:.0f} {unit}").rjust(room))
    known = sum(
        max(0.0, min(point.at + point.seconds, until) - max(point.at, since))
        for point in points
        if point.figures is not None
    )
    cells.append(f"{100 * known / (until - since):.0f} %".rjust(_KNOWN))
    graph = columns(points, _FIGURES[0][0], since, (until - since) / _GRAPH, _GRAPH)
    return "".join(cells) + "  " + "".join(map(_block, graph))


def _block(column: Column | None) -> str:
    return " " if column is None else _BLOCKS[min(7, int(column.mean / 12.5))]
