"""What changes something in tmux on a node: a new session, an end, a dismissal.

Whatever a user typed reaches tmux as it is: quoted for `sh`, and escaped where tmux itself would
read more into it (a `;` at an argument's end, a `#` of a format).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuhop_tui.problem import ProblemError
from gpuhop_tui.sessions.container_shell import Shell
from gpuhop_tui.sessions.in_container import InContainer
from gpuhop_tui.sessions.model import TmuxPane, TmuxSession, server_of
from gpuhop_tui.sessions.tmux import FIND_TMUX, NO_TMUX_STATUS, plain
from gpuhop_tui.sessions.watch import no_tmux

_NO_DIRECTORY, _GONE, _ALIVE = 66, 67, 68
_FORBIDDEN_FIRST = "=$@%{+-!~"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class SessionError(Exception):
    """An action that was refused: what happened, and what to do; `field` is that of `NewSession`
    which it is about, if any."""

    def __init__(self, message: str, advice: str, field: str | None = None) -> None:
        super().__init__(f"{message}. {advice}")
        self.message = message
        self.advice = advice
        self.field = field


@dataclass(frozen=True, slots=True)
class NewSession:
    """What is to be made: what `tmux new-session -d -s NAME COMMAND` makes by hand.

    The command is the user's login shell's line, with the start-up files of an interactive one, so
    that it finds what it finds there; empty: that shell itself. The directory may begin with `~`;
    one that is not absolute is below the home. The environment is seen by others on the node in
    the list of processes for the moment of the start.
    """

    name: str
    directory: str = ""
    command: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    socket: str | None = None  # None: the user's default server
    columns: int = 200  # until somebody attaches
    rows: int = 50


@dataclass(frozen=True, slots=True)
class Created:
    """What a new session can be aimed at by."""

    socket: str
    session_id: str
    pane_id: str
    place: InContainer | None = None

    @property
    def server(self) -> str:
        """As `TmuxSession.server`."""
        return server_of(self.socket, self.place)


def check_name(name: str) -> str | None:
    """Why tmux would not take this name for a session as it stands; None where it does."""
    if not name.strip():
        return "a session needs a name"
    if not name.isprintable() or name != name.strip():
        return "a name has no control characters and no space at its ends"
    for char in ":.#;":
        if char in name:
            return f"{char!r} has a meaning of its own in tmux's names"
    if name[0] in _FORBIDDEN_FIRST:
        return f"a name that begins with {name[0]!r} means something else to tmux"
    if len(name.encode("utf-8", "replace")) > 200:
        return "the name is too long"
    return None


def check_environment(environment: Mapping[str, str]) -> str | None:
    """Why these variables cannot be set; None where they can."""
    for name, value in environment.items():
        if not _VARIABLE.match(name):
            return f"{name!r} is no name of a variable"
        if "\0" in value:
            return f"the value of {name} holds a NUL"
    return None


async def new_session(shell: Shell, wanted: NewSession) -> Created:
    """Makes a detached session. A command that ends keeps its last screen and exit status there
    until it is dismissed.

    Raises SessionError where the name is taken or bad, or the directory missing; ProblemError where
    there is no link or no tmux.
    """
    wrong = check_name(wanted.name) or check_environment(wanted.environment)
    if "\0" in wanted.directory + wanted.command:
        wrong = "neither a directory nor a command can hold a NUL"
    if wrong:
        raise SessionError(f"{wanted.name!r} cannot be made: {wrong}", "Change it and try again.")
    answer = await shell.run(new_session_script(wanted))
    said = plain(" ".join(answer.text.split()))
    if answer.status == 0 and (made := re.search(r"(\$\d+) (%\d+) (/.*)\Z", said)):
        return Created(made[3], made[1], made[2])
    if answer.status == NO_TMUX_STATUS:
        raise ProblemError(no_tmux(shell.node))
    if answer.status == _NO_DIRECTORY:
        raise SessionError(
            f"there is no directory {plain(wanted.directory)} on {shell.node} that you may enter",
            "Make it first, or name another.",
            "directory",
        )
    if "duplicate session" in said:
        raise SessionError(
            f"there is a session named {wanted.name} on {shell.node} already",
            "Choose another name, or attach to that one.",
            "name",
        )
    raise SessionError(
        f"tmux on {shell.node} made no session: {said[:300] or f'it ended with {answer.status}'}",
        f"Try `ssh {shell.node} tmux new-session -d`.",
    )


def new_session_script(wanted: NewSession) -> str:
    """Prints the new session's id, its pane's, and the server's socket."""
    server = f"-S {shlex.quote(wanted.socket)}" if wanted.socket else "-L default"
    options = f"-d -s {_word(wanted.name)} -x {wanted.columns} -y {wanted.rows}"
    keep = ' ";" set-window-option remain-on-exit on' if wanted.command else ""
    assignments = [f"{name}={value}" for name, value in wanted.environment.items()]
    flags = " ".join(f"-e {_word(each)}" for each in assignments)
    words = " ".join(shlex.quote(each) for each in assignments)
    command = _word(wanted.command) if wanted.command else ""
    return f"""{FIND_TMUX}d={_directory(wanted.directory)}
[ -d "$d" ] && [ -x "$d" ] || exit {_NO_DIRECTORY}
c=$(printf "%s" "$d" | sed "s/#/##/g; s/;$/\\\\\\\\;/")
s=${{SHELL:-/bin/sh}}
case ${{s##*/}} in
  bash|zsh|ksh|fish) set -- "$s" {"-lic" if command else "-l"} {command} ;;
  *) set -- "$s" {"-c" if command else ""} {command} ;;
esac
v=$("$t" -V | tr -dc 0-9. ); major=${{v%%.*}}; minor=${{v#*.}}
if [ "${{major:-9}}" -gt 3 ] || {{ [ "${{major:-9}}" = 3 ] && [ "${{minor%%.*}}" -ge 2 ]; }}
then set -- {flags} -- "$@"
else set -- -- {"env " + words if words else ""} "$@"
fi
exec "$t" -u {server} new-session {options} -c "$c" -P \\
  -F "#{{session_id}} #{{pane_id}} #{{socket_path}}" "$@"{keep}
"""


async def kill_session(shell: Shell, session: TmuxSession) -> None:
    """Ends a session and all that runs in it, for all who are attached.

    Raises SessionError where it is gone, or another stands in its place by now.
    """
    await _act(
        shell, session, f'"$t" -S "$k" kill-session -t {shlex.quote(session.id)}', session.name
    )


async def dismiss(shell: Shell, session: TmuxSession, pane: TmuxPane) -> None:
    """Removes a dead pane and with it its last screen, and its window and session where it is the
    last one there. Raises SessionError where it is gone or alive."""
    target = shlex.quote(pane.id)
    script = (
        f'[ "$("$t" -S "$k" display-message -p -t {target} "#{{pane_dead}}")" = 1 ]'
        f' || exit {_ALIVE}\n"$t" -S "$k" kill-pane -t {target}'
    )
    await _act(shell, session, script, f"{session.name} {pane.id}")


async def _act(shell: Shell, session: TmuxSession, script: str, what: str) -> None:
    """Runs `script` if the session is still the one that was meant: new servers begin with $0."""
    target = shlex.quote(session.id)
    meant = f"{session.server_pid} {session.created_at:.0f}"
    answer = await shell.run(
        f"{FIND_TMUX}k={shlex.quote(session.socket)}\n"
        f'is=$("$t" -S "$k" display-message -p -t {target}: "#{{pid}} #{{session_created}}")\n'
        f'[ "$is" = "{meant}" ] || exit {_GONE}\n{script}'
    )
    if answer.status == 0:
        return
    if answer.status == NO_TMUX_STATUS:
        raise ProblemError(no_tmux(shell.node))
    if answer.status == _GONE:
        raise SessionError(f"{what} on {shell.node} is gone already", "There is nothing to do.")
    if answer.status == _ALIVE:
        raise SessionError(
            f"{what} on {shell.node} is not dead, or gone already",
            "What runs there is ended by killing its session.",
        )
    said = plain(" ".join(answer.text.split()))[:300]
    raise SessionError(
        f"tmux on {shell.node} did not do it: {said or answer.status}",
        f"Try it by hand: `ssh {shell.node} tmux -S {session.socket} ls`.",
    )


def _word(text: str) -> str:
    """One argument for tmux, quoted for sh: a `;` at its end would end tmux's command."""
    return shlex.quote(text[:-1] + "\\;" if text.endswith(";") else text)


def _directory(text: str) -> str:
    """A word of sh for a directory, `~` and what is not absolute being the home's."""
    if text in ("", "~"):
        return '"$HOME"'
    if text.startswith("/"):
        return shlex.quote(text)
    return '"$HOME"/' + shlex.quote(text.removeprefix("~/"))
