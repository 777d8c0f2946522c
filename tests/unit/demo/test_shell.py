"""The simulated shell: its line editor and its commands."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuhop_tui.demo.machine import Machine
from gpuhop_tui.demo.shell import commands
from gpuhop_tui.demo.shell.line import LineEditor
from gpuhop_tui.demo.shell.shell import Running, Shell
from gpuhop_tui.sessions.screen import Screen
from tests.unit.demo.nodes import machine


@pytest.fixture
def node(tmp_path: Path) -> Machine:
    return machine("gpu-01", tmp_path / "home")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return machine("gpu-01", tmp_path_factory.mktemp("home"))


def edited(keys: str) -> tuple[list[str | None], str]:
    """The lines that were entered, and what the terminal shows."""
    screen = Screen(60, 10)
    editor = LineEditor(lambda said: screen.feed(said.encode()), lambda: "> ")
    editor.begin()
    lines = []
    for line in editor.feed(keys.encode()):
        lines.append(line)
        editor.begin()
    return lines, "\n".join(row.rstrip() for row in screen.text).rstrip()


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("abc\r", "abc"),
        ("abc\x7f\x7fd\r", "ad"),
        ("world\x01hello \r", "hello world"),
        ("ac\x1b[Db\r", "abc"),
        ("one two\x17three\r", "one three"),
        ("gone\x15kept\r", "kept"),
        ("abc\x01\x0b\r", ""),
        ("xabc\x01\x1b[3~\r", "abc"),
        ("first\r\x1b[A\r", "first"),
        ("first\rsecond\r\x1b[A\x1b[A\x1b[B\r", "second"),
        ("no\x03yes\r", "yes"),
        ("caf\u00e9\r", "caf\u00e9"),
    ],
)
def test_keys_edit_the_line(keys: str, line: str) -> None:
    assert edited(keys)[0][-1] == line


def test_the_terminal_shows_the_line_as_it_is() -> None:
    assert edited("ac\x1b[Db")[1] == "> abc"
    assert edited("abc\x0c")[1] == "> abc"
    assert edited("\x04") == ([None], ">\n>"), "ctrl+d on an empty line is the end"


@given(st.binary(max_size=60))
def test_no_keys_break_it(keys: bytes) -> None:
    editor = LineEditor(lambda _: None, lambda: "> ")
    editor.begin()
    for line in editor.feed(keys):
        assert line is None or "\r" not in line
        editor.begin()


@pytest.mark.parametrize(
    ("line", "words", "status"),
    [
        ("help", "nothing that you type is run", 0),
        ("whoami", "gpu-user", 0),
        ("hostname; id", "gpu-01\nuid=1000", 0),
        ("nvidia-smi -L", "GPU 7: NVIDIA A100", 0),
        ("nvidia-smi", "simulated", 0),
        ("cd work && pwd", "/home/gpu-user/work", 0),
        ("cd nowhere && pwd", "No such file", 1),
        ("false || echo so", "so", 0),
        ("ls /", "data/", 0),
        ("cat README.txt", "simulated", 0),
        ("docker ps", "jonas-lora", 0),
        ("docker exec sofia-notebook nvidia-smi -L", "GPU 0", 0),
        ("docker exec ann-debug id", "is not running", 1),
        ("docker exec nobody id", "No such container", 1),
        ("tmux ls", "lora: 2 windows", 0),
        ("rm -rf /", "does not know it", 127),
        ("cat x > y", "no pipes nor redirections", 126),
        ("nvidia-smi | head", "no pipes nor redirections", 126),
        ("sh -c 'echo inside'", "inside", 0),
        ("python nothing.py", "can't open file", 2),
        ("'", "No closing quotation", 2),
    ],
)
def test_commands_are_answered(node: Machine, line: str, words: str, status: int) -> None:
    result = commands.run(node.place(), line)
    assert words in result.text
    assert result.status == status


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=40))
def test_no_line_breaks_it(shared: Machine, line: str) -> None:
    commands.run(shared.place(), line)


def test_on_a_node_without_docker_there_is_none(tmp_path: Path) -> None:
    assert "not found" in commands.run(machine("lab-b", tmp_path / "b").place(), "docker ps").text
    assert "permission" in commands.run(machine("lab-c", tmp_path / "c").place(), "docker ps").text


def test_it_says_that_it_is_simulated_and_hands_over_to_what_runs(node: Machine) -> None:
    shell = Shell(node.place())
    now = time.time()
    assert b"simulated" in shell.output(now)
    shell.typed(b"docker exec -it jonas-lora bash\rhostname\rexit\rhostname\r", now)
    said = shell.output(now).decode()
    container = node.inside(_id(node, "jonas-lora")).host
    assert said.index(f"\r\n{container}\r\n") < said.index("\r\ngpu-01\r\n")
    shell.typed(b"\x04", now)
    assert shell.ended == 0


def test_a_command_ends_with_its_status(node: Machine) -> None:
    running = Running(node.place(), "false")
    running.output(time.time())
    assert running.ended == 1
    training = Running(node.place(), "python train.py")
    assert b"epoch 1" in training.output(time.time())
    assert training.ended is None
    assert b"done" in training.output(time.time() + 3600)
    assert training.ended == 0


def _id(node: Machine, name: str) -> str:
    assert node.engine is not None
    return node.engine.find(name).id
