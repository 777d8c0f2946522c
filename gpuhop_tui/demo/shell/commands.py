"""The commands that a simulated shell knows. Each looks at the demo's own state and at nothing
else: no file, no process and no setting of the user's machine is ever touched."""

from __future__ import annotations

import posixpath
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass

from gpuhop_tui.demo.engine.http import Refused
from gpuhop_tui.demo.noise import fraction
from gpuhop_tui.demo.shell.place import Place
from gpuhop_tui.demo.tmux.program import Program, Silent, Training

NOT_FOUND, CANNOT = 127, 126
_HELP = """This shell is simulated: nothing that you type is run on your machine.
  nvidia-smi [-L]        this node's simulated GPUs
  watch nvidia-smi       the same, again and again; ctrl+c ends it
  python train.py        a training that is none, with its progress bar
  docker ps | exec -it NAME bash
  ls  cd  cat  pwd  echo  env  whoami  id  hostname  uname  date  uptime  sleep  tmux ls
  clear  history  exit
"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command comes to: text and a status, or a program that goes on in the foreground, or
    another `place` to have a shell in. `leaves`: the shell ends."""

    text: str = ""
    status: int = 0
    program: Program | None = None
    place: Place | None = None
    leaves: bool = False


def run(place: Place, line: str) -> Result:
    """One line; what stands behind `&&` or `;` comes after it, as long as nothing goes on."""
    try:
        words = _words(line)
    except ValueError as error:
        return Result(f"sh: {error}\n", 2)
    text, status = "", 0
    for separator, command in _parted(words):
        if (separator == "&&" and status) or (separator == "||" and not status):
            continue
        result = run_words(place, command)
        text, status = text + result.text, result.status
        if result.program or result.place or result.leaves:
            return Result(text, status, result.program, result.place, result.leaves)
    return Result(text, status)


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


def _parted(words: list[str]) -> list[tuple[str, list[str]]]:
    parts: list[tuple[str, list[str]]] = [("", [])]
    for word in words:
        if word in (";", "&&", "||"):
            parts.append((word, []))
        else:
            parts[-1][1].append(word)
    return [(separator, command) for separator, command in parts if command]


def run_words(place: Place, words: list[str]) -> Result:
    """One command. Pipes and files to write to are not understood, and say so."""
    name = posixpath.basename(words[0])
    if odd := next((word for word in words if word.strip("|<>&") == "" and word), None):
        return Result(f"{odd}: this shell is simulated and has no pipes nor redirections\n", CANNOT)
    if name in ("sh", "bash", "zsh", "dash"):
        rest = [word for word in words[1:] if not word.startswith("-")]
        if rest and any(w.startswith("-") and w.endswith("c") for w in words[1:]):
            return run(place, rest[0])
        return Result(place=place)
    command = _COMMANDS.get(name)
    if command is None:
        return Result(
            f"{name}: this shell is simulated and does not know it (try `help`)\n", NOT_FOUND
        )
    return command(place, words[1:])


def _text(make: Callable[[Place], str]) -> Callable[[Place, list[str]], Result]:
    return lambda place, _: Result(make(place) + "\n")


def _ls(place: Place, words: list[str]) -> Result:
    paths = [word for word in words if not word.startswith("-")] or ["."]
    path = _path(place, paths[0])
    if not place.files.is_folder(path):
        if place.files.read(path) is not None:
            return Result(paths[0] + "\n")
        return Result(f"ls: cannot access '{paths[0]}': No such file or directory\n", 2)
    names = place.files.names(path)
    return Result("  ".join(names) + "\n" if names else "")


def _cd(place: Place, words: list[str]) -> Result:
    path = _path(place, words[0] if words else "~")
    if not place.files.is_folder(path):
        return Result(f"cd: {words[0]}: No such file or directory\n", 1)
    place.directory = path
    return Result()


def _cat(place: Place, words: list[str]) -> Result:
    text = ""
    for word in words:
        data = place.files.read(_path(place, word))
        if data is None:
            return Result(f"{text}cat: {word}: No such file or directory\n", 1)
        text += data[:20000].decode("utf-8", "replace")
    return Result("".join(char if char.isprintable() or char in "\n\t" else "?" for char in text))


def _path(place: Place, text: str) -> str:
    if text == "~" or text.startswith("~/"):
        text = place.home + text[1:]
    return posixpath.normpath(posixpath.join(place.directory, text))


def _sleep(_: Place, words: list[str]) -> Result:
    try:
        seconds = float("inf") if words[:1] == ["infinity"] else float(words[0].rstrip("s"))
    except (IndexError, ValueError):
        return Result("sleep: a number of seconds, please\n", 1)
    return Result(program=Sleeping(time.time() + seconds))


def _python(place: Place, words: list[str]) -> Result:
    script = next((word for word in words if not word.startswith("-")), "")
    if words[:1] == ["--version"] or words[:1] == ["-V"]:
        return Result("Python 3.12.7 (simulated)\n")
    if not script or "-c" in words:
        return Result("python: simulated, it runs `python train.py` only\n", CANNOT)
    if script.endswith(".py") and place.files.read(_path(place, script)) is None:
        known = place.files.read("/workspace/" + posixpath.basename(script))
        if known is None and posixpath.basename(script) != "train.py":
            return Result(f"python: can't open file '{_path(place, script)}'\n", 2)
    return Result(program=Training(script, time.time(), seconds=20.0, steps=400, epochs=3))


def _exit(_: Place, words: list[str]) -> Result:
    return Result(status=int(words[0]) & 0xFF if words and words[0].isdigit() else 0, leaves=True)


def _watch(place: Place, words: list[str]) -> Result:
    rest = [word for word in words if not word.startswith("-") and not _is_number(word)]
    return Result(program=Watching(place, rest or ["nvidia-smi"]))


def _tmux(place: Place, words: list[str]) -> Result:
    if words[:1] in (["ls"], ["list-sessions"]):
        return Result("".join(f"{line}\n" for line in place.sessions()))
    return Result("tmux: simulated, it knows `tmux ls` only; ctrl+b d detaches\n", CANNOT)


def _docker(place: Place, words: list[str]) -> Result:
    if place.engine is None:
        return Result(place.why_no_engine + "\n", 1 if place.why_no_engine else NOT_FOUND)
    if words[:1] == ["ps"]:
        rows = [("CONTAINER ID", "IMAGE", "STATUS", "NAMES")]
        for each in place.engine.containers.values():
            if each.running or "-a" in words:
                rows.append((each.id[:12], str(each.body.get("Image")), each.state, each.name))
        lines = (f"{a:<14}{b[:44]:<46}{c:<10}{d}" for a, b, c, d in rows)
        return Result("\n".join(lines) + "\n")
    if words[:1] == ["exec"]:
        return _docker_exec(place, words[1:])
    return Result("docker: simulated, it knows `ps` and `exec` only\n", CANNOT)


def _docker_exec(place: Place, words: list[str]) -> Result:
    assert place.engine is not None
    user, directory = "", ""
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        name, is_pair, value = flag.partition("=")
        if name in ("-u", "--user", "-w", "--workdir", "-e", "--env", "--detach-keys"):
            value = value if is_pair else words.pop(0) if words else ""
            user = value if name in ("-u", "--user") else user
            directory = value if name in ("-w", "--workdir") else directory
    try:
        container = place.engine.find(words[0] if words else "")
    except Refused as refused:
        return Result(f"Error response from daemon: {refused}\n", 1)
    if not container.running:
        return Result(f"Error response from daemon: container {container.id} is not running\n", 1)
    inside = inside_of(place, container.id, user, directory)
    return run_words(inside, words[1:] or ["sh"])


def inside_of(place: Place, container_id: str, user: str = "", directory: str = "") -> Place:
    """A running container, as seen from its node."""
    assert place.engine is not None
    container = place.engine.find(container_id)
    who = (user or str(container.body.get("User") or "root")).partition(":")[0]
    home = "/root" if who == "root" else f"/home/{who}"
    return Place(
        container.id[:12],
        who,
        home,
        container.files,
        place.gpus,
        visible=container.gpus,
        is_container=True,
        directory=directory or str(container.body.get("WorkingDir") or "") or "/",
    )


def _nvidia_smi(place: Place, words: list[str]) -> Result:
    shown = place.visible
    if shown == ():
        return Result("NVIDIA-SMI has failed: no GPU was given to this container\n", 9)
    there = [
        (index, gpu)
        for index, gpu in enumerate(place.gpus.figures())
        if (shown is None or index in shown) and "lost" not in gpu
    ]
    # In a container the driver numbers those that are seen there.
    figures = there if shown is None else list(enumerate(gpu for _, gpu in there))
    if not figures:
        return Result("No devices were found\n", 6)
    if words[:1] == ["-L"]:
        lines = [f"GPU {number}: {gpu['name']} (UUID: {gpu['uuid']})" for number, gpu in figures]
        return Result("\n".join(lines) + "\n")
    rule = "+" + "-" * 77 + "+"
    title = f"NVIDIA-SMI (simulated)   Driver {place.gpus.driver}   CUDA {place.gpus.cuda}"
    lines = [rule, f"| {title:<75} |", rule]
    for number, gpu in figures:
        used, total = (gpu[f"memory_{which}_bytes"] >> 20 for which in ("used", "total"))
        busy = gpu.get("utilization_percent")
        text = (
            f"{number:>2}  {gpu['name']:<24} {gpu['temperature_celsius']:>3}C "
            f"{gpu['power_watts']:>4}W / {gpu['power_limit_watts']}W {used:>6}MiB / {total}MiB "
            f"{'MIG' if busy is None else f'{busy}%':>5}"
        )
        lines.append(f"| {text:<75} |")
    lines += [rule, f"| {'Processes':<75} |"]
    for number, gpu in figures:
        for pid, details in gpu["processes"].items():
            text = (
                f"{number:>2} {pid:>7}  {details['command'][:48]:<48} {details['memory'] >> 20}MiB"
            )
            lines.append(f"| {text:<75} |")
    return Result("\n".join([*lines, rule]) + "\n")


def _is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdigit()


def _uptime(place: Place) -> str:
    days = int(3 + 90 * fraction(place.host, "boot"))
    return f"{time.strftime('%H:%M:%S')} up {days} days, simulated"


def _environment(place: Place) -> str:
    return f"HOME={place.home}\nUSER={place.user}\nSHELL=/bin/sh\nGPUHOP_SIMULATED=1"


_COMMANDS: dict[str, Callable[[Place, list[str]], Result]] = {
    "help": lambda _, __: Result(_HELP),
    "ls": _ls,
    "cd": _cd,
    "cat": _cat,
    "pwd": _text(lambda place: place.directory),
    "echo": lambda _, words: Result(" ".join(words) + "\n"),
    "true": lambda _, __: Result(),
    ":": lambda _, __: Result(),
    "false": lambda _, __: Result(status=1),
    "env": _text(_environment),
    "whoami": _text(lambda place: place.user),
    "id": _text(lambda place: f"uid=1000({place.user}) gid=1000({place.user})"),
    "hostname": _text(lambda place: place.host),
    "uname": _text(lambda place: f"Linux {place.host} 6.8.0 (simulated) x86_64 GNU/Linux"),
    "date": _text(lambda _: time.strftime("%a %d %b %Y %H:%M:%S %Z")),
    "uptime": _text(_uptime),
    "sleep": _sleep,
    "python": _python,
    "python3": _python,
    "torchrun": _python,
    "nvidia-smi": _nvidia_smi,
    "watch": _watch,
    "tmux": _tmux,
    "docker": _docker,
    "exit": _exit,
    "logout": _exit,
    "exec": lambda place, words: run_words(place, words) if words else Result(),
}


class Sleeping(Silent):
    """sleep(1)."""

    command = "sleep"

    def __init__(self, until: float) -> None:
        self._until = until

    def output(self, now: float) -> bytes:
        if now >= self._until and self.ended is None:
            self.ended = 0
        return b""


class Watching(Silent):
    """watch(1), on the other screen of its terminal."""

    command = "watch"

    def __init__(self, place: Place, words: list[str]) -> None:
        self._place, self._words = place, words
        self._shown_at = 0.0
        self._rows = 24

    def output(self, now: float) -> bytes:
        if self.ended is not None:
            return b"\x1b[?1049l"
        if now - self._shown_at < 2.0:
            return b""
        begin = b"" if self._shown_at else b"\x1b[?1049h"
        self._shown_at = now
        text = run_words(self._place, self._words).text
        head = f"Every 2.0s: {' '.join(self._words)}   {self._place.host}   (simulated)"
        lines = [head, "", *text.splitlines()][: self._rows]
        return begin + b"\x1b[H\x1b[J" + "\r\n".join(lines).encode()

    def resized(self, columns: int, rows: int) -> None:
        self._rows = rows
        self._shown_at = 0.0 if not self._shown_at else 1.0
