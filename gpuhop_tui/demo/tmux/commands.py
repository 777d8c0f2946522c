"""tmux's command line, tmux(1): those commands, flags and formats that the app makes use of."""

from __future__ import annotations

import getopt
import re
from collections.abc import Iterable, Sequence

from gpuhop_tui.demo.tmux.server import VERSION, Client, Session, TmuxServer, Window
from gpuhop_tui.sessions.tail_screen import Colour, Line, Style

_FLAGS = {
    "list-panes": "aF:", "list-sessions": "F:", "list-clients": "F:t:", "display-message": "pt:",
    "capture-pane": "peJNPCaqt:S:E:", "kill-session": "t:", "kill-pane": "t:",
    "refresh-client": "A:B:", "set-option": "gqt:", "set-window-option": "gqt:",
}  # fmt: skip
_FORMAT = re.compile(r"#\{(\w+)\}")


class TmuxError(Exception):
    """A command that is refused: `str()` is what tmux says."""


def run_all(server: TmuxServer, words: Sequence[str]) -> list[str]:
    """The lines that these commands print, one after the other. Raises TmuxError."""
    lines: list[str] = []
    for command in split(words):
        lines += run(server, command)
    return lines


def split(words: Iterable[str]) -> list[list[str]]:
    """At each word that is a semicolon."""
    commands: list[list[str]] = [[]]
    for word in words:
        if word == ";":
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def run(server: TmuxServer, command: Sequence[str]) -> list[str]:
    """The lines that one command prints. Raises TmuxError."""
    name = command[0]
    if name not in _FLAGS:
        raise TmuxError(f"unknown command: {name} (simulated)")
    try:
        pairs, rest = getopt.getopt(list(command[1:]), _FLAGS[name])
    except getopt.GetoptError as error:
        raise TmuxError(f"command {name}: {error}") from None
    flags = dict(pairs)
    if name == "list-panes":
        server.catch_up()
        rows = [values(server, session, window) for session, window in server.all_windows()]
        return [formatted(flags["-F"], row) for row in rows]
    if name == "list-sessions":
        rows = [values(server, session, session.window) for session in server.sessions]
        return [formatted(flags["-F"], row) for row in rows]
    if name == "list-clients":
        return [
            formatted(flags["-F"], {"session_id": session.id, **_client(client)})
            for session in server.sessions
            for client in session.clients
        ]
    if name == "display-message":
        place = server.find_window(flags.get("-t", ""))
        text = rest[0] if rest else ""
        if place is None:  # tmux says what needs no pane all the same
            return [formatted(text, {})]
        place[1].pane.catch_up()
        return [formatted(text, values(server, *place))]
    if name == "capture-pane":
        return _capture(_window(server, flags), flags)
    if name == "kill-session":
        session = server.find_session(flags.get("-t", ""))
        if session is None:
            raise TmuxError(f"can't find session: {flags.get('-t', '')}")
        server.kill(session)
    elif name == "kill-pane":
        place = server.find_window(flags.get("-t", ""))
        if place is None:
            raise TmuxError(f"can't find pane: {flags.get('-t', '')}")
        server.close_window(*place)
    return []


def formatted(text: str, row: dict[str, str]) -> str:
    """`#{name}` filled in; a name that is not known is empty, as in tmux."""
    return _FORMAT.sub(lambda found: row.get(found[1], ""), text)


def values(server: TmuxServer, session: Session, window: Window) -> dict[str, str]:
    """What formats can ask of a pane. Names are tmux(1)'s, FORMATS."""
    pane, screen = window.pane, window.pane.screen
    status = pane.program.ended
    killed = status is not None and status > 128
    row: dict[str, object] = {
        "pid": server.pid,
        "version": VERSION,
        "socket_path": server.socket,
        "session_id": session.id,
        "session_name": session.name,
        "session_created": session.created_at,
        "window_id": window.id,
        "window_index": window.index,
        "window_name": window.name,
        "window_active": int(window is session.window),
        "window_activity": pane.activity_at,
        "window_width": screen.columns,
        "window_height": screen.height,
        "pane_id": pane.id,
        "pane_index": 0,
        "pane_title": pane.program.command,
        "pane_current_command": pane.program.command,
        "pane_current_path": pane.cwd,
        "pane_pid": pane.pid,
        "pane_width": screen.columns,
        "pane_height": screen.height,
        "pane_active": 1,
        "pane_dead": int(pane.dead),
        "pane_dead_status": status if pane.dead and not killed else "",
        "pane_dead_signal": (status or 0) - 128 if pane.dead and killed else "",
        "alternate_on": int(screen.is_alternate),
        "alternate_saved_x": 0,
        "alternate_saved_y": 0,
        "cursor_x": screen.columns if screen.wrapping else screen.x,
        "cursor_y": screen.y,
        "cursor_flag": int(screen.mode(25)),
        "insert_flag": int(screen.insert_mode),
        "origin_flag": int(screen.mode(6)),
        "wrap_flag": int(screen.mode(7)),
        "scroll_region_upper": screen.top,
        "scroll_region_lower": screen.bottom,
        "history_size": screen.kept,
    }
    return {name: str(value) for name, value in row.items()}


def _client(client: Client) -> dict[str, str]:
    row: dict[str, object] = {
        "client_name": client.name,
        "client_tty": client.name,
        "client_pid": client.pid,
        "client_width": client.columns,
        "client_height": client.rows,
        "client_readonly": int(client.control),
        "client_control_mode": int(client.control),
    }
    return {name: str(value) for name, value in row.items()}


def _window(server: TmuxServer, flags: dict[str, str]) -> Window:
    place = server.find_window(flags.get("-t", ""))
    if place is None:
        raise TmuxError(f"can't find pane: {flags.get('-t', '')}")
    return place[1]


def _capture(window: Window, flags: dict[str, str]) -> list[str]:
    window.pane.catch_up()
    screen = window.pane.screen
    if "-P" in flags:
        return []  # programs here write whole sequences only
    if "-a" in flags:
        return []  # the other screen: nobody asks while the main one is shown
    kept, height = screen.kept, screen.height
    start = -kept if flags.get("-S") == "-" else int(flags.get("-S", 0))
    end = height - 1 if flags.get("-E", "-") == "-" else int(flags["-E"])
    rows = [*screen.history(kept + start, kept + min(end + 1, 0))] if start < 0 else []
    rows += [screen.line(y) for y in range(max(0, start), min(end, height - 1) + 1)]
    if "-e" in flags:
        return [_with_sgr(row) for row in rows]
    return ["".join(run.text for run in row).rstrip() for row in rows]


def _with_sgr(line: Line) -> str:
    parts = []
    for run in line:
        codes = _codes(run.style)
        parts.append(f"\x1b[{codes}m{run.text}\x1b[0m" if codes else run.text)
    return "".join(parts)


def _codes(style: Style) -> str:
    flags = (
        (style.bold, "1"), (style.dim, "2"), (style.italic, "3"), (style.underline, "4"),
        (style.blink, "5"), (style.reverse, "7"), (style.conceal, "8"), (style.strike, "9"),
    )  # fmt: skip
    codes = [code for on, code in flags if on]
    codes += [*_colour(style.foreground, 38), *_colour(style.background, 48)]
    return ";".join(codes)


def _colour(colour: Colour, base: int) -> list[str]:
    if colour is None:
        return []
    if isinstance(colour, int):
        return [f"{base};5;{colour}"] if colour > 7 else [f"{base - 8 + colour}"]
    return [f"{base};2;{colour[0]};{colour[1]};{colour[2]}"]
