"""Which command of the app's a node is asked to run, known by its wording: that of the app's own
builders."""

from __future__ import annotations

import functools
import re
import shlex

from gpuhop_tui.containers import reserve
from gpuhop_tui.probe.delivery import probe_command
from gpuhop_tui.sessions import container_shell
from gpuhop_tui.sessions.hop_script import Header, attach_command, finish_command
from gpuhop_tui.sessions.hop_target import HopTarget
from gpuhop_tui.sessions.in_container import InContainer, one_line, piped_line
from gpuhop_tui.sessions.shell import shell_command

_ARGUMENT = re.compile(r"\b([A-Za-z]+)=\$\{?(\d+)\}?;")


def kind_of(command: str) -> str:
    """A word for what it is; "" where it is none of the app's, or there is more in it than the app
    would write."""
    if is_probe(command):
        return "probe"
    if command in _kinds():
        return _kinds()[command]
    words = words_of(command)
    if words[:3] != ["exec", "sh", "-c"] or command != f"exec {shlex.join(words[1:])}":
        return ""
    if words[-1] == "gpuhop-tail":
        return "tail"
    return _kinds().get(words[3], "")


@functools.cache
def _kinds() -> dict[str, str]:
    """What the app asks for, by the text of the script that `sh -c` is given, or by the whole
    command: taken from the app's own builders, so that they may change."""
    place = InContainer("0" * 64, "any")
    shell, inside = HopTarget(), HopTarget.in_container(place)
    within = HopTarget.attached("any", "any", place)
    return {
        shell_command(): "questions",
        "exec sh -s": "question",
        "exec sh": "examination",
        _script(f"exec sh -c {shlex.quote(reserve._SCRIPT)}"): "lock",
        _script(piped_line(place, "")): "piped",
        one_line(container_shell._PROCESS): "process",
        _script(finish_command(within, Header())): "within",
        _script(attach_command(within, (1, 1), create=False, lend=False)): "attach inside",
        **{
            _script(attach_command(t, (1, 1), create=True, lend=False)): "attach"
            for t in (shell, inside)
        },
        **{_script(finish_command(t, Header())): "finish" for t in (shell, inside)},
    }


def is_probe(command: str) -> bool:
    """Whether this is the probe's command; only numbers in it (the interval) may differ."""
    words, probe = words_of(command), shlex.split(probe_command())
    return len(words) == len(probe) and all(
        word == expected or re.fullmatch(r"[\d.]+", word)
        for word, expected in zip(words, probe, strict=True)
    )


def words_of(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _script(command: str) -> str:
    return shlex.split(command)[3]


def arguments_of(words: list[str]) -> dict[str, str]:
    """A script's arguments by the names that it gives them itself: `S=$1; N=$2; …`."""
    given = words[5:]
    found: dict[str, str] = {}
    for name, number in _ARGUMENT.findall(words[3]):
        if int(number) <= len(given):
            found.setdefault(name, given[int(number) - 1])
    return found


def inner_line(line: str) -> str:
    """The command that is meant for the container, of `in_container.enter_line`."""
    words = words_of(line)
    return arguments_of(words).get("cmd", "") if len(words) > 5 else ""
