"""The probe meets hostile nodes: noisy shells, full disks, no Python, programs that lie."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gpuhop_tui.fleet import monitor
from gpuhop_tui.fleet.fleet import Fleet
from gpuhop_tui.fleet.state import FleetState, NodeState
from gpuhop_tui.probe.stream import stream_samples
from gpuhop_tui.problem import ErrorKind, Problem
from tests.lab.driving import (
    all_live,
    fleet_of,
    fleet_reached,
    gpu_nodes,
    is_live,
    says,
    simulate,
    status,
)
from tests.lab.machine import Machine
from tests.lab.procfs import program
from tests.lab.waiting import await_until
from tests.lab.world import World

MakeWorld = Callable[..., World]

PYTHONS = ("python*", "pypy*")

SMI = r"""#!/bin/sh
# What nvidia-smi prints for the queries that the fallback makes.
query=; loop=
for word; do
  case $word in
    --query-gpu=*) query=gpu; fields=${word#*=};;
    --query-compute-apps=*) query=apps; fields=${word#*=};;
    --loop*) loop=1;;
  esac
done
row() {
  if [ $query = apps ]; then return; fi
  line=
  for field in $(echo "$fields" | tr , ' '); do
    case $field in
      index) value=0;;
      count) value=1;;
      uuid) value=GPU-00000000-0000-0000-0000-000000000001;;
      name) value='Tesla T4';;
      driver_version) value=535.54.03;;
      utilization.gpu) value=42;;
      memory.used) value=1024;;
      memory.total) value=15360;;
      temperature.gpu) value=51;;
      power.draw|power.draw.*) value=33.5;;
      *) value='[N/A]';;
    esac
    line="$line, $value"
  done
  echo "${line#, }"
}
row
while [ -n "$loop" ]; do sleep 1; row || exit; done
"""


@pytest.fixture
def one(make_world: MakeWorld) -> World:
    """A node beside the laptop, with simulated GPUs."""
    world = make_world(bastions=0, nodes=gpu_nodes(1, via=None))
    simulate(*world.nodes)
    return world


@asynccontextmanager
async def _live(world: World) -> AsyncIterator[tuple[Fleet, NodeState]]:
    async with fleet_of(world.laptop) as fleet:
        state = await fleet_reached(fleet, all_live, "live")
        yield fleet, state.nodes[0]


async def _probe_problem(world: World, seconds: float = 20.0) -> Problem:
    """The reason why there are no figures although the link is up."""

    def has_one(state: FleetState) -> bool:
        return state.nodes[0].probe_problem is not None

    async with fleet_of(world.laptop) as fleet:
        state = await fleet_reached(fleet, has_one, "told why there are no figures", seconds)
    problem = state.nodes[0].probe_problem
    assert problem is not None
    assert problem.hop == world.nodes[0].name
    return problem


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that says nothing is given up after two seconds."""
    short = functools.partial(stream_samples, start_seconds=2.0)
    monkeypatch.setattr(monitor, "stream_samples", short)


# Shells

NOISE = {
    "echo": "echo Welcome to the cluster; echo >&2 'quota: 98 %'\n",
    "json": """echo '{"gpuhop": 1, "need": "x"}'; echo '{"full": {}}'; echo '{"a'; echo null\n""",
    "binary": "head -c 5000 /dev/urandom; printf '\\0\\377\\033[2J'\n",
    "no newline": "printf 'Last login: today'\n",
    "long line": "head -c 3000000 /dev/zero | tr '\\0' x; echo\n",
    "prompt": "printf 'Continue? '; read -t 0.3 answer\n",
    "aliases": "alias exec=echo python3=false; export PYTHONSTARTUP=/x PYTHONHOME=/x LANG=tr_TR\n",
}


@pytest.mark.parametrize("noise", NOISE)
async def test_noisy_start_up_files(one: World, noise: str) -> None:
    one.nodes[0].write(".bashrc", NOISE[noise])
    async with _live(one) as (_, node):
        assert node.sample is not None
        assert [gpu.name for gpu in node.sample.gpus] == ["NVIDIA A100-SXM4-80GB"] * 2
        assert node.sample.source == "simulated"


@pytest.mark.usefixtures("impatient")
async def test_a_start_up_file_that_waits_for_an_answer(one: World) -> None:
    one.nodes[0].write(".bashrc", "read -p 'Project? ' project\n")
    problem = await _probe_problem(one)
    assert problem.kind is ErrorKind.NO_PROBE
    assert "start-up file" in problem.advice


async def test_a_start_up_file_that_ends_the_session(one: World) -> None:
    one.nodes[0].write(".bashrc", "echo 'maintenance until 8 pm' >&2; exit 1\n")
    problem = await _probe_problem(one)
    assert problem.kind is ErrorKind.NO_PROBE
    assert "maintenance until 8 pm" in problem.message


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "fish", "tcsh"])
async def test_login_shells(make_world: MakeWorld, shell: str) -> None:
    world = make_world(bastions=0, nodes=gpu_nodes(1, via=None, shell=f"/usr/bin/{shell}"))
    node = world.nodes[0]
    if node.run(["test", "-x", f"/usr/bin/{shell}"], check=False).returncode:
        pytest.skip(f"{shell} is not installed; tests/run installs it")
    simulate(node)
    async with _live(world) as (fleet, _):
        (link,) = fleet.network.links
        assert await says(link, "echo $SHELL") == f"/usr/bin/{shell}\n"


async def test_an_account_without_a_shell(make_world: MakeWorld) -> None:
    world = make_world(bastions=0, nodes=gpu_nodes(1, via=None, shell="/usr/sbin/nologin"))
    problem = await _probe_problem(world)
    assert problem.kind is ErrorKind.NO_PROBE


async def test_a_forced_command(make_world: MakeWorld) -> None:
    nodes = gpu_nodes(1, via=None, sshd={"ForceCommand": "echo only backups here"})
    world = make_world(bastions=0, nodes=nodes)
    problem = await _probe_problem(world)
    assert problem.kind is ErrorKind.NO_PROBE


async def test_a_server_that_opens_no_session(make_world: MakeWorld) -> None:
    world = make_world(bastions=0, nodes=gpu_nodes(1, via=None, sshd={"MaxSessions": "0"}))
    problem = await _probe_problem(world)
    assert problem.kind is ErrorKind.OVERLOADED
    assert "MaxSessions" in problem.advice


# Disks


async def test_a_read_only_home(one: World) -> None:
    one.nodes[0].home_writable(False)
    async with _live(one):
        pass
    one.nodes[0].home_writable(True)
    assert not (one.nodes[0].home / ".cache").exists()


async def test_a_full_disk(one: World) -> None:
    node = one.nodes[0]
    node.write(".cache/marker", "")
    node.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k,mode=777", "tmpfs", f"/home/{node.user}/.cache"]
    )
    async with _live(one):
        pass
    left = node.run(["find", f"/home/{node.user}/.cache", "-name", "*.py"]).stdout
    assert left == ""


async def test_the_second_start_comes_from_the_cache(one: World) -> None:
    async with _live(one):
        pass
    cached = list((one.nodes[0].home / ".cache" / "gpuhop-tui").glob("*/pynvml.py"))
    assert len(cached) == 1
    before = cached[0].stat().st_mtime_ns
    async with _live(one):
        pass
    assert cached[0].stat().st_mtime_ns == before


async def test_a_spoiled_cache_is_not_run(one: World) -> None:
    async with _live(one):
        pass
    folder = one.nodes[0].home / ".cache" / "gpuhop-tui"
    for path in folder.glob("*/gpuhop_probe/main.py"):
        path.write_text("raise SystemExit('spoiled')\n")
    async with _live(one):
        pass


# Python


@pytest.mark.parametrize("transport", ["library", "command line"])
async def test_without_python_nvidia_smi_answers(make_world: MakeWorld, transport: str) -> None:
    world = make_world(bastions=0, nodes=gpu_nodes(1, via=None, hide=PYTHONS))
    world.nodes[0].install("nvidia-smi", SMI)
    if transport == "command line":
        code, nodes = status(world.laptop)
        assert code == 0
        (node,) = nodes.values()
        assert node["source"] == "nvidia-smi"
        (gpu,) = node["gpus"]
        assert gpu["name"] == "Tesla T4"
        assert gpu["utilization_percent"] == 42
        assert gpu["memory_used_bytes"] == 1 << 30
        assert gpu["fan_percent"] is None
        assert gpu["missing"]["fan_percent"]
        return
    async with _live(world) as (_, state):
        assert state.sample is not None
        assert state.sample.source == "nvidia-smi"


async def test_without_python_and_nvidia_smi_it_says_so(make_world: MakeWorld) -> None:
    world = make_world(bastions=0, nodes=gpu_nodes(1, via=None, hide=PYTHONS))
    problem = await _probe_problem(world)
    assert problem.kind is ErrorKind.NO_PROBE
    assert "Python" in problem.message
    assert "nvidia-smi" in problem.message


def _wrap(node: Machine, body: str) -> None:
    """Puts a python3 first on PATH that runs the real one and tampers with what it says."""
    node.install(
        "python3",
        "#!/usr/bin/python3 -I\nimport os, random, subprocess, sys\n"
        "out = sys.stdout.buffer\n"
        "if 'start' not in ' '.join(sys.argv): os.execv('/usr/bin/python3', sys.argv)\n"
        "real = subprocess.Popen(['/usr/bin/python3', *sys.argv[1:]], stdout=subprocess.PIPE)\n"
        f"for number, line in enumerate(real.stdout):\n{body}    out.flush()\n",
    )


GARBAGE = {
    "between lines": "    out.write(random.randbytes(999) + b'\\n' + line)\n",
    "truncated": "    out.write(line[: len(line) // 2] + b'\\n' if number % 4 == 3 else line)\n",
    "missing": "    out.write(b'' if number % 4 == 3 else line)\n",
    "twice": "    out.write(line * 2)\n",
    "other json": """    out.write(line + b'{"patch": [1, 2]}\\n[]\\n{"full": 7}\\n')\n""",
    "in pieces": ("    for byte in line:\n        out.write(bytes([byte]))\n        out.flush()\n"),
}


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_from_the_probe(one: World, garbage: str) -> None:
    """Figures are right or absent, never scrambled, and lines that are whole go on arriving."""
    _wrap(one.nodes[0], GARBAGE[garbage])
    async with _live(one) as (fleet, node):
        assert node.sample is not None
        seen = [node.sample]

        def four_more(state: FleetState) -> bool:
            sample = state.nodes[0].sample
            if sample is not None and sample is not seen[-1] and is_live(state.nodes[0]):
                seen.append(sample)
            return len(seen) > 4

        await fleet_reached(fleet, four_more, "sampled four times")
        for sample in seen:
            assert [gpu.name for gpu in sample.gpus] == ["NVIDIA A100-SXM4-80GB"] * 2
            assert all(0 <= (gpu.utilization_percent or 0) <= 100 for gpu in sample.gpus)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("script", ["cat /dev/zero", "yes garbage", "sleep 5"])
async def test_a_python_that_is_none(one: World, script: str) -> None:
    """It floods or hangs: given up, said so, and ended."""
    one.nodes[0].install(
        "python3", f"#!/bin/sh\ncase $* in *start*) exec {script};; esac\nexit 0\n"
    )
    problem = await _probe_problem(one)
    assert problem.kind is ErrorKind.NO_PROBE
    name = script.split()[0]
    await await_until(lambda: name not in map(program, one.nodes[0].processes()), f"{name} to end")


async def test_a_python_that_crashes_says_its_last_words(one: World) -> None:
    one.nodes[0].install(
        "python3",
        "#!/bin/sh\ncase $* in *start*) echo 'Segmentation fault' >&2; exit 139;; esac\nexit 0\n",
    )
    problem = await _probe_problem(one)
    assert problem.kind is ErrorKind.NO_PROBE
    assert "Segmentation fault" in problem.message


async def test_a_probe_that_is_killed_is_started_again(one: World) -> None:
    async with _live(one) as (fleet, _):
        (link,) = fleet.network.links
        await says(link, "pkill -KILL -f 'start.sys'")
        await fleet_reached(fleet, lambda state: not all_live(state), "without figures")
        await fleet_reached(fleet, all_live, "live")
        assert link.is_up
