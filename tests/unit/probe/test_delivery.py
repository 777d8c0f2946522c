"""The command that starts the probe, run as a login shell would run it, and how the probe ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gpuhop_tui.probe.delivery import payload, probe_command, sources
from gpuhop_tui.probe.protocol import parse_line
from gpuhop_tui.probe.remote import loader
from gpuhop_tui.probe.sample import Sample
from gpuhop_tui.probe.stream import stream_samples
from gpuhop_tui.problem import ErrorKind, ProblemError
from tests.lab.pythons import oldest_and_own, python
from tests.lab.waiting import await_until

SPEC = json.dumps({"seed": 1, "gpus": [{"name": "A100", "profile": "training"}] * 2})
TOOLS = ("sh", "env", "timeout", "head", "sed", "sleep", "cat", "echo")


@dataclass
class Login:
    """A home directory and what non-interactive logins to it find."""

    home: Path
    shell: list[str] = field(default_factory=lambda: ["/bin/sh", "-c"])
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def bin(self) -> Path:
        return self.home / "bin"

    @property
    def cache(self) -> Path:
        return self.home / ".cache" / "gpuhop-tui"

    def environ(self) -> dict[str, str]:
        plain = {"HOME": str(self.home), "PATH": f"{self.bin}:/usr/bin:/bin", "LC_ALL": "C"}
        return plain | {"GPUHOP_SIMULATED": SPEC} | self.environment

    async def start(self, command: str) -> asyncio.subprocess.Process:
        pipe = subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *self.shell,
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=self.environ(),
            cwd=self.home,
        )

    @contextlib.asynccontextmanager
    async def samples(self, interval: float = 0.2) -> AsyncIterator[AsyncIterator[Sample]]:
        process = await self.start(probe_command(interval))
        try:
            async with contextlib.aclosing(stream_samples(process, "gpu-01", interval)) as samples:
                yield samples
        finally:
            await asyncio.wait_for(process.wait(), 10)

    async def one(self) -> Sample:
        async with self.samples() as samples:
            return await asyncio.wait_for(anext(samples), 20)


@pytest.fixture(params=oldest_and_own(), ids=lambda path: path.name)
def login(request: pytest.FixtureRequest, tmp_path: Path) -> Login:
    login = Login(tmp_path)
    login.bin.mkdir()
    (login.bin / "python3").symlink_to(request.param)
    return login


@pytest.fixture
def bare(tmp_path: Path) -> Login:
    """A login without any Python: only what a POSIX system has."""
    login = Login(tmp_path)
    login.bin.mkdir()
    for tool in TOOLS:
        (login.bin / tool).symlink_to(shutil.which(tool) or "/bin/" + tool)
    for name in ("python", "python3", *(f"python3.{minor}" for minor in range(6, 14))):
        script(login.bin / name, "exit 127")
    return login


def script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


async def line_of_ours(process: asyncio.subprocess.Process) -> dict[str, object]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := await process.stdout.readline():
            if message := parse_line(line):
                return message
    raise AssertionError("the probe ended")


def test_the_command_suits_every_login_shell() -> None:
    command = probe_command(2.0)
    assert not set(command) & set("\n!")
    assert "\\\\" not in command  # fish reads these even in single quotes
    assert "\\'" not in command
    assert command.count("'") % 2 == 0
    assert len(command) < 16_000


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "fish", "csh", "tcsh", "busybox"])
async def test_login_shells(login: Login, shell: str) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    login.shell = [found, *(["sh"] if shell == "busybox" else []), "-c"]
    assert len((await login.one()).gpus) == 2


@pytest.mark.parametrize("minor", range(6, 15), ids=lambda minor: f"3.{minor}")
async def test_every_python(tmp_path: Path, minor: int) -> None:
    """Delivered, then from the cache, with the real pynvml and no driver."""
    found = python(minor)
    if found is None:
        pytest.skip(f"Python 3.{minor} is not installed")
    login = Login(tmp_path, environment={"GPUHOP_SIMULATED": "", "LD_LIBRARY_PATH": "/nowhere"})
    login.bin.mkdir()
    (login.bin / "python3").symlink_to(found)
    for _ in range(2):
        sample = await login.one()
        assert sample.source == "nvml"
        assert sample.host.hostname == os.uname().nodename
    compiled = (login.cache / payload().digest).rglob(f"main.cpython-3{minor}.pyc")
    assert len(list(compiled)) == 1


async def test_the_first_start_delivers_and_the_second_is_cached(login: Login) -> None:
    first = await login.start(probe_command(0.2))
    assert (await line_of_ours(first))["need"] == payload().digest
    assert first.stdin is not None
    first.stdin.write(payload().message)
    assert "full" in await line_of_ours(first)
    first.stdin.close()
    assert await asyncio.wait_for(first.wait(), 10) == 0

    (folder,) = login.cache.iterdir()
    assert folder.name == payload().digest
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(login.cache.stat().st_mode) == 0o700
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.py")} == set(sources())
    assert list((folder / "gpuhop_probe" / "__pycache__").iterdir())

    second = await login.start(probe_command(0.2))
    assert "full" in await line_of_ours(second)  # one round trip: nothing was asked for
    assert second.stdin is not None
    second.stdin.close()
    await asyncio.wait_for(second.wait(), 10)


async def test_a_cache_that_was_tampered_with_is_not_run(login: Login) -> None:
    await login.one()
    victim = login.cache / payload().digest / "gpuhop_probe" / "main.py"
    victim.write_text("raise SystemExit('tampered')\n")
    assert len((await login.one()).gpus) == 2
    assert victim.read_bytes() == sources()["gpuhop_probe/main.py"]


async def test_a_cache_that_others_can_write_is_not_run(login: Login) -> None:
    await login.one()
    folder = login.cache / payload().digest
    folder.chmod(0o777)
    assert len((await login.one()).gpus) == 2
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_unused_versions_are_pruned_and_others_kept(login: Login) -> None:
    old, recent, foreign = (login.cache / name for name in ("a" * 64, "b" * 64, "notes"))
    for folder in (old, recent, foreign):
        folder.mkdir(parents=True)
    os.utime(old, (1, 1))
    os.utime(foreign, (1, 1))
    await login.one()
    assert not old.exists()
    assert recent.exists()
    assert foreign.exists()


async def test_where_nothing_can_be_written_it_runs_from_memory(login: Login) -> None:
    login.environment["XDG_CACHE_HOME"] = "/proc/nowhere"
    for _ in range(2):
        sample = await login.one()
        assert sample.source == "simulated"
    login.environment["XDG_CACHE_HOME"] = "/dev/null/x"
    assert len((await login.one()).gpus) == 2


async def test_a_full_disk_leaves_nothing_behind_and_it_runs_from_memory(login: Login) -> None:
    login.shell = ["/bin/sh", "-c", 'ulimit -f 100; eval "$0"']  # pynvml is larger than that
    assert len((await login.one()).gpus) == 2
    assert list(login.cache.iterdir()) == []


async def test_from_memory_it_is_as_small_as_from_the_cache(login: Login) -> None:
    login.environment = {"XDG_CACHE_HOME": "/proc/nowhere", "GPUHOP_SIMULATED": ""}
    process = await login.start(probe_command(0.2))
    async with contextlib.aclosing(stream_samples(process, "gpu-01", 0.2)) as samples:
        await asyncio.wait_for(anext(samples), 20)
        status = Path(f"/proc/{process.pid}/status").read_text()
    await asyncio.wait_for(process.wait(), 10)
    (most,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    assert int(most) < 30_000  # kB


async def test_first_starts_at_the_same_time_do_not_break_each_other(login: Login) -> None:
    asking = [await login.start(probe_command(0.2)) for _ in range(6)]
    for process in asking:
        assert "need" in await line_of_ours(process)
    for process in asking:
        assert process.stdin is not None
        process.stdin.write(payload().message)
    for process in asking:
        assert "full" in await line_of_ours(process)
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert [folder.name for folder in login.cache.iterdir()] == [payload().digest]


def test_a_cache_that_another_start_has_written_meanwhile_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / payload().digest
    assert loader.store(str(folder), payload().digest, sources())
    before = folder.stat().st_ino
    assert loader.store(str(folder), payload().digest, sources())
    assert folder.stat().st_ino == before


async def test_noise_of_start_up_files_is_ignored(login: Login) -> None:
    noise = login.home / "noise"
    noise.write_bytes(b'Welcome!\r\n\xff\xfe{"gpuhop":1,"seq":\n{}\n' + b"x" * 100_000)
    login.shell = ["/bin/sh", "-c", 'cat noise; echo warning >&2; eval "$0"']
    async with login.samples() as samples:
        seen = [await asyncio.wait_for(anext(samples), 20) for _ in range(3)]
    assert all(len(sample.gpus) == 2 for sample in seen)


async def test_what_lies_in_the_working_directory_does_not_break_it(login: Login) -> None:
    for name in ("json.py", "pynvml.py", "sitecustomize.py"):
        (login.home / name).write_text("raise SystemExit('shadowed')\n")
    login.environment |= {"PYTHONPATH": str(login.home), "PYTHONSTARTUP": "json.py"}
    assert len((await login.one()).gpus) == 2


async def test_an_interpreter_that_is_too_old_or_broken_is_passed_over(login: Login) -> None:
    python3 = login.bin / "python3"
    python3.rename(login.bin / "python3.9")
    script(python3, "echo Python 2.7 >&2; exit 2")
    assert len((await login.one()).gpus) == 2


@pytest.mark.parametrize("heartbeat", [0.3, 1.0])
async def test_silence_of_the_laptop_ends_the_probe(login: Login, heartbeat: float) -> None:
    await login.one()
    process = await login.start(probe_command(0.2, heartbeat))
    await line_of_ours(process)
    started = time.monotonic()
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.read(), 10)
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert time.monotonic() - started >= heartbeat * 0.5


@pytest.mark.parametrize("pinged", [False, True])
async def test_an_output_that_takes_nothing_ends_with_the_laptops_silence(
    login: Login, pinged: bool
) -> None:
    """The link has stalled: whatever the probe writes blocks, its first line included."""
    await login.one()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(1 << 12))
    os.set_blocking(writer, True)
    process = await asyncio.create_subprocess_exec(
        *login.shell,
        probe_command(0.2, 1.0),
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        env=login.environ(),
    )
    os.close(writer)
    assert process.stdin is not None
    if pinged:
        process.stdin.write(b"ping 1\n" * 3)
    try:
        assert await asyncio.wait_for(process.wait(), 15) == 0
    finally:
        os.close(reader)


async def test_pings_keep_the_probe_alive_and_are_answered(login: Login) -> None:
    await login.one()
    process = await login.start(probe_command(0.2, 1.0))
    assert process.stdin is not None
    number, started = 0, time.monotonic()
    while time.monotonic() < started + 2.5:
        message = await line_of_ours(process)
        if "pong" in message:
            assert message["pong"] == number
        else:  # a sample: they set the pace
            number += 1
            process.stdin.write(b"ping %d\n" % number)
    assert number > 5
    assert process.returncode is None
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 10)


async def test_commands_of_the_laptop(login: Login) -> None:
    await login.one()
    process = await login.start(probe_command(600))
    assert process.stdin is not None
    first = await line_of_ours(process)
    process.stdin.write(b"nonsense\n\xff\nping x\ninterval y\nfull\n")
    again = await line_of_ours(process)
    assert (again["seq"], again["full"]) == (2, first["full"])
    process.stdin.write(b"interval 0.2\n")
    assert "patch" in await line_of_ours(process)
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_closed_output_ends_the_probe(login: Login) -> None:
    await login.one()
    reader, writer = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *login.shell,
        probe_command(0.2),
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.DEVNULL,
        env=login.environ(),
    )
    os.close(writer)
    await asyncio.get_running_loop().run_in_executor(None, os.read, reader, 4096)
    os.close(reader)
    assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_gap_is_healed_by_a_whole_document(login: Login) -> None:
    """Between probe and laptop a filter swallows one line of the stream."""
    swallow = "sed -u -e '6d'" if sys.platform == "linux" else "cat"
    login.shell = ["/bin/sh", "-c", f'(eval "$0") | {swallow}']
    async with login.samples() as samples:
        seen = [await asyncio.wait_for(anext(samples), 20) for _ in range(6)]
    assert all(len(sample.gpus) == 2 for sample in seen)


async def test_round_trips_are_reported(login: Login) -> None:
    process = await login.start(probe_command(0.2))
    trips: list[float] = []
    async with contextlib.aclosing(
        stream_samples(process, "gpu-01", 0.2, on_rtt=trips.append)
    ) as samples:
        async with asyncio.timeout(20):
            async for _ in samples:
                if trips:
                    break
    await asyncio.wait_for(process.wait(), 10)
    assert 0 < trips[0] < 5


async def test_a_silent_probe_is_a_named_problem(login: Login) -> None:
    login.shell = ["/bin/sh", "-c", "echo waiting for a licence >&2; cat"]
    process = await login.start("ignored")
    with pytest.raises(ProblemError) as raised:
        await anext(stream_samples(process, "gpu-01", 0.2, start_seconds=0.5))
    assert raised.value.problem.kind is ErrorKind.NO_PROBE
    assert "waiting for a licence" in raised.value.problem.message
    assert raised.value.problem.hop == "gpu-01"
    await asyncio.wait_for(process.wait(), 10)


async def test_a_probe_that_dies_is_a_named_problem(login: Login) -> None:
    login.shell = ["/bin/sh", "-c", "echo '\033[31mdisk quota exceeded' >&2; exit 3"]
    process = await login.start("ignored")
    with pytest.raises(ProblemError, match="disk quota exceeded"):
        await anext(stream_samples(process, "gpu-01", 0.2))
    await process.wait()


# Without Python

SMI = """
row="0, 1, GPU-aa, NVIDIA A100, 550.54.15, 83, 10, 81920, 61"
case "$*" in
*--query-compute-apps*) row="GPU-aa, $$, 54000, python" ;;
*power.draw*) row="$row, 312.45, 400.00, [N/A], 1410, 0x4, 0, Disabled" ;;
esac
echo "$row"
case "$*" in
*--loop-ms*) echo $$ >> "$HOME/pids"; while sleep 0.1; do echo "$row"; done ;;
esac
"""


def loops(login: Login) -> list[int]:
    """Process ids of the nvidia-smi loops that run."""
    file = login.home / "pids"
    pids = [int(line) for line in file.read_text().split()] if file.exists() else []
    return [pid for pid in pids if running(pid)]


def running(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


async def test_without_python_nvidia_smi_is_looped(bare: Login) -> None:
    script(bare.bin / "nvidia-smi", SMI)
    async with bare.samples() as samples:
        seen = [await asyncio.wait_for(anext(samples), 20) for _ in range(3)]
        assert len(loops(bare)) == 2
    assert {sample.source for sample in seen} == {"nvidia-smi"}
    assert seen[0].gpus[0].utilization_percent == 83
    assert seen[0].gpus[0].power_watts == 312.45
    assert any(sample.gpus[0].processes for sample in seen)
    await await_until(lambda: not loops(bare), "the loops to end with the standard input")


async def test_an_nvidia_smi_that_knows_fewer_fields(bare: Login) -> None:
    refuse = 'case "$*" in *power.draw*) echo "Field is not valid"; exit 2 ;; esac\n'
    script(bare.bin / "nvidia-smi", refuse + SMI)
    sample = await bare.one()
    assert sample.gpus[0].temperature_celsius == 61
    assert sample.gpus[0].missing["power_watts"]


async def test_loops_end_when_the_laptop_falls_silent(bare: Login) -> None:
    script(bare.bin / "nvidia-smi", SMI)
    process = await bare.start(probe_command(0.2, 1))
    await await_until(lambda: len(loops(bare)) == 2, "both loops")
    assert process.stdout is not None
    await asyncio.wait_for(process.stdout.read(), 20)
    await asyncio.wait_for(process.wait(), 10)
    await await_until(lambda: not loops(bare), "the loops to end")


async def test_a_loop_that_dies_is_started_again(bare: Login) -> None:
    script(bare.bin / "nvidia-smi", SMI)
    process = await bare.start(probe_command(0.2, 20))
    assert process.stdin is not None
    await await_until(lambda: len(loops(bare)) == 2, "both loops")
    before = loops(bare)
    os.kill(before[0], signal.SIGKILL)
    await await_until(lambda: len(loops(bare)) == 1, "one to die")

    def both_again() -> bool:
        process.stdin.write(b"ping 1\n")  # type: ignore[union-attr]
        return len(set(loops(bare)) - set(before)) == 2

    await await_until(both_again, "both loops, new")
    process.stdin.close()
    await asyncio.wait_for(process.wait(), 10)
    await await_until(lambda: not loops(bare), "the loops to end")


@pytest.mark.parametrize(
    ("complaint", "status", "kind"),
    [
        ("NVIDIA-SMI has failed because it could not talk to the driver", 9, ErrorKind.NO_DRIVER),
        ("NVML: Driver/library version mismatch", 18, ErrorKind.DRIVER_MISMATCH),
    ],
)
async def test_a_broken_driver_says_so_and_is_tried_again(
    bare: Login, complaint: str, status: int, kind: ErrorKind
) -> None:
    script(bare.bin / "nvidia-smi", f"echo '{complaint}'; exit {status}")
    process = await bare.start(probe_command(0.2))
    async with contextlib.aclosing(stream_samples(process, "gpu-01", 0.2)) as samples:
        sample = await asyncio.wait_for(anext(samples), 20)
        assert sample.problem is not None
        assert sample.problem.kind is kind
        assert complaint in sample.problem.message
        script(bare.bin / "nvidia-smi", SMI)
        async with asyncio.timeout(20):
            async for sample in samples:
                if sample.problem is None:
                    break
        assert sample.gpus[0].utilization_percent == 83
    await asyncio.wait_for(process.wait(), 10)


async def test_neither_python_nor_nvidia_smi(bare: Login) -> None:
    with pytest.raises(ProblemError) as raised:
        await bare.one()
    problem = raised.value.problem
    assert (problem.kind, problem.hop) == (ErrorKind.NO_PROBE, "gpu-01")
    assert "neither Python" in problem.message
    assert "python3" in problem.advice
