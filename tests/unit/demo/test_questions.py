"""What the app asks of a node is known in the demo, each question of it, and nothing else is."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gpuhop_tui.containers import find_engine, surroundings
from gpuhop_tui.containers.engine import EngineFacts
from gpuhop_tui.containers.surroundings import Surroundings
from gpuhop_tui.demo.machine import DOCKER_SOCKET, Machine
from gpuhop_tui.demo.questions import Said, answer, examined
from gpuhop_tui.fleet.doctor import remote
from gpuhop_tui.fleet.jobs.model import Job
from gpuhop_tui.fleet.jobs.signals import signal_script
from gpuhop_tui.fleet.ports import look
from gpuhop_tui.fleet.ports.found import listeners
from gpuhop_tui.sessions import last_lines, tmux, tmux_actions
from gpuhop_tui.sessions.container_shell import ContainerShell
from gpuhop_tui.sessions.container_watch import ContainerSessions
from gpuhop_tui.sessions.last_lines import wanted
from gpuhop_tui.sessions.model import TmuxPane, TmuxSession
from gpuhop_tui.sessions.shell import Answer, RemoteShell
from gpuhop_tui.sessions.tmux import Tmux
from gpuhop_tui.sessions.tmux_actions import NewSession, SessionError, dismiss, kill_session
from gpuhop_tui.sessions.watch import SessionWatch
from tests.unit.demo.nodes import machine


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return machine("gpu-01", tmp_path_factory.mktemp("home"))


@pytest.fixture
def node(tmp_path: Path) -> Machine:
    return machine("gpu-01", tmp_path / "home")


class Shell:
    """A node's shell as the app has it, whose questions are answered by the demo."""

    def __init__(self, node: Machine) -> None:
        self.node = "gpu-01"
        self._machine = node

    async def run(self, script: str, **_: object) -> object:
        said = ask(self._machine, script)
        return Answer(said.status, said.text.encode())


def ask(node: Machine, script: str) -> Said:
    said = answer(node, node.seat, script)
    assert said is not None, script
    return said


async def sessions(node: Machine) -> dict[str, TmuxSession]:
    shell: RemoteShell = Shell(node)  # type: ignore[assignment]
    return {session.name: session for session in await SessionWatch(shell).look()}


async def test_sessions_are_listed_with_their_last_lines_and_progress(node: Machine) -> None:
    found = await sessions(node)
    assert set(found) == {"lora", "notebook", "eval", "backup"}
    lora = found["lora"].active_pane
    assert lora is not None
    assert lora.progress is not None
    assert lora.progress.rate_unit == "it/s"
    assert 0 <= (lora.progress.percent or -1) <= 100
    assert len(found["lora"].windows) == 2
    evaluation = found["eval"].active_pane
    assert evaluation is not None
    assert evaluation.progress is not None
    backup = found["backup"].active_pane
    assert backup is not None
    assert (backup.dead, backup.exit_status) == (True, 11)
    assert "rsync error" in (backup.last_line or "")
    assert "simulated" in found["lora"].version


async def test_sessions_are_made_and_ended(node: Machine) -> None:
    shell: RemoteShell = Shell(node)  # type: ignore[assignment]
    made = await tmux_actions.new_session(shell, NewSession("mine", "~/work", "echo hello"))
    with pytest.raises(SessionError, match="already"):
        await tmux_actions.new_session(shell, NewSession("mine"))
    with pytest.raises(SessionError, match="no directory"):
        await tmux_actions.new_session(shell, NewSession("other", "/nowhere"))
    mine = (await sessions(node))["mine"]
    pane = mine.active_pane
    assert pane is not None
    assert (mine.id, pane.cwd) == (made.session_id, "/home/gpu-user/work")
    assert (pane.dead, pane.exit_status, pane.last_line) == (True, 0, "hello")
    await dismiss(shell, mine, pane)
    found = await sessions(node)
    assert "mine" not in found
    lora = found["lora"].active_pane
    assert lora is not None
    with pytest.raises(SessionError, match="not dead"):
        await dismiss(shell, found["lora"], lora)
    await kill_session(shell, found["eval"])
    with pytest.raises(SessionError, match="gone already"):
        await kill_session(shell, found["eval"])
    processes = [gpu.get("processes", {}).values() for gpu in node.gpus.figures()]
    left = [each["command"] for group in processes for each in group]
    assert not any("eval.py" in command for command in left), "its work on the GPU ended too"


TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs",)), max_size=30
)
NAMES = st.from_regex(r"[A-Za-z0-9_;'\" é-]{1,20}", fullmatch=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    NAMES,
    TEXT,
    TEXT,
    st.dictionaries(st.from_regex(r"[A-Z_]{1,6}", fullmatch=True), TEXT, max_size=2),
    st.sampled_from([None, "/tmp/tmux-1000/gpuhop"]),
)
def test_whatever_session_is_wanted_the_question_is_known(
    shared: Machine,
    name: str,
    directory: str,
    command: str,
    environment: dict[str, str],
    socket: str | None,
) -> None:
    assume(tmux_actions.check_name(name) is None)
    assume(not directory.startswith(("~", "$")))
    new = NewSession(name, directory, command, environment, socket)
    said = answer(shared, shared.seat, tmux_actions.new_session_script(new))
    assert said is not None
    for server in shared.seat.servers:
        for session in [each for each in server.sessions if each.name == name]:
            server.kill(session)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXT.map(lambda text: "/" + text.replace("\n", "")), max_size=4))
def test_whatever_paths_are_looked_for_the_question_is_known(
    shared: Machine, paths: list[str]
) -> None:
    paths = [*paths, "/data/datasets", "~", "~/train.py", "~/nothing"]
    said = ask(shared, surroundings.script(paths))
    around = surroundings.read_answer(Surroundings(EngineFacts("", "", "", "")), said.text, paths)
    assert (around.user, around.home) == ("gpu-user", "/home/gpu-user")
    assert {"/data/datasets", "~", "~/train.py"}.isdisjoint(around.missing_paths)
    assert "~/nothing" in around.missing_paths
    assert around.ports is not None
    assert {("tcp", 22), ("tcp", 8888)} <= around.ports.keys()


@pytest.mark.parametrize(
    ("name", "usable", "denied", "programs"),
    [
        ("gpu-01", (DOCKER_SOCKET,), (), ("docker",)),
        ("lab-b", (), (), ()),
        ("lab-c", (), ((DOCKER_SOCKET, "docker"),), ("docker",)),
    ],
)
def test_where_the_engine_is(
    tmp_path: Path,
    name: str,
    usable: tuple[str, ...],
    denied: tuple[tuple[str, str], ...],
    programs: tuple[str, ...],
) -> None:
    said = ask(machine(name, tmp_path), find_engine.script(DOCKER_SOCKET))
    found = find_engine.read_answer(DOCKER_SOCKET, said.text)
    assert (found.usable, found.denied, found.programs) == (usable, denied, programs)


def test_the_doctor_is_answered(shared: Machine) -> None:
    for part in (remote._READY, remote._CLOCK, remote._LOOK):
        assert examined(shared.seat, part) is not None
        assert examined(shared.seat, part + "touch ran\n") is None


def known_scripts() -> list[str]:
    there = Tmux("/usr/bin/tmux", "3.4", ("/tmp/tmux-1000/default",))
    session = TmuxSession("n", "/tmp/tmux-1000/default", 3100, "", "$0", "lora", 0.0, ())
    shot = wanted(session, _pane(), 3)
    word = "gh" + secrets.token_hex(8)
    return [
        tmux.find_script(),
        tmux.list_script(there, word),
        last_lines.last_lines_script(there, [shot], word),
        tmux_actions.new_session_script(NewSession("probe")),
        find_engine.script(DOCKER_SOCKET),
        surroundings.script(["/data"]),
        "kill -CHLD 3100 3900",
    ]


def _pane() -> TmuxPane:
    return TmuxPane("%0", 0, "", "", "", 1, 80, 24, True)


@pytest.mark.parametrize("number", range(7))
def test_a_question_with_more_in_it_is_refused(node: Machine, number: int) -> None:
    script = known_scripts()[number]
    assert answer(node, node.seat, script) is not None
    within = script.replace(" ", " ;touch x;", 1)
    for more in (f"{script}\ntouch ran", f"touch ran\n{script}", within):
        assert answer(node, node.seat, more) is None


async def test_sessions_in_containers_are_listed_and_acted_upon(node: Machine) -> None:
    shell: RemoteShell = Shell(node)  # type: ignore[assignment]
    (session,) = await ContainerSessions(shell).look()
    assert (session.name, session.container) == ("main", "jonas-lora")
    pane = session.active_pane
    assert pane is not None
    assert "loss" in (pane.last_line or "")
    assert session.place is not None
    await kill_session(ContainerShell(shell, session.place), session)
    assert await ContainerSessions(shell).look() == ()


async def test_a_container_that_was_restarted_has_no_sessions(node: Machine) -> None:
    assert node.engine is not None
    container = node.engine.find("jonas-lora")
    node.engine.stop(container)
    node.engine.start(container)
    shell: RemoteShell = Shell(node)  # type: ignore[assignment]
    assert await ContainerSessions(shell).look() == ()


def test_what_listens_is_told(shared: Machine) -> None:
    seen = look.read(ask(shared, look.SCRIPT).text)
    assert seen.uid is not None
    assert seen.names[seen.uid] == "gpu-user"
    found = listeners(seen, (), {})
    assert {each.port for each in found} >= {22, 8888}
    assert any("Jupyter" in str(each) for each in found)


def test_a_signal_ends_a_job_in_a_container_and_nobody_elses(node: Machine) -> None:
    assert node.engine is not None
    lora = node.engine.find("jonas-lora")
    job = Job("gpu-01", lora.pid, 1.0, container_id=lora.id)
    assert ask(node, signal_script(replace(job, pid=1), "TERM")).status == 5
    assert ask(node, signal_script(job, "TERM")).status == 0
    assert (lora.state, lora.exit_code) == ("exited", 143)
    assert ask(node, signal_script(job, "KILL")).status == 3
